//! UNDI's data path: TRANSMIT and ISR.

use hvpxe::mem::SegOff;

use super::sim::{BUFFER, LAYOUT, MAC, RESIDENT, Rig, far};

const TBD: SegOff = SegOff { offset: 0x0800, segment: 0x3000 };
const DESTINATION: SegOff = SegOff { offset: 0x0900, segment: 0x3000 };
const PEER: [u8; 6] = [0x52, 0x55, 0x0a, 0, 2, 2];

/// `PXENV_UNDI_TRANSMIT`.
fn transmit_block(protocol: u8, flag: u8, destination: SegOff) -> Vec<u8> {
    [&[0xee, 0xee, protocol, flag][..], &far(destination), &far(TBD), &[0; 8]].concat()
}

/// Writes a TBD with an immediate piece at `BUFFER` and further pieces.
fn tbd(rig: &Rig, immediate: u16, blocks: &[(u8, u16, u32)]) {
    let mut bytes = immediate.to_le_bytes().to_vec();
    bytes.extend_from_slice(&far(BUFFER));
    bytes.extend_from_slice(&(blocks.len() as u16).to_le_bytes());
    for &(kind, len, at) in blocks {
        bytes.extend_from_slice(&[kind, 0]);
        bytes.extend_from_slice(&len.to_le_bytes());
        bytes.extend_from_slice(&at.to_le_bytes());
    }
    rig.mem.poke(TBD.linear(), &bytes);
}

/// Sends a whole frame of `len` bytes, and returns the status.
fn send(rig: &mut Rig, len: u16) -> u16 {
    tbd(rig, len, &[]);
    rig.call(0x08, &transmit_block(0, 1, SegOff::default())).0
}

/// One ISR call: FuncFlag and the block.
fn isr(rig: &mut Rig, function: u8) -> (u8, Vec<u8>) {
    let mut block = [0xee; 16];
    block[2..4].copy_from_slice(&[function, 0]);
    let (status, block) = rig.call(0x14, &block);
    assert_eq!(status, 0);
    assert_eq!(block[3], 0);
    (block[2], block)
}

#[test]
fn a_whole_frame_goes_out_as_it_is() {
    let mut rig = Rig::new();
    rig.open(3);
    let frame: Vec<u8> = (0..100).collect();
    rig.mem.poke(BUFFER.linear(), &frame);
    assert_eq!(send(&mut rig, 100), 0);
    assert_eq!(rig.card.outbound.borrow()[0], frame);
}

#[test]
fn payloads_get_the_header_of_their_protocol() {
    let mut rig = Rig::new();
    rig.open(3);
    rig.mem.poke(BUFFER.linear(), &[0x77; 50]);
    rig.mem.poke(DESTINATION.linear(), &PEER);
    for (protocol, ethertype) in [(1, [0x08, 0x00]), (2, [0x08, 0x06]), (3, [0x80, 0x35])] {
        tbd(&rig, 50, &[]);
        assert_eq!(rig.call(0x08, &transmit_block(protocol, 0, DESTINATION)).0, 0);
        assert_eq!(rig.call(0x08, &transmit_block(protocol, 1, SegOff::default())).0, 0);
        let sent = rig.card.outbound.take();
        let expected = |destination: [u8; 6]| [&destination[..], &MAC, &ethertype, &[0x77; 50]].concat();
        assert_eq!(sent, [expected(PEER), expected([0xff; 6])]);
    }
}

#[test]
fn pieces_are_joined_whatever_kind_their_pointers_are() {
    let mut rig = Rig::new();
    rig.open(3);
    rig.mem.poke(BUFFER.linear(), &[1; 20]);
    rig.mem.poke(0x4_0000, &[2; 30]);
    rig.mem.poke(0x20_0000, &[3; 40]);
    let far_pointer = u32::from_le_bytes(far(SegOff { offset: 0, segment: 0x4000 }));
    tbd(&rig, 20, &[(1, 30, far_pointer), (1, 0, 0), (0, 40, 0x20_0000)]);
    assert_eq!(rig.call(0x08, &transmit_block(0, 0, SegOff::default())).0, 0);
    tbd(&rig, 0, &[(1, 30, far_pointer); 8]);
    assert_eq!(rig.call(0x08, &transmit_block(0, 0, SegOff::default())).0, 0);
    assert_eq!(rig.card.outbound.take(), [[&[1; 20][..], &[2; 30], &[3; 40]].concat(), vec![2; 240]]);
}

#[test]
fn lengths_and_protocols_out_of_range_are_refused() {
    let mut rig = Rig::new();
    rig.open(3);
    for (len, status) in [(0, 0x6c), (13, 0x6c), (14, 0), (60, 0), (1514, 0), (1515, 0x6c), (0xffff, 0x6c)] {
        assert_eq!(send(&mut rig, len), status, "length {len}");
    }
    tbd(&rig, 60, &[]);
    for (protocol, flag) in [(4, 0), (0xff, 0), (1, 2)] {
        assert_eq!(rig.call(0x08, &transmit_block(protocol, flag, DESTINATION)).0, 0x6c);
    }
    assert_eq!(rig.call(0x08, &transmit_block(1, 0, SegOff::default())).0, 0x6c, "null destination");
    tbd(&rig, 60, &[(1, 1, 0); 9]);
    assert_eq!(rig.call(0x08, &transmit_block(0, 0, DESTINATION)).0, 0x6c, "nine blocks");
    assert_eq!(rig.card.outbound.borrow().len(), 3);
}

#[test]
fn ten_thousand_frames_go_out_without_an_isr_call() {
    let mut rig = Rig::new();
    rig.open(3);
    for _ in 0..10_000 {
        assert_eq!(send(&mut rig, 60), 0);
    }
    let mut completions = 0;
    while isr(&mut rig, 3).0 == 2 {
        completions += 1;
    }
    assert_eq!(completions, 10_000);
}

#[test]
fn a_full_ring_is_waited_out_and_then_told() {
    let mut rig = Rig::new();
    rig.open(3);
    rig.card.full.set(5);
    assert_eq!(send(&mut rig, 60), 0);
    rig.card.full.set(1_000_000);
    assert_eq!(send(&mut rig, 60), 6);
    assert!(rig.card.full.get() > 900_000, "bounded");
}

#[test]
fn transmit_opens_a_closed_card() {
    let mut rig = Rig::new();
    assert_eq!(send(&mut rig, 60), 0);
    assert_eq!(rig.card.filter.get(), 3);
}

#[test]
fn isr_hands_a_frame_out_in_one_piece() {
    let mut rig = Rig::new();
    rig.open(3);
    for (destination, packet_type) in [(MAC, 0), ([0xff; 6], 1)] {
        for (ethertype, protocol) in [(0x0800, 1), (0x0806, 2), (0x8035, 3), (0x86dd, 4)] {
            let frame = rig.arrive(destination, ethertype, 1514);
            let (function, block) = isr(&mut rig, 2);
            assert_eq!(function, 3);
            let expected = [
                &[0, 0, 3, 0, 0xea, 5, 0xea, 5, 14, 0][..],
                &far(SegOff { offset: LAYOUT.frame, segment: LAYOUT.segment }),
                &[protocol, packet_type],
            ];
            assert_eq!(block, expected.concat());
            assert_eq!(rig.mem.peek(RESIDENT + u32::from(LAYOUT.frame), 1514), frame);
        }
    }
}

#[test]
fn isr_without_a_frame_clears_all_but_the_pointer() {
    let mut rig = Rig::new();
    rig.open(3);
    for function in [2, 3] {
        let (answer, block) = isr(&mut rig, function);
        assert_eq!(answer, 0);
        assert_eq!(block, [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xee, 0xee, 0xee, 0xee, 0, 0]);
    }
    assert_eq!(isr(&mut rig, 1).0, 1, "not ours");
}

#[test]
fn start_is_ours_exactly_when_something_waits_and_overwrites_no_frame() {
    let mut rig = Rig::new();
    rig.open(3);
    let first = rig.arrive(MAC, 0x0800, 60);
    assert_eq!(isr(&mut rig, 1).0, 0);
    assert_eq!(isr(&mut rig, 2).0, 3);
    let second = rig.arrive(MAC, 0x0806, 80);
    assert_eq!(isr(&mut rig, 1).0, 0);
    let at = RESIDENT + u32::from(LAYOUT.frame);
    assert_eq!(rig.mem.peek(at, 60), first, "still the caller's");
    assert_eq!(isr(&mut rig, 3).0, 3);
    assert_eq!(rig.mem.peek(at, 80), second);
    assert_eq!(isr(&mut rig, 3).0, 0);
    assert_eq!(isr(&mut rig, 1).0, 1);
}

#[test]
fn completions_come_before_frames_once_each() {
    let mut rig = Rig::new();
    rig.open(3);
    send(&mut rig, 60);
    send(&mut rig, 60);
    rig.arrive(MAC, 0x0800, 60);
    assert_eq!(isr(&mut rig, 1).0, 0);
    let answers: Vec<u8> = [2, 3, 3, 3].into_iter().map(|function| isr(&mut rig, function).0).collect();
    assert_eq!(answers, [2, 2, 3, 0]);
}

#[test]
fn bogus_functions_are_done_with_a_status() {
    let mut rig = Rig::new();
    rig.open(3);
    rig.arrive(MAC, 0x0800, 60);
    for function in [0, 4, 0x1234, 0xffff_u16] {
        let [low, high] = function.to_le_bytes();
        let (status, block) = rig.call(0x14, &[0, 0, low, high, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!((status, block[2], block[3]), (0x6c, 0, 0));
    }
    assert_eq!(isr(&mut rig, 2).0, 3, "the frame still waits");
}

#[test]
fn isr_opens_an_initialised_card_but_not_one_that_was_shut_down() {
    let mut rig = Rig::new();
    rig.succeed(0x03);
    assert_eq!(isr(&mut rig, 1).0, 1);
    assert_eq!(rig.card.filter.get(), 0);
    assert_eq!(isr(&mut rig, 2).0, 0);
    assert_eq!(rig.card.filter.get(), 3);
    rig.succeed(0x05);
    for function in [1, 2, 3] {
        isr(&mut rig, function);
        assert!(!rig.card.held.get());
    }
}

#[test]
fn a_flood_of_unwanted_frames_does_not_hold_the_caller() {
    let mut rig = Rig::new();
    let set = [&[0, 0][..], &[2, 0, 0, 0, 0, 7], &[0; 10]].concat();
    rig.succeed(0x03);
    assert_eq!(rig.call(0x0a, &set).0, 0);
    rig.open(1);
    for _ in 0..1000 {
        rig.arrive(MAC, 0x0800, 60);
    }
    assert_eq!(isr(&mut rig, 2).0, 0);
    assert!(rig.card.inbound.borrow().len() > 900);
}
