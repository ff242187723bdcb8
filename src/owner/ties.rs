//! What a `$VMBS` record (docs/vmbs.md) makes of our exchanges with the host: as the guest of its owner, or as the
//! owner.
//!
//! Either way an exchange happens under the record's lock. A guest uses numbers of its own, and hands over the owner's
//! messages that it finds on the way; the owner takes them first of all, and leaves the channels of guests alone.

use super::Platform;
#[cfg(feature = "disk")]
use super::record::Publisher;
use super::record::Record;
use crate::error::Error;
use crate::vmbus::{Connection, Offer};
use crate::wire::vmbs::{OfferEntry, offer_state};
use crate::wire::vmbus::{Header, RelidMessage, message_type};

/// Numbers for the GPADLs and opens of one exchange (policy: a card takes four, and a machine has eight cards).
const IDS: u32 = 32;

/// How our connection is shared.
pub(super) enum Ties<H: Platform> {
    /// By no record.
    None,
    /// We are or were a guest on the connection of this record's owner.
    Guest(Record<H>),
    /// It is ours, and we publish it.
    #[cfg(feature = "disk")]
    Host(Publisher<H>),
}

impl<H: Platform> Ties<H> {
    /// The record by which we are a guest.
    pub(super) const fn guest(&self) -> Option<&Record<H>> {
        match self {
            Self::Guest(record) => Some(record),
            _ => None,
        }
    }

    const fn record(&self) -> Option<&Record<H>> {
        match self {
            Self::None => None,
            Self::Guest(record) => Some(record),
            #[cfg(feature = "disk")]
            Self::Host(publisher) => Some(publisher.record()),
        }
    }

    /// True while nobody who knows the record has ended the connection. No exit.
    pub(super) fn is_current(&self) -> bool {
        self.record().is_none_or(Record::is_current)
    }

    /// Before the connection ends or another one is made: says so in our record, which stays for the next one. For a
    /// guest nothing is left to do.
    pub(super) fn suspend(&mut self) {
        #[cfg(feature = "disk")]
        if let Self::Host(publisher) = self {
            publisher.ends();
            return;
        }
        *self = Self::None;
    }

    /// Our connection is no more: our record is removed.
    #[cfg(feature = "disk")]
    pub(super) fn end(&mut self) {
        if let Self::Host(publisher) = self {
            publisher.remove();
            *self = Self::None;
        }
    }

    /// Runs `work` with the message page in place; under the lock when there is a record.
    ///
    /// # Errors
    /// As [`Record::lock`], [`Record::take_ids`] and [`Connection::with_synic`]; [`Error::OutOfResources`] when the
    /// owner has no room for his messages.
    pub(super) fn exchange<T>(
        &self,
        connection: &mut Connection<H>,
        work: impl FnOnce(&mut Connection<H>) -> Result<T, Error>,
    ) -> Result<T, Error> {
        self.locked(connection, |connection| connection.with_synic(work))
    }

    /// Runs `work`, which may bring the message page in place; under the lock when there is a record.
    ///
    /// # Errors
    /// As [`exchange`](Self::exchange).
    pub(super) fn locked<T, E: From<Error>>(
        &self,
        connection: &mut Connection<H>,
        work: impl FnOnce(&mut Connection<H>) -> Result<T, E>,
    ) -> Result<T, E> {
        self.begin(connection)?;
        let result = work(connection);
        self.finish(connection);
        result
    }

    /// Takes the lock, and prepares what is shared.
    #[inline(never)]
    fn begin(&self, connection: &mut Connection<H>) -> Result<(), Error> {
        let Some(record) = self.record() else { return Ok(()) };
        record.lock(connection.hv())?;
        let ready = match self {
            #[cfg(feature = "disk")]
            Self::Host(publisher) => begin_as_host(connection, publisher),
            _ => begin_as_guest(connection, record),
        };
        if ready.is_err() {
            record.unlock();
        }
        ready
    }

    /// Tells the others what has changed, and frees the lock.
    #[inline(never)]
    fn finish(&self, connection: &mut Connection<H>) {
        match self {
            Self::None => {}
            Self::Guest(record) => {
                hand_over(connection, record);
                record.unlock();
            }
            #[cfg(feature = "disk")]
            Self::Host(publisher) => {
                // Our own memory: it can be written.
                let _ = publisher.offers_changed(connection.offers());
                publisher.record().unlock();
            }
        }
    }

    /// Makes a channel ours before anything is posted for it.
    ///
    /// # Errors
    /// As [`Record::claim`]; [`Error::VmbusOwned`] when a guest of ours uses it.
    pub(super) fn claim(&self, relid: u32) -> Result<(), Error> {
        let Some(record) = self.record() else { return Ok(()) };
        let found = record.offers().find(|(_, entry)| entry.relid == relid);
        match (self, found) {
            (Self::Guest(_), Some((index, _))) => record.claim(index, relid),
            (Self::Guest(_), None) => Err(Error::NicGone),
            (_, Some((_, entry))) if entry.user != [0; 4] => Err(Error::VmbusOwned),
            _ => Ok(()),
        }
    }

    /// Gives a channel back to the owner whose guest we are, if the host has let go of its memory.
    pub(super) fn give_back(&self, connection: &Connection<H>, relid: u32) {
        let Some(record) = self.guest().filter(|_| !connection.has_lent()) else { return };
        if let Some((index, _)) = record.offers().find(|(_, entry)| entry.relid == relid) {
            // When the connection ended meanwhile, there is nothing to give back.
            let _ = record.give_back(index, relid);
        }
    }
}

fn begin_as_guest<H: Platform>(connection: &mut Connection<H>, record: &Record<H>) -> Result<(), Error> {
    hand_over(connection, record);
    let room = record.room() as usize;
    if room == 0 {
        return Err(Error::OutOfResources);
    }
    connection.set_aside(record.take_ids(IDS)?, room);
    // The messages may have been taken by somebody else.
    for (_, entry) in record.offers() {
        if entry.state == offer_state::RESCINDED {
            connection.note_rescind(entry.relid.get());
        } else if let Some(offer) = usable(&entry) {
            connection.note_offer(offer);
        }
    }
    Ok(())
}

/// A channel that nobody uses.
pub(super) fn usable(entry: &OfferEntry) -> Option<Offer> {
    let is_free = entry.state == offer_state::CLOSED && entry.user == [0; 4] && entry.subchannel_index == 0;
    is_free.then(|| Offer::new(entry.class, entry.instance, entry.relid.get(), entry.connection_id.get()))
}

/// Puts the owner's messages that we found into his slots. What he has no room for waits for the next exchange.
fn hand_over<H: Platform>(connection: &mut Connection<H>, record: &Record<H>) {
    while record.room() != 0
        && let Some(message) = connection.take_stray()
    {
        if message.read::<Header>().message_type == message_type::RESCIND_CHANNELOFFER {
            // The connection ended meanwhile if this fails, and all channels with it.
            let _ = record.note_rescind(message.read::<RelidMessage>().id.get());
        }
        let _ = record.put_message(message.slot());
    }
}

#[cfg(feature = "disk")]
fn begin_as_host<H: Platform>(connection: &mut Connection<H>, publisher: &Publisher<H>) -> Result<(), Error> {
    while let Some(message) = publisher.take_message() {
        connection.handle(message)?;
    }
    for (_, entry) in publisher.record().offers() {
        connection.note_use(entry.relid.get(), entry.user != [0; 4])?;
    }
    Ok(())
}
