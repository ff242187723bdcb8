//! The resident block in base memory (asm/resident.s), seen from the core.

use core::mem::offset_of;
use core::ptr;
use core::sync::atomic::{AtomicU32, Ordering};

use static_assertions::const_assert_eq;

use crate::machine::ResidentLayout;
use crate::mem::SegOff;
use crate::settings;

/// `exchange.result`: return to the caller.
pub const RESULT_DONE: u16 = 0;
/// `exchange.result`: enter the boot program at 0000:7C00.
pub const RESULT_START_NBP: u16 = 1;
/// `exchange.result`: the core could not work.
pub const RESULT_FAILED: u16 = 2;

/// `exchange.result`: enter the boot sector at 0000:7C00, which came from the first fixed disk.
pub const RESULT_START_DISK: u16 = 3;
/// `exchange.result`: start the machine anew.
pub const RESULT_RESET: u16 = 4;

/// Most drives that INT 13h serves (policy; as many disks as are looked for).
pub const MAX_DRIVES: usize = 8;

/// [`BiosRegisters::vector`]: writes the text buffer to the screen.
pub const VECTOR_PRINT: u16 = 0x100;
/// Length of the text buffer with its terminating zero, in bytes (policy: longer texts go in pieces).
pub const TEXT_SIZE: usize = 128;

/// What real mode asks for, in `exchange.function`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub enum Function {
    /// The BEV: boot from the network.
    Boot = 1,
    /// A call of the PXE API: `opcode`, `block`; answer in `ax`.
    Api = 2,
    /// The boot program returned; its verdict is in `ax`. Answer in `ax`: 0 when the resident block may go.
    NbpReturned = 3,
    /// Look whether there is a card that works, and leave it alone again. Answer in `ax`: 1 when there is.
    Probe = 4,
    /// Count the cards, in silence; for the boot entries. Answer in `ax`.
    Count = 5,
    /// The UNDI loader: put the API in place without a boot. Answer in `ax`: a PXE status.
    Load = 6,
    /// INT 13h for one of `drives`: registers in `caller`, and the answer, with CF in its flags.
    Disk = 7,
}

/// Registers of a BIOS call, both ways (asm/bios_call.s).
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub struct BiosRegisters {
    /// Register of the same name.
    pub eax: u32,
    /// Register of the same name.
    pub ebx: u32,
    /// Register of the same name.
    pub ecx: u32,
    /// Register of the same name.
    pub edx: u32,
    /// Register of the same name.
    pub esi: u32,
    /// Register of the same name.
    pub edi: u32,
    /// Register of the same name.
    pub ebp: u32,
    /// Register of the same name.
    pub es: u16,
    /// Register of the same name.
    pub ds: u16,
    /// Flags as the BIOS left them; out only.
    pub flags: u16,
    /// Interrupt number; or [`VECTOR_PRINT`]; or 0, which opens a window for hardware interrupts.
    pub vector: u16,
}
const_assert_eq!(size_of::<BiosRegisters>(), 36);

/// Registers of a caller of the API or of INT 13h (asm/caller.s).
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub struct Caller {
    /// Register of the same name.
    pub eax: u32,
    /// Register of the same name.
    pub ebx: u32,
    /// Register of the same name.
    pub ecx: u32,
    /// Register of the same name.
    pub edx: u32,
    /// Register of the same name.
    pub esi: u32,
    /// Register of the same name.
    pub edi: u32,
    /// Register of the same name.
    pub ebp: u32,
    /// Register of the same name.
    pub esp: u32,
    /// Register of the same name.
    pub ss: u16,
    /// Register of the same name.
    pub ds: u16,
    /// Register of the same name.
    pub es: u16,
    /// Register of the same name.
    pub fs: u16,
    /// Register of the same name.
    pub gs: u16,
    /// CF of an INT 13h caller; out only.
    pub flags: u16,
}
const_assert_eq!(size_of::<Caller>(), 44);

/// The area through which real mode and the core talk. asm/resident.s takes its layout from here.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Exchange {
    /// A [`Function`].
    pub function: u16,
    /// One of the `RESULT` constants.
    pub result: u16,
    /// PXE opcode.
    pub opcode: u16,
    /// Result of an API call, or the boot program's verdict.
    pub ax: u16,
    /// The card to boot from, counted from 1; 0: the first one that will do.
    pub card: u16,
    /// Segment of the option ROM; 0 when we were started from another medium.
    pub rom: u16,
    /// Offset and segment of the caller's parameter block.
    pub block: [u16; 2],
    /// Physical address of the core's block.
    pub core_block: u32,
    /// Vectors that were there before our hooks, as they lie in the interrupt table; 0 when not hooked.
    pub old_int13: u32,
    /// Likewise.
    pub old_int15: u32,
    /// Likewise.
    pub old_int18: u32,
    /// Likewise.
    pub old_int19: u32,
    /// Likewise.
    pub old_int1a: u32,
    /// Memory that the INT 15h hook hides, as (start, end) in linear addresses: base memory, the core's block; 0: none.
    pub hidden: [[u32; 2]; 2],
    /// Registers of a BIOS call.
    pub bios: BiosRegisters,
    /// Registers of our caller.
    pub caller: Caller,
    /// BIOS numbers of the drives that INT 13h serves; 0: none.
    pub drives: [u8; MAX_DRIVES],
    /// The settings of the image, as asm/rom_header.s lays them out.
    pub settings: settings::Table,
}

// Where asm/resident.s puts things: addresses of these symbols are offsets in the resident segment.
unsafe extern "C" {
    static resident_exchange: u8;
    static resident_pxenv: u8;
    static resident_bang_pxe: u8;
    static resident_cached: u8;
    static resident_answers: u8;
    static resident_frame: u8;
    #[cfg(feature = "disk")]
    static resident_record: u8;
    static resident_nbp_stack: u8;
    static resident_nbp_stack_top: u8;
    static resident_end: u8;
    static resident_text: u8;
    static rm_entry: u8;
    static sp_entry: u8;
    static int13_hook: u8;
    static int15_hook: u8;
    static int18_hook: u8;
    static int19_hook: u8;
    static int1a_hook: u8;
    static core_done: u8;
    // This one's address is an offset in the ROM's segment.
    static rom_undi_id: u8;
}

macro_rules! offset {
    ($symbol:ident) => {
        (&raw const $symbol).addr() as u16
    };
}

/// Linear address of the exchange area; 0 before the first entry.
static EXCHANGE: AtomicU32 = AtomicU32::new(0);

/// Notes where this boot's resident block is. `exchange` is what asm/mode.s hands in: below 640 KiB, mapped one to one.
pub fn locate(exchange: *mut Exchange) {
    EXCHANGE.store(exchange.addr() as u32, Ordering::Relaxed);
}

/// Linear address of `offset` in the resident block.
pub fn linear(offset: u16) -> u32 {
    EXCHANGE.load(Ordering::Relaxed) - u32::from(offset!(resident_exchange)) + u32::from(offset)
}

/// What real mode asks for.
pub fn function() -> Option<Function> {
    match Resident::read(|exchange| exchange.function) {
        1 => Some(Function::Boot),
        2 => Some(Function::Api),
        3 => Some(Function::NbpReturned),
        4 => Some(Function::Probe),
        5 => Some(Function::Count),
        6 => Some(Function::Load),
        7 => Some(Function::Disk),
        _ => None,
    }
}

/// Where asm/exception.s goes on when the core has failed.
pub fn core_done_address() -> u64 {
    u64::from(linear(offset!(core_done)))
}

/// An interrupt that the resident block hooks.
pub struct Hook {
    /// Its number.
    pub number: u32,
    /// Our handler, as it stands in the interrupt table.
    pub handler: u32,
    /// Where the vector is kept that was there before.
    pub old: fn(&mut Exchange) -> &mut u32,
}

impl Hook {
    /// Whether our handler was put into the table, and not taken out since.
    pub fn is_in_place(&self) -> bool {
        Resident::update(|exchange| *(self.old)(exchange)) != 0
    }
}

/// Those of the API (asm/hooks.s).
pub fn api_hooks() -> [Hook; 4] {
    [
        memory_hook(),
        Hook { number: 0x18, handler: vector(offset!(int18_hook)), old: |exchange| &mut exchange.old_int18 },
        Hook { number: 0x19, handler: vector(offset!(int19_hook)), old: |exchange| &mut exchange.old_int19 },
        Hook { number: 0x1a, handler: vector(offset!(int1a_hook)), old: |exchange| &mut exchange.old_int1a },
    ]
}

/// Those for drives (asm/int13.s).
pub fn disk_hooks() -> [Hook; 2] {
    [
        memory_hook(),
        Hook { number: 0x13, handler: vector(offset!(int13_hook)), old: |exchange| &mut exchange.old_int13 },
    ]
}

/// What hides our memory as long as there is any other hook.
fn memory_hook() -> Hook {
    Hook { number: 0x15, handler: vector(offset!(int15_hook)), old: |exchange| &mut exchange.old_int15 }
}

fn vector(offset: u16) -> u32 {
    u32::from(segment()) << 16 | u32::from(offset)
}

fn segment() -> u16 {
    (linear(0) >> 4) as u16
}

/// The text buffer of [`VECTOR_PRINT`], as a linear address.
pub fn text_buffer() -> u32 {
    linear(offset!(resident_text))
}

/// Length of the resident block. Whole KiB, as reserved: SYSLINUX rounds the end of the block down when it gives the
/// memory back.
pub fn size() -> u16 {
    offset!(resident_end).next_multiple_of(1024)
}

/// Where the record of our connection lies, as a linear address.
#[cfg(feature = "disk")]
pub fn record() -> u32 {
    linear(offset!(resident_record))
}

/// Where PXE clients find things.
pub fn layout() -> ResidentLayout {
    let cached = offset!(resident_cached);
    ResidentLayout {
        segment: segment(),
        size: size(),
        pxenv: offset!(resident_pxenv),
        bang_pxe: offset!(resident_bang_pxe),
        rm_entry: offset!(rm_entry),
        sp_entry: offset!(sp_entry),
        cached: [cached, cached + 1260, cached + 2 * 1260],
        answers: offset!(resident_answers),
        frame: offset!(resident_frame),
        stack: offset!(resident_nbp_stack),
        rom_id: match Resident::read(|exchange| exchange.rom) {
            0 => SegOff::default(),
            segment => SegOff { offset: offset!(rom_undi_id), segment },
        },
        stack_size: offset!(resident_nbp_stack_top) - offset!(resident_nbp_stack),
    }
}

/// Access to the exchange area.
pub struct Resident;

impl Resident {
    /// Reads from the exchange area.
    pub fn read<R>(look: impl FnOnce(&Exchange) -> R) -> R {
        // SAFETY: `locate` ran first thing in `core_entry`; the area is 8-byte aligned (asm/resident.s), mapped one to
        // one, and in base memory that the BEV reserved. Real mode, which writes it too, does not run before the closure
        // has returned: no closure calls the BIOS.
        look(unsafe { &*Self::address() })
    }

    /// Changes fields of the exchange area.
    pub fn update<R>(change: impl FnOnce(&mut Exchange) -> R) -> R {
        // SAFETY: as in `read`; and no second reference exists, for no closure calls `read` or `update`.
        change(unsafe { &mut *Self::address() })
    }

    fn address() -> *mut Exchange {
        ptr::with_exposed_provenance_mut(EXCHANGE.load(Ordering::Relaxed) as usize)
    }
}

/// Offsets and sizes for asm/resident.s.
pub mod layout_for_assembly {
    use super::{BiosRegisters, Exchange, offset_of};

    pub use super::MAX_DRIVES;

    pub const EXCHANGE_SIZE: usize = size_of::<Exchange>();
    pub const FUNCTION: usize = offset_of!(Exchange, function);
    pub const RESULT: usize = offset_of!(Exchange, result);
    pub const OPCODE: usize = offset_of!(Exchange, opcode);
    pub const BLOCK: usize = offset_of!(Exchange, block);
    pub const AX: usize = offset_of!(Exchange, ax);
    pub const CARD: usize = offset_of!(Exchange, card);
    pub const ROM: usize = offset_of!(Exchange, rom);
    pub const CORE_BLOCK: usize = offset_of!(Exchange, core_block);
    pub const OLD_INT13: usize = offset_of!(Exchange, old_int13);
    pub const OLD_INT15: usize = offset_of!(Exchange, old_int15);
    pub const OLD_INT18: usize = offset_of!(Exchange, old_int18);
    pub const OLD_INT19: usize = offset_of!(Exchange, old_int19);
    pub const OLD_INT1A: usize = offset_of!(Exchange, old_int1a);
    pub const HIDDEN: usize = offset_of!(Exchange, hidden);
    pub const BIOS: usize = offset_of!(Exchange, bios);
    pub const CALLER_EAX: usize = offset_of!(Exchange, caller.eax);
    pub const CALLER_EBX: usize = offset_of!(Exchange, caller.ebx);
    pub const CALLER_ECX: usize = offset_of!(Exchange, caller.ecx);
    pub const CALLER_EDX: usize = offset_of!(Exchange, caller.edx);
    pub const CALLER_ESI: usize = offset_of!(Exchange, caller.esi);
    pub const CALLER_EDI: usize = offset_of!(Exchange, caller.edi);
    pub const CALLER_EBP: usize = offset_of!(Exchange, caller.ebp);
    pub const CALLER_ESP: usize = offset_of!(Exchange, caller.esp);
    pub const CALLER_SS: usize = offset_of!(Exchange, caller.ss);
    pub const CALLER_DS: usize = offset_of!(Exchange, caller.ds);
    pub const CALLER_ES: usize = offset_of!(Exchange, caller.es);
    pub const CALLER_FS: usize = offset_of!(Exchange, caller.fs);
    pub const CALLER_GS: usize = offset_of!(Exchange, caller.gs);
    pub const CALLER_FLAGS: usize = offset_of!(Exchange, caller.flags);
    pub const DRIVES: usize = offset_of!(Exchange, drives);
    pub const SETTINGS: usize = offset_of!(Exchange, settings);
    pub const BIOS_EAX: usize = offset_of!(BiosRegisters, eax);
    pub const BIOS_EBX: usize = offset_of!(BiosRegisters, ebx);
    pub const BIOS_ECX: usize = offset_of!(BiosRegisters, ecx);
    pub const BIOS_EDX: usize = offset_of!(BiosRegisters, edx);
    pub const BIOS_ESI: usize = offset_of!(BiosRegisters, esi);
    pub const BIOS_EDI: usize = offset_of!(BiosRegisters, edi);
    pub const BIOS_EBP: usize = offset_of!(BiosRegisters, ebp);
    pub const BIOS_ES: usize = offset_of!(BiosRegisters, es);
    pub const BIOS_DS: usize = offset_of!(BiosRegisters, ds);
    pub const BIOS_FLAGS: usize = offset_of!(BiosRegisters, flags);
    pub const BIOS_VECTOR: usize = offset_of!(BiosRegisters, vector);
}
