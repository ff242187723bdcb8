//! The host is saved and restored in the middle of disk requests: the guest must not notice.

use hvpxe::disk::Disks;

use crate::bench::{BLOCKS, Bench, pattern};

/// Reads and writes all over two disks. Gives all that the guest could tell two such lives apart by.
fn life(settings: &[(&str, &str)], seed: Option<u64>) -> (Vec<u8>, u64, hvhost::Counters) {
    let mut bench = Bench::new(settings);
    if let Some(seed) = seed {
        bench.lab.save_now_and_then(seed);
    }
    bench.disks.open_disks().unwrap();
    for round in 0..12 {
        let (lba, blocks) = (round * 97 % (BLOCKS - 200), (1 + round * 13 % 130) as u32);
        let data = pattern(blocks as usize * 512, round as u8 + 3);
        bench.write(0, lba, &data).unwrap();
        assert_eq!(bench.read(0, lba, blocks), Ok(data));
        assert_eq!(bench.read(1, round % 60, 4), Ok(bench.content(1, round % 60, 4)));
    }
    bench.disks.flush(0).unwrap();
    let lab = bench.lab.clone();
    bench.end();
    let (memory, now) = lab.snapshot();
    (memory, now, hvhost::Counters { restores: 0, ..lab.counters() })
}

#[test]
fn a_guest_can_not_tell_whether_its_host_was_saved() {
    let hosts: [&[(&str, &str)]; 3] = [
        &[],
        &[("disk_delay", "3ms"), ("unit_attention", "on"), ("close_delay", "20ms")],
        &[("disk_fault", "busy*3@4"), ("unsolicited", "on"), ("unsolicited_vstor", "on"), ("max_transfer", "8192")],
    ];
    for settings in hosts {
        let undisturbed = life(settings, None);
        for seed in 1..=8 {
            assert!(life(settings, Some(0x9e37_79b9_7f4a_7c15 >> seed)) == undisturbed, "{settings:?}, seed {seed}");
        }
    }
}
