//! The assembly, with the numbers that it shares with Rust.
//!
//! One block, so that the macros and symbols of one file are known in the next.

use super::resident::layout_for_assembly as layout;
use super::resident::{Function, RESULT_FAILED, RESULT_RESET, RESULT_START_DISK, RESULT_START_NBP};
use crate::wire::pxe::{PXENV_GET_CACHED_INFO, PxenvStatus};

/// The core's stack in long mode, in bytes (policy). Opening a card moves some 12 KiB structures by value: 76 KiB were seen.
const CORE_STACK_SIZE: usize = 192 * 1024;

/// `PXENV_EXIT_FAILURE` and `PXENV_STATUS_FAILURE` (PXE 2.1), for callers that can't be let into the core.
const API_FAILURE: u16 = 1;
/// `PXENV_STATUS_LOADER_NO_FREE_BASE_MEMORY` (PXE 2.1).
const STATUS_NO_BASE_MEMORY: u16 = 0xc0;

/// Room in the resident block for the record of our connection. A ROM without the disk service publishes none: its
/// connection ends with the network, and who comes after it finds VMBus free.
#[cfg(feature = "disk")]
const RECORD_SIZE: usize = crate::owner::record::PUBLISHED_LEN;
#[cfg(not(feature = "disk"))]
const RECORD_SIZE: usize = 0;

core::arch::global_asm!(
    concat!(".macro rom_version\n.ascii \"", env!("CARGO_PKG_VERSION"), "\"\n.endm\n"),
    include_str!("../../asm/rom_header.s"),
    include_str!("../../asm/a20.s"),
    include_str!("../../asm/init.s"),
    include_str!("../../asm/unpack.s"),
    include_str!("../../asm/unpack_stream.s"),
    include_str!("../../asm/bev.s"),
    include_str!("../../asm/bev_block.s"),
    include_str!("../../asm/undi_loader.s"),
    include_str!("../../asm/boot_hook.s"),
    include_str!("../../asm/boot_entries.s"),
    include_str!("../../asm/media.s"),
    include_str!("../../asm/nbp.s"),
    include_str!("../../asm/boot_sector.s"),
    include_str!("../../asm/resident.s"),
    include_str!("../../asm/mode.s"),
    include_str!("../../asm/bios_call.s"),
    include_str!("../../asm/caller.s"),
    include_str!("../../asm/pxe_entry.s"),
    include_str!("../../asm/v86.s"),
    include_str!("../../asm/limits.s"),
    include_str!("../../asm/hooks.s"),
    include_str!("../../asm/int13.s"),
    include_str!("../../asm/exception.s"),
    include_str!("../../asm/copy.s"),
    EXCHANGE_SIZE = const layout::EXCHANGE_SIZE,
    FUNCTION = const layout::FUNCTION,
    RESULT = const layout::RESULT,
    OPCODE = const layout::OPCODE,
    BLOCK = const layout::BLOCK,
    AX = const layout::AX,
    CARD = const layout::CARD,
    ROM = const layout::ROM,
    CORE_BLOCK = const layout::CORE_BLOCK,
    OLD_INT13 = const layout::OLD_INT13,
    OLD_INT15 = const layout::OLD_INT15,
    OLD_INT1A = const layout::OLD_INT1A,
    OLD_INT18 = const layout::OLD_INT18,
    OLD_INT19 = const layout::OLD_INT19,
    HIDDEN = const layout::HIDDEN,
    CALLER_EAX = const layout::CALLER_EAX,
    CALLER_EBX = const layout::CALLER_EBX,
    CALLER_ECX = const layout::CALLER_ECX,
    CALLER_EDX = const layout::CALLER_EDX,
    CALLER_ESI = const layout::CALLER_ESI,
    CALLER_EDI = const layout::CALLER_EDI,
    CALLER_EBP = const layout::CALLER_EBP,
    CALLER_ESP = const layout::CALLER_ESP,
    CALLER_SS = const layout::CALLER_SS,
    CALLER_DS = const layout::CALLER_DS,
    CALLER_ES = const layout::CALLER_ES,
    CALLER_FS = const layout::CALLER_FS,
    CALLER_GS = const layout::CALLER_GS,
    CALLER_FLAGS = const layout::CALLER_FLAGS,
    DRIVES = const layout::DRIVES,
    MAX_DRIVES = const layout::MAX_DRIVES,
    WITH_DISKS = const cfg!(feature = "disk") as u16,
    SETTINGS = const layout::SETTINGS,
    SETTINGS_SIZE = const crate::settings::SIZE,
    BIOS = const layout::BIOS,
    BIOS_EAX = const layout::BIOS_EAX,
    BIOS_EBX = const layout::BIOS_EBX,
    BIOS_ECX = const layout::BIOS_ECX,
    BIOS_EDX = const layout::BIOS_EDX,
    BIOS_ESI = const layout::BIOS_ESI,
    BIOS_EDI = const layout::BIOS_EDI,
    BIOS_EBP = const layout::BIOS_EBP,
    BIOS_ES = const layout::BIOS_ES,
    BIOS_DS = const layout::BIOS_DS,
    BIOS_FLAGS = const layout::BIOS_FLAGS,
    BIOS_VECTOR = const layout::BIOS_VECTOR,
    VECTOR_PRINT = const super::resident::VECTOR_PRINT,
    TEXT_SIZE = const super::resident::TEXT_SIZE,
    FUNCTION_LOAD = const Function::Load as u16,
    FUNCTION_COUNT = const Function::Count as u16,
    FUNCTION_BOOT = const Function::Boot as u16,
    FUNCTION_PROBE = const Function::Probe as u16,
    FUNCTION_API = const Function::Api as u16,
    FUNCTION_NBP_RETURNED = const Function::NbpReturned as u16,
    FUNCTION_DISK = const Function::Disk as u16,
    RESULT_START_NBP = const RESULT_START_NBP,
    RESULT_START_DISK = const RESULT_START_DISK,
    RESULT_RESET = const RESULT_RESET,
    RESULT_FAILED = const RESULT_FAILED,
    API_FAILURE = const API_FAILURE,
    STATUS_NO_BASE_MEMORY = const STATUS_NO_BASE_MEMORY,
    STATUS_NOT_IN_PMODE = const PxenvStatus::NOT_AVAILABLE_IN_PMODE.0,
    STATUS_UNSUPPORTED = const PxenvStatus::UNSUPPORTED.0,
    STATUS_INVALID_PARAMETER = const PxenvStatus::UNDI_INVALID_PARAMETER.0,
    GET_CACHED_INFO = const PXENV_GET_CACHED_INFO,
    ANSWERS_SIZE = const crate::pxe::ANSWERS_SIZE,
    CORE_STACK_SIZE = const CORE_STACK_SIZE,
    RECORD_SIZE = const RECORD_SIZE,
    options(att_syntax),
);
