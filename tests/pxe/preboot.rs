//! Cached packets.

use hvpxe::mem::SegOff;

use super::sim::{BUFFER, LAYOUT, RESIDENT, Rig, far};

/// `PXENV_GET_CACHED_INFO`.
fn cached_info(kind: u16, size: u16, buffer: SegOff, limit: &[u8]) -> Vec<u8> {
    [&[0xee, 0xee][..], &kind.to_le_bytes(), &size.to_le_bytes(), &far(buffer), limit].concat()
}

/// A rig whose cached packets are recognisable.
fn rig() -> Rig {
    let rig = Rig::new();
    for (index, at) in LAYOUT.cached.into_iter().enumerate() {
        rig.mem.poke(RESIDENT + u32::from(at), &[index as u8 + 1; 1260]);
    }
    rig
}

#[test]
fn the_pointer_form_names_the_master_copy() {
    let mut rig = rig();
    for kind in 1..=3 {
        let cached = SegOff { offset: LAYOUT.cached[usize::from(kind) - 1], segment: LAYOUT.segment };
        // Some leave garbage in the pointer or in BufferLimit (iPXE's callers, GRUB); 1.x blocks end before it.
        for (size, buffer, limit) in
            [(0, SegOff::default(), &[0x34, 0x12][..]), (0, BUFFER, &[]), (7, SegOff::default(), &[])]
        {
            let (status, block) = rig.call(0x71, &cached_info(kind, size, buffer, limit));
            assert_eq!(status, 0);
            assert_eq!(block[2..], cached_info(kind, 1260, cached, limit)[2..]);
        }
    }
}

#[test]
fn the_copy_form_copies_what_fits() {
    let mut rig = rig();
    for (room, len) in [(4096, 1260_u16), (1260, 1260), (36, 36), (1, 1)] {
        rig.mem.poke(BUFFER.linear(), &[0xcc; 2000]);
        let (status, block) = rig.call(0x71, &cached_info(2, room, BUFFER, &[9, 9]));
        assert_eq!(status, 0);
        assert_eq!(block[2..], cached_info(2, len, BUFFER, &[9, 9])[2..]);
        let copied = rig.mem.peek(BUFFER.linear(), 2000);
        assert!(copied[..usize::from(len)].iter().all(|&byte| byte == 2));
        assert!(copied[usize::from(len)..].iter().all(|&byte| byte == 0xcc));
    }
}

#[test]
fn what_a_program_writes_into_a_packet_the_next_one_reads() {
    let mut rig = rig();
    let at =
        u32::from_le_bytes(rig.call(0x71, &cached_info(3, 0, SegOff::default(), &[])).1[6..10].try_into().unwrap());
    let linear = ((at >> 16) << 4) + (at & 0xffff);
    rig.mem.poke(linear + 0x14, &[10, 0, 0, 9]);
    rig.call(0x71, &cached_info(3, 1260, BUFFER, &[]));
    assert_eq!(rig.mem.peek(BUFFER.linear() + 0x14, 4), [10, 0, 0, 9]);
}

#[test]
fn other_packets_are_unsupported() {
    let mut rig = rig();
    for kind in [0, 4, 0xffff] {
        let before = cached_info(kind, 100, BUFFER, &[]);
        let (status, block) = rig.call(0x71, &before);
        assert_eq!(status, 3);
        assert_eq!(block[2..], before[2..]);
    }
}

#[test]
fn copying_over_our_own_code_is_refused() {
    let mut rig = rig();
    let before = rig.mem.peek(RESIDENT, usize::from(LAYOUT.size));
    let into = SegOff { offset: 0, segment: LAYOUT.segment };
    assert_eq!(rig.call(0x71, &cached_info(2, 1260, into, &[])).0, 0x6c);
    assert_eq!(rig.mem.peek(RESIDENT, usize::from(LAYOUT.size)), before);
}
