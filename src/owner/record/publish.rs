//! Publishing our own connection.

use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::{FromZeros, IntoBytes};

use super::OWNER_NAME;
use super::access::Record;
use super::find;
use super::shape::BASE_MEMORY_END;
use crate::error::Error;
use crate::mem::PhysMem;
use crate::vmbus::{MAX_OFFERS, Offers};
use crate::wire::hv::{GUEST_OS_ID_HVPXE, VMBUS_SINT};
use crate::wire::vmbs::{
    ANCHOR_SIGNATURE, Anchor, Fixed, Live, OfferEntry, RECORD_SIGNATURE, REVISION, SLOT_LEN, byte_sum, offer_state,
};
use crate::wire::vmbus::Version;

/// Message slots that we offer (policy: what comes unasked during one exchange is rarely more).
const SLOT_COUNT: usize = 2;
/// Where the parts are, from the start of the record.
const LIVE: usize = size_of::<Fixed>();
const OFFERS: usize = LIVE + size_of::<Live>();
const SLOTS: usize = OFFERS + MAX_OFFERS * size_of::<OfferEntry>();
const RECORD_LEN: usize = SLOTS + SLOT_COUNT * SLOT_LEN;
/// What anchor and record take together, in bytes.
pub const PUBLISHED_LEN: usize = size_of::<Anchor>() + RECORD_LEN;

/// Numbers for attached parties (policy: a block apart from ours, which start at 0x52000001).
const FIRST_ID: u32 = 0x5300_0000;
const END_ID: u32 = 0x5400_0000;

/// What others must know of a connection that stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// As negotiated.
    pub version: Version,
    /// Where control messages are posted.
    pub message_connection_id: u32,
    /// Which processor takes them.
    pub vp: u32,
    /// `HV_X64_MSR_SIMP` as we leave it at every exit.
    pub simp: u64,
    /// `HV_X64_MSR_HYPERCALL` likewise.
    pub hypercall: u64,
}

/// The record of our own connection. All changes happen under its lock.
pub struct Publisher<M> {
    record: Record<M>,
}

impl<M: PhysMem> Publisher<M> {
    /// Builds the record of a connection that doesn't stand yet, in [`PUBLISHED_LEN`] bytes of reserved base memory at
    /// `anchor`, a multiple of 16. `serial` differs from the last one's.
    ///
    /// # Errors
    /// What [`PhysMem::write`] returns for that memory.
    pub fn new(memory: &M, anchor: u32, serial: u32) -> Result<Self, Error> {
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
            guest_os_id: U64::new(GUEST_OS_ID_HVPXE),
            name: *b"hvpxe\0\0\0\0\0\0\0\0\0\0\0",
            live_offset: U16::new(LIVE as u16),
            live_length: U16::new(size_of::<Live>() as u16),
            offers_offset: U16::new(OFFERS as u16),
            offer_length: size_of::<OfferEntry>() as u8,
            offer_count: MAX_OFFERS as u8,
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
            entry_offset: U16::ZERO,
            entry_segment: U16::ZERO,
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

    /// The record, for its lock ([`Record::lock_any`]).
    #[must_use]
    pub const fn record(&self) -> &Record<M> {
        &self.record
    }

    /// True while nobody raised the generation but us: nobody who knows the record took VMBus.
    #[must_use]
    pub fn is_current(&self) -> bool {
        self.record.is_current()
    }

    /// To be called before every INITIATE_CONTACT and UNLOAD.
    pub fn ends(&mut self) {
        // It is our own memory: nothing here fails.
        let _ = self.record.end_generation();
        self.record.renew();
    }

    /// To be called when VERSION_RESPONSE or UNLOAD_RESPONSE has come.
    pub fn settled(&self) {
        let _ = self.record.settle();
    }

    /// The connection stands, and these are its offers.
    ///
    /// # Errors
    /// What [`PhysMem::write`] returns.
    pub fn stands(&mut self, standing: &Standing, offers: &Offers) -> Result<(), Error> {
        self.record.end_generation()?;
        let before = self.record.live_now()?;
        let live = Live {
            settled: before.generation,
            version: U32::new(standing.version.0),
            features: U32::ZERO,
            message_connection_id: U32::new(standing.message_connection_id),
            vp: U32::new(standing.vp),
            next_id: U32::new(FIRST_ID),
            end_id: U32::new(END_ID),
            simp: U64::new(standing.simp),
            hypercall: U64::new(standing.hypercall),
            ..before
        };
        self.record.set_state_of_all(offer_state::EMPTY)?;
        self.offers_changed(offers)?;
        self.record.begin_generation(&live)?;
        self.record.renew();
        Ok(())
    }

    /// Brings the table up to date with what the host offers, and which channels of it we have open.
    ///
    /// # Errors
    /// What [`PhysMem::write`] returns.
    pub fn offers_changed(&self, offers: &Offers) -> Result<(), Error> {
        for (index, entry) in self.record.offers() {
            if offers.is_gone(entry.relid.get()) {
                let gone = if is_others(&entry) { offer_state::RESCINDED } else { offer_state::EMPTY };
                self.record.set_state(index, gone)?;
            }
        }
        for offer in offers.there() {
            let known = self.record.offers().find(|(_, entry)| entry.relid == offer.relid);
            if known.is_some_and(|(_, entry)| is_others(&entry)) {
                continue;
            }
            let free = || (0..MAX_OFFERS as u32).find(|index| self.record.offer(*index).is_none());
            let Some(index) = known.map(|(index, _)| index).or_else(free) else { continue };
            let (user, state) =
                if offer.is_open() { (OWNER_NAME, offer_state::OPEN) } else { ([0; 4], offer_state::CLOSED) };
            self.record.write_offer(
                index,
                &OfferEntry {
                    class: offer.class,
                    instance: offer.instance,
                    relid: U32::new(offer.relid),
                    connection_id: U32::new(offer.connection_id),
                    user,
                    state,
                    reserved: 0,
                    subchannel_index: U16::ZERO,
                },
            )?;
        }
        Ok(())
    }

    /// True when somebody else has channels open on our connection: then it must not end without need.
    #[must_use]
    pub fn is_shared(&self) -> bool {
        self.record.offers().any(|(_, entry)| is_others(&entry))
    }

    /// Takes the oldest message that an attached party kept for us: a slot of the SynIC page.
    #[must_use]
    pub fn take_message(&self) -> Option<[u8; SLOT_LEN]> {
        self.record.take_message()
    }

    /// Removes the record: its memory may be used for something else afterwards.
    pub fn remove(mut self) {
        self.ends();
        self.record.wipe(size_of::<Anchor>() as u32);
    }
}

/// True for a channel that an attached party uses.
fn is_others(entry: &OfferEntry) -> bool {
    entry.user != OWNER_NAME && entry.user != [0; 4]
}
