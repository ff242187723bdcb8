//! The host is saved and restored in the middle of everything: the guest must not notice.

use hvpxe::error::Error;
use hvpxe::nic::{Nic, PacketFilter};

use crate::handshake::{frame, receive_one};
use crate::lab::Lab;

/// A life of a card: opened, traffic with bursts, closed, opened again, released. Gives all that the guest could tell two
/// such lives apart by.
fn life(settings: &[(&str, &str)], seed: Option<u64>) -> (Vec<u8>, u64, hvhost::Counters, Vec<Vec<u8>>) {
    let (lab, wire) = Lab::with(settings);
    if let Some(seed) = seed {
        lab.save_now_and_then(seed);
    }
    let mut nic = lab.net_device();
    for round in 0..2 {
        nic.open().unwrap();
        nic.set_filter(PacketFilter::DIRECTED | PacketFilter::BROADCAST).unwrap();
        for burst in 0..20 {
            let frames: Vec<_> =
                (0..burst % 7 + 1).map(|index| frame(60 + 70 * burst, round + burst + index)).collect();
            for frame in &frames {
                while nic.transmit(&[frame]) == Err(Error::RingFull) {
                    lab.step();
                }
            }
            for frame in frames {
                assert_eq!(receive_one(&lab, &mut nic), frame);
            }
        }
        nic.close().unwrap();
    }
    nic.release().unwrap();
    lab.assert_no_violation();
    let (memory, now) = lab.snapshot();
    (memory, now, hvhost::Counters { restores: 0, ..lab.counters() }, wire.taken())
}

#[test]
fn a_guest_can_not_tell_whether_its_host_was_saved() {
    let hosts: [&[(&str, &str)]; 4] = [
        &[],
        &[("overlay", "zeroed"), ("rx_layout", "compact"), ("unsolicited", "on"), ("tx_completion_delay", "2ms")],
        &[("close_delay", "20ms"), ("unload_delay", "30ms"), ("teardown_delay", "5ms"), ("unsolicited_nvsp", "on")],
        &[("masked_sint", "drop"), ("overlay", "ram"), ("max_vmbus_version", "3.0"), ("reply_first", "on")],
    ];
    for settings in hosts {
        let undisturbed = life(settings, None);
        for seed in 1..=8 {
            assert!(life(settings, Some(0x9e37_79b9_7f4a_7c15 >> seed)) == undisturbed, "{settings:?}, seed {seed}");
        }
    }
}

#[test]
fn saves_come_when_they_are_asked_for() {
    let (lab, _wire) =
        Lab::with(&[("save_restore_after", "0"), ("save_restore_after", "5"), ("save_restore_after", "9")]);
    let mut nic = lab.net_device();
    nic.open().unwrap();
    nic.set_filter(PacketFilter::DIRECTED).unwrap();
    for seed in 0..10 {
        nic.transmit(&[&frame(100, seed)]).unwrap();
        assert_eq!(receive_one(&lab, &mut nic), frame(100, seed));
    }
    assert_eq!(lab.log().matches("machine saved and restored").count(), 3);
}
