//! The exchange of control messages: one request at a time, its answer, and what comes unasked.

use zerocopy::little_endian::U32;
use zerocopy::{Immutable, IntoBytes};

use super::connection::Connection;
use crate::error::Error;
use crate::hv::{Hypervisor, Message};
use crate::log;
use crate::time::Ticks100ns;
use crate::wire::vmbus::{Header, OfferChannel, RelidMessage, message_type};

/// Deadline of an ordinary exchange, in milliseconds (policy).
const EXCHANGE_MS: u64 = 1_000;
/// How long the slot must stay empty before it counts as drained, and how long draining may last (policy).
const QUIET_MS: u64 = 2;
const DRAIN_MS: u64 = 200;

impl<H: Hypervisor> Connection<H> {
    /// Handles the messages that wait now. The message page must be in place; an empty slot costs no exit.
    ///
    /// # Errors
    /// [`Error::HostTimeout`] when the host takes no messages from us.
    pub fn service(&mut self) -> Result<(), Error> {
        while let Some(message) = self.next_message(&|_| false) {
            self.dispatch(&message)?;
        }
        Ok(())
    }

    /// Tells the host to look at the ring of the channel with this connection id. One exit.
    pub fn signal(&self, connection_id: u32) {
        self.partition.signal_event(connection_id);
    }

    pub(super) fn request<T: IntoBytes + Immutable>(&mut self, message: &T) -> Result<(), Error> {
        self.post(message.as_bytes())
    }

    pub(super) fn post(&mut self, message: &[u8]) -> Result<(), Error> {
        let deadline = self.hv.now().plus_millis(EXCHANGE_MS);
        self.partition.post_message(self.message_connection_id, message, deadline)
    }

    /// Waits for the ordinary time.
    pub(super) fn wait(&mut self, wanted: u32, ids: &[u32]) -> Result<Message, Error> {
        self.wait_for(wanted, ids, EXCHANGE_MS)
    }

    /// Waits for a message of type `wanted` whose first numbers after the header are `ids`. What comes unasked is
    /// dispatched; answers that nobody waits for any more are dropped.
    pub(super) fn wait_for(&mut self, wanted: u32, ids: &[u32], milliseconds: u64) -> Result<Message, Error> {
        let deadline = self.hv.now().plus_millis(milliseconds);
        let is_wanted = |message: &Message| {
            let found = message.read::<[U32; 4]>();
            found[0] == wanted && found[2..].iter().zip(ids).all(|(is, wanted)| is == wanted)
        };
        loop {
            while let Some(message) = self.next_message(&is_wanted) {
                if is_wanted(&message) {
                    return Ok(message);
                }
                if message_type_of(&message) != wanted {
                    self.dispatch(&message)?;
                }
            }
            self.before(deadline)?;
        }
    }

    /// Lets time pass in a wait loop.
    ///
    /// # Errors
    /// [`Error::HostTimeout`] past the deadline.
    pub fn before(&self, deadline: Ticks100ns) -> Result<(), Error> {
        if self.hv.now() >= deadline {
            return Err(Error::HostTimeout);
        }
        self.partition.relax();
        Ok(())
    }

    /// Takes the message that waits; as a guest without room for more of the owner's only one that `is_wanted`.
    fn next_message(&mut self, is_wanted: &dyn Fn(&Message) -> bool) -> Option<Message> {
        // The owner whose guest we are finds it in its slot. In a slot of ours it would find nothing.
        let room = if self.partition.is_in_owners_slot() { self.stray_room } else { self.strays.capacity() };
        let is_full = self.is_guest() && self.strays.len() >= room.min(self.strays.capacity());
        // A slot with an impossible length is as good as empty: whoever waits runs into the deadline.
        self.partition.take_message(&|message| !is_full || is_wanted(message)).unwrap_or_default()
    }

    /// Empties the slot of what belongs to earlier connections, whoever had them: the next contact ends them, and with them
    /// all that their messages are about.
    pub(super) fn drain(&mut self) {
        let end = self.hv.now().plus_millis(DRAIN_MS);
        let mut quiet = self.hv.now().plus_millis(QUIET_MS);
        let mut dropped = 0;
        while self.hv.now() < quiet {
            if self.next_message(&|_| false).is_some() {
                dropped += 1;
                quiet = self.hv.now().plus_millis(QUIET_MS).min(end);
            }
            self.hv.relax();
        }
        if dropped != 0 {
            log::line(format_args!("vmbus: {dropped} messages of an earlier connection dropped; it ends now"));
        }
    }

    /// Messages that come unasked, at any moment.
    pub(super) fn dispatch(&mut self, message: &Message) -> Result<(), Error> {
        if self.version().is_none() {
            // Of an earlier connection.
            return Ok(());
        }
        if message_type_of(message) == message_type::GPADL_TORNDOWN
            && self.take_back(message.read::<RelidMessage>().id.get())
        {
            return Ok(());
        }
        if self.is_guest() {
            if message_type_of(message) == message_type::RESCIND_CHANNELOFFER {
                self.offers.rescind(message.read::<RelidMessage>().id.get());
            }
            // There is room: seen before the message was taken.
            let _ = self.strays.push(*message);
            return Ok(());
        }
        match message_type_of(message) {
            message_type::OFFERCHANNEL => self.offers.add(&message.read::<OfferChannel>()),
            message_type::RESCIND_CHANNELOFFER => {
                let relid = message.read::<RelidMessage>().id.get();
                if self.offers.rescind(relid) {
                    log::line(format_args!("vmbus: the host took the open channel {relid} back"));
                } else {
                    self.release_relid(relid)?;
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// Confirms a rescind: the host may forget the channel.
    pub(super) fn release_relid(&mut self, relid: u32) -> Result<(), Error> {
        self.offers.remove(relid);
        if self.is_guest() {
            // The owner does that.
            return Ok(());
        }
        self.request(&RelidMessage { header: Header::new(message_type::RELID_RELEASED), id: U32::new(relid) })
    }
}

fn message_type_of(message: &Message) -> u32 {
    message.read::<Header>().message_type.get()
}
