//! Disks that work: found, read, written, given back.

use hvpxe::disk::{DiskError, Disks, Medium};
use proptest::prelude::*;

use crate::bench::{BLOCKS, Bench, pattern};

#[test]
fn the_disks_of_all_controllers_are_found_in_order() {
    let bench = Bench::opened(&[]);
    let medium = |block_len, blocks| Some(Medium { block_len, blocks, read_only: false });
    assert_eq!(bench.disks.medium(0), medium(512, BLOCKS));
    assert_eq!(bench.disks.medium(1), medium(4096, 64));
    assert_eq!(bench.disks.medium(2), medium(512, 16));
    assert_eq!(bench.disks.medium(3), None);
    bench.end();
}

#[test]
fn every_version_works() {
    for (vmbus, vstor) in [("5.3", "6.2"), ("4.0", "6.0"), ("3.0", "5.1")] {
        let mut bench = Bench::opened(&[("max_vmbus_version", vmbus), ("max_vstor_version", vstor)]);
        assert_eq!(bench.read(0, 17, 3), Ok(bench.content(0, 17, 3)));
        bench.end();
    }
}

#[test]
fn long_transfers_are_split() {
    for settings in [&[][..], &[("max_transfer", "8192")], &[("max_transfer", "10000"), ("underrun_status", "on")]] {
        let mut bench = Bench::opened(settings);
        let before = bench.lab.counters().disk_requests;
        assert_eq!(bench.read(0, 1, 127), Ok(bench.content(0, 1, 127)));
        let requests = bench.lab.counters().disk_requests - before;
        assert!(if settings.is_empty() { requests == 2 } else { requests == 8 }, "{requests}");
        bench.write(0, 100, &pattern(200 * 512, 9)).unwrap();
        assert_eq!(bench.content(0, 100, 200), pattern(200 * 512, 9));
        bench.end();
    }
}

#[test]
fn what_is_beyond_the_end_is_refused_unasked() {
    let mut bench = Bench::opened(&[]);
    let before = bench.lab.counters().disk_requests;
    assert_eq!(bench.read(0, BLOCKS - 1, 2), Err(DiskError::OutOfRange));
    assert_eq!(bench.read(0, u64::MAX, 2), Err(DiskError::OutOfRange));
    assert_eq!(bench.write(2, 16, &[0; 512]), Err(DiskError::OutOfRange));
    assert_eq!(bench.read(7, 0, 1), Err(DiskError::NotThere));
    assert_eq!(bench.lab.counters().disk_requests, before);
    assert_eq!(bench.read(0, BLOCKS - 1, 1), Ok(bench.content(0, BLOCKS - 1, 1)));
    bench.end();
}

#[test]
fn flush_and_reset_succeed_and_the_unit_attention_is_not_seen() {
    let mut bench = Bench::opened(&[("unit_attention", "on")]);
    bench.disks.flush(0).unwrap();
    bench.disks.reset(1).unwrap();
    assert_eq!(bench.read(0, 5, 1), Ok(bench.content(0, 5, 1)));
    assert_eq!(bench.read(1, 5, 1), Ok(bench.content(1, 5, 1)));
    bench.end();
}

#[test]
fn a_caller_that_fails_ends_the_request() {
    let mut bench = Bench::opened(&[]);
    let result =
        bench.disks.read(0, 0, 4, &mut |offset, _| if offset < 512 { Ok(()) } else { Err(DiskError::BadBuffer) });
    assert_eq!(result, Err(DiskError::BadBuffer));
    let result = bench.disks.write(0, 0, 4, &mut |_, _| Err(DiskError::BadBuffer));
    assert_eq!(result, Err(DiskError::BadBuffer));
    assert_eq!(bench.content(0, 0, 4), pattern(4 * 512, 1), "nothing was written");
    bench.end();
}

#[test]
fn opening_and_closing_uses_no_memory() {
    let mut bench = Bench::opened(&[]);
    for _ in 0..50 {
        bench.disks.release_disks().unwrap();
        assert_eq!(bench.lab.pages_in_use(), 0);
        bench.disks.open_disks().unwrap();
        assert_eq!(bench.disks.count(), 3, "numbers stay");
        assert_eq!(bench.read(2, 3, 2), Ok(bench.content(2, 3, 2)));
    }
    bench.end();
}

#[test]
fn a_machine_without_controllers_has_no_disks() {
    let mut bench = Bench::new(&[("no_disk", "on")]);
    bench.disks.open_disks().unwrap();
    assert_eq!(bench.disks.count(), 0);
    bench.end();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    /// Any series of reads and writes gives what a plain array of bytes would.
    #[test]
    fn a_disk_is_an_array(
        accesses in prop::collection::vec((0..3usize, any::<bool>(), 0..BLOCKS, 1..150u32, any::<u8>()), 1..40),
        max_transfer in prop_oneof![Just("4096"), Just("12288"), Just("262144")],
        delay in prop_oneof![Just("0us"), Just("300us"), Just("7ms")],
    ) {
        let mut bench = Bench::opened(&[("max_transfer", max_transfer), ("disk_delay", delay)]);
        for (disk, write, lba, blocks, seed) in accesses {
            let medium = bench.disks.medium(disk).unwrap();
            let fits = lba + u64::from(blocks) <= medium.blocks;
            if write {
                let content = pattern((blocks * medium.block_len) as usize, seed);
                let before = bench.media[disk].content();
                let expected = if fits { Ok(()) } else { Err(DiskError::OutOfRange) };
                prop_assert_eq!(bench.write(disk, lba, &content), expected);
                let mut after = before;
                if fits {
                    let start = lba as usize * medium.block_len as usize;
                    after[start..start + content.len()].copy_from_slice(&content);
                }
                prop_assert!(bench.media[disk].content() == after);
            } else if fits {
                let expected = bench.content(disk, lba, blocks);
                prop_assert!(bench.read(disk, lba, blocks) == Ok(expected));
            } else {
                prop_assert_eq!(bench.read(disk, lba, blocks), Err(DiskError::OutOfRange));
            }
        }
        bench.end();
    }
}
