//! Parameter blocks and opcodes of the file extension, which no specification has: gPXE made it, iPXE has it.
//!
//! Source: two independent users of it, iPXE `pxe_file.c` and Syslinux `core.c`.

use static_assertions::const_assert_eq;
use zerocopy::little_endian::{U16, U32};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::SegOff16;

/// Opcode: open a file by its URL.
pub const PXENV_FILE_OPEN: u16 = 0x00e0;
/// Opcode: close it.
pub const PXENV_FILE_CLOSE: u16 = 0x00e1;
/// Opcode: ask whether reading would give something.
pub const PXENV_FILE_SELECT: u16 = 0x00e2;
/// Opcode: read what is there.
pub const PXENV_FILE_READ: u16 = 0x00e3;
/// Opcode: ask for an open file's size.
pub const PXENV_GET_FILE_SIZE: u16 = 0x00e4;
/// Opcode: ask for the extension itself.
pub const PXENV_FILE_API_CHECK: u16 = 0x00e6;
/// Opcode: ask for the boot program's command line.
pub const PXENV_FILE_CMDLINE: u16 = 0x00e8;

/// [`PxenvFileApiCheck::magic`] on the way in.
pub const FILE_API_CHECK_MAGIC_IN: u32 = 0x91d4_47b2;
/// [`PxenvFileApiCheck::magic`] on the way out.
pub const FILE_API_CHECK_MAGIC_OUT: u32 = 0xe9c1_7b20;
/// [`PxenvFileApiCheck::provider`]: `gPXE`, as who wrote the extension has it.
pub const FILE_API_PROVIDER: u32 = 0x4558_5067;
/// [`PxenvFileSelect::ready`]: reading gives data, the end, or an error.
pub const RDY_READ: u16 = 1;

/// `PXENV_FILE_OPEN`, 12 bytes, of which the last 4 are reserved and not declared here.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct PxenvFileOpen {
    /// Out: status.
    pub status: U16,
    /// Out: what the other calls name the file by.
    pub file_handle: U16,
    /// In: URL, NUL-terminated.
    pub file_name: SegOff16,
}
const_assert_eq!(size_of::<PxenvFileOpen>(), 8);

/// `PXENV_FILE_CLOSE`, 4 bytes.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct PxenvFileClose {
    /// Out: status.
    pub status: U16,
    /// In: from `FILE_OPEN`.
    pub file_handle: U16,
}
const_assert_eq!(size_of::<PxenvFileClose>(), 4);

/// `PXENV_FILE_SELECT`, 6 bytes.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct PxenvFileSelect {
    /// Out: status.
    pub status: U16,
    /// In: from `FILE_OPEN`.
    pub file_handle: U16,
    /// Out: [`RDY_READ`] or 0.
    pub ready: U16,
}
const_assert_eq!(size_of::<PxenvFileSelect>(), 6);

/// `PXENV_FILE_READ`, 10 bytes.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct PxenvFileRead {
    /// Out: status.
    pub status: U16,
    /// In: from `FILE_OPEN`.
    pub file_handle: U16,
    /// In: room at `buffer`; out: bytes there, 0 at the end of the file.
    pub buffer_size: U16,
    /// In: where to write.
    pub buffer: SegOff16,
}
const_assert_eq!(size_of::<PxenvFileRead>(), 10);

/// `PXENV_GET_FILE_SIZE`, 8 bytes.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct PxenvGetFileSize {
    /// Out: status.
    pub status: U16,
    /// In: from `FILE_OPEN`.
    pub file_handle: U16,
    /// Out: in bytes.
    pub file_size: U32,
}
const_assert_eq!(size_of::<PxenvGetFileSize>(), 8);

/// `PXENV_FILE_API_CHECK`, 20 bytes.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct PxenvFileApiCheck {
    /// Out: status.
    pub status: U16,
    /// In: length of the block in bytes; out: how much of it was filled in.
    pub size: U16,
    /// In: [`FILE_API_CHECK_MAGIC_IN`]; out: [`FILE_API_CHECK_MAGIC_OUT`].
    pub magic: U32,
    /// Out: who provides the extension.
    pub provider: U32,
    /// Out: bit n for opcode E0h + n.
    pub api_mask: U32,
    /// Out: 0.
    pub flags: U32,
}
const_assert_eq!(size_of::<PxenvFileApiCheck>(), 20);

/// `PXENV_FILE_CMDLINE`, 8 bytes; the pointer to the buffer, the last 4, is not declared here, since there is nothing
/// to write.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct PxenvFileCmdline {
    /// Out: status.
    pub status: U16,
    /// In: room; out: length with its NUL, 0 for none.
    pub buffer_size: U16,
}
const_assert_eq!(size_of::<PxenvFileCmdline>(), 4);
