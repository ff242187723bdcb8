//! Hosts and disks that fail.

use hvpxe::disk::{DiskError, Disks};
use hvpxe::error::Error;
use hvpxe::hv::Hypervisor;
use proptest::prelude::*;

use crate::bench::{Bench, pattern};

#[test]
fn what_can_be_tried_again_is_tried_again() {
    for kind in ["busy", "abort", "attention", "timeout", "reset", "short"] {
        let mut bench = Bench::opened(&[("disk_fault", &format!("{kind}*3@0"))]);
        assert_eq!(bench.read(0, 9, 4), Ok(bench.content(0, 9, 4)), "{kind}");
        bench.end();
        let mut bench = Bench::opened(&[("disk_fault", &format!("{kind}*3@0"))]);
        assert_eq!(bench.write(0, 9, &pattern(2048, 7)), Ok(()), "{kind}");
        assert_eq!(bench.content(0, 9, 4), pattern(2048, 7), "{kind}");
        bench.end();
    }
}

#[test]
fn a_disk_that_never_can_is_given_up_in_bounded_time() {
    for (kind, error) in
        [("busy", DiskError::NotReady), ("attention", DiskError::NotReady), ("short", DiskError::NotReady)]
    {
        let mut bench = Bench::opened(&[("disk_fault", &format!("{kind}*10000@0"))]);
        let before = bench.lab.now();
        assert_eq!(bench.read(0, 0, 1), Err(error), "{kind}");
        assert!(bench.lab.now().millis_since(before) < 10_000);
        bench.end();
    }
}

#[test]
fn what_would_fail_again_is_not_tried_again() {
    let mut bench = Bench::opened(&[("disk_fault", "medium*2@0")]);
    assert_eq!(bench.read(0, 0, 1), Err(DiskError::Medium));
    assert_eq!(bench.write(0, 0, &[0; 512]), Err(DiskError::Medium));
    assert_eq!(bench.lab.counters().disk_requests, 2);
    assert_eq!(bench.read(0, 0, 1), Ok(bench.content(0, 0, 1)));
    bench.end();
}

#[test]
fn slow_storage_is_waited_for() {
    let mut bench = Bench::opened(&[("disk_delay", "50s")]);
    let before = bench.lab.now();
    assert_eq!(bench.read(0, 3, 2), Ok(bench.content(0, 3, 2)));
    let took = bench.lab.now().millis_since(before);
    assert!((50_000..52_000).contains(&took), "{took} ms");
    bench.end();
}

#[test]
fn a_lost_request_is_made_again_on_a_new_connection() {
    let mut bench = Bench::opened(&[("disk_fault", "lost*1@0")]);
    assert_eq!(bench.read(0, 3, 2), Ok(bench.content(0, 3, 2)));
    assert_eq!(bench.lab.counters().vmbus_from_guest.get(&14), Some(&2), "INITIATE_CONTACT");
    bench.end();
}

#[test]
fn a_host_that_loses_every_request_is_given_up() {
    let mut bench = Bench::opened(&[("disk_fault", "lost*1000@0")]);
    let before = bench.lab.now();
    assert_eq!(bench.read(0, 3, 2), Err(DiskError::Timeout));
    assert!(bench.lab.now().millis_since(before) < 4 * 185_000, "three reconnects");
    bench.disks.release_disks().unwrap();
    assert_eq!(bench.lab.pages_in_use(), 0);
}

#[test]
fn a_controller_that_does_not_answer_its_handshake_is_left_out() {
    for operation in ["7", "9", "10", "8"] {
        let mut bench = Bench::new(&[("ignore_vstor", operation)]);
        bench.disks.open_disks().unwrap();
        assert_eq!(bench.disks.count(), 0, "operation {operation}");
        bench.end();
    }
    for setting in [("fail_gpadl", "on"), ("fail_open", "on"), ("max_vstor_version", "4.2")] {
        let mut bench = Bench::new(&[setting]);
        bench.disks.open_disks().unwrap();
        assert_eq!(bench.disks.count(), 0, "{setting:?}");
        bench.end();
    }
}

#[test]
fn a_silent_host_has_no_disks() {
    let mut bench = Bench::new(&[("silent", "on")]);
    assert_eq!(bench.disks.open_disks(), Err(Error::HostTimeout));
    assert_eq!(bench.disks.count(), 0);
}

#[test]
fn news_of_the_bus_and_foreign_offers_disturb_nothing() {
    let mut bench = Bench::opened(&[("unsolicited_vstor", "on"), ("unsolicited", "on"), ("missing_lun", "no_device")]);
    for round in 0..20 {
        assert_eq!(bench.read(1, round, 2), Ok(bench.content(1, round, 2)));
    }
    bench.end();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    /// Whatever the faults: a read that succeeds gives the disk's bytes, a write that succeeds is on the disk, one that
    /// fails left the old or the new bytes in each block, and every call ends.
    #[test]
    fn no_request_is_answered_with_wrong_data(
        faults in prop::collection::vec((0..8usize, 1..4u8, 0..60u16), 0..12),
        accesses in prop::collection::vec((0..3usize, any::<bool>(), 0..10u64, 1..6u32, any::<u8>()), 1..30),
        delay in prop_oneof![Just("0us"), Just("900us"), Just("300ms")],
    ) {
        const KINDS: [&str; 8] = ["busy", "abort", "attention", "medium", "timeout", "reset", "short", "lost"];
        let faults: Vec<String> =
            faults.iter().map(|(kind, count, after)| format!("{}*{count}@{after}", KINDS[*kind])).collect();
        let mut settings: Vec<(&str, &str)> = faults.iter().map(|fault| ("disk_fault", fault.as_str())).collect();
        settings.push(("disk_delay", delay));
        let mut bench = Bench::opened(&settings);
        for (disk, write, lba, blocks, seed) in accesses {
            let block_len = bench.disks.medium(disk).unwrap().block_len;
            let before = bench.content(disk, lba, blocks);
            if write {
                let content = pattern((blocks * block_len) as usize, seed);
                let result = bench.write(disk, lba, &content);
                let after = bench.content(disk, lba, blocks);
                if result.is_ok() {
                    prop_assert!(after == content);
                }
                for (at, block) in after.chunks_exact(block_len as usize).enumerate() {
                    let here = at * block_len as usize..(at + 1) * block_len as usize;
                    prop_assert!(block == &before[here.clone()] || block == &content[here]);
                }
            } else if let Ok(bytes) = bench.read(disk, lba, blocks) {
                prop_assert!(bytes == before);
            }
        }
        bench.disks.release_disks().unwrap();
        prop_assert_eq!(bench.lab.pages_in_use(), 0);
        let violations = bench.lab.violations();
        prop_assert!(violations.is_empty(), "{violations:?}");
    }
}
