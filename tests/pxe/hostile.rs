//! Calls with arbitrary opcodes and arbitrary blocks: they return, AX agrees with the status, and nothing is written
//! but what a function documents.

use proptest::prelude::*;

use hvpxe::mem::SegOff;
use hvpxe::pxe::Then;

use super::network::{SERVER, booted, file};
use super::sim::{BLOCK, BUFFER, LAYOUT, RESIDENT, Rig, far};

/// The whole of the longest block, and more.
const BLOCK_LEN: usize = 192;

/// The output fields of each function beside the status (PXE 2.1), in bytes from the start of the block.
fn outputs(opcode: u16) -> std::ops::Range<usize> {
    match opcode {
        0x0c => 2..50,
        0x0d => 2..18,
        0x11 => 6..22,
        0x13 => 2..42,
        0x14 => 2..16,
        0x15 | 0x16 => 2..3,
        0x71 => 4..10,
        _ => 0..2,
    }
}

/// Where a function may write beside its block: the buffer that the block names, by its length field.
fn buffer(opcode: u16, block: &[u8]) -> Option<std::ops::Range<usize>> {
    let word = |at: usize| usize::from(u16::from_le_bytes([block[at], block[at + 1]]));
    let pointer = |at: usize| word(at) + (word(at + 2) << 4);
    match opcode {
        0x71 => Some(pointer(6)..pointer(6) + word(4).min(1260)),
        _ => None,
    }
}

/// The structures, which STOP_UNDI takes away and START_UNDI puts back.
fn structures() -> [std::ops::Range<usize>; 2] {
    let at = |offset: u16, len: usize| {
        let start = RESIDENT as usize + usize::from(offset);
        start..start + len
    };
    [at(LAYOUT.pxenv, 44), at(LAYOUT.bang_pxe, 88)]
}

/// Blocks whose words are often pointers, small numbers and limits.
fn blocks() -> impl Strategy<Value = Vec<u8>> {
    let word = prop_oneof![
        3 => any::<u16>().prop_map(|word| word.to_le_bytes().to_vec()),
        3 => (0_u16..16).prop_map(|word| word.to_le_bytes().to_vec()),
        1 => Just(far(BUFFER).to_vec()),
        1 => Just(far(SegOff { offset: LAYOUT.frame, segment: LAYOUT.segment }).to_vec()),
        1 => Just(far(SegOff { offset: 0xffff, segment: 0xffff }).to_vec()),
    ];
    prop::collection::vec(word, BLOCK_LEN).prop_map(|words| words.concat()[..BLOCK_LEN].to_vec())
}

/// Where the answers for callers in V86 mode are.
fn answers() -> std::ops::Range<usize> {
    let at = (RESIDENT + u32::from(LAYOUT.answers)) as usize;
    at..at + hvpxe::pxe::ANSWERS_SIZE
}

/// Every opcode that can be served without a network.
fn opcodes() -> impl Strategy<Value = u16> {
    prop_oneof![8 => 0_u16..0x18, 2 => 0x70_u16..0x78, 1 => any::<u16>()]
        .prop_filter("needs a network", |opcode| !(0x20..0x40).contains(opcode) && *opcode != 0x73)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn calls_write_only_what_they_document(calls in prop::collection::vec((opcodes(), blocks()), 1..40)) {
        let mut rig = Rig::new();
        for (opcode, block) in calls {
            rig.arrive(super::sim::MAC, 0x0800, 64);
            rig.mem.poke(BLOCK.linear(), &block);
            let before = rig.mem.snapshot();
            let result = rig.api.call(opcode, BLOCK);
            let mut after = rig.mem.snapshot();
            let at = BLOCK.linear() as usize;
            let status = u16::from_le_bytes([after[at], after[at + 1]]);
            prop_assert_eq!(result.then, Then::Return);
            prop_assert_eq!(result.ax, u16::from(status != 0));
            let frame = (RESIDENT + u32::from(LAYOUT.frame)) as usize;
            let fields = outputs(opcode);
            let mut allowed = vec![at..at + 2, at + fields.start..at + fields.end, frame..frame + 1514, answers()];
            allowed.extend(buffer(opcode, &block));
            if matches!(opcode, 0x00 | 0x15) {
                allowed.extend(structures());
            }
            for range in allowed {
                let range = range.start.min(after.len())..range.end.min(after.len());
                after[range.clone()].copy_from_slice(&before[range]);
            }
            prop_assert!(after == before, "opcode {:#x} wrote elsewhere", opcode);
        }
    }
}

/// A block for a base-code function that goes most of the way: known names and addresses, and a few bytes at random.
fn network_blocks() -> impl Strategy<Value = (u16, Vec<u8>)> {
    let opcode =
        prop_oneof![6 => 0x20_u16..0x26, 4 => 0x30_u16..0x34, 1 => Just(0x73), 1 => Just(0x70), 1 => Just(0x05)];
    let noise = prop::collection::vec((0..BLOCK_LEN, any::<u8>()), 0..3);
    let name = prop_oneof![4 => Just("boot.0"), 1 => Just("large"), 1 => Just("absent"), 1 => Just("")];
    (opcode, name, noise, prop_oneof![Just(0_u16), 1..3000_u16, any::<u16>()]).prop_map(
        |(opcode, name, noise, size)| {
            let mut block = vec![0; BLOCK_LEN];
            let put = |block: &mut Vec<u8>, at: usize, bytes: &[u8]| block[at..at + bytes.len()].copy_from_slice(bytes);
            match opcode {
                0x20 | 0x25 => {
                    put(&mut block, 2, &SERVER);
                    put(&mut block, 0x0a, name.as_bytes());
                    put(&mut block, 0x8c, &size.to_le_bytes());
                }
                0x22 => put(&mut block, 6, &far(BUFFER)),
                0x23 | 0x73 => {
                    put(&mut block, 2, name.as_bytes());
                    put(&mut block, 0x82, &size.to_le_bytes());
                    put(&mut block, 0x86, &BUFFER.linear().to_le_bytes());
                    put(&mut block, 0x8a, &SERVER);
                }
                0x32 | 0x33 => {
                    put(&mut block, 2, &SERVER);
                    put(&mut block, 0x0c, &size.to_be_bytes());
                    put(&mut block, 0x0e, &size.to_le_bytes());
                    put(&mut block, 0x10, &far(BUFFER));
                }
                _ => {}
            }
            for (at, byte) in noise {
                block[at] = byte;
            }
            (opcode, block)
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn base_code_ends_in_time_and_writes_only_where_it_may(
        calls in prop::collection::vec(network_blocks(), 1..12),
        fault in prop_oneof![Just("none"), Just("silent"), Just("no-options"), Just("garbage"), Just("endless")],
    ) {
        let (mut rig, server) = booted();
        server.borrow_mut().files().add("large", file(300_000));
        server.borrow_mut().set("tftp.fault", fault).unwrap();
        for (opcode, block) in calls {
            rig.mem.poke(BLOCK.linear(), &block);
            let before = rig.mem.snapshot();
            let began = rig.machine.seconds();
            let result = rig.api.call(opcode, BLOCK);
            prop_assert!(rig.machine.seconds() - began < 120, "opcode {:#x} took too long", opcode);
            let mut after = rig.mem.snapshot();
            let at = BLOCK.linear() as usize;
            if result.then == Then::Return {
                prop_assert_eq!(result.ax, u16::from(after[at..at + 2] != [0, 0]));
            }
            let fields = network_outputs(opcode);
            let mut allowed = vec![at..at + 2, at + fields.start..at + fields.end, answers()];
            allowed.extend(network_buffer(opcode, &block));
            for range in allowed {
                let range = range.start.min(after.len())..range.end.min(after.len());
                after[range.clone()].copy_from_slice(&before[range]);
            }
            prop_assert!(after == before, "opcode {:#x} wrote elsewhere", opcode);
            rig.mem.poke(0, &before);
        }
    }
}

/// As [`outputs`], for the base-code functions.
fn network_outputs(opcode: u16) -> std::ops::Range<usize> {
    match opcode {
        0x20 => 0x8c..0x8e,
        0x22 => 2..6,
        0x23 => 0x82..0x86,
        0x25 => 0x8a..0x8e,
        0x32 => 2..0x10,
        _ => 0..2,
    }
}

/// As [`buffer`], for the base-code functions.
fn network_buffer(opcode: u16, block: &[u8]) -> Option<std::ops::Range<usize>> {
    let word = |at: usize| usize::from(u16::from_le_bytes([block[at], block[at + 1]]));
    let pointer = |at: usize| word(at) + (word(at + 2) << 4);
    let double = |at: usize| word(at) + (word(at + 2) << 16);
    match opcode {
        0x22 => Some(pointer(6)..pointer(6) + 16384),
        0x23 => Some(double(0x86)..double(0x86) + double(0x82)),
        0x32 => Some(pointer(0x10)..pointer(0x10) + word(0x0e)),
        0x73 => Some(0x7c00..RESIDENT as usize),
        _ => None,
    }
}

/// The last 16 bytes of a segment: whoever goes on behind them writes into memory that nobody named.
const END: SegOff = SegOff { offset: 0xfff0, segment: 0x3000 };

#[test]
fn a_buffer_past_its_segment_is_refused() {
    let mut rig = Rig::new();
    let behind = 0x4_0000;
    let before = rig.mem.peek(behind, 4096);
    let cached = [&[0, 0, 2, 0, 0xec, 4], &far(END)[..], &[0, 0]].concat();
    assert_eq!(rig.call(0x71, &cached).0, 0x6c, "GET_CACHED_INFO");
    rig.open(3);
    rig.mem.poke(BUFFER.linear(), &[&[60, 0], &far(END)[..], &[0, 0]].concat());
    let transmit = [&[0; 8], &far(BUFFER)[..], &[0; 8]].concat();
    assert_eq!(rig.call(0x08, &transmit).0, 0x6c, "TRANSMIT");
    assert_eq!(rig.mem.peek(behind, 4096), before);
}

#[test]
fn a_block_past_its_segment_is_refused_as_far_as_it_goes() {
    let mut rig = Rig::new();
    let before = rig.mem.peek(0x4_0000, 256);
    for (opcode, start) in [(0x0c, 0), (0x06, 0), (0x71, 0xec)] {
        rig.mem.poke(END.linear() + 2, &[start; 14]);
        let result = rig.api.call(opcode, SegOff { offset: 0xfffc, ..END });
        assert_eq!((result.ax, result.then), (1, Then::Return), "opcode {opcode:#x}");
    }
    assert_eq!(rig.mem.peek(0x4_0000, 256), before);
}
