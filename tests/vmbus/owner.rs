//! Sharing the machine with other users of VMBus.

use hvpxe::error::Error;
use hvpxe::hv::{Hypervisor, Partition};
use hvpxe::mem::SharedMem;
use hvpxe::nic::{Nic, PacketFilter};
use hvpxe::owner::Arbiter;
use hvpxe::vmbus::Connection;

use crate::handshake::{frame, receive_one};
use crate::lab::{Lab, config};
use crate::wire::Wire;

const GUEST_OS_ID: u32 = 0x4000_0000;
const HYPERCALL: u32 = 0x4000_0001;
const SIMP: u32 = 0x4000_0083;
const SINT2: u32 = 0x4000_0092;

#[track_caller]
fn echoes(lab: &Lab, nic: &mut Arbiter<Lab>, seed: usize) {
    nic.transmit(&[&frame(400, seed)]).unwrap();
    assert_eq!(receive_one(lab, nic), frame(400, seed));
}

/// Somebody who connects, and lets go again so cleanly that no MSR shows it.
fn clean_thief(lab: &Lab) {
    let [os_id, hypercall, ..] = lab.owner_msrs();
    let mut connection = Connection::new(lab, Partition::claim(lab).unwrap());
    connection.with_synic(Connection::connect).unwrap();
    connection.disconnect().unwrap();
    connection.free();
    // It goes by the same guest OS id as we do, so it took ours for its own.
    lab.write_msr(GUEST_OS_ID, os_id);
    lab.write_msr(HYPERCALL, hypercall);
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
fn a_hundred_openings_use_no_memory_and_break_no_rule() {
    let (lab, _wire) = Lab::with(&[]);
    let found = lab.owner_msrs();
    let mut nic = lab.net_device();
    let mut in_use = None;
    for round in 0..100 {
        nic.open().unwrap();
        nic.set_filter(PacketFilter::BROADCAST).unwrap();
        echoes(&lab, &mut nic, round);
        assert_eq!(*in_use.get_or_insert(lab.pages_in_use()), lab.pages_in_use());
        if round % 3 == 2 {
            nic.release().unwrap()
        } else {
            nic.close().unwrap()
        }
        assert_eq!(lab.synic_msrs(), found[2..]);
    }
    nic.release().unwrap();
    assert_eq!(lab.owner_msrs(), found);
    assert_eq!(lab.pages_in_use(), 0);
    lab.assert_no_violation();
}

#[test]
fn what_was_in_the_msrs_is_there_again_afterwards() {
    let (lab, _wire) = Lab::with(&[]);
    let page = lab.alloc_pages(1).unwrap();
    lab.write_msr(GUEST_OS_ID, 0x8100_0000_0000_0000);
    lab.write_msr(HYPERCALL, page.gpa().0 | 1);
    lab.write_msr(SIMP, 0x7000);
    lab.write_msr(SINT2, 0x1_0041);
    let found = lab.owner_msrs();
    let mut nic = lab.net_device();
    nic.open().unwrap();
    assert_eq!(lab.synic_msrs(), found[2..]);
    nic.set_filter(PacketFilter::BROADCAST).unwrap();
    echoes(&lab, &mut nic, 1);
    nic.release().unwrap();
    assert_eq!(lab.owner_msrs(), found);
    assert_eq!(lab.pages_in_use(), 1);
    lab.assert_no_violation();
}

#[test]
fn a_live_owner_is_left_alone() {
    let (lab, _wire) = Lab::with(&[]);
    let page = lab.alloc_pages(1).unwrap();
    lab.write_msr(SIMP, page.gpa().0 | 1);
    let found = lab.owner_msrs();
    let mut nic = lab.net_device();
    assert_eq!(nic.open(), Err(Error::VmbusOwned));
    assert_eq!(lab.owner_msrs(), found);
    assert_eq!(lab.counters().posts, 0);
    assert_eq!(lab.pages_in_use(), 1);
}

#[test]
fn the_uefi_firmware_is_left_alone() {
    let (lab, _wire) = Lab::with(&[]);
    lab.write_msr(GUEST_OS_ID, 0x0000_0100_0000_0000);
    let writes = lab.counters().msr_writes;
    assert_eq!(lab.net_device().open(), Err(Error::VmbusOwned));
    assert_eq!(lab.counters().msr_writes, writes, "no MSR is written");
}

#[test]
fn a_loader_that_came_and_went_is_noticed_by_the_next_call() {
    for step in ["0", "5"] {
        let wires = [Wire::unplugged(), Wire::echo(), Wire::echo()];
        let lab = Lab::new(config(&[("relid_step", step)]), &wires);
        let mut nic = lab.net_device();
        nic.open().unwrap();
        nic.set_filter(PacketFilter::BROADCAST).unwrap();
        let chosen = nic.card();
        echoes(&lab, &mut nic, 1);

        let connection = loader(&lab);
        assert_eq!(lab.msr(SIMP), 0);
        lab.pass_millis(50);

        // Found again by its instance, with the filter that was set.
        echoes(&lab, &mut nic, 2);
        assert_eq!(nic.card(), chosen);
        nic.release().unwrap();
        drop(connection);
        assert_eq!(lab.pages_in_use(), 4, "the loader's own pages");
    }
}

#[test]
fn a_loader_is_noticed_by_a_receive_poll_too() {
    let (lab, wire) = Lab::with(&[]);
    let mut nic = lab.net_device();
    nic.open().unwrap();
    nic.set_filter(PacketFilter::BROADCAST).unwrap();
    let _connection = loader(&lab);
    for _ in 0..100 {
        lab.pass_millis(1);
        assert_eq!(nic.receive(&mut [0; 1514]), Ok(None));
    }
    wire.give(frame(100, 1));
    assert_eq!(receive_one(&lab, &mut nic), frame(100, 1));
    nic.release().unwrap();
}

#[test]
fn a_thief_that_left_no_trace_shows_when_the_card_does_not_answer() {
    let (lab, _wire) = Lab::with(&[]);
    let mut nic = lab.net_device();
    nic.open().unwrap();
    clean_thief(&lab);
    nic.set_filter(PacketFilter::BROADCAST).unwrap();
    echoes(&lab, &mut nic, 1);
    nic.release().unwrap();
    assert_eq!(lab.pages_in_use(), 0);
}

#[test]
fn a_thief_that_left_no_trace_shows_when_the_host_refuses_a_signal() {
    let (lab, _wire) = Lab::with(&[]);
    let mut nic = lab.net_device();
    nic.open().unwrap();
    nic.set_filter(PacketFilter::BROADCAST).unwrap();
    echoes(&lab, &mut nic, 1);
    clean_thief(&lab);
    echoes(&lab, &mut nic, 2);
    nic.release().unwrap();
    assert_eq!(lab.pages_in_use(), 0);
}

#[test]
fn a_thief_that_uses_the_card_itself_shows_when_no_frame_is_confirmed() {
    let (lab, wire) = Lab::with(&[]);
    let mut nic = lab.net_device();
    nic.open().unwrap();
    nic.set_filter(PacketFilter::BROADCAST).unwrap();
    echoes(&lab, &mut nic, 1);
    lab.pass_millis(30_000);
    let mut thief = lab.net_device();
    thief.open().unwrap();
    drop(wire.taken());
    nic.transmit(&[&frame(100, 2)]).unwrap();
    for _ in 0..20_000 {
        lab.pass_millis(1);
        assert_eq!(nic.receive(&mut [0; 1514]), Ok(None));
    }
    assert!(wire.taken().is_empty(), "that frame is lost");
    echoes(&lab, &mut nic, 3);
    nic.release().unwrap();
}

#[test]
fn a_card_that_was_idle_for_long_is_not_taken_for_silent() {
    let (lab, _wire) = Lab::with(&[]);
    let mut nic = lab.net_device();
    nic.open().unwrap();
    nic.set_filter(PacketFilter::BROADCAST).unwrap();
    let connections = |lab: &Lab| lab.counters().vmbus_from_guest.get(&14).copied();
    let before = connections(&lab);
    for seed in 0..3 {
        echoes(&lab, &mut nic, seed);
        lab.pass_millis(40_000);
        assert_eq!(nic.receive(&mut [0; 1514]), Ok(None));
    }
    assert_eq!(connections(&lab), before);
    nic.release().unwrap();
    lab.assert_no_violation();
}

#[test]
fn an_owner_that_is_live_when_we_come_back_keeps_vmbus() {
    let (lab, _wire) = Lab::with(&[]);
    let mut nic = lab.net_device();
    nic.open().unwrap();
    let page = lab.alloc_pages(1).unwrap();
    lab.write_msr(SIMP, page.gpa().0 | 1);
    let found = lab.owner_msrs();
    let posts = lab.counters().posts;
    assert_eq!(nic.set_filter(PacketFilter::BROADCAST), Err(Error::VmbusOwned));
    assert!(!nic.is_open());
    assert_eq!(nic.open(), Err(Error::VmbusOwned));
    assert_eq!(nic.receive(&mut [0; 1514]), Err(Error::NotOpen));
    assert_eq!(lab.owner_msrs(), found, "not even the hypercall page: the owner may use it");
    assert_eq!(lab.counters().posts, posts, "the owner's connection is not disturbed");

    // The owner goes; the card comes up again, and what was shared before is free again.
    lab.write_msr(SIMP, 0);
    nic.open().unwrap();
    nic.set_filter(PacketFilter::BROADCAST).unwrap();
    echoes(&lab, &mut nic, 1);
    nic.release().unwrap();
    assert_eq!(lab.pages_in_use(), 1);
}

/// The thousands of interleavings: our calls, a loader, a clean thief, time, in any order.
mod interleavings {
    use proptest::prelude::*;

    use super::*;

    #[derive(Clone, Copy, Debug)]
    enum Step {
        Open,
        Close,
        Release,
        Filter,
        Send,
        Receive,
        LinkState,
        Loader,
        Thief,
        Wait(u8),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            3 => Just(Step::Open),
            1 => Just(Step::Close),
            1 => Just(Step::Release),
            2 => Just(Step::Filter),
            4 => Just(Step::Send),
            4 => Just(Step::Receive),
            1 => Just(Step::LinkState),
            1 => Just(Step::Loader),
            1 => Just(Step::Thief),
            2 => (0_u8..20).prop_map(Step::Wait),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]

        #[test]
        fn end_with_the_card_usable_and_everything_given_back(steps in prop::collection::vec(step(), 1..40)) {
            let (lab, wire) = Lab::with(&[("relid_step", "3")]);
            let mut nic = lab.net_device();
            let mut loaders = Vec::new();
            let mut buffer = [0; 1514];
            for (seed, step) in steps.into_iter().enumerate() {
                // Any answer will do; only hanging, panicking and losing things will not.
                match step {
                    Step::Open => drop(nic.open()),
                    Step::Close => drop(nic.close()),
                    Step::Release => drop(nic.release()),
                    Step::Filter => drop(nic.set_filter(PacketFilter::BROADCAST)),
                    Step::Send => drop(nic.transmit(&[&frame(100, seed)])),
                    Step::Receive => drop(nic.receive(&mut buffer)),
                    Step::LinkState => drop(nic.link_is_up()),
                    Step::Loader if loaders.len() < 3 => loaders.push(loader(&lab)),
                    Step::Thief => clean_thief(&lab),
                    Step::Loader => {}
                    Step::Wait(milliseconds) => lab.pass_millis(u64::from(milliseconds)),
                }
                prop_assert_eq!(lab.msr(SIMP), 0, "no message page of ours is left behind");
            }
            nic.open().unwrap();
            nic.set_filter(PacketFilter::BROADCAST).unwrap();
            lab.pass_millis(10);
            while nic.receive(&mut buffer).unwrap().is_some() {}
            drop(wire.taken());
            echoes(&lab, &mut nic, 99);
            nic.release().unwrap();
            prop_assert_eq!(lab.pages_in_use(), 4 * loaders.len());
        }
    }
}
