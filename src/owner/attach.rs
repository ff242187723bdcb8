//! Being a guest on the connection that somebody else made and published (docs/vmbs.md).
//!
//! A guest posts GPADLs, opens and closes for its own channel, and nothing else ([`super::ties`]).

use super::Platform;
use super::arbiter::{Arbiter, Policy};
use super::record::Record;
use super::standing::{Company, Event};
use super::ties::{Ties, usable};
use crate::error::Error;
use crate::hv::{Partition, Sharing, detect};
use crate::vmbus::{Connection, Terms};

impl<H: Platform> Arbiter<H> {
    /// The record of an owner who shares VMBus.
    ///
    /// # Errors
    /// As [`detect`].
    fn host(&self) -> Result<Option<Record<H>>, Error> {
        let vp = detect(&self.hv)?.vp_index(&self.hv);
        Ok(Record::find(&self.hv, &self.hv, vp, &self.hv.own_low_memory()))
    }

    /// True when we would be the guest of somebody, whose cards can't be tried before he lets go of them.
    #[must_use]
    pub fn has_host(&self) -> bool {
        self.policy != Policy::Decline && self.host().is_ok_and(|record| record.is_some())
    }

    /// Becomes the guest of an owner that published its connection. False when there is none. `again`: it may be the connection
    /// that we were a guest on last, on which something of ours may still be open.
    ///
    /// # Errors
    /// As [`detect`], [`Partition::claim`].
    pub(super) fn attach(&mut self, again: bool) -> Result<bool, Error> {
        let Some(record) = self.host()? else { return Ok(false) };
        let connection = match &mut self.connection {
            Some(connection) => connection,
            none => none.insert(Connection::new(&self.hv, Partition::claim_beside(&self.hv, Sharing::Guest)?)),
        };
        let terms =
            Terms { version: record.version(), message_connection_id: record.live().message_connection_id.get() };
        if !again {
            // This connection is a later one than what we had: the host has let go of all that.
            connection.settle();
        }
        connection.join(terms, record.offers().filter_map(|(_, entry)| usable(&entry)));
        connection.partition().note_synic();
        #[cfg(feature = "disk")]
        self.ties.end();
        self.ties = Ties::Guest(record);
        self.connects = self.connects.wrapping_add(1);
        self.advance(Event::Connected(Company::Host));
        Ok(true)
    }
}
