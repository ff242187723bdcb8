//! The two structures by which boot programs find the API, built when they are put in place.
//!
//! Clients scan memory for the signatures, upwards or downwards, and take the first intact structure. So there must be
//! one of each, and no template of ours: the signatures are put together at run time.

use core::mem::offset_of;

use zerocopy::IntoBytes;
use zerocopy::little_endian::{U16, U32};

use crate::machine::ResidentLayout;
use crate::wire::pxe::{BangPxe, PXE_VERSION, PxenvPlus, SegDesc, SegOff16};

/// Makes the sum of all bytes zero, by the byte at `checksum_at`.
fn seal(bytes: &mut [u8], checksum_at: usize) {
    bytes[checksum_at] = 0;
    bytes[checksum_at] = bytes.iter().fold(0, |sum: u8, &byte| sum.wrapping_sub(byte));
}

/// `PXENV+` for a resident block.
pub(super) fn pxenv_plus(layout: &ResidentLayout) -> PxenvPlus {
    let mut pxenv = PxenvPlus {
        signature: unscrambled(*b"pxenv\x0b"),
        version: PXE_VERSION.into(),
        length: size_of::<PxenvPlus>() as u8,
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
    seal(pxenv.as_mut_bytes(), offset_of!(PxenvPlus, checksum));
    pxenv
}

/// `!PXE` for a resident block: code, data and stack in one segment, which both UNDI descriptors cover whole.
///
/// Clients free what lies below the UNDI segments after `UNLOAD_STACK` (iPXE), or all of them after `STOP_UNDI`.
pub(super) fn bang_pxe(layout: &ResidentLayout) -> BangPxe {
    let block = SegDesc {
        segment: layout.segment.into(),
        base: (u32::from(layout.segment) << 4).into(),
        size: layout.size.into(),
    };
    let none = SegDesc { segment: U16::ZERO, base: U32::ZERO, size: U16::ZERO };
    let mut bang_pxe = BangPxe {
        signature: unscrambled(*b"\x01pxe"),
        struct_length: size_of::<BangPxe>() as u8,
        struct_cksum: 0,
        struct_rev: 0,
        reserved_1: 0,
        undi_romid: layout.rom_id.into(),
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
    seal(bang_pxe.as_mut_bytes(), offset_of!(BangPxe, struct_cksum));
    bang_pxe
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
    use crate::mem::SegOff;

    const LAYOUT: ResidentLayout = ResidentLayout {
        segment: 0x9c00,
        size: 0x3000,
        pxenv: 0x40,
        bang_pxe: 0x80,
        rm_entry: 0x100,
        sp_entry: 0x110,
        cached: [0x400, 0x900, 0xe00],
        answers: 0x12c0,
        frame: 0x1300,
        stack: 0x2000,
        stack_size: 0x1000,
        rom_id: SegOff { offset: 0x58, segment: 0xca00 },
    };

    fn sum(bytes: &[u8]) -> u8 {
        bytes.iter().fold(0, |sum: u8, &byte| sum.wrapping_add(byte))
    }

    #[test]
    fn pxenv_is_what_clients_check() {
        let pxenv = pxenv_plus(&LAYOUT);
        let bytes = pxenv.as_bytes();
        assert_eq!(&bytes[..6], b"PXENV+");
        assert_eq!(bytes[6..9], [0x01, 0x02, 0x2c]);
        assert_eq!(sum(bytes), 0);
        assert_eq!(bytes[0x0a..0x0e], [0x00, 0x01, 0x00, 0x9c]);
        assert_eq!(bytes[0x28..0x2c], [0x80, 0x00, 0x00, 0x9c]);
    }

    #[test]
    fn bang_pxe_is_what_clients_check() {
        let bang_pxe = bang_pxe(&LAYOUT);
        let bytes = bang_pxe.as_bytes();
        assert_eq!(&bytes[..5], b"!PXE\x58");
        assert_eq!(sum(bytes), 0);
        assert_eq!(bytes[0x08..0x10], [0x58, 0x00, 0x00, 0xca, 0, 0, 0, 0]);
        assert_eq!(bytes[0x10..0x18], [0x10, 0x01, 0x00, 0x9c, 0, 0, 0, 0]);
        assert_eq!(bytes[0x18..0x20], [0xff, 0xff, 0xff, 0xff, 0, 7, 0, 0]);
        assert_eq!(bytes[0x28..0x30], [0x00, 0x9c, 0x00, 0xc0, 0x09, 0x00, 0x00, 0x30]);
    }
}
