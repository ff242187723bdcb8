//! The two structures by which clients find the API: `PXENV+` and `!PXE`.

use static_assertions::const_assert_eq;
use zerocopy::little_endian::{U16, U32};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::SegOff16;
use crate::machine::ResidentLayout;

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

/// Makes the sum of all bytes zero, by the byte at `checksum_at`.
fn seal(bytes: &mut [u8], checksum_at: usize) {
    bytes[checksum_at] = 0;
    bytes[checksum_at] = bytes.iter().fold(0, |sum: u8, &byte| sum.wrapping_sub(byte));
}

impl PxenvPlus {
    /// The structure for a resident block.
    ///
    /// The signature is put together here, at run time: a client that scans memory must find only the one that is in use.
    #[must_use]
    pub fn new(layout: &ResidentLayout) -> Self {
        let mut pxenv = Self {
            signature: unscrambled(*b"pxenv\x0b"),
            version: PXE_VERSION.into(),
            length: size_of::<Self>() as u8,
            checksum: 0,
            rm_entry: pointer(layout, layout.rm_entry),
            pm_offset: U32::ZERO,
            pm_selector: U16::ZERO,
            stack_seg: layout.segment.into(),
            stack_size: layout.stack_size.into(),
            bc_code_seg: U16::ZERO,
            bc_code_size: U16::ZERO,
            bc_data_seg: U16::ZERO,
            bc_data_size: U16::ZERO,
            undi_data_seg: layout.segment.into(),
            undi_data_size: layout.size.into(),
            undi_code_seg: layout.segment.into(),
            undi_code_size: layout.size.into(),
            pxe_ptr: pointer(layout, layout.bang_pxe),
        };
        seal(pxenv.as_mut_bytes(), core::mem::offset_of!(Self, checksum));
        pxenv
    }
}

impl BangPxe {
    /// The structure for a resident block: code, data and stack in one segment, which both UNDI descriptors cover whole.
    ///
    /// Clients free what lies below the UNDI segments after `UNLOAD_STACK` (iPXE), or all of them after `STOP_UNDI`.
    #[must_use]
    pub fn new(layout: &ResidentLayout) -> Self {
        let block = SegDesc {
            segment: layout.segment.into(),
            base: (u32::from(layout.segment) << 4).into(),
            size: layout.size.into(),
        };
        let none = SegDesc { segment: U16::ZERO, base: U32::ZERO, size: U16::ZERO };
        let mut bang_pxe = Self {
            signature: unscrambled(*b"\x01pxe"),
            struct_length: size_of::<Self>() as u8,
            struct_cksum: 0,
            struct_rev: 0,
            reserved_1: 0,
            undi_romid: SegOff16::default(),
            base_romid: SegOff16::default(),
            entry_point_sp: pointer(layout, layout.sp_entry),
            entry_point_esp: SegOff16::default(),
            status_callout: SegOff16 { offset: U16::MAX_VALUE, segment: U16::MAX_VALUE },
            reserved_2: 0,
            seg_desc_cn: 7,
            first_selector: U16::ZERO,
            stack: block,
            undi_data: block,
            undi_code: block,
            undi_code_write: block,
            bc_data: none,
            bc_code: none,
            bc_code_write: none,
        };
        seal(bang_pxe.as_mut_bytes(), core::mem::offset_of!(Self, struct_cksum));
        bang_pxe
    }
}

/// A far pointer to `offset` in the resident block.
fn pointer(layout: &ResidentLayout, offset: u16) -> SegOff16 {
    SegOff16 { offset: offset.into(), segment: layout.segment.into() }
}

/// Turns the stored form of a signature (bit 5 of every byte flipped) into the real one.
fn unscrambled<const N: usize>(stored: [u8; N]) -> [u8; N] {
    core::hint::black_box(stored).map(|byte| byte ^ 0x20)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LAYOUT: ResidentLayout = ResidentLayout {
        segment: 0x9c00,
        size: 0x3000,
        pxenv: 0x40,
        bang_pxe: 0x80,
        rm_entry: 0x100,
        sp_entry: 0x110,
        cached: [0x400, 0x900, 0xe00],
        frame: 0x1300,
        stack: 0x2000,
        stack_size: 0x1000,
    };

    fn sum(bytes: &[u8]) -> u8 {
        bytes.iter().fold(0, |sum: u8, &byte| sum.wrapping_add(byte))
    }

    #[test]
    fn pxenv_is_what_clients_check() {
        let pxenv = PxenvPlus::new(&LAYOUT);
        let bytes = pxenv.as_bytes();
        assert_eq!(&bytes[..6], b"PXENV+");
        assert_eq!(bytes[6..9], [0x01, 0x02, 0x2c]);
        assert_eq!(sum(bytes), 0);
        assert_eq!(bytes[0x0a..0x0e], [0x00, 0x01, 0x00, 0x9c]);
        assert_eq!(bytes[0x28..0x2c], [0x80, 0x00, 0x00, 0x9c]);
    }

    #[test]
    fn bang_pxe_is_what_clients_check() {
        let bang_pxe = BangPxe::new(&LAYOUT);
        let bytes = bang_pxe.as_bytes();
        assert_eq!(&bytes[..5], b"!PXE\x58");
        assert_eq!(sum(bytes), 0);
        assert_eq!(bytes[0x10..0x18], [0x10, 0x01, 0x00, 0x9c, 0, 0, 0, 0]);
        assert_eq!(bytes[0x18..0x20], [0xff, 0xff, 0xff, 0xff, 0, 7, 0, 0]);
        assert_eq!(bytes[0x28..0x30], [0x00, 0x9c, 0x00, 0xc0, 0x09, 0x00, 0x00, 0x30]);
    }
}
