//! The rules by which VMBus is taken, kept, found lost, and given back; counted in exits and messages.

use hvpxe::error::Error;
use hvpxe::hv::{Hypervisor, Partition};
use hvpxe::mem::SharedMem;
use hvpxe::nic::{Nic, PacketFilter};
use hvpxe::owner::{Arbiter, Company, Policy, Standing};
use hvpxe::vmbus::Connection;

use crate::handshake::{frame, receive_one};
use crate::lab::{Lab, Pages};
use crate::wire::Wire;

const GUEST_OS_ID: u32 = 0x4000_0000;
const HYPERCALL: u32 = 0x4000_0001;
const SCONTROL: u32 = 0x4000_0080;
const SIMP: u32 = 0x4000_0083;
const SINT2: u32 = 0x4000_0092;
/// VMBus messages.
const INITIATE_CONTACT: u32 = 14;
const UNLOAD: u32 = 16;

/// Messages of this type that the host got.
fn got(lab: &Lab, message_type: u32) -> u64 {
    lab.counters().vmbus_from_guest.get(&message_type).copied().unwrap_or(0)
}

/// Reads and writes of the MSRs that stand for VMBus; the clock doesn't count.
fn msr_accesses(lab: &Lab) -> u64 {
    let counters = lab.counters();
    let all = counters.msr_reads.iter().chain(&counters.msr_writes);
    all.filter(|(msr, _)| **msr != 0x4000_0020).map(|(_, count)| count).sum()
}

fn opened(settings: &[(&str, &str)]) -> (Lab, Wire, Arbiter<Lab>) {
    let (lab, wire) = Lab::with(settings);
    let mut nic = lab.net_device();
    nic.open().unwrap();
    nic.set_filter(PacketFilter::BROADCAST).unwrap();
    (lab, wire, nic)
}

#[track_caller]
fn echoes(lab: &Lab, nic: &mut Arbiter<Lab>, seed: usize) {
    nic.transmit(&[&frame(400, seed)]).unwrap();
    assert_eq!(receive_one(lab, nic), frame(400, seed));
}

/// A loader that takes VMBus whole, with a hypercall page of its own, and keeps it.
pub fn thief(lab: &Lab, leaves_simp: bool) -> (Connection<Lab>, Option<Pages>) {
    lab.write_msr(SIMP, 0);
    lab.write_msr(GUEST_OS_ID, 0);
    let mut connection = Connection::new(lab, Partition::claim(lab).unwrap());
    connection.with_synic(Connection::connect).unwrap();
    let page = leaves_simp.then(|| lab.alloc_pages(1).unwrap());
    if let Some(page) = &page {
        lab.write_msr(SIMP, page.gpa().0 | 1);
        lab.write_msr(SINT2, 0x41);
    }
    (connection, page)
}

/// An owner that is live: connected, its message page and SINT2 in place.
fn owner(lab: &Lab) -> (Connection<Lab>, Option<Pages>) {
    thief(lab, true)
}

#[test]
fn receiving_touches_no_msr_and_sending_costs_one_exit() {
    let (lab, wire, mut nic) = opened(&[]);
    let before = msr_accesses(&lab);
    let mut buffer = [0; 1514];
    for seed in 0..50 {
        for frame_seed in 0..4 {
            wire.give(frame(300, seed * 4 + frame_seed));
        }
        lab.step();
        for _ in 0..4 {
            assert!(nic.receive(&mut buffer).unwrap().is_some());
        }
    }
    assert_eq!(msr_accesses(&lab), before);
    for seed in 0..50 {
        let calls = lab.counters().hypercalls.values().sum::<u64>();
        nic.transmit(&[&frame(300, seed)]).unwrap();
        assert!(lab.counters().hypercalls.values().sum::<u64>() <= calls + 1);
        lab.step();
        while nic.receive(&mut buffer).unwrap().is_some() {}
    }
    // The polls that found nothing may have looked, once in a millisecond.
    let elapsed = 2 + lab.now().0 / 10_000;
    assert!(msr_accesses(&lab) <= before + elapsed);
}

#[test]
fn an_empty_poll_reads_at_most_one_msr_in_a_millisecond() {
    let (lab, _wire, mut nic) = opened(&[]);
    let mut buffer = [0; 1514];
    for _ in 0..200 {
        let before = msr_accesses(&lab);
        lab.pass_millis(1);
        for _ in 0..20 {
            assert_eq!(nic.receive(&mut buffer), Ok(None));
        }
        assert!(msr_accesses(&lab) <= before + 1);
    }
}

#[test]
fn a_theft_of_msrs_alone_is_resumed_without_a_message() {
    for (msr, value) in [(HYPERCALL, 0), (GUEST_OS_ID, 0), (SIMP, 0x7000), (SINT2, 0x1_0041)] {
        let (lab, _wire, mut nic) = opened(&[]);
        let posts = lab.counters().posts;
        lab.write_msr(msr, value);
        echoes(&lab, &mut nic, 1);
        nic.link_is_up().unwrap();
        assert_eq!(lab.counters().posts, posts, "{msr:#x}");
        assert_eq!(nic.standing(), Standing::Connected(Company::Alone));
        if msr == SIMP || msr == SINT2 {
            assert_eq!(lab.msr(msr), value, "as found");
        }
        nic.release().unwrap();
        lab.assert_no_violation();
    }
}

#[test]
fn a_whole_theft_costs_one_contact_by_the_version_agreed_on() {
    for version in ["5.3", "4.0", "3.0"] {
        let (lab, _wire, mut nic) = opened(&[("max_vmbus_version", version)]);
        let (thief, _) = thief(&lab, false);
        let contacts = got(&lab, INITIATE_CONTACT);
        let found = lab.owner_msrs();
        echoes(&lab, &mut nic, 1);
        assert_eq!(got(&lab, INITIATE_CONTACT), contacts + 1, "{version}");
        assert_eq!(lab.owner_msrs(), found, "the thief's own");
        nic.release().unwrap();
        assert_eq!(lab.owner_msrs(), found, "the thief's own");
        drop(thief);
        lab.assert_no_violation_after_thefts();
    }
}

#[test]
fn a_live_owner_is_taken_over_only_by_policy_and_finds_his_msrs_again() {
    for polling in ["on", "off"] {
        for overlay in ["kept", "zeroed", "ram"] {
            for masked in ["hold", "drop", "write"] {
                let settings = [("polling", polling), ("overlay", overlay), ("masked_sint", masked)];
                let (lab, _wire) = Lab::with(&settings);
                let (_owner, _page) = owner(&lab);
                let found = lab.owner_msrs();
                let mut nic = lab.net_device();
                assert_eq!(nic.open(), Err(Error::VmbusOwned));
                assert_eq!(nic.standing(), Standing::Declined);
                nic.set_policy(Policy::TakeOver);
                nic.open().unwrap();
                assert_eq!(nic.standing(), Standing::Connected(Company::Owner), "{settings:?}");
                assert_eq!(lab.owner_msrs(), found);
                nic.set_filter(PacketFilter::BROADCAST).unwrap();
                for seed in 0..5 {
                    echoes(&lab, &mut nic, seed);
                    assert_eq!(lab.owner_msrs(), found);
                }
                nic.release().unwrap();
                assert_eq!(lab.owner_msrs(), found);
                assert_eq!(lab.msr(SCONTROL), 1);
                lab.assert_no_violation();
            }
        }
    }
}

#[test]
fn a_card_taken_back_between_two_calls_shows_beside_a_live_owner() {
    for overlay in ["kept", "zeroed", "ram"] {
        let (lab, _wire) = Lab::with(&[("overlay", overlay), ("rescind_at", "1s")]);
        let (_owner, _page) = owner(&lab);
        let mut nic = lab.net_device();
        nic.set_policy(Policy::TakeOver);
        nic.open().unwrap();
        nic.set_filter(PacketFilter::BROADCAST).unwrap();
        lab.pass_millis(1_500);
        let gone = (0..2_000).any(|_| {
            lab.pass_millis(1);
            nic.receive(&mut [0; 1514]).is_err()
        });
        assert!(gone, "{overlay}");
    }
}

#[test]
fn a_thief_that_stays_is_taken_over_again() {
    let (lab, _wire, mut nic) = opened(&[]);
    nic.set_policy(Policy::TakeOver);
    for seed in 0..5 {
        let (thief, page) = thief(&lab, true);
        let found = lab.owner_msrs();
        echoes(&lab, &mut nic, seed);
        assert_eq!(nic.standing(), Standing::Connected(Company::Owner));
        assert_eq!(lab.owner_msrs(), found);
        drop((thief, page));
    }
}

#[test]
fn garbage_in_the_slot_is_passed_over() {
    for kind in [1_u32, 2, 0x8000_0010, u32::MAX] {
        for length in [0_u8, 16, 240, 241, 255] {
            let (lab, _wire) = Lab::with(&[("overlay", "ram")]);
            let (_owner, page) = owner(&lab);
            let page = page.unwrap();
            page.write(2 * 256, &[0xaa; 256]);
            page.write(2 * 256 + 4, &[length, 1]);
            page.store(2 * 256, kind);
            let mut nic = lab.net_device();
            nic.set_policy(Policy::TakeOver);
            nic.open().unwrap();
            nic.set_filter(PacketFilter::BROADCAST).unwrap();
            echoes(&lab, &mut nic, 1);
        }
    }
}

#[test]
fn an_owner_that_keeps_the_host_busy_is_waited_for() {
    let (lab, _wire) = Lab::with(&[("close_delay", "50s")]);
    let mut first = lab.net_device();
    first.open().unwrap();
    lab.write_msr(SIMP, lab.alloc_pages(1).unwrap().gpa().0 | 1);
    let mut nic = lab.net_device();
    nic.set_policy(Policy::TakeOver);
    let before = lab.now();
    nic.open().unwrap();
    assert!((50_000..56_000).contains(&lab.now().millis_since(before)));
}

#[test]
fn a_host_that_does_not_answer_a_take_over_is_given_up_with_the_owners_msrs_in_place() {
    let (lab, _wire) = Lab::with(&[("close_delay", "200s")]);
    let mut first = lab.net_device();
    first.open().unwrap();
    lab.write_msr(SIMP, lab.alloc_pages(1).unwrap().gpa().0 | 1);
    let found = lab.owner_msrs();
    let mut nic = lab.net_device();
    nic.set_policy(Policy::TakeOver);
    assert_eq!(nic.open(), Err(Error::HostTimeout));
    assert_eq!(lab.owner_msrs(), found);
}

#[test]
fn a_hypercall_page_of_somebody_else_is_used_and_one_without_code_is_not() {
    let (lab, _wire) = Lab::with(&[("overlay", "ram")]);
    let page = lab.alloc_pages(1).unwrap();
    lab.write_msr(GUEST_OS_ID, 0x8100 << 48);
    lab.write_msr(HYPERCALL, page.gpa().0 | 1);
    let found = lab.owner_msrs();
    let mut nic = lab.net_device();
    nic.open().unwrap();
    assert_eq!(lab.owner_msrs(), found, "used where it is");
    nic.release().unwrap();
    assert_eq!(lab.owner_msrs(), found);
    lab.assert_no_violation();
}

#[test]
fn unload_comes_at_the_end_of_a_connection_of_our_own() {
    let (lab, _wire, mut nic) = opened(&[]);
    nic.close().unwrap();
    assert_eq!(got(&lab, UNLOAD), 0);
    nic.release().unwrap();
    assert_eq!(got(&lab, UNLOAD), 1);
    assert_eq!(nic.standing(), Standing::Away);
    lab.assert_no_violation();
}

#[test]
fn cards_are_not_counted_at_an_owners_cost() {
    let (lab, _wire) = Lab::with(&[]);
    let (_owner, _page) = owner(&lab);
    let posts = lab.counters().posts;
    let mut nic = lab.net_device();
    nic.set_policy(Policy::TakeOver);
    assert_eq!(Nic::count(&mut nic), Err(Error::VmbusOwned));
    assert_eq!(lab.counters().posts, posts);
}
