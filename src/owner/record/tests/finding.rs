//! What is found, and what is refused.

use std::collections::BTreeMap;

use super::*;
use crate::wire::vmbus::Version;

const DOCUMENT: &str = include_str!("../../../../docs/vmbs.md");

/// Lines of "address, then bytes" in the document, as they would lie in memory.
fn dumps_in_document() -> BTreeMap<u32, Vec<u8>> {
    let line = |line: &str| {
        let (address, bytes) = line.split_once("  ")?;
        let bytes = bytes.split_whitespace().map(|byte| u8::from_str_radix(byte, 16)).collect::<Result<Vec<_>, _>>();
        Some((u32::from_str_radix(address, 16).ok().filter(|_| address.len() == 8)?, bytes.ok()?))
    };
    DOCUMENT.lines().filter_map(line).collect()
}

#[test]
fn the_dumps_in_the_document_are_what_the_code_reads_and_writes() {
    let (ram, hv) = example_machine();
    let dumps = dumps_in_document();
    let shown: usize = dumps.values().map(Vec::len).sum();
    assert_eq!(shown, 32 + 272 + 32, "anchor, record and the start of a message");
    for (address, bytes) in dumps {
        let there = ram.peek(address, bytes.len());
        assert_eq!(there, bytes, "at {address:08X}: {there:02X?}");
    }
    assert_eq!(find(&hv, &ram).unwrap().owner(), "Example BIOS");
}

/// The tables of the document: offset, size and the name of every field, in their order.
#[test]
fn the_tables_in_the_document_are_the_layouts_of_the_code() {
    let table = |heading: &str| -> Vec<(usize, usize)> {
        let text = DOCUMENT.split(heading).nth(1).unwrap().split("\n#").next().unwrap();
        let row = |line: &str| {
            let mut cells = line.split('|').map(str::trim).skip(1);
            Some((cells.next()?.parse().ok()?, cells.next()?.parse().ok()?))
        };
        text.lines().filter_map(row).collect()
    };
    for (heading, size) in [
        ("### Anchor, 32 bytes", size_of::<Anchor>()),
        ("### Record: fixed part, 64 bytes", size_of::<Fixed>()),
        ("### Record: live part, 64 bytes", size_of::<Live>()),
        ("### Entry of the table of offers, 48 bytes", size_of::<OfferEntry>()),
    ] {
        let rows = table(heading);
        assert!(rows.len() > 5, "{heading}");
        let end = rows.iter().fold(0, |at, &(offset, len)| {
            assert_eq!(at, offset, "{heading}");
            at + len
        });
        assert_eq!(end, size, "{heading}");
    }
}

#[test]
fn a_live_owner_is_found_with_all_that_an_attached_party_needs() {
    let (ram, hv) = example_machine();
    let record = find(&hv, &ram).unwrap();
    assert_eq!((record.version(), record.guest_os_id()), (Version::V5_3, 0x8f00_0000_0001_0000));
    assert_eq!(record.live(), &live());
    let found: Vec<_> = record.offers().collect();
    assert_eq!(found, [(0, offers()[0]), (1, offers()[1])]);
    assert!(record.is_current() && !record.is_settled());
}

#[test]
fn anchors_are_found_wherever_they_may_lie_and_nowhere_else() {
    let (anchor, record) = example();
    for (at, found) in [
        (0xe_0000, true),
        (0xf_ffe0, true),
        (0x9_f400, true),
        (0x9_ffe0, true),
        (0x9_ec00, true),
        (0x9_ebf0, false),
        (0xd_fff0, false),
        (0xf_fff0, false),
        (0x9_f408, false),
        (0x9_fff0, false),
    ] {
        let (ram, hv) = (Ram::new(), Hv::with(0x8f00_0000_0001_0000, 0xbffe_1001, 0xbffe_2001));
        ram.poke(RECORD, &record);
        let fits = anchor.len().min(0x10_0000 - at);
        ram.poke(at as u32, &anchor[..fits]);
        assert_eq!(find(&hv, &ram).is_some(), found, "at {at:#x}");
    }
}

/// The example's parts, to be changed.
struct Parts {
    anchor: Anchor,
    fixed: Fixed,
    live: Live,
    entries: [OfferEntry; 2],
}

/// Changes the example and says whether it is still found.
fn found_after(change: impl FnOnce(&mut Parts)) -> bool {
    let (ram, hv) = example_machine();
    let mut parts = Parts { anchor: anchor(), fixed: fixed(), live: live(), entries: offers() };
    change(&mut parts);
    ram.poke(ANCHOR, &sealed(parts.anchor.as_bytes().to_vec()));
    ram.poke(RECORD, &sealed(parts.fixed.as_bytes().to_vec()));
    ram.poke(RECORD + 64, parts.live.as_bytes());
    ram.poke(RECORD + 128, parts.entries.as_bytes());
    find(&hv, &ram).is_some()
}

#[test]
fn anchors_that_must_be_refused_are() {
    assert!(found_after(|_| {}));
    assert!(found_after(|parts| parts.anchor.revision = 0x1f), "a minor revision only adds");
    assert!(!found_after(|parts| parts.anchor.revision = 0x20));
    assert!(!found_after(|parts| parts.anchor.length = 16));
    assert!(!found_after(|parts| parts.anchor.length = 40));
    assert!(!found_after(|parts| parts.anchor.record = U32::new(0)));
    assert!(!found_after(|parts| parts.anchor.record = U32::new(0x9_f008)));
    assert!(!found_after(|parts| parts.anchor.record = U32::new(0x9_eff0)), "free base memory");
    assert!(!found_after(|parts| parts.anchor.record = U32::new(0xa_0000)));
    assert!(!found_after(|parts| parts.anchor.record = U32::new(0xffff_fff0)));
    assert!(!found_after(|parts| parts.anchor.record_length = U32::new(0x310 + 1)));
    assert!(!found_after(|parts| parts.anchor.record_length = U32::new(u32::MAX)));
    assert!(!found_after(|parts| parts.anchor.serial = U32::new(1)));

    let (ram, hv) = example_machine();
    ram.poke(ANCHOR + 7, &[ram.peek(ANCHOR + 7, 1)[0] ^ 1]);
    assert!(find(&hv, &ram).is_none(), "the checksum");
}

#[test]
fn fixed_parts_that_must_be_refused_are() {
    assert!(found_after(|parts| parts.fixed.flags = U32::new(u32::MAX)));
    assert!(!found_after(|parts| parts.fixed.signature = *b"VMBS"));
    assert!(!found_after(|parts| parts.fixed.revision = 0x20));
    assert!(!found_after(|parts| parts.fixed.length = 63));
    assert!(!found_after(|parts| parts.fixed.length = 65), "overlaps the live part");
    assert!(!found_after(|parts| parts.fixed.sint = 7));
    assert!(!found_after(|parts| (parts.anchor.serial, parts.fixed.serial) = (U32::ZERO, U32::ZERO)));
    assert!(!found_after(|parts| parts.fixed.record_length = U32::new(800)));
    assert!(!found_after(|parts| parts.fixed.live_offset = U16::new(60)));
    assert!(!found_after(|parts| parts.fixed.live_offset = U16::new(68)));
    assert!(!found_after(|parts| parts.fixed.live_offset = U16::new(0xfff8)));
    assert!(!found_after(|parts| parts.fixed.live_length = U16::new(56)));
    assert!(!found_after(|parts| parts.fixed.live_length = U16::new(72)), "overlaps the offers");
    assert!(!found_after(|parts| parts.fixed.offers_offset = U16::new(126)));
    assert!(!found_after(|parts| parts.fixed.offer_length = 47));
    assert!(!found_after(|parts| parts.fixed.offer_count = 4), "overlaps the slots");
    assert!(!found_after(|parts| parts.fixed.offer_count = 255));
    assert!(!found_after(|parts| parts.fixed.slots_offset = U16::new(276)));
    assert!(!found_after(|parts| parts.fixed.slot_length = U16::new(255)));
    assert!(!found_after(|parts| parts.fixed.slot_count = 0));
    assert!(!found_after(|parts| parts.fixed.slot_count = 3));
    assert!(!found_after(|parts| parts.fixed.slot_count = 4), "beyond the end");
    assert!(found_after(|parts| parts.fixed.slot_count = 1));
}

#[test]
fn connections_that_cannot_be_used_are_refused() {
    assert!(!found_after(|parts| parts.live.generation = U32::new(3)));
    assert!(!found_after(|parts| parts.live.version = U32::new(0x0002_0004)));
    assert!(found_after(|parts| parts.live.version = U32::new(0x0003_0000)));
    assert!(!found_after(|parts| parts.live.version = U32::new(0x0006_0000)));
    assert!(!found_after(|parts| parts.live.message_connection_id = U32::ZERO));
    assert!(!found_after(|parts| parts.live.message_connection_id = U32::new(0x0100_0000)));
    assert!(!found_after(|parts| parts.live.vp = U32::new(1)));
    assert!(!found_after(|parts| parts.live.next_id = U32::new(0x6001_0001)));
    assert!(!found_after(|parts| parts.live.put = U32::new(3)));
    assert!(!found_after(|parts| parts.live.taken = U32::new(2)));
    assert!(!found_after(|parts| parts.live.simp = U64::new(0xbffe_2000)), "the MSR says something else");
    assert!(!found_after(|parts| parts.live.hypercall = U64::new(0xbffe_3001)));
    assert!(!found_after(|parts| parts.fixed.guest_os_id = U64::ZERO));
    assert!(!found_after(|parts| parts.entries[1].relid = U32::new(5)), "two entries for one channel");

    let (ram, hv) = example_machine();
    hv.write_msr(HV_X64_MSR_HYPERCALL, 0xbffe_1000);
    ram.poke(RECORD + 64, Live { hypercall: U64::new(0xbffe_1000), ..live() }.as_bytes());
    assert!(find(&hv, &ram).is_none(), "no hypercall page");
}

#[test]
fn impossible_entries_are_passed_over() {
    let count = |change: &dyn Fn(&mut OfferEntry)| {
        let (ram, hv) = example_machine();
        let mut entries = offers();
        change(&mut entries[1]);
        ram.poke(RECORD + 128, entries.as_bytes());
        find(&hv, &ram).unwrap().offers().count()
    };
    assert_eq!(count(&|_| {}), 2);
    assert_eq!(count(&|entry| entry.relid = U32::ZERO), 1);
    assert_eq!(count(&|entry| entry.relid = U32::new(2048)), 1);
    assert_eq!(count(&|entry| entry.connection_id = U32::ZERO), 1);
    assert_eq!(count(&|entry| entry.connection_id = U32::new(0x0100_0000)), 1);
    assert_eq!(count(&|entry| entry.state = offer_state::EMPTY), 1);
    assert_eq!(count(&|entry| entry.state = 4), 1);
}

#[test]
fn a_record_in_our_own_memory_is_none_and_the_search_goes_on() {
    let (ram, hv) = example_machine();
    assert!(Record::find(&hv, &ram, 0, &(RECORD..RECORD + 16)).is_none());
    assert!(Record::find(&hv, &ram, 0, &(RECORD + 0x30f..RECORD + 0x400)).is_none());
    assert!(Record::find(&hv, &ram, 0, &(RECORD + 0x310..RECORD + 0x400)).is_some());
    // A broken anchor in front of the good one.
    let mut broken = anchor();
    broken.serial = U32::new(9);
    ram.poke(0x9_f800, &sealed(broken.as_bytes().to_vec()));
    ram.poke(0xe_0010, b"$VMBS");
    assert!(find(&hv, &ram).is_some());
}
