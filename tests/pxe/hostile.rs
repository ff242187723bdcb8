//! Calls with arbitrary opcodes and arbitrary blocks: they return, AX agrees with the status, and nothing is written but
//! what a function documents.

use proptest::prelude::*;

use hvpxe::mem::SegOff;
use hvpxe::pxe::Then;

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

/// Every opcode that can be served without a network.
fn opcodes() -> impl Strategy<Value = u16> {
    prop_oneof![8 => 0_u16..0x18, 2 => 0x70_u16..0x78, 1 => any::<u16>()]
        .prop_filter("needs a network", |opcode| !(0x20..0x40).contains(opcode) && *opcode != 0x73)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

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
            let mut allowed = vec![at..at + 2, at + fields.start..at + fields.end, frame..frame + 1514];
            allowed.extend(buffer(opcode, &block));
            for range in allowed {
                after[range.clone()].copy_from_slice(&before[range]);
            }
            prop_assert!(after == before, "opcode {:#x} wrote elsewhere", opcode);
        }
    }
}
