//! Being a guest on the connection that somebody else made and published (docs/vmbs.md).
//!
//! A guest posts GPADLs, opens and closes for its own channel, and nothing else. It does so under the record's lock, with
//! numbers of its own, and hands over the owner's messages that it finds on the way.

use super::Platform;
use super::arbiter::Arbiter;
use super::record::Record;
use super::standing::{Company, Event};
use crate::error::Error;
use crate::hv::{Partition, Sharing, detect};
use crate::vmbus::{Connection, Offer, Terms};
use crate::wire::vmbs::{OfferEntry, offer_state};
use crate::wire::vmbus::{Header, RelidMessage, message_type};

/// Numbers for the GPADLs and opens of one exchange (policy: a card takes four, and a machine has eight cards).
const IDS: u32 = 32;

impl<H: Platform> Arbiter<H> {
    /// Becomes the guest of an owner that published its connection. False when there is none.
    ///
    /// # Errors
    /// As [`detect`], [`Partition::claim`].
    pub(super) fn attach(&mut self) -> Result<bool, Error> {
        let vp = detect(&self.hv)?.vp_index(&self.hv);
        let Some(record) = Record::find(&self.hv, &self.hv, vp, &self.hv.own_low_memory()) else { return Ok(false) };
        let connection = match &mut self.connection {
            Some(connection) => connection,
            none => none.insert(Connection::new(&self.hv, Partition::claim_beside(&self.hv, Sharing::Guest)?)),
        };
        let terms =
            Terms { version: record.version(), message_connection_id: record.live().message_connection_id.get() };
        // Ours ended every record's generation: this connection is a later one, and the host has let go of what we had.
        connection.settle();
        connection.join(terms, record.offers().filter_map(|(_, entry)| usable(&entry)));
        connection.partition().note_synic();
        self.record = Some(record);
        self.connects = self.connects.wrapping_add(1);
        self.advance(Event::Connected(Company::Host));
        Ok(true)
    }
}

/// A channel that nobody uses.
fn usable(entry: &OfferEntry) -> Option<Offer> {
    let is_free = entry.state == offer_state::CLOSED && entry.user == [0; 4] && entry.subchannel_index == 0;
    is_free.then(|| Offer::new(entry.class, entry.instance, entry.relid.get(), entry.connection_id.get()))
}

/// Runs `work` with the message page in place; for a guest under the lock of the record.
///
/// # Errors
/// As [`Record::lock`], [`Record::take_ids`] and [`Connection::with_synic`]; [`Error::OutOfResources`] when the owner has
/// no room for his messages.
pub(super) fn exchange<H: Platform, T>(
    connection: &mut Connection<H>,
    record: Option<&Record<H>>,
    work: impl FnOnce(&mut Connection<H>) -> Result<T, Error>,
) -> Result<T, Error> {
    let Some(record) = record else { return connection.with_synic(work) };
    record.lock(connection.hv())?;
    let result = match (record.room() as usize, record.take_ids(IDS)) {
        (0, _) => Err(Error::OutOfResources),
        (room, Ok(first)) => {
            connection.set_aside(first, room);
            // The message may have been taken by somebody else.
            let rescinded = record.offers().filter(|(_, entry)| entry.state == offer_state::RESCINDED);
            rescinded.for_each(|(_, entry)| connection.note_rescind(entry.relid.get()));
            connection.with_synic(work)
        }
        (_, Err(error)) => Err(error),
    };
    while let Some(message) = connection.take_stray() {
        if message.read::<Header>().message_type == message_type::RESCIND_CHANNELOFFER {
            // The connection ended meanwhile if this fails, and all channels with it.
            let _ = record.note_rescind(message.read::<RelidMessage>().id.get());
        }
        // There is room, unless the connection ended meanwhile.
        let _ = record.put_message(message.slot());
    }
    record.unlock();
    result
}

/// Makes a channel of the record ours before anything is posted for it. Nothing to do on a connection of our own.
///
/// # Errors
/// As [`Record::claim`].
pub(super) fn claim<H: Platform>(record: Option<&Record<H>>, relid: u32) -> Result<(), Error> {
    let Some(record) = record else { return Ok(()) };
    let (index, _) = record.offers().find(|(_, entry)| entry.relid == relid).ok_or(Error::NicGone)?;
    record.claim(index, relid)
}

/// Gives a channel of the record back, if the host has let go of its memory.
pub(super) fn give_back<H: Platform>(connection: &Connection<H>, record: Option<&Record<H>>, relid: u32) {
    let Some(record) = record.filter(|_| !connection.has_lent()) else { return };
    if let Some((index, _)) = record.offers().find(|(_, entry)| entry.relid == relid) {
        // When the connection ended meanwhile, there is nothing to give back.
        let _ = record.give_back(index, relid);
    }
}
