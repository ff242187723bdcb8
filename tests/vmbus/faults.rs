//! Hosts that refuse, stay silent, are busy, or take the card back.

use hvpxe::error::Error;
use hvpxe::hv::Hypervisor;
use hvpxe::nic::{Nic, PacketFilter};

use crate::handshake::{frame, receive_one};
use crate::lab::Lab;

/// An open that fails with this error, within so many seconds, and leaves nothing behind.
#[track_caller]
fn fails(settings: &[(&str, &str)], expected: Error, seconds: u64) {
    let (lab, _wire) = Lab::with(settings);
    let found = lab.owner_msrs();
    let mut nic = lab.net_device();
    assert_eq!(nic.open(), Err(expected), "{settings:?}");
    assert!(!nic.is_open());
    assert!(lab.now().0 < seconds * 10_000_000, "took {} ms", lab.now().0 / 10_000);
    nic.release().unwrap();
    assert_eq!(lab.owner_msrs(), found, "{settings:?}");
    assert_eq!(lab.pages_in_use(), 0, "{settings:?}");
}

#[test]
fn a_host_that_refuses_every_version_is_given_up() {
    fails(&[("max_vmbus_version", "0.0")], Error::VersionRefused, 5);
    fails(&[("max_vmbus_version", "2.4")], Error::VersionRefused, 5);
}

#[test]
fn a_host_that_never_answers_is_given_up_after_a_minute() {
    fails(&[("silent", "on")], Error::HostTimeout, 65);
}

#[test]
fn a_host_without_a_nic_says_so() {
    fails(&[("no_nic", "on")], Error::NoNic, 5);
}

#[test]
fn a_hypervisor_that_forbids_posting_has_no_vmbus() {
    fails(&[("post_burst", "0x2*1000000@0")], Error::NoVmbus, 1);
    fails(&[("post_burst", "0x6*1000000@0")], Error::NoVmbus, 1);
    fails(&[("post_burst", "0x12*1000000@0")], Error::NoVmbus, 2);
}

#[test]
fn a_host_that_knows_no_nvsp_version_of_ours_refuses_the_card() {
    fails(&[("max_nvsp_version", "1")], Error::HostRefused, 5);
}

#[test]
fn busy_hosts_are_asked_again() {
    for status in ["0x0b", "0x12", "0x13", "0x78"] {
        for after in 0..12 {
            let burst = format!("{status}*5@{after}");
            let (lab, _wire) = Lab::with(&[("post_burst", &burst)]);
            let mut nic = lab.net_device();
            nic.open().unwrap();
            nic.release().unwrap();
            assert_eq!(lab.pages_in_use(), 0, "{burst}");
            lab.assert_no_violation();
        }
    }
}

#[test]
fn messages_that_nobody_asked_for_disturb_nothing() {
    let (lab, _wire) = Lab::with(&[("unsolicited", "on")]);
    let mut nic = lab.net_device();
    nic.open().unwrap();
    nic.set_filter(PacketFilter::BROADCAST).unwrap();
    nic.transmit(&[&frame(100, 1)]).unwrap();
    assert_eq!(receive_one(&lab, &mut nic), frame(100, 1));
    nic.release().unwrap();
    assert_eq!(lab.pages_in_use(), 0);
    lab.assert_no_violation();
}

#[test]
fn slow_hosts_are_waited_for() {
    let (lab, _wire) = Lab::with(&[("unload_delay", "50s"), ("close_delay", "500ms")]);
    let mut nic = lab.net_device();
    nic.open().unwrap();
    nic.release().unwrap();
    assert!(lab.now().0 > 50 * 10_000_000);
    assert_eq!(lab.pages_in_use(), 0);
    lab.assert_no_violation();
}

#[test]
fn memory_that_the_host_does_not_let_go_of_stays_reserved_until_it_does() {
    let (lab, _wire) = Lab::with(&[("unload_delay", "100s"), ("close_delay", "100s")]);
    let found = lab.owner_msrs();
    let mut nic = lab.net_device();
    nic.open().unwrap();
    let open = lab.pages_in_use();
    assert_eq!(nic.release(), Err(Error::HostTimeout));
    assert_eq!(lab.pages_in_use(), open, "all is kept");
    assert_eq!(lab.owner_msrs(), found, "but the MSRs are as found");

    lab.pass_millis(300_000);
    nic.open().unwrap();
    assert_eq!(lab.pages_in_use(), open, "what the first connection shared is free again");
    nic.set_filter(PacketFilter::BROADCAST).unwrap();
    nic.transmit(&[&frame(100, 1)]).unwrap();
    assert_eq!(receive_one(&lab, &mut nic), frame(100, 1));
}

#[test]
fn a_card_taken_back_while_frames_flow_is_noticed() {
    let (lab, _wire) = Lab::with(&[("rescind_after", "300")]);
    let found = lab.owner_msrs();
    let mut nic = lab.net_device();
    nic.open().unwrap();
    nic.set_filter(PacketFilter::BROADCAST).unwrap();
    let mut buffer = [0; 1514];
    let mut outcome = Ok(());
    let end = lab.now().plus_millis(5_000);
    while lab.now() < end && outcome.is_ok() {
        outcome = match nic.transmit(&[&frame(500, 0)]) {
            Err(Error::RingFull) => Ok(()),
            other => other,
        };
        while outcome.is_ok() {
            lab.step();
            match nic.receive(&mut buffer) {
                Ok(Some(_)) => {}
                Ok(None) => break,
                Err(error) => outcome = Err(error),
            }
        }
    }
    assert_eq!(outcome, Err(Error::NicGone));
    assert!(!nic.is_open());
    nic.release().unwrap();
    assert_eq!(lab.owner_msrs(), found);
    assert_eq!(lab.pages_in_use(), 0);
    // A signal may cross the rescind: we can't see it before we look.
    let violations = lab.violations();
    assert!(violations.iter().all(|violation| violation.contains("no such connection")), "{violations:?}");
}

/// The rescind meets every step of the handshake, one after the other.
#[test]
fn a_card_taken_back_at_any_moment_leaves_nothing_behind() {
    let (lab, _wire) = Lab::with(&[]);
    let start = lab.now().0;
    lab.net_device().open().unwrap();
    let whole = (lab.now().0 - start) / 10 + 2_000;
    for micros in (0..whole).step_by(usize::try_from(whole / 120).unwrap().max(1)) {
        let moment = format!("{micros}us");
        let (lab, _wire) = Lab::with(&[("rescind_at", &moment)]);
        let found = lab.owner_msrs();
        let mut nic = lab.net_device();
        match nic.open() {
            Ok(()) => {
                let _ = nic.set_filter(PacketFilter::BROADCAST);
                let _ = nic.transmit(&[&frame(100, 1)]);
            }
            Err(error) => assert!(
                matches!(error, Error::NicGone | Error::NoNic | Error::HostTimeout | Error::HostRefused),
                "{moment}: {error:?}"
            ),
        }
        let _ = nic.release();
        assert_eq!(lab.owner_msrs(), found, "{moment}");
        assert_eq!(lab.pages_in_use(), 0, "{moment}");
    }
}

#[test]
fn the_link_goes_and_comes() {
    let (lab, _wire) = Lab::with(&[("link_change", "down@2s"), ("link_change", "up@3s")]);
    let mut nic = lab.net_device();
    nic.open().unwrap();
    nic.set_filter(PacketFilter::BROADCAST).unwrap();
    assert!(nic.link_was_up());
    for (seconds, up) in [(2, false), (3, true)] {
        while lab.now().0 < seconds * 10_000_000 + 100_000 {
            lab.pass_millis(50);
            assert_eq!(nic.receive(&mut [0; 1514]), Ok(None));
        }
        // By the host's indication alone, then by asking.
        assert_eq!(nic.link_was_up(), up);
        assert_eq!(nic.link_is_up(), Ok(up));
    }
    nic.release().unwrap();
    lab.assert_no_violation();
}

/// Nothing that the host writes makes us panic, hang or write outside shared memory (the lab checks each access).
mod nonsense {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(300))]

        #[test]
        fn in_shared_memory_is_survived(
            scribbles in prop::collection::vec((any::<u64>(), prop_oneof![any::<u64>(), 0..4096_u64]), 1..60),
            every in 1_usize..4,
        ) {
            let (lab, wire) = Lab::with(&[]);
            let mut nic = lab.net_device();
            let mut buffer = [0; 1514];
            nic.open().unwrap();
            nic.set_filter(PacketFilter::BROADCAST).unwrap();
            for (round, (random, value)) in scribbles.into_iter().enumerate() {
                wire.give(frame(60 + round, round));
                lab.step();
                lab.scribble(random, value);
                if round % every == 0 {
                    let _ = nic.transmit(&[&frame(100, round)]);
                }
                for _ in 0..4 {
                    if let Ok(Some(length)) = nic.receive(&mut buffer) {
                        prop_assert!(length <= buffer.len());
                    }
                }
                if round % 16 == 15 {
                    let _ = nic.link_is_up();
                }
            }
            let before = lab.now();
            let _ = nic.release();
            prop_assert!(lab.now() < before.plus_millis(180_000), "a release takes bounded time");
            prop_assert_eq!(lab.msr(0x4000_0083), 0, "SIMP is off");
        }
    }
}
