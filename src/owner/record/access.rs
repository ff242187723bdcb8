//! Using a record: generation, lock, numbers, channels and messages.

use core::mem::offset_of;

use zerocopy::little_endian::U32;
use zerocopy::{FromZeros, IntoBytes};

use super::USER_NAME;
use super::find::MAX_CONNECTION_ID;
use super::shape::Shape;
use crate::error::Error;
use crate::hv::Hypervisor;
use crate::mem::PhysMem;
use crate::wire::hv::{HV_X64_MSR_HYPERCALL, HV_X64_MSR_SIMP};
use crate::wire::vmbs::{Fixed, Live, MAX_RELID, OfferEntry, SLOT_LEN, offer_state};
use crate::wire::vmbus::Version;

/// A lock that was held by one and the same for so long is stale, in milliseconds (docs/vmbs.md, "Lock").
const STALE_MS: u64 = 15_000;
/// How long we wait for a holder that lives, in milliseconds (policy: twice the time that a job may take).
const LOCK_MS: u64 = 20_000;
/// What we write into the lock.
const HOLDER: u32 = u32::from_le_bytes(USER_NAME);

/// A record whose fixed part was checked, and the generation at which it was read.
#[derive(Clone)]
pub struct Record<M> {
    pub(super) memory: M,
    pub(super) shape: Shape,
    pub(super) fixed: Fixed,
    pub(super) live: Live,
}

macro_rules! live {
    ($field:ident) => {
        core::mem::offset_of!(crate::wire::vmbs::Live, $field) as u32
    };
}
#[cfg(feature = "disk")]
pub(super) use live;

impl<M: PhysMem> Record<M> {
    pub(super) const fn new(memory: M, shape: Shape, fixed: Fixed, live: Live) -> Self {
        Self { memory, shape, fixed, live }
    }

    pub(super) const fn fixed(&self) -> &Fixed {
        &self.fixed
    }

    /// What the live part was when the record was read. Version, connection id and MSRs hold as long as the record
    /// [is current](Self::is_current); counters and lock change all the time.
    #[must_use]
    pub const fn live(&self) -> &Live {
        &self.live
    }

    /// The owner's name for people; what isn't ASCII is left out.
    #[must_use]
    pub fn owner(&self) -> &str {
        let name = &self.fixed.name;
        let end = name.iter().position(|byte| !(b' '..=b'~').contains(byte)).unwrap_or(name.len());
        str::from_utf8(&name[..end]).unwrap_or_default()
    }

    /// The owner's guest OS id.
    #[must_use]
    pub const fn guest_os_id(&self) -> u64 {
        self.fixed.guest_os_id.get()
    }

    /// The version of the connection.
    #[must_use]
    pub const fn version(&self) -> Version {
        Version(self.live.version.get())
    }

    /// True while the connection is the one that the record was read for. Two short reads of memory, no exit.
    #[must_use]
    pub fn is_current(&self) -> bool {
        let mut serial = U32::ZERO;
        let at = self.shape.record + offset_of!(Fixed, serial) as u32;
        self.memory.read(at, serial.as_mut_bytes()).is_ok()
            && serial == self.fixed.serial
            && self.get(live!(generation)) == Ok(self.live.generation.get())
    }

    /// True while the connection is that one, and the MSRs are as its owner left them: those who know no record show only
    /// there. Two exits.
    pub fn holds<H: Hypervisor>(&self, hv: &H) -> bool {
        self.is_current()
            && hv.read_msr(HV_X64_MSR_HYPERCALL) == self.live.hypercall.get()
            && hv.read_msr(HV_X64_MSR_SIMP) == self.live.simp.get()
    }

    /// True when the host has let go of all memory that was shared on the connection that the record was read for.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        let generation = self.live.generation.get();
        self.get(live!(settled)).is_ok_and(|settled| settled.wrapping_sub(generation).cast_signed() > 0)
    }

    /// Takes the lock, if the connection is still the one that we know.
    ///
    /// # Errors
    /// [`Error::VmbusOwned`] when it isn't, or the record can't be written; [`Error::HostTimeout`] when the holder of the
    /// lock keeps it.
    pub fn lock<H: Hypervisor>(&self, hv: &H) -> Result<(), Error> {
        self.lock_any(hv)?;
        if self.is_current() {
            return Ok(());
        }
        self.unlock();
        Err(Error::VmbusOwned)
    }

    /// Takes the lock, whatever became of the connection; breaks it when its holder is gone.
    ///
    /// # Errors
    /// As [`lock`](Self::lock).
    pub fn lock_any<H: Hypervisor>(&self, hv: &H) -> Result<(), Error> {
        let deadline = hv.now().plus_millis(LOCK_MS);
        let (mut seen, mut since) = (None, hv.now());
        loop {
            let now = (self.get(live!(lock))?, self.get(live!(beat))?);
            if seen != Some(now) {
                (seen, since) = (Some(now), hv.now());
            }
            let (holder, _) = now;
            let stale = hv.now() >= since.plus_millis(STALE_MS);
            if (holder == 0 || stale)
                && self.memory.compare_exchange(self.shape.live + live!(lock), holder, HOLDER)? == holder
            {
                break;
            }
            if hv.now() >= deadline {
                return Err(Error::HostTimeout);
            }
            hv.relax();
        }
        // In memory that is write-protected the exchange seems to succeed.
        if self.get(live!(lock))? != HOLDER {
            return Err(Error::VmbusOwned);
        }
        self.set(live!(beat), self.get(live!(beat))?.wrapping_add(1))
    }

    /// Frees the lock, if it is still ours.
    pub fn unlock(&self) {
        let _ = self.memory.compare_exchange(self.shape.live + live!(lock), HOLDER, 0);
    }

    /// The first of `count` numbers for GPADLs and opens. Under the lock.
    ///
    /// # Errors
    /// [`Error::OutOfResources`] when there are no more, [`Error::VmbusOwned`].
    pub fn take_ids(&self, count: u32) -> Result<u32, Error> {
        self.ensure_current()?;
        let (next, end) = (self.get(live!(next_id))?, self.get(live!(end_id))?);
        match next.checked_add(count) {
            Some(after) if after <= end => {
                self.set(live!(next_id), after)?;
                Ok(next)
            }
            _ => Err(Error::OutOfResources),
        }
    }

    /// The entries of the table that can be right, with their numbers.
    pub fn offers(&self) -> impl Iterator<Item = (u32, OfferEntry)> {
        (0..self.shape.offer_count).filter_map(|index| Some((index, self.offer(index)?)))
    }

    /// Entry number `index`, if it is one.
    #[inline(never)]
    pub(super) fn offer(&self, index: u32) -> Option<OfferEntry> {
        let mut entry = OfferEntry::new_zeroed();
        self.memory.read(self.offer_at(index), entry.as_mut_bytes()).ok()?;
        let sound = (offer_state::CLOSED..=offer_state::RESCINDED).contains(&entry.state)
            && (1..=MAX_RELID).contains(&entry.relid.get())
            && (1..=MAX_CONNECTION_ID).contains(&entry.connection_id.get());
        sound.then_some(entry)
    }

    /// Table and counters make sense as a whole.
    pub(super) fn is_sound(&self) -> bool {
        let mut seen = [0; MAX_RELID as usize / 32 + 1];
        let unique = self.offers().all(|(_, entry)| {
            let relid = entry.relid.get();
            let word: &mut u32 = &mut seen[relid as usize / 32];
            let is_new = *word >> (relid % 32) & 1 == 0;
            *word |= 1 << (relid % 32);
            is_new
        });
        unique && self.live.put.get().wrapping_sub(self.live.taken.get()) <= self.shape.slot_count
    }

    /// Makes the channel of an entry ours. Under the lock, before anything is posted for it.
    ///
    /// # Errors
    /// [`Error::VmbusOwned`] when somebody uses it, or the connection is another one; [`Error::NicGone`] when the entry
    /// is another one.
    pub fn claim(&self, index: u32, relid: u32) -> Result<(), Error> {
        self.ensure_current()?;
        let entry = self.offer(index).filter(|entry| entry.relid == relid).ok_or(Error::NicGone)?;
        if entry.state != offer_state::CLOSED || entry.user != [0; 4] {
            return Err(Error::VmbusOwned);
        }
        self.write(self.offer_at(index) + offset_of!(OfferEntry, user) as u32, &USER_NAME)?;
        self.set_state(index, offer_state::OPEN)
    }

    /// Gives the channel back that we [claimed](Self::claim), after the host let go of its memory. Under the lock.
    ///
    /// # Errors
    /// [`Error::VmbusOwned`] when the connection is another one.
    pub fn give_back(&self, index: u32, relid: u32) -> Result<(), Error> {
        self.ensure_current()?;
        if let Some(entry) = self.offer(index).filter(|entry| entry.relid == relid && entry.user == USER_NAME) {
            if entry.state == offer_state::OPEN {
                self.set_state(index, offer_state::CLOSED)?;
            }
            self.write(self.offer_at(index) + offset_of!(OfferEntry, user) as u32, &[0; 4])?;
        }
        Ok(())
    }

    /// Notes that the host took a channel back that is open. Under the lock.
    ///
    /// # Errors
    /// [`Error::VmbusOwned`] when the connection is another one.
    pub fn note_rescind(&self, relid: u32) -> Result<(), Error> {
        self.ensure_current()?;
        let open = self.offers().find(|(_, entry)| entry.relid == relid && entry.state == offer_state::OPEN);
        open.map_or(Ok(()), |(index, _)| self.set_state(index, offer_state::RESCINDED))
    }

    pub(super) fn set_state(&self, index: u32, state: u8) -> Result<(), Error> {
        self.write(self.offer_at(index) + offset_of!(OfferEntry, state) as u32, &[state])
    }

    /// How many messages there is room for. Without any no exchange should begin.
    #[must_use]
    pub fn room(&self) -> u32 {
        self.waiting().map_or(0, |waiting| self.shape.slot_count - waiting)
    }

    /// Keeps a message for the owner: a whole slot of the SynIC page. Under the lock.
    ///
    /// # Errors
    /// [`Error::OutOfResources`] when there is no room: then the message must stay where it is. [`Error::VmbusOwned`].
    pub fn put_message(&self, slot: &[u8; SLOT_LEN]) -> Result<(), Error> {
        self.ensure_current()?;
        if self.waiting()? >= self.shape.slot_count {
            return Err(Error::OutOfResources);
        }
        let put = self.get(live!(put))?;
        self.write(self.slot_at(put), slot)?;
        self.set(live!(put), put.wrapping_add(1))
    }

    /// Takes the oldest message that somebody kept for the owner. For him, under the lock.
    #[cfg(feature = "disk")]
    pub(super) fn take_message(&self) -> Option<[u8; SLOT_LEN]> {
        if self.waiting().ok()? == 0 {
            return None;
        }
        let taken = self.get(live!(taken)).ok()?;
        let mut slot = [0; SLOT_LEN];
        self.memory.read(self.slot_at(taken), &mut slot).ok()?;
        self.set(live!(taken), taken.wrapping_add(1)).ok()?;
        Some(slot)
    }

    /// Messages in the slots.
    fn waiting(&self) -> Result<u32, Error> {
        let waiting = self.get(live!(put))?.wrapping_sub(self.get(live!(taken))?);
        if waiting > self.shape.slot_count { Err(Error::VmbusOwned) } else { Ok(waiting) }
    }

    /// Says that the connection ends: before INITIATE_CONTACT and UNLOAD, the owner's or ours. Under the lock.
    ///
    /// # Errors
    /// [`Error::VmbusOwned`] when the record can't be written.
    pub fn end_generation(&self) -> Result<(), Error> {
        let generation = self.get(live!(generation))?;
        self.set(live!(generation), (generation | 1).wrapping_add(if generation.is_multiple_of(2) { 0 } else { 2 }))
    }

    /// Says that the host has let go of what was shared up to now: at VERSION_RESPONSE and UNLOAD_RESPONSE.
    ///
    /// # Errors
    /// [`Error::VmbusOwned`] when the record can't be written.
    pub fn settle(&self) -> Result<(), Error> {
        self.set(live!(settled), self.get(live!(generation))?)
    }

    fn ensure_current(&self) -> Result<(), Error> {
        if self.is_current() { Ok(()) } else { Err(Error::VmbusOwned) }
    }

    pub(super) const fn offer_at(&self, index: u32) -> u32 {
        self.shape.offers + index * self.shape.offer_length
    }

    const fn slot_at(&self, number: u32) -> u32 {
        self.shape.slots + number % self.shape.slot_count * self.shape.slot_length
    }

    #[inline(never)]
    pub(super) fn get(&self, offset: u32) -> Result<u32, Error> {
        let mut value = U32::ZERO;
        self.memory.read(self.shape.live + offset, value.as_mut_bytes()).map_err(|_| Error::VmbusOwned)?;
        Ok(value.get())
    }

    #[inline(never)]
    pub(super) fn set(&self, offset: u32, value: u32) -> Result<(), Error> {
        self.write(self.shape.live + offset, &value.to_le_bytes())
    }

    #[inline(never)]
    pub(super) fn write(&self, at: u32, bytes: &[u8]) -> Result<(), Error> {
        self.memory.write(at, bytes).map_err(|_| Error::VmbusOwned)
    }
}
