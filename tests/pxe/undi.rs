//! UNDI's life cycle, settings and queries.

use hvpxe::error::Error;

use super::sim::{BLOCK, MAC, Rig};

const BROADCAST: [u8; 6] = [0xff; 6];
const GROUP: [u8; 6] = [0x01, 0x00, 0x5e, 1, 2, 3];
const OTHER: [u8; 6] = [2, 0, 0, 0, 0, 9];

/// Frames that reach the caller out of one of each kind: directed, broadcast, of the group, to somebody else.
fn received(rig: &mut Rig) -> Vec<u8> {
    for destination in [MAC, BROADCAST, GROUP, OTHER] {
        rig.arrive(destination, 0x0800, 60);
    }
    let mut kinds = Vec::new();
    loop {
        let (status, block) = rig.call(0x14, &[0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(status, 0);
        match block[2] {
            0 => return kinds,
            3 => kinds.push(block[0x0f]),
            other => panic!("FuncFlag {other}"),
        }
    }
}

/// `PXENV_UNDI_OPEN` with a multicast list.
fn open_block(filter: u16, count: u16, groups: &[[u8; 6]]) -> Vec<u8> {
    let mut block = vec![0; 8];
    block[4..6].copy_from_slice(&filter.to_le_bytes());
    block[6..8].copy_from_slice(&count.to_le_bytes());
    for group in groups {
        block.extend_from_slice(group);
        block.extend_from_slice(&[0; 10]);
    }
    block
}

#[test]
fn every_life_cycle_call_may_come_at_any_time_and_twice() {
    for opcodes in [
        &[0x01, 0x03, 0x03, 0x07, 0x07, 0x05, 0x05, 0x02, 0x02, 0x15, 0x00][..],
        &[0x05, 0x07, 0x03, 0x01, 0x01, 0x02, 0x03][..],
        &[0x00, 0x00, 0x01, 0x03, 0x0e, 0x05, 0x70, 0x70, 0x70, 0x76][..],
    ] {
        let mut rig = Rig::new();
        for &opcode in opcodes {
            rig.succeed(opcode);
        }
    }
}

#[test]
fn the_filter_decides_what_arrives() {
    for (filter, kinds) in [(1, &[0][..]), (2, &[1]), (3, &[0, 1]), (4, &[0, 1, 2, 3]), (7, &[0, 1, 2, 3]), (0, &[])] {
        let mut rig = Rig::new();
        rig.open(filter);
        assert_eq!(received(&mut rig), kinds, "filter {filter}");
        rig.open(3);
        assert_eq!(received(&mut rig), [0, 1], "opened again");
    }
}

#[test]
fn initialised_cards_do_not_receive_until_open() {
    let mut rig = Rig::new();
    rig.succeed(0x01);
    rig.succeed(0x03);
    assert!(rig.card.open.get());
    assert_eq!(rig.card.filter.get(), 0);
    rig.open(3);
    rig.succeed(0x07);
    assert_eq!(rig.card.filter.get(), 0);
    assert!(rig.card.open.get());
}

#[test]
fn multicast_lists_come_with_open_reset_and_set_mcast() {
    let mut rig = Rig::new();
    assert_eq!(rig.call(0x06, &open_block(1, 1, &[GROUP])).0, 0);
    assert_eq!(received(&mut rig), [0, 2]);
    assert_eq!(rig.call(0x09, &[0, 0, 0, 0]).0, 0);
    assert_eq!(received(&mut rig), [0]);
    assert_eq!(rig.call(0x09, &[&[0, 0][..], &open_block(0, 1, &[GROUP])[6..]].concat()).0, 0);
    assert_eq!(received(&mut rig), [0, 2]);
    assert_eq!(rig.call(0x04, &[&[0, 0][..], &open_block(0, 1, &[OTHER])[6..]].concat()).0, 0);
    assert_eq!(received(&mut rig), [0], "the reset has replaced the list and kept the filter");
}

#[test]
fn a_list_of_nine_is_refused_and_a_short_array_is_not_overread() {
    let mut rig = Rig::new();
    assert_eq!(rig.call(0x06, &open_block(3, 9, &[GROUP; 9])).0, 0x6c);
    assert_eq!(rig.call(0x06, &open_block(3, 0xffff, &[GROUP; 8])).0, 0x6c);
    // The array ends where memory ends.
    let at = hvpxe::mem::SegOff { offset: 0xfff8, segment: 0x2fff };
    rig.mem.poke(at.linear(), &open_block(3, 0, &[]));
    assert_eq!(rig.api.call(0x06, at).ax, 0);
}

#[test]
fn failing_to_come_up_is_a_status_not_a_state() {
    let mut rig = Rig::new();
    rig.card.open_error.set(Some(Error::HostTimeout));
    assert_eq!(rig.call(0x03, &[0; 14]).0, 0x63);
    assert_eq!(rig.call(0x06, &open_block(3, 0, &[])).0, 0x63);
    rig.card.open_error.set(None);
    assert_eq!(rig.call(0x03, &[0; 14]).0, 0);
}

#[test]
fn a_card_that_was_lost_comes_back_with_its_filter() {
    let mut rig = Rig::new();
    rig.open(4);
    rig.card.open.set(false);
    assert_eq!(received(&mut rig), [0, 1, 2, 3]);
}

#[test]
fn information_is_that_of_a_polled_ethernet_card() {
    let mut rig = Rig::new();
    rig.succeed(0x03);
    let (status, block) = rig.call(0x0c, &[0xee; 50]);
    assert_eq!(status, 0);
    let mut expected = vec![0, 0, 0, 0, 0, 0, 0xdc, 0x05, 1, 0, 6, 0];
    for _ in 0..2 {
        expected.extend_from_slice(&MAC);
        expected.extend_from_slice(&[0; 10]);
    }
    expected.extend_from_slice(&[0, 0, 1, 0, 1, 0]);
    assert_eq!(block, expected);
}

#[test]
fn interface_info_is_what_dos_drivers_accept() {
    let (status, block) = Rig::new().call(0x13, &[0xee; 42]);
    assert_eq!(status, 0);
    assert_eq!(&block[2..18], b"DIX+802.3\0\0\0\0\0\0\0");
    assert_eq!(block[0x16..0x1a], [0x1b, 0x0c, 0, 0]);
    assert_eq!(block[0x1a..], [0; 16]);
}

#[test]
fn nic_type_fails_and_touches_nothing() {
    let mut block = [0xeb; 17];
    let (status, after) = Rig::new().call(0x12, &block);
    assert_eq!(status, 3);
    block[..2].copy_from_slice(&[3, 0]);
    assert_eq!(after, block);
}

#[test]
fn multicast_addresses_are_mapped_as_in_rfc_1112() {
    let (status, block) = Rig::new().call(0x11, &[&[0, 0, 224, 0xff, 2, 3][..], &[0xee; 16]].concat());
    assert_eq!(status, 0);
    assert_eq!(block[2..], [224, 0xff, 2, 3, 1, 0, 0x5e, 0x7f, 2, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
}

#[test]
fn station_address_changes_only_while_closed() {
    let set = |mac: [u8; 6]| [&[0, 0][..], &mac, &[0; 10]].concat();
    let mut rig = Rig::new();
    rig.succeed(0x03);
    assert_eq!(rig.call(0x0a, &set(MAC)).0, 0);
    assert_eq!(rig.call(0x0a, &set(OTHER)).0, 0);
    rig.open(1);
    assert_eq!(received(&mut rig), [0], "directed is what the new address says");
    assert_eq!(rig.call(0x0c, &[0; 50]).1[0x0c..0x12], OTHER);
    assert_eq!(rig.call(0x0c, &[0; 50]).1[0x1c..0x22], MAC);
    assert_eq!(rig.call(0x0a, &set(OTHER)).0, 0, "no change");
    assert_eq!(rig.call(0x0a, &set(MAC)).0, 0x6a);
    rig.succeed(0x07);
    assert_eq!(rig.call(0x0a, &set(GROUP)).0, 0x67);
    assert_eq!(rig.call(0x0a, &set(MAC)).0, 0);
}

#[test]
fn packet_filter_can_be_set_before_and_after_open() {
    let mut rig = Rig::new();
    assert_eq!(rig.call(0x0b, &[0, 0, 3]).0, 0, "3Com's driver calls it first");
    rig.open(3);
    assert_eq!(rig.call(0x0b, &[0, 0, 2]).0, 0);
    assert_eq!(received(&mut rig), [1]);
}

#[test]
fn statistics_count_from_the_last_clear() {
    let mut rig = Rig::new();
    rig.open(3);
    received(&mut rig);
    assert_eq!(rig.call(0x0d, &[0xee; 18]).1[2..], [0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0]);
    rig.succeed(0x0e);
    assert_eq!(rig.call(0x0d, &[0xee; 18]).1[2..], [0; 16]);
}

#[test]
fn state_is_told_under_both_numbers() {
    let mut rig = Rig::new();
    rig.succeed(0x01);
    assert_eq!(rig.call(0x16, &[0, 0, 9]), (0, vec![0, 0, 1]));
    rig.succeed(0x03);
    assert_eq!(rig.call(0x16, &[0, 0, 9]), (0, vec![0, 0, 2]));
    rig.open(7);
    assert_eq!(rig.call(0x16, &[0, 0, 9]), (0, vec![0, 0, 3]));
    assert_eq!(rig.call(0x15, &[0, 0, 9]), (0, vec![0, 0, 3]), "as Haiku asks");
    assert_eq!(rig.card.filter.get(), 7, "and goes on");
}

#[test]
fn null_and_wild_blocks_are_refused() {
    let mut rig = Rig::new();
    let before = rig.mem.snapshot();
    for at in [
        hvpxe::mem::SegOff { offset: 0, segment: 0 },
        hvpxe::mem::SegOff { offset: 0x20, segment: super::sim::LAYOUT.segment },
    ] {
        for opcode in 0..0x100 {
            assert_eq!(rig.api.call(opcode, at).ax, 1, "opcode {opcode:#x}");
        }
    }
    assert!(rig.mem.snapshot() == before);
}

#[test]
fn unknown_opcodes_change_the_status_alone() {
    let mut rig = Rig::new();
    for opcode in [0x0f, 0x10, 0x17, 0x24, 0x72, 0x74, 0x75, 0xe5, 0xe7, 0xff, 0x1234, 0xffff] {
        let before = rig.mem.snapshot();
        assert_eq!(rig.call(opcode, &[0xee, 0xee]).0, 3, "opcode {opcode:#x}");
        rig.mem.poke(BLOCK.linear(), &before[BLOCK.linear() as usize..][..2]);
        assert!(rig.mem.snapshot() == before);
    }
}
