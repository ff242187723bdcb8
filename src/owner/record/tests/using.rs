//! Lock, numbers, channels and messages of a record; and records whose bytes are anything.

use proptest::prelude::*;

use super::*;
use crate::wire::vmbs::SLOT_LEN;

#[test]
fn numbers_are_given_once_and_come_to_an_end() {
    let (ram, hv) = example_machine();
    let record = find(&hv, &ram).unwrap();
    record.lock(&hv).unwrap();
    assert_eq!(record.take_ids(2), Ok(0x6000_0000));
    assert_eq!(record.take_ids(1), Ok(0x6000_0002));
    ram.poke(RECORD + 64 + 32, &0x6000_fffeu32.to_le_bytes());
    assert_eq!(record.take_ids(3), Err(Error::OutOfResources));
    assert_eq!(record.take_ids(2), Ok(0x6000_fffe));
    assert_eq!(record.take_ids(1), Err(Error::OutOfResources));
    ram.poke(RECORD + 64 + 32, &[0xff; 8]);
    assert_eq!(record.take_ids(1), Err(Error::OutOfResources));
}

#[test]
fn a_channel_is_claimed_by_one_party() {
    let (ram, hv) = example_machine();
    let record = find(&hv, &ram).unwrap();
    record.lock(&hv).unwrap();
    assert_eq!(record.claim(0, 5), Err(Error::VmbusOwned), "the owner's disk controller");
    assert_eq!(record.claim(1, 5), Err(Error::NicGone), "another entry");
    assert_eq!(record.claim(2, 6), Err(Error::NicGone), "an empty entry");
    record.claim(1, 6).unwrap();
    assert_eq!(record.claim(1, 6), Err(Error::VmbusOwned));
    let mine = OfferEntry { user: *b"hvpa", state: offer_state::OPEN, ..offers()[1] };
    assert_eq!(ram.peek(RECORD + 128 + 48, 48), mine.as_bytes());
    record.give_back(0, 5).unwrap();
    record.give_back(1, 6).unwrap();
    assert_eq!(ram.peek(RECORD + 128, 96), offers().as_bytes());
    record.claim(1, 6).unwrap();
    record.note_rescind(6).unwrap();
    assert_eq!(record.offer(1).unwrap().state, offer_state::RESCINDED);
}

#[test]
fn messages_for_the_owner_keep_their_order_and_none_is_lost() {
    let (ram, hv) = example_machine();
    let record = find(&hv, &ram).unwrap();
    let first: [u8; SLOT_LEN] = ram.peek(RECORD + 272, SLOT_LEN).try_into().unwrap();
    assert_eq!(record.room(), 1);
    record.put_message(&[1; SLOT_LEN]).unwrap();
    assert_eq!(record.room(), 0);
    assert_eq!(record.put_message(&[2; SLOT_LEN]), Err(Error::OutOfResources));
    assert_eq!(record.take_message(), Some(first));
    record.put_message(&[3; SLOT_LEN]).unwrap();
    assert_eq!(record.take_message(), Some([1; SLOT_LEN]));
    assert_eq!(record.take_message(), Some([3; SLOT_LEN]));
    assert_eq!(record.take_message(), None);
    // Counters wrap.
    ram.poke(RECORD + 64 + 56, &[0xff; 8]);
    record.put_message(&[4; SLOT_LEN]).unwrap();
    assert_eq!((ram.live(RECORD + 64).put.get(), record.take_message()), (0, Some([4; SLOT_LEN])));
    // Nonsense is not believed.
    ram.poke(RECORD + 64 + 56, &77u32.to_le_bytes());
    assert_eq!((record.room(), record.take_message()), (0, None));
}

#[test]
fn the_lock_is_waited_for_and_a_stale_one_is_broken() {
    let (ram, hv) = example_machine();
    let record = find(&hv, &ram).unwrap();
    record.lock(&hv).unwrap();
    assert_ne!(ram.live(RECORD + 64).lock, 0);
    record.unlock();
    assert_eq!(ram.live(RECORD + 64).lock, 0);

    // A holder that lives, and lets go after three seconds.
    ram.poke(RECORD + 68, &9u32.to_le_bytes());
    let (holder, mut waits) = (ram.clone(), 0);
    *hv.while_waiting.borrow_mut() = Some(Box::new(move || {
        waits += 1;
        if waits == 300 {
            holder.poke(RECORD + 68, &[0; 4]);
        }
    }));
    let before = hv.now();
    record.lock(&hv).unwrap();
    assert!((3_000..3_100).contains(&hv.now().millis_since(before)));
    record.unlock();

    // One that died.
    *hv.while_waiting.borrow_mut() = None;
    ram.poke(RECORD + 68, &9u32.to_le_bytes());
    let before = hv.now();
    record.lock(&hv).unwrap();
    assert!((15_000..15_100).contains(&hv.now().millis_since(before)));
    record.unlock();

    // One that lives and never lets go.
    let (holder, mut beat) = (ram.clone(), 0u32);
    ram.poke(RECORD + 68, &9u32.to_le_bytes());
    *hv.while_waiting.borrow_mut() = Some(Box::new(move || {
        beat += 1;
        holder.poke(RECORD + 72, &(beat / 50).to_le_bytes());
    }));
    let before = hv.now();
    assert_eq!(record.lock(&hv), Err(Error::HostTimeout));
    assert!((20_000..20_100).contains(&hv.now().millis_since(before)));
    assert_eq!(ram.live(RECORD + 64).lock, 9);
}

#[test]
fn a_generation_that_moves_under_the_lock_stops_everything() {
    let (ram, hv) = example_machine();
    let record = find(&hv, &ram).unwrap();
    record.lock(&hv).unwrap();
    ram.poke(RECORD + 64, &3u32.to_le_bytes());
    assert!(!record.is_current());
    assert_eq!(record.take_ids(1), Err(Error::VmbusOwned));
    assert_eq!(record.claim(1, 6), Err(Error::VmbusOwned));
    assert_eq!(record.give_back(1, 6), Err(Error::VmbusOwned));
    assert_eq!(record.put_message(&[1; SLOT_LEN]), Err(Error::VmbusOwned));
    assert_eq!(ram.peek(RECORD + 128, 96), offers().as_bytes());
    record.unlock();
    assert_eq!(record.lock(&hv), Err(Error::VmbusOwned));
    assert_eq!(ram.live(RECORD + 64).lock, 0, "not kept");
    assert!(!record.is_settled());
    ram.poke(RECORD + 64 + 12, &3u32.to_le_bytes());
    assert!(record.is_settled(), "the host answered INITIATE_CONTACT");
}

#[test]
fn a_record_that_was_overwritten_is_not_current() {
    let (ram, hv) = example_machine();
    let record = find(&hv, &ram).unwrap();
    ram.poke(RECORD, &[0; 64]);
    assert!(!record.is_current());
}

#[test]
fn a_record_that_cannot_be_written_cannot_be_locked() {
    let (mut ram, hv) = example_machine();
    ram.read_only = RECORD..0x10_0000;
    let record = find(&hv, &ram).unwrap();
    assert_eq!(record.lock(&hv), Err(Error::VmbusOwned));
}

/// What stands after a change of some bytes is refused, or is sound: nothing is touched outside the record.
fn use_it(hv: &Hv, ram: &Ram) -> Result<(), TestCaseError> {
    let before = ram.bytes.borrow().clone();
    let Some(record) = find(hv, ram) else { return Ok(()) };
    let extent = {
        let at = |offset: u32| u32::from_le_bytes(ram.peek(offset, 4).try_into().unwrap());
        at(ANCHOR + 8)..at(ANCHOR + 8) + at(ANCHOR + 12)
    };
    for (index, entry) in record.offers() {
        let _ = record.claim(index, entry.relid.get());
        let _ = record.note_rescind(entry.relid.get());
        let _ = record.give_back(index, entry.relid.get());
    }
    let start = hv.now();
    if record.lock(hv).is_ok() {
        let _ = record.take_ids(3);
        let _ = record.put_message(&[1; SLOT_LEN]);
        let _ = record.take_message();
        let _ = record.end_generation();
        let _ = record.settle();
        record.unlock();
    }
    prop_assert!(hv.now().millis_since(start) < 21_000);
    let after = ram.bytes.borrow();
    let outside = |at: &usize| !extent.contains(&(*at as u32));
    prop_assert!((0..before.len()).filter(outside).all(|at| before[at] == after[at]));
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    /// Any bytes in anchor and record, their checksums made right: refused or used, never beyond their bounds.
    #[test]
    fn hostile_bytes_do_no_harm(
        anchor_bytes in prop::collection::vec((5..32usize, any::<u8>()), 0..3),
        record_bytes in prop::collection::vec((0..784usize, any::<u8>()), 0..8),
        fixed_bytes in prop::collection::vec((4..64usize, any::<u8>()), 0..3),
    ) {
        let (ram, hv) = example_machine();
        let (mut anchor, mut record) = example();
        anchor_bytes.iter().for_each(|&(at, byte)| anchor[at] = byte);
        record_bytes.iter().chain(&fixed_bytes).for_each(|&(at, byte)| record[at] = byte);
        ram.poke(ANCHOR, &sealed(anchor));
        let (fixed, rest) = record.split_at(64);
        ram.poke(RECORD, &[&sealed(fixed.to_vec())[..], rest].concat());
        // MSRs that agree, so that the rest is looked at.
        let live = ram.live(RECORD + 64);
        hv.write_msr(HV_X64_MSR_SIMP, live.simp.get());
        hv.write_msr(HV_X64_MSR_HYPERCALL, live.hypercall.get());
        use_it(&hv, &ram)?;
    }
}
