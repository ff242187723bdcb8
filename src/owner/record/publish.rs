//! Publishing our own connection.

use core::mem::offset_of;

use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::{FromZeros, IntoBytes};

use super::OWNER_NAME;
use super::access::{Record, live};
use super::find;
use super::shape::BASE_MEMORY_END;
use crate::error::Error;
use crate::hv::Hypervisor;
use crate::mem::PhysMem;
use crate::vmbus::{Offer, Offers, Terms};
use crate::wire::hv::{HV_X64_MSR_HYPERCALL, HV_X64_MSR_SIMP, VMBUS_SINT};
use crate::wire::vmbs::{
    ANCHOR_SIGNATURE, Anchor, Fixed, Live, OfferEntry, RECORD_SIGNATURE, REVISION, SLOT_LEN, byte_sum, offer_state,
};

/// Channels that we offer at a time (policy: base memory is dear). What we use ourselves is not among them.
const OFFER_COUNT: usize = 4;
/// Message slots that we offer (policy, likewise): what comes unasked is rare, and each call of ours empties them.
const SLOT_COUNT: usize = 1;
/// Where the parts are, from the start of the record.
const LIVE: usize = size_of::<Fixed>();
const OFFERS: usize = LIVE + size_of::<Live>();
const SLOTS: usize = OFFERS + OFFER_COUNT * size_of::<OfferEntry>();
const RECORD_LEN: usize = SLOTS + SLOT_COUNT * SLOT_LEN;
/// What anchor and record take together, in bytes.
pub const PUBLISHED_LEN: usize = size_of::<Anchor>() + RECORD_LEN;

/// Numbers for attached parties (policy: a block apart from ours, which start at 0x52000001).
const FIRST_ID: u32 = 0x5300_0000;
const END_ID: u32 = 0x5400_0000;

/// The record of our own connection. All changes happen under its lock.
pub struct Publisher<M> {
    record: Record<M>,
}

impl<M: PhysMem> Publisher<M> {
    /// Builds the record of a connection under this guest OS id that doesn't stand yet, in [`PUBLISHED_LEN`] bytes of
    /// reserved base memory at `anchor`, a multiple of 16. `serial` differs from the last one's.
    ///
    /// # Errors
    /// What [`PhysMem::write`] returns for that memory.
    pub fn new(memory: &M, anchor: u32, serial: u32, guest_os_id: u64) -> Result<Self, Error> {
        let at = anchor + size_of::<Anchor>() as u32;
        let serial = U32::new(serial | 1);
        let mut fixed = Fixed {
            signature: RECORD_SIGNATURE,
            revision: REVISION,
            length: size_of::<Fixed>() as u8,
            sint: VMBUS_SINT as u8,
            checksum: 0,
            record_length: U32::new(RECORD_LEN as u32),
            serial,
            owner: OWNER_NAME,
            flags: U32::ZERO,
            guest_os_id: U64::new(guest_os_id),
            name: *b"hvpxe\0\0\0\0\0\0\0\0\0\0\0",
            live_offset: U16::new(LIVE as u16),
            live_length: U16::new(size_of::<Live>() as u16),
            offers_offset: U16::new(OFFERS as u16),
            offer_length: size_of::<OfferEntry>() as u8,
            offer_count: OFFER_COUNT as u8,
            slots_offset: U16::new(SLOTS as u16),
            slot_length: U16::new(SLOT_LEN as u16),
            slot_count: SLOT_COUNT as u8,
            reserved: [0; 3],
        };
        fixed.checksum = byte_sum(fixed.as_bytes()).wrapping_neg();
        let mut found = Anchor {
            signature: ANCHOR_SIGNATURE,
            revision: REVISION,
            length: size_of::<Anchor>() as u8,
            checksum: 0,
            record: U32::new(at),
            record_length: fixed.record_length,
            unused: U32::ZERO,
            serial,
            reserved: [0; 8],
        };
        found.checksum = byte_sum(found.as_bytes()).wrapping_neg();
        let live = Live { generation: U32::new(1), ..Live::new_zeroed() };
        memory.write(at, fixed.as_bytes())?;
        memory.write(at + LIVE as u32, live.as_bytes())?;
        memory.write(at + OFFERS as u32, &[0; SLOTS - OFFERS])?;
        // Last: from now on it can be found.
        memory.write(anchor, found.as_bytes())?;
        let record = find::load(memory, anchor, BASE_MEMORY_END, anchor, &(0..0)).ok_or(Error::InvalidParameter)?;
        Ok(Self { record })
    }

    /// The record, for its lock ([`Record::lock`], [`Record::lock_any`]) and its table.
    #[must_use]
    pub const fn record(&self) -> &Record<M> {
        &self.record
    }

    /// To be called before every INITIATE_CONTACT and UNLOAD.
    pub fn ends(&mut self) {
        // It is our own memory: nothing here fails.
        let _ = self.record.end_generation();
        self.renew();
    }

    /// To be called when VERSION_RESPONSE or UNLOAD_RESPONSE has come.
    pub fn settled(&self) {
        let _ = self.record.settle();
    }

    /// True when readers will find this guest OS id to be the connection's.
    #[must_use]
    pub const fn is_of(&self, guest_os_id: u64) -> bool {
        self.record.guest_os_id() == guest_os_id
    }

    /// The connection stands on these terms, its messages go to this virtual processor, the MSRs are as we leave them at
    /// every exit, and these are its offers.
    ///
    /// # Errors
    /// What [`PhysMem::write`] returns.
    pub fn stands<H: Hypervisor>(&mut self, hv: &H, terms: Terms, vp: u32, offers: &Offers) -> Result<(), Error> {
        let record = &self.record;
        record.end_generation()?;
        let before = self.live_now()?;
        let live = Live {
            settled: before.generation,
            version: U32::new(terms.version.0),
            features: U32::ZERO,
            message_connection_id: U32::new(terms.message_connection_id),
            vp: U32::new(vp),
            next_id: U32::new(FIRST_ID),
            end_id: U32::new(END_ID),
            simp: U64::new(hv.read_msr(HV_X64_MSR_SIMP)),
            hypercall: U64::new(hv.read_msr(HV_X64_MSR_HYPERCALL)),
            ..before
        };
        (0..OFFER_COUNT as u32).try_for_each(|index| record.set_state(index, offer_state::EMPTY))?;
        self.offers_changed(offers)?;
        // All of it but generation, lock and beat; then the generation becomes even.
        let first = offset_of!(Live, settled);
        record.write(record.shape.live + first as u32, &live.as_bytes()[first..])?;
        record.set(live!(generation), live.generation.get().wrapping_add(1))?;
        self.renew();
        Ok(())
    }

    /// Brings the table up to date with what the host offers: the channels that we don't use, as many as fit.
    ///
    /// # Errors
    /// What [`PhysMem::write`] returns.
    pub fn offers_changed(&self, offers: &Offers) -> Result<(), Error> {
        let is_free = |offer: &&Offer| !offer.is_open();
        for (index, entry) in self.record.offers() {
            let relid = entry.relid.get();
            if entry.user == [0; 4] {
                if !offers.there().filter(is_free).any(|offer| offer.relid == relid) {
                    self.record.set_state(index, offer_state::EMPTY)?;
                }
            } else if offers.is_gone(relid) {
                self.record.set_state(index, offer_state::RESCINDED)?;
            }
        }
        for offer in offers.there().filter(is_free) {
            if self.record.offers().any(|(_, entry)| entry.relid == offer.relid) {
                continue;
            }
            let mut all = 0..OFFER_COUNT as u32;
            let Some(index) = all.find(|index| self.record.offer(*index).is_none()) else { break };
            let entry = OfferEntry {
                class: offer.class,
                instance: offer.instance,
                relid: U32::new(offer.relid),
                connection_id: U32::new(offer.connection_id),
                user: [0; 4],
                state: offer_state::EMPTY,
                reserved: 0,
                subchannel_index: U16::ZERO,
            };
            self.record.write(self.record.offer_at(index), entry.as_bytes())?;
            // Last: from now on somebody may use it.
            self.record.set_state(index, offer_state::CLOSED)?;
        }
        Ok(())
    }

    /// Takes the oldest message that an attached party kept for us: a slot of the SynIC page. Under the lock.
    #[must_use]
    pub fn take_message(&self) -> Option<[u8; SLOT_LEN]> {
        self.record.take_message()
    }

    /// Removes the record: its memory may be used for something else afterwards.
    pub fn remove(&mut self) {
        self.ends();
        let at = self.record.shape.record;
        let _ = self.record.write(at, &[0; 4]);
        let _ = self.record.write(at - size_of::<Anchor>() as u32, &[0; 5]);
    }

    /// The live part as it is now.
    fn live_now(&self) -> Result<Live, Error> {
        let mut live = Live::new_zeroed();
        self.record.memory.read(self.record.shape.live, live.as_mut_bytes()).map_err(|_| Error::VmbusOwned)?;
        Ok(live)
    }

    /// Takes what is in the live part now for what we know.
    fn renew(&mut self) {
        self.record.live = self.live_now().unwrap_or(self.record.live);
    }
}
