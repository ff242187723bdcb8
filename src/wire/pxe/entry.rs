//! The two structures by which clients find the API: `PXENV+` and `!PXE`.

use static_assertions::const_assert_eq;
use zerocopy::little_endian::{U16, U32};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::SegOff16;

/// `PXENV+`, 44 bytes. Source: PXE 2.1, "PXENV+ Structure".
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct PxenvPlus {
    /// `PXENV+`.
    pub signature: [u8; 6],
    /// API version, major in the high byte; at 0201h and above `pxe_ptr` is valid.
    pub version: U16,
    /// Length of the structure in bytes.
    pub length: u8,
    /// Makes the byte sum zero.
    pub checksum: u8,
    /// Entry with the opcode in BX and the block at ES:DI.
    pub rm_entry: SegOff16,
    /// Protected-mode entry, deprecated: 0.
    pub pm_offset: U32,
    /// Its selector: 0.
    pub pm_selector: U16,
    /// Segment of the stack.
    pub stack_seg: U16,
    /// Its length in bytes.
    pub stack_size: U16,
    /// Base-code code segment; 0 when merged with UNDI.
    pub bc_code_seg: U16,
    /// Its length in bytes.
    pub bc_code_size: U16,
    /// Base-code data segment; 0 when merged with UNDI.
    pub bc_data_seg: U16,
    /// Its length in bytes.
    pub bc_data_size: U16,
    /// UNDI data segment; with the code segment the base memory that must stay until `STOP_UNDI`.
    pub undi_data_seg: U16,
    /// Its length in bytes.
    pub undi_data_size: U16,
    /// UNDI code segment.
    pub undi_code_seg: U16,
    /// Its length in bytes.
    pub undi_code_size: U16,
    /// The `!PXE` structure.
    pub pxe_ptr: SegOff16,
}
const_assert_eq!(size_of::<PxenvPlus>(), 44);

/// A segment descriptor of [`BangPxe`].
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct SegDesc {
    /// Real-mode segment (or selector).
    pub segment: U16,
    /// Physical address.
    pub base: U32,
    /// Length in bytes.
    pub size: U16,
}
const_assert_eq!(size_of::<SegDesc>(), 8);

/// `!PXE`, 88 bytes. Source: PXE 2.1, "!PXE Structure".
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct BangPxe {
    /// `!PXE`.
    pub signature: [u8; 4],
    /// Length of the structure in bytes.
    pub struct_length: u8,
    /// Makes the byte sum zero.
    pub struct_cksum: u8,
    /// 0.
    pub struct_rev: u8,
    /// 0.
    pub reserved_1: u8,
    /// The UNDI ROM ID structure; 0:0 when there is none.
    pub undi_romid: SegOff16,
    /// The base-code ROM ID structure; 0:0 when there is none.
    pub base_romid: SegOff16,
    /// Entry with opcode and block on the stack.
    pub entry_point_sp: SegOff16,
    /// Protected-mode entry; 0:0 when there is none.
    pub entry_point_esp: SegOff16,
    /// Set by a protected-mode caller; FFFF:FFFF until then.
    pub status_callout: SegOff16,
    /// 0.
    pub reserved_2: u8,
    /// How many descriptors follow: 7.
    pub seg_desc_cn: u8,
    /// First selector of a protected-mode caller: 0 in real mode.
    pub first_selector: U16,
    /// Stack.
    pub stack: SegDesc,
    /// UNDI data.
    pub undi_data: SegDesc,
    /// UNDI code.
    pub undi_code: SegDesc,
    /// UNDI code, as a writable alias.
    pub undi_code_write: SegDesc,
    /// Base-code data; zero when merged with UNDI.
    pub bc_data: SegDesc,
    /// Base-code code; zero when merged with UNDI.
    pub bc_code: SegDesc,
    /// Base-code code, as a writable alias.
    pub bc_code_write: SegDesc,
}
const_assert_eq!(size_of::<BangPxe>(), 88);

/// The API version that we offer: 2.1.
pub const PXE_VERSION: u16 = 0x0201;
