//! Disks while others take VMBus.

use hvpxe::disk::{DiskError, Disks};
use hvpxe::hv::{Hypervisor, Partition};
use hvpxe::vmbus::Connection;
use proptest::prelude::*;

use crate::bench::{Bench, pattern};
use crate::lab::Lab;

const GUEST_OS_ID: u32 = 0x4000_0000;
const HYPERCALL: u32 = 0x4000_0001;

/// Somebody who connects, and lets go again so cleanly that no MSR shows it.
fn clean_thief(lab: &Lab) {
    let [os_id, hypercall, ..] = lab.owner_msrs();
    let mut connection = Connection::new(lab, Partition::claim(lab).unwrap());
    connection.with_synic(Connection::connect).unwrap();
    connection.disconnect().unwrap();
    connection.free();
    lab.write_msr(GUEST_OS_ID, os_id);
    lab.write_msr(HYPERCALL, hypercall);
}

/// Somebody who connects and keeps the connection, with the same channels as ours, and puts the MSRs back.
fn quiet_thief(lab: &Lab) -> Connection<Lab> {
    let [os_id, hypercall, ..] = lab.owner_msrs();
    let mut connection = Connection::new(lab, Partition::claim(lab).unwrap());
    connection.with_synic(Connection::connect).unwrap();
    lab.write_msr(GUEST_OS_ID, os_id);
    lab.write_msr(HYPERCALL, hypercall);
    connection
}

/// A loader: it connects, uses its own hypercall page from then on, and leaves SIMP off.
fn loader(lab: &Lab) -> Connection<Lab> {
    // It knows only what it does itself: a hypercall page that is there already is switched off.
    lab.write_msr(GUEST_OS_ID, 0);
    let mut connection = Connection::new(lab, Partition::claim(lab).unwrap());
    connection.with_synic(Connection::connect).unwrap();
    connection
}

#[test]
fn a_loader_that_takes_vmbus_does_not_take_the_disks() {
    let mut bench = Bench::opened(&[]);
    let mut loaders = Vec::new();
    for round in 0..10 {
        loaders.push(loader(&bench.lab));
        assert_eq!(bench.read(0, round, 3), Ok(bench.content(0, round, 3)));
        let content = pattern(1024, round as u8);
        bench.write(2, round, &content).unwrap();
        assert_eq!(bench.content(2, round, 2), content);
    }
    bench.disks.release_disks().unwrap();
    bench.lab.assert_no_violation_after_thefts();
}

#[test]
fn a_thief_that_left_no_trace_shows_when_the_disk_does_not_answer() {
    let mut bench = Bench::opened(&[]);
    clean_thief(&bench.lab);
    let before = bench.lab.now();
    assert_eq!(bench.read(0, 1, 3), Ok(bench.content(0, 1, 3)));
    assert!(bench.lab.now().millis_since(before) < 10_000, "found out by asking, not by waiting for the disk");
    bench.disks.release_disks().unwrap();
    assert_eq!(bench.lab.pages_in_use(), 0);
}

#[test]
fn a_thief_that_stays_and_leaves_no_trace_shows_when_the_signal_is_refused() {
    let mut bench = Bench::opened(&[]);
    let mut thieves = Vec::new();
    for round in 0..3 {
        thieves.push(quiet_thief(&bench.lab));
        let before = bench.lab.now();
        assert_eq!(bench.read(0, round, 3), Ok(bench.content(0, round, 3)));
        let took = bench.lab.now().millis_since(before);
        assert!(took < 5_000, "{took} ms: the host knows the channel, so asking about it says nothing");
    }
    bench.disks.release_disks().unwrap();
    bench.lab.assert_no_violation_after_thefts();
}

#[test]
fn channel_ids_may_change_over_a_reconnect() {
    let mut bench = Bench::opened(&[
        ("relid_step", "7"),
        ("close_delay", "50s"),
        ("teardown_delay", "500ms"),
        ("stale_messages", "on"),
    ]);
    let _loader = loader(&bench.lab);
    assert_eq!(bench.read(1, 1, 3), Ok(bench.content(1, 1, 3)));
    assert_eq!(bench.read(2, 1, 3), Ok(bench.content(2, 1, 3)));
    bench.lab.assert_no_violation_after_thefts();
}

#[test]
fn a_disk_that_is_another_one_after_a_theft_is_neither_read_nor_written() {
    let mut bench = Bench::opened(&[]);
    let (first, other) = (bench.media[0].content(), pattern(100 * 512, 9));
    bench.media[0].replace(other.clone());
    let _loader = loader(&bench.lab);
    for _ in 0..3 {
        assert_eq!(bench.read(0, 1, 3), Err(DiskError::NotThere));
        assert_eq!(bench.write(0, 1, &[7; 512]), Err(DiskError::NotThere));
        assert_eq!(bench.read(2, 1, 3), Ok(bench.content(2, 1, 3)), "the others are what they were");
    }
    assert_eq!(bench.media[0].content(), other);
    bench.media[0].replace(first);
    let _second = loader(&bench.lab);
    assert_eq!(bench.read(0, 1, 3), Ok(bench.content(0, 1, 3)), "it is back");
    bench.lab.assert_no_violation_after_thefts();
}

#[test]
fn a_live_owner_is_left_alone() {
    let mut bench = Bench::opened(&[]);
    let simp = bench.lab.alloc_pages(1).unwrap();
    bench.lab.write_msr(0x4000_0083, hvpxe::mem::SharedMem::gpa(&simp).0 | 1);
    let result = bench.read(0, 1, 1);
    assert!(matches!(result, Err(DiskError::Host(_))), "{result:?}");
    bench.lab.write_msr(0x4000_0083, 0);
    assert_eq!(bench.read(0, 1, 1), Ok(bench.content(0, 1, 1)), "back when it is gone");
    bench.lab.free_pages(simp);
    bench.disks.release_disks().unwrap();
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Read,
    Write,
    Flush,
    Reset,
    Release,
    Open,
    Loader,
    Thief,
    Wait(u16),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => Just(Step::Read),
        6 => Just(Step::Write),
        1 => Just(Step::Flush),
        1 => Just(Step::Reset),
        1 => Just(Step::Release),
        1 => Just(Step::Open),
        1 => Just(Step::Loader),
        1 => Just(Step::Thief),
        1 => (0..2000u16).prop_map(Step::Wait),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    /// Calls, loaders, thieves and time in any order: an open disk always answers, and with its own data.
    #[test]
    fn no_request_is_lost_to_a_thief(
        steps in prop::collection::vec((step(), 0..3usize, 0..12u64, 1..5u32, any::<u8>()), 1..40),
        delay in prop_oneof![Just("0us"), Just("2ms")],
        stale in prop_oneof![Just("off"), Just("on")],
    ) {
        let settings = [("disk_delay", delay), ("relid_step", "3"), ("stale_messages", stale)];
        let mut bench = Bench::opened(&settings);
        let mut open = true;
        let mut loaders = Vec::new();
        for (step, disk, lba, blocks, seed) in steps {
            let block_len = bench.disks.medium(disk).unwrap().block_len;
            let content = pattern((blocks * block_len) as usize, seed);
            match step {
                Step::Read if open => {
                    let expected = bench.content(disk, lba, blocks);
                    prop_assert!(bench.read(disk, lba, blocks) == Ok(expected));
                }
                Step::Write if open => {
                    prop_assert_eq!(bench.write(disk, lba, &content), Ok(()));
                    prop_assert!(bench.content(disk, lba, blocks) == content);
                }
                Step::Flush if open => prop_assert_eq!(bench.disks.flush(disk), Ok(())),
                Step::Reset if open => prop_assert_eq!(bench.disks.reset(disk), Ok(())),
                Step::Read => prop_assert_eq!(bench.read(disk, lba, blocks), Err(DiskError::NotThere)),
                Step::Write | Step::Flush | Step::Reset => {}
                Step::Release => {
                    // After a clean thief the host does not know our connection, and nothing can be given back.
                    let _ = bench.disks.release_disks();
                    open = false;
                }
                Step::Open => {
                    open = bench.disks.open_disks().is_ok();
                    prop_assert_eq!(bench.disks.count(), 3);
                }
                Step::Loader if loaders.len() < 3 => loaders.push(loader(&bench.lab)),
                Step::Loader => {}
                Step::Thief => clean_thief(&bench.lab),
                Step::Wait(milliseconds) => bench.lab.pass_millis(u64::from(milliseconds)),
            }
            let [simp, ..] = bench.lab.synic_msrs();
            prop_assert_eq!(simp, 0, "no message page of ours is left behind");
        }
    }
}

#[test]
fn a_controller_that_is_taken_back_is_missed_and_found_again() {
    let mut bench = Bench::opened(&[("rescind_disks_after", "3"), ("reoffer_after", "2s")]);
    for _ in 0..3 {
        assert_eq!(bench.read(0, 1, 1), Ok(bench.content(0, 1, 1)));
    }
    bench.lab.pass_millis(10);
    let missed = bench.read(0, 1, 1);
    assert_eq!(missed, Err(DiskError::NotThere));
    bench.lab.pass_millis(3_000);
    assert_eq!(bench.disks.open_disks(), Ok(()));
    assert_eq!(bench.read(0, 1, 1), Ok(bench.content(0, 1, 1)));
    assert_eq!(bench.read(2, 1, 1), Ok(bench.content(2, 1, 1)));
    bench.end();

    let mut bench = Bench::opened(&[("rescind_disks_after", "1"), ("disk_delay", "1s"), ("reoffer_after", "0us")]);
    bench.lab.pass_millis(10);
    let _ = bench.read(0, 1, 2);
    assert_eq!(bench.read(0, 1, 2), Ok(bench.content(0, 1, 2)));
    bench.end();
}
