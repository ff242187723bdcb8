//! Two of us on one machine: the first one has the connection and publishes it, the second one is its guest.

use hvhost::MemoryDisk;
use hvpxe::disk::{DiskError, Disks};
use hvpxe::error::Error;
use hvpxe::hv::{Hypervisor, Partition};
use hvpxe::mem::PhysMem;
use hvpxe::nic::{Nic, PacketFilter};
use hvpxe::owner::{Arbiter, Company, Policy, Standing};
use hvpxe::vmbus::Connection;
use proptest::prelude::*;

use crate::handshake::{frame, receive_one};
use crate::lab::{Lab, config};
use crate::wire::Wire;

const HYPERCALL: u32 = 0x4000_0001;
const SIMP: u32 = 0x4000_0083;
const SINT2: u32 = 0x4000_0092;
/// Base memory ends at 620 KiB.
const BASE_MEMORY_KIB: u32 = 0x413;
/// Where the parties have their records.
const FIRST: u32 = 0x9_b400;
const SECOND: u32 = 0x9_d400;
/// Offsets from the anchor: the live part, its generation and lock, and the table of offers.
const GENERATION: u32 = 32 + 64;
const LOCK: u32 = GENERATION + 4;
const OFFERS: u32 = 32 + 128;
/// Message types that the host gets.
const REQUESTOFFERS: u32 = 3;
const RELID_RELEASED: u32 = 13;
const INITIATE_CONTACT: u32 = 14;
const UNLOAD: u32 = 16;

struct Two {
    lab: Lab,
    disk: MemoryDisk,
    host: Arbiter<Lab>,
    guest: Arbiter<Lab>,
}

impl Two {
    /// A machine with a disk and these cards. The first party has the disk open.
    fn new(settings: &[(&str, &str)], wires: &[Wire]) -> Self {
        Self::beside(settings, wires, 0)
    }

    /// The same where a BIOS owned VMBus, and left its message page enabled like this, with a vector.
    fn beside(settings: &[(&str, &str)], wires: &[Wire], simp: u64) -> Self {
        let lab = Lab::new(config(settings), wires);
        PhysMem::write(&lab, BASE_MEMORY_KIB, &620_u16.to_le_bytes()).unwrap();
        let disk = MemoryDisk::new((0..64 * 512).map(|at| (at / 512) as u8).collect());
        lab.add_scsi_controller(std::slice::from_ref(&disk));
        if simp != 0 {
            lab.write_msr(SIMP, simp);
            lab.write_msr(SINT2, 0x41);
        }
        let mut host = lab.publishing_at(FIRST).net_device();
        host.set_policy(if simp == 0 { Policy::Decline } else { Policy::TakeOver });
        host.open_disks().unwrap();
        let guest = lab.publishing_at(SECOND).net_device();
        let mut two = Self { lab, disk, host, guest };
        two.guest.set_policy(Policy::TakeOver);
        two
    }

    fn number(&self, at: u32) -> u32 {
        let mut bytes = [0; 4];
        PhysMem::read(&self.lab, at, &mut bytes).unwrap();
        u32::from_le_bytes(bytes)
    }

    /// Channel, user and state of each entry that the first party's table has.
    fn table(&self) -> Vec<(u32, [u8; 4], u8)> {
        let entry = |index: u32| {
            let mut bytes = [0; 48];
            PhysMem::read(&self.lab, FIRST + OFFERS + index * 48, &mut bytes).unwrap();
            (u32::from(bytes[32]), [bytes[40], bytes[41], bytes[42], bytes[43]], bytes[44])
        };
        (0..4).map(entry).filter(|(_, _, state)| *state != 0).collect()
    }

    fn got(&self, message_type: u32) -> u64 {
        self.lab.counters().vmbus_from_guest.get(&message_type).copied().unwrap_or(0)
    }

    /// The first party reads its disk.
    #[track_caller]
    fn reads(&mut self, lba: u64) {
        assert_eq!(read(&mut self.host, lba), Ok(vec![lba as u8; 512]));
    }

    #[track_caller]
    fn guest_echoes(&mut self, seed: usize) {
        self.guest.transmit(&[&frame(700, seed)]).unwrap();
        assert_eq!(receive_one(&self.lab, &mut self.guest), frame(700, seed));
    }

    #[track_caller]
    fn guest_opens(&mut self) {
        self.guest.open().unwrap();
        self.guest.set_filter(PacketFilter::BROADCAST).unwrap();
    }
}

fn read(party: &mut Arbiter<Lab>, lba: u64) -> Result<Vec<u8>, DiskError> {
    let mut bytes = vec![0xee; 512];
    party.read(0, lba, 1, &mut |offset, piece| {
        bytes[offset as usize..][..piece.len()].copy_from_slice(piece);
        Ok(())
    })?;
    Ok(bytes)
}

#[test]
fn the_second_of_us_uses_the_card_beside_the_first_ones_disk() {
    for settings in [&[][..], &[("polling", "off")], &[("masked_sint", "drop")], &[("overlay", "zeroed")]] {
        let mut two = Two::new(settings, &[Wire::echo()]);
        let (found, generation) = (two.lab.owner_msrs(), two.number(FIRST + GENERATION));
        assert_eq!((found[2] & 1, generation % 2), (0, 0), "no message page is enabled, and the connection stands");
        assert!(two.guest.has_host());
        two.guest_opens();
        assert_eq!(two.guest.standing(), Standing::Connected(Company::Host));
        for round in 0..20 {
            two.guest_echoes(round);
            two.reads(round as u64);
            assert_eq!(two.lab.owner_msrs(), found);
            assert_eq!(two.number(FIRST + LOCK), 0);
        }
        assert_eq!(two.table().len(), 1);
        assert_eq!(two.table()[0].1, *b"hvpa");
        two.guest.release().unwrap();
        assert_eq!(two.table()[0].1, [0; 4]);
        assert_eq!((two.got(INITIATE_CONTACT), two.got(REQUESTOFFERS), two.got(UNLOAD)), (1, 1, 0));
        assert_eq!(two.number(FIRST + GENERATION), generation);
        two.reads(5);
        two.host.release_disks().unwrap();
        assert_eq!(two.got(UNLOAD), 1);
        assert_eq!(two.number(FIRST + GENERATION) % 2, 1);
        assert_ne!(two.number(FIRST), u32::from_le_bytes(*b"$VMB"), "the record is gone");
        assert_eq!(two.lab.pages_in_use(), 0);
        two.lab.assert_no_violation();
    }
}

#[test]
fn the_first_one_shares_what_it_has_taken_from_a_bios() {
    let mut two = Two::beside(&[], &[Wire::echo()], 0x30_0001);
    assert_eq!(two.host.standing(), Standing::Connected(Company::Owner));
    let found = two.lab.owner_msrs();
    two.guest_opens();
    assert_eq!(two.guest.standing(), Standing::Connected(Company::Host));
    for round in 0..20 {
        two.guest_echoes(round);
        two.reads(round as u64);
        assert_eq!(two.lab.owner_msrs(), found);
    }
    assert_eq!(found[2], 0x30_0001, "the BIOS's message page is there between calls");
    two.guest.release().unwrap();
    two.host.release_disks().unwrap();
    assert_eq!((two.got(INITIATE_CONTACT), two.got(UNLOAD)), (1, 1));
    two.lab.assert_no_violation();
}

#[test]
fn a_card_is_used_by_one_of_us_and_passed_on() {
    let mut two = Two::new(&[], &[Wire::echo(), Wire::echo()]);
    two.host.open().unwrap();
    assert_eq!(two.table().len(), 1, "the other card is for others");
    two.guest_opens();
    two.guest_echoes(1);
    two.host.close().unwrap();
    assert_eq!(two.table().len(), 2);
    two.host.prefer(2);
    assert_eq!(two.host.open(), Err(Error::VmbusOwned), "the guest's card");
    two.guest_echoes(2);
    two.guest.close().unwrap();
    two.host.open().unwrap();
    two.reads(9);
    two.host.release().unwrap();
    two.guest_opens();
    two.guest_echoes(3);
    two.guest.release().unwrap();
    two.host.release_disks().unwrap();
    assert_eq!(two.got(INITIATE_CONTACT), 1);
    two.lab.assert_no_violation();
}

#[test]
fn when_the_first_one_goes_the_second_one_connects_by_itself() {
    let mut two = Two::new(&[], &[Wire::echo()]);
    two.guest_opens();
    two.guest_echoes(1);
    two.host.release_disks().unwrap();
    for _ in 0..10 {
        two.lab.pass_millis(2);
        let _ = two.guest.receive(&mut [0; 1514]);
    }
    two.guest_echoes(2);
    assert_eq!(two.guest.standing(), Standing::Connected(Company::Alone));
    // Now it is the other way round.
    assert_eq!(two.number(SECOND + GENERATION) % 2, 0);
    two.host.set_policy(Policy::Attach);
    assert!(two.host.has_host());
    two.guest.release().unwrap();
    assert!(!two.host.has_host());
    assert_eq!(two.lab.pages_in_use(), 0);
}

#[test]
fn a_thief_who_knows_no_record_ends_both_and_both_come_back() {
    for full in [false, true] {
        let mut two = Two::new(&[], &[Wire::echo()]);
        let mut thieves = Vec::new();
        two.guest_opens();
        for round in 0..5 {
            two.guest_echoes(round);
            let generation = two.number(FIRST + GENERATION);
            two.lab.write_msr(HYPERCALL, 0);
            two.lab.write_msr(SIMP, 0);
            if full {
                two.lab.write_msr(0x4000_0000, 0);
                let mut thief = Connection::new(&two.lab, Partition::claim(&two.lab).unwrap());
                thief.with_synic(Connection::connect).unwrap();
                thieves.push(thief);
            }
            two.reads(round as u64);
            assert_eq!(two.number(FIRST + GENERATION).wrapping_sub(generation) > 0, full);
            assert_eq!(two.number(FIRST + GENERATION) % 2, 0);
            assert_eq!(two.guest.link_is_up(), Ok(true));
            assert_eq!(two.guest.standing(), Standing::Connected(Company::Host));
            two.guest_echoes(round + 50);
        }
        assert_eq!(two.disk.content().len(), 64 * 512);
    }
}

#[test]
fn a_guests_channel_that_the_host_takes_back_is_released_when_the_guest_has_closed_it() {
    let mut two = Two::new(&[("rescind_at", "2s"), ("reoffer_after", "1s")], &[Wire::echo()]);
    two.guest_opens();
    two.guest_echoes(1);
    let relid = two.table()[0].0;
    while two.lab.now().0 < 25_000_000 {
        two.lab.pass_millis(10);
    }
    // The first one hears of it in its next exchange.
    assert_eq!(two.host.open(), Err(Error::NoNic));
    assert_eq!(two.table(), [(relid, *b"hvpa", 3)]);
    assert_eq!(two.got(RELID_RELEASED), 0);
    assert!(two.guest.link_is_up().is_err() || two.guest.receive(&mut [0; 1514]).is_err());
    let _ = two.guest.close();
    assert_eq!(two.table(), [(relid, [0; 4], 3)]);
    two.reads(1);
    assert_eq!((two.got(RELID_RELEASED), two.table().len()), (1, 0));
    two.lab.pass_millis(1_500);
    // The offer may come a moment after the message page is in place.
    assert!(two.host.open().is_ok() || two.host.open().is_ok());
    two.host.release().unwrap();
    assert_eq!(two.table().len(), 1);
    two.guest_opens();
    two.guest_echoes(2);
    two.guest.release().unwrap();
    two.host.release_disks().unwrap();
    two.lab.assert_no_violation();
}

#[test]
fn messages_that_a_guest_finds_reach_the_first_one() {
    // The card goes and comes again while nobody of the first party looks: the guest finds the messages.
    let mut two = Two::new(&[("rescind_at", "2s"), ("reoffer_after", "1s")], &[Wire::echo()]);
    two.lab.pass_millis(2_500);
    assert_ne!(two.guest.open(), Ok(()));
    assert_eq!(two.table().len(), 1);
    two.reads(3);
    assert_eq!((two.table().len(), two.got(RELID_RELEASED)), (0, 1), "that took the message");
    two.lab.pass_millis(1_500);
    // The old channel is no more, and the offer of the new one may come a moment after the message page is in place.
    assert_eq!(two.guest.open(), Err(Error::NicGone));
    two.reads(4);
    assert_eq!(two.table().len(), 1);
    two.guest_opens();
    two.guest_echoes(1);
    two.guest.release().unwrap();
    two.host.release_disks().unwrap();
    // The guest could not know better when it asked for the channel.
    assert_eq!(two.lab.violations(), ["VMBus message 8 about 0x53000000: no such channel"]);
}

/// What may happen next.
#[derive(Clone, Copy, Debug)]
enum Step {
    Read(u8),
    HostOpens,
    HostCloses,
    GuestOpens,
    GuestEchoes,
    GuestCloses,
    GuestReleases,
    /// The first party has nothing open for a moment.
    HostStartsOver,
    /// A thief changes the MSRs alone.
    Msrs,
    /// A thief connects.
    Contact,
    Time(u16),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (0..64_u8).prop_map(Step::Read),
        1 => Just(Step::HostOpens),
        1 => Just(Step::HostCloses),
        3 => Just(Step::GuestOpens),
        4 => Just(Step::GuestEchoes),
        1 => Just(Step::GuestCloses),
        1 => Just(Step::GuestReleases),
        1 => Just(Step::HostStartsOver),
        1 => Just(Step::Msrs),
        1 => Just(Step::Contact),
        1 => (0..3_000_u16).prop_map(Step::Time),
    ];
    prop::collection::vec(step, 1..24)
}

impl Two {
    fn step(&mut self, step: Step, thieves: &mut Vec<Connection<Lab>>) {
        match step {
            Step::Read(lba) => self.reads(lba.into()),
            Step::HostOpens => drop(self.host.open()),
            Step::HostCloses => drop(self.host.close()),
            Step::GuestOpens => {
                if self.guest.open().is_ok() {
                    let _ = self.guest.set_filter(PacketFilter::BROADCAST);
                }
            }
            Step::GuestEchoes => self.guest_echoes_if_it_can(),
            Step::GuestCloses => drop(self.guest.close()),
            Step::GuestReleases => drop(self.guest.release()),
            Step::HostStartsOver => {
                let _ = self.host.release_disks();
                self.host.open_disks().unwrap();
            }
            Step::Msrs | Step::Contact => {
                self.lab.write_msr(0x4000_0000, 0);
                self.lab.write_msr(SIMP, 0);
                if matches!(step, Step::Contact) && thieves.len() < 3 {
                    let mut thief = Connection::new(&self.lab, Partition::claim(&self.lab).unwrap());
                    thief.with_synic(Connection::connect).unwrap();
                    thieves.push(thief);
                }
            }
            Step::Time(milliseconds) => self.lab.pass_millis(milliseconds.into()),
        }
    }

    /// A guest whose card is open answers for itself, whatever happened: its frames come back.
    #[track_caller]
    fn guest_echoes_if_it_can(&mut self) {
        if self.guest.is_open() && self.guest.link_is_up().is_ok() {
            self.guest_echoes(77);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    /// The disk is read right after anything, the lock is free and the message page off between calls; and whatever was
    /// shared can be given back.
    #[test]
    fn the_two_of_us_get_along_whatever_happens(steps in steps()) {
        let mut two = Two::new(&[], &[Wire::echo(), Wire::echo()]);
        let mut thieves = Vec::new();
        for step in steps {
            two.step(step, &mut thieves);
            for record in [FIRST, SECOND] {
                prop_assert_eq!(two.number(record + LOCK), 0, "after {:?}", step);
            }
            prop_assert_eq!(two.lab.msr(SIMP) & 1, 0, "after {:?}", step);
        }
        two.reads(1);
        two.lab.assert_no_violation_after_thefts();
    }
}
