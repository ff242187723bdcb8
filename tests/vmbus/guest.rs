//! Being a guest on a connection that another party made and published.

use hvpxe::error::Error;
use hvpxe::hv::{Hypervisor, Partition};
use hvpxe::mem::{PhysMem, SharedMem};
use hvpxe::nic::{Nic, PacketFilter};
use hvpxe::owner::record::Publisher;
use hvpxe::owner::{Arbiter, Company, Policy, Standing};
use hvpxe::vmbus::Connection;
use hvpxe::wire::hv::GUEST_OS_ID_HVPXE;
use hvpxe::wire::vmbus::Version;

use crate::handshake::{frame, receive_one};
use crate::lab::{Lab, Pages};
use crate::wire::Wire;

const SIMP: u32 = 0x4000_0083;
const SINT2: u32 = 0x4000_0092;
/// Base memory ends at 637 KiB, and the record is behind it.
const BASE_MEMORY_KIB: u32 = 0x413;
const ANCHOR: u32 = 0x9_f400;
/// In the record: generation, its lock, and messages put into slots.
const GENERATION: u32 = ANCHOR + 32 + 64;
const LOCK: u32 = GENERATION + 4;
const PUT: u32 = GENERATION + 56;

/// The version that the host and the owner agree on.
const VERSION: Version = Version::V5_3;

/// Another firmware that has a connection and publishes it.
struct Owner {
    lab: Lab,
    connection: Connection<Lab>,
    publisher: Publisher<Lab>,
    /// Its message page, while it leaves it enabled.
    page: Option<Pages>,
}

impl Owner {
    /// Connects and publishes. `live`: leaves its message page enabled, with a vector.
    fn new(lab: &Lab, live: bool) -> Self {
        PhysMem::write(lab, BASE_MEMORY_KIB, &637_u16.to_le_bytes()).unwrap();
        let mut connection = Connection::new(lab, Partition::claim(lab).unwrap());
        connection.with_synic(Connection::connect).unwrap();
        let mut owner = Self {
            lab: lab.clone(),
            connection,
            publisher: Publisher::new(lab, ANCHOR, 7, GUEST_OS_ID_HVPXE).unwrap(),
            page: live.then(|| lab.alloc_pages(1).unwrap()),
        };
        owner.show();
        owner
    }

    fn show(&mut self) {
        let simp = self.page.as_ref().map_or(0, |page| page.gpa().0 | 1);
        self.lab.write_msr(SIMP, simp);
        self.lab.write_msr(SINT2, if simp == 0 { 0x1_0000 } else { 0x41 });
        let terms = self.connection.terms().unwrap();
        self.publisher.stands(&self.lab, terms, 0, self.connection.offers()).unwrap();
    }

    /// Whether a guest has a channel of its connection.
    fn is_shared(&self) -> bool {
        self.publisher.record().offers().any(|(_, entry)| entry.user != [0; 4])
    }

    /// Makes another connection, as after a reset of the host's side.
    fn connect_anew(&mut self) {
        self.publisher.ends();
        self.lab.write_msr(SIMP, 0);
        self.connection.mark_lost();
        self.connection.with_synic(Connection::connect).unwrap();
        self.publisher.settled();
        self.show();
    }
}

fn guest(lab: &Lab) -> Arbiter<Lab> {
    let mut nic = lab.net_device();
    nic.set_policy(Policy::Attach);
    nic
}

fn number(lab: &Lab, at: u32) -> u32 {
    let mut bytes = [0; 4];
    PhysMem::read(lab, at, &mut bytes).unwrap();
    u32::from_le_bytes(bytes)
}

/// Messages of this type that the host got.
fn got(lab: &Lab, message_type: u32) -> u64 {
    lab.counters().vmbus_from_guest.get(&message_type).copied().unwrap_or(0)
}

#[track_caller]
fn echoes(lab: &Lab, nic: &mut Arbiter<Lab>, seed: usize) {
    nic.transmit(&[&frame(400, seed)]).unwrap();
    assert_eq!(receive_one(lab, nic), frame(400, seed));
}

#[test]
fn a_guest_opens_its_channel_and_nothing_else() {
    for live in [false, true] {
        for polling in ["on", "off"] {
            let (lab, _wire) = Lab::with(&[("polling", polling)]);
            let mut owner = Owner::new(&lab, live);
            let (found, pages) = (lab.owner_msrs(), lab.pages_in_use());
            let generation = number(&lab, GENERATION);
            let mut nic = guest(&lab);
            nic.open().unwrap();
            assert_eq!(nic.standing(), Standing::Connected(Company::Host));
            assert_eq!(nic.vmbus_version(), Some(VERSION));
            nic.set_filter(PacketFilter::BROADCAST).unwrap();
            for seed in 0..5 {
                echoes(&lab, &mut nic, seed);
                assert_eq!(lab.owner_msrs(), found);
                assert_eq!(number(&lab, LOCK), 0);
            }
            assert!(owner.is_shared());
            nic.release().unwrap();
            assert!(!owner.is_shared(), "the channel is given back");
            assert_eq!((got(&lab, 14), got(&lab, 3), got(&lab, 16)), (1, 1, 0), "contact, offers, unload: the owner's");
            assert_eq!(lab.owner_msrs(), found);
            assert_eq!(lab.pages_in_use(), pages);
            assert_eq!(number(&lab, GENERATION), generation);
            owner.show();
            lab.assert_no_violation();
        }
    }
}

#[test]
fn messages_for_the_owner_are_kept_for_him() {
    let (lab, _wire) = Lab::with(&[("unsolicited", "on")]);
    let owner = Owner::new(&lab, true);
    let mut nic = guest(&lab);
    // He has room for one, and every answer comes behind two: the second one stays where it is.
    assert_eq!(nic.open(), Err(Error::HostTimeout));
    assert_eq!(number(&lab, PUT), 1);
    let page = owner.page.as_ref().unwrap();
    assert_eq!(page.load(2 * 256), 1);
    let slot = owner.publisher.take_message().unwrap();
    assert_eq!(slot[..4], [1, 0, 0, 0], "a VMBus message, whole");
    lab.assert_no_violation();
}

#[test]
fn messages_beyond_the_owners_room_wait_with_the_guest() {
    let (lab, _wire) = Lab::with(&[("unsolicited", "on")]);
    // Its message page is off between exchanges: what the guest leaves in its own one is lost.
    let owner = Owner::new(&lab, false);
    let mut nic = guest(&lab);
    nic.open().unwrap();
    let mut kinds = Vec::new();
    for _ in 0..30 {
        assert!(number(&lab, PUT) as usize - kinds.len() <= 1, "he has room for one");
        kinds.extend(owner.publisher.take_message().map(|slot| slot[16]));
        // Time enough for a look at what the host has to say.
        for _ in 0..64 {
            lab.pass_millis(20);
            assert_eq!(nic.receive(&mut [0; 1514]), Ok(None));
        }
    }
    assert_eq!(kinds, [1, 2, 1, 2, 1, 2, 1, 2], "an offer and its rescind before each of four replies");
    lab.assert_no_violation();
}

#[test]
fn a_reply_is_taken_although_no_more_fits_for_the_owner() {
    let (lab, _wire) = Lab::with(&[]);
    let owner = Owner::new(&lab, true);
    // One message is there for the owner, who has room for one: of 8 bytes, ALLOFFERS_DELIVERED.
    let (page, slot) = (owner.page.as_ref().unwrap(), 2 * 256);
    for (at, value) in [(4, 8), (16, 4), (0, 1)] {
        page.store(slot + at, value);
    }
    guest(&lab).open().unwrap();
    assert_eq!((number(&lab, PUT), page.load(slot)), (1, 0));
    assert_eq!(owner.publisher.take_message().unwrap()[16..20], [4, 0, 0, 0]);
    lab.assert_no_violation();
}

#[test]
fn an_owner_that_connects_anew_is_followed() {
    for live in [false, true] {
        let (lab, _wire) = Lab::with(&[("relid_step", "5")]);
        let mut owner = Owner::new(&lab, live);
        let mut nic = guest(&lab);
        nic.open().unwrap();
        nic.set_filter(PacketFilter::BROADCAST).unwrap();
        for seed in 0..4 {
            echoes(&lab, &mut nic, seed);
            owner.connect_anew();
            nic.link_is_up().unwrap();
        }
        echoes(&lab, &mut nic, 9);
        assert_eq!(got(&lab, 14), 5, "all of them the owner's");
        nic.release().unwrap();
    }
}

#[test]
fn an_owner_that_goes_leaves_vmbus_to_us() {
    let (lab, _wire) = Lab::with(&[]);
    let mut owner = Owner::new(&lab, true);
    let mut nic = guest(&lab);
    nic.open().unwrap();
    nic.set_filter(PacketFilter::BROADCAST).unwrap();
    owner.publisher.ends();
    lab.write_msr(SIMP, 0);
    owner.connection.disconnect().unwrap();
    owner.publisher.settled();
    echoes_later(&lab, &mut nic);
    assert_eq!(nic.standing(), Standing::Connected(Company::Alone));
    nic.release().unwrap();
}

/// The first frame may go down with the old channel.
#[track_caller]
fn echoes_later(lab: &Lab, nic: &mut Arbiter<Lab>) {
    for _ in 0..10 {
        lab.pass_millis(2);
        let _ = nic.receive(&mut [0; 1514]);
    }
    echoes(lab, nic, 8);
}

#[test]
fn a_generation_that_moves_during_an_exchange_fails_cleanly() {
    for posts in 1..12 {
        let (lab, _wire) = Lab::with(&[]);
        let owner = Owner::new(&lab, true);
        let found = lab.owner_msrs();
        let before = lab.counters().posts;
        lab.after_posts(before + posts, |lab| {
            PhysMem::write(lab, GENERATION, &(number(lab, GENERATION) + 1).to_le_bytes()).unwrap();
        });
        let mut nic = guest(&lab);
        let opened = nic.open();
        if opened.is_ok() && !number(&lab, GENERATION).is_multiple_of(2) {
            assert_eq!(nic.set_filter(PacketFilter::BROADCAST), Err(Error::VmbusOwned), "post {posts}");
        }
        let _ = nic.release();
        assert_eq!((got(&lab, 14), got(&lab, 16)), (1, 0), "post {posts}");
        assert_eq!(lab.owner_msrs(), found, "post {posts}");
        assert_eq!(number(&lab, LOCK), 0, "post {posts}");
        drop(owner);
    }
}

#[test]
fn a_record_that_can_not_be_right_is_no_reason_to_attach() {
    for (at, value) in [(ANCHOR + 7, 1_u32), (GENERATION, 1), (GENERATION + 16, 0x6_0000), (ANCHOR + 8, 0x20_0000)] {
        let (lab, _wire) = Lab::with(&[]);
        let owner = Owner::new(&lab, true);
        PhysMem::write(&lab, at, &value.to_le_bytes()).unwrap();
        let found = lab.owner_msrs();
        let posts = lab.counters().posts;
        let mut nic = guest(&lab);
        assert_eq!(nic.open(), Err(Error::VmbusOwned));
        assert_eq!(lab.owner_msrs(), found);
        assert_eq!(lab.counters().posts, posts);
        drop(owner);
    }
}

#[test]
fn an_owner_without_room_for_his_messages_gets_no_guest() {
    let (lab, _wire) = Lab::with(&[]);
    let _owner = Owner::new(&lab, true);
    PhysMem::write(&lab, PUT, &1_u32.to_le_bytes()).unwrap();
    let posts = lab.counters().posts;
    assert_eq!(guest(&lab).open(), Err(Error::OutOfResources));
    assert_eq!(lab.counters().posts, posts);
    assert_eq!(number(&lab, LOCK), 0);
}

#[test]
fn a_channel_that_the_owner_uses_is_not_for_guests() {
    let (lab, wire) = Lab::with(&[]);
    let owner = Owner::new(&lab, true);
    drop(wire);
    for index in 0..4 {
        // user and state of each entry
        let entry = ANCHOR + 32 + 128 + index * 48;
        PhysMem::write(&lab, entry + 40, b"bios\x02").unwrap();
    }
    assert_eq!(guest(&lab).open(), Err(Error::NoNic));
    assert!(owner.is_shared());
    let _ = Wire::echo();
}
