//! Our own record, as others see it.

use super::*;
use crate::owner::record::{PUBLISHED_LEN, Publisher};
use crate::vmbus::{Offers, Terms};
use crate::wire::hv::GUEST_OS_ID_HVPXE;
use crate::wire::vmbs::SLOT_LEN;
use crate::wire::vmbus::{Header, OfferChannel, Version, message_type};

/// A connection of ours, on processor 0.
const TERMS: Terms = Terms { version: Version::V5_3, message_connection_id: 4 };

fn offered(cards: &[u32]) -> Offers {
    let mut offers = Offers::new();
    for relid in cards {
        let mut bytes = [0; size_of::<OfferChannel>()];
        bytes[8..24].copy_from_slice(&CLASS_NETWORK.0);
        bytes[24..40].fill(*relid as u8);
        bytes[184..188].copy_from_slice(&relid.to_le_bytes());
        bytes[192..196].copy_from_slice(&(0x2000 + relid).to_le_bytes());
        let mut message = OfferChannel::read_from_bytes(&bytes).unwrap();
        message.header = Header::new(message_type::OFFERCHANNEL);
        offers.add(&message);
    }
    offers
}

const OURS: u32 = 0x9_f400;

fn published() -> (Ram, Hv, Publisher<Ram>) {
    let (ram, hv) = (Ram::new(), Hv::with(GUEST_OS_ID_HVPXE, 0xbffe_1001, 0x7000));
    let publisher = Publisher::new(&ram, OURS, 0x77, GUEST_OS_ID_HVPXE).unwrap();
    (ram, hv, publisher)
}

#[test]
fn what_we_publish_is_found_while_the_connection_stands() {
    let (ram, hv, mut publisher) = published();
    assert!(find(&hv, &ram).is_none(), "no connection yet");
    publisher.ends();
    publisher.settled();
    publisher.stands(&hv, TERMS, 0, &offered(&[6, 7])).unwrap();
    let record = find(&hv, &ram).unwrap();
    assert_eq!(record.owner(), "hvpxe");
    assert_eq!(record.live().message_connection_id, 4);
    assert_eq!(record.offers().map(|(_, entry)| entry.relid.get()).collect::<Vec<_>>(), [6, 7]);
    publisher.ends();
    assert!(!record.is_current() && !record.is_settled());
    publisher.settled();
    assert!(record.is_settled());
    assert!(find(&hv, &ram).is_none());
    publisher.stands(&hv, TERMS, 0, &offered(&[7])).unwrap();
    assert!(!record.is_current());
    assert_eq!(find(&hv, &ram).unwrap().offers().count(), 1);
    publisher.remove();
    assert!(find(&hv, &ram).is_none());
    assert!(!ram.peek(OURS, PUBLISHED_LEN).windows(5).any(|bytes| bytes == b"$VMBS"));
    assert!(ram.peek(OURS + PUBLISHED_LEN as u32, 256).iter().all(|&byte| byte == 0), "stays in its place");
}

#[test]
fn an_attached_party_keeps_its_channel_when_offers_come_and_go() {
    let (ram, hv, mut publisher) = published();
    publisher.stands(&hv, TERMS, 0, &offered(&[6, 7])).unwrap();
    let guest = find(&hv, &ram).unwrap();
    guest.lock(&hv).unwrap();
    assert_eq!(guest.take_ids(1), Ok(0x5300_0000));
    guest.claim(0, 6).unwrap();
    guest.put_message(&[5; SLOT_LEN]).unwrap();
    guest.unlock();
    assert_eq!(publisher.take_message(), Some([5; SLOT_LEN]));
    publisher.offers_changed(&offered(&[6, 9])).unwrap();
    let table = |record: &Record<Ram>| {
        record.offers().map(|(_, entry)| (entry.relid.get(), entry.user, entry.state)).collect::<Vec<_>>()
    };
    assert_eq!(table(&guest), [(6, *b"hvpa", offer_state::OPEN), (9, NOBODY, offer_state::CLOSED)]);
    publisher.offers_changed(&offered(&[9])).unwrap();
    assert_eq!(table(&guest), [(6, *b"hvpa", offer_state::RESCINDED), (9, NOBODY, offer_state::CLOSED)]);
    guest.give_back(0, 6).unwrap();
    publisher.offers_changed(&offered(&[9])).unwrap();
    assert_eq!(table(&guest), [(9, NOBODY, offer_state::CLOSED)]);
}

#[test]
fn a_taker_that_knows_the_record_shows() {
    let (ram, hv, mut publisher) = published();
    publisher.stands(&hv, TERMS, 0, &offered(&[6])).unwrap();
    let taker = find(&hv, &ram).unwrap();
    taker.lock(&hv).unwrap();
    taker.end_generation().unwrap();
    taker.settle().unwrap();
    taker.unlock();
    assert!(!publisher.record().is_current());
    publisher.record().lock_any(&hv).unwrap();
    publisher.ends();
    publisher.stands(&hv, TERMS, 0, &offered(&[6])).unwrap();
    publisher.record().unlock();
    assert!(publisher.record().is_current());
    assert_eq!(ram.live(OURS + 96).generation.get() % 2, 0);
}

#[test]
fn whoever_takes_vmbus_says_so_in_every_record() {
    let (ram, hv) = example_machine();
    let other = find(&hv, &ram).unwrap();
    let mut publisher = Publisher::new(&ram, OURS, 0x77, GUEST_OS_ID_HVPXE).unwrap();
    publisher.stands(&hv, TERMS, 0, &offered(&[6])).unwrap();
    Record::end_all(&hv, &ram, &(0..0));
    assert!(!other.is_current() && !publisher.record().is_current());
    assert!(!other.is_settled() && !publisher.record().is_settled());
    assert!(find(&hv, &ram).is_none());
    Record::settle_all(&ram, &(0..0));
    assert!(other.is_settled() && publisher.record().is_settled());
    assert_eq!((ram.live(RECORD + 64).lock.get(), ram.live(OURS + 96).lock.get()), (0, 0));
    publisher.stands(&hv, TERMS, 0, &offered(&[6])).unwrap();
    Record::end_all(&hv, &ram, &(OURS..OURS + PUBLISHED_LEN as u32));
    assert!(publisher.record().is_current(), "our own is another matter");
}

#[test]
fn more_channels_than_fit_are_left_out_until_there_is_room() {
    let (ram, hv, mut publisher) = published();
    publisher.stands(&hv, TERMS, 0, &offered(&[6, 7, 8, 9, 10])).unwrap();
    let relids = || find(&hv, &ram).unwrap().offers().map(|(_, entry)| entry.relid.get()).collect::<Vec<_>>();
    assert_eq!(relids(), [6, 7, 8, 9]);
    publisher.offers_changed(&offered(&[6, 8, 9, 10])).unwrap();
    assert_eq!(relids(), [6, 10, 8, 9]);
}

#[test]
fn a_record_of_another_guest_os_id_is_not_ours_to_keep() {
    let (_, _, publisher) = published();
    assert!(publisher.is_of(GUEST_OS_ID_HVPXE) && !publisher.is_of(1));
}
