//! The connection: contact, offers, unload, and the exchange of control messages.

use heapless::Vec;
use zerocopy::little_endian::{U32, U64};
use zerocopy::{Immutable, IntoBytes};

use super::offers::Offers;
use super::state::{Event, State, step};
use crate::error::Error;
use crate::hv::{Hypervisor, Message, Partition};
use crate::log;
use crate::time::Ticks100ns;
use crate::wire::vmbus::{
    Header, InitiateContact, MESSAGE_CONNECTION_ID, OfferChannel, RelidMessage, Version, VersionResponse, message_type,
};

/// Versions that we ask for, newest first (policy). Not 6.0: its message sizes depend on features. Nothing below 3.0:
/// such hosts accept one connection per boot, and the operating system would get none.
const VERSIONS: [Version; 3] = [Version::V5_3, Version::V4_0, Version::V3_0];

/// Deadline of an ordinary exchange, in milliseconds (policy).
const EXCHANGE_MS: u64 = 1_000;
/// Deadline of `VERSION_RESPONSE` and `UNLOAD_RESPONSE`, in milliseconds (policy): the host closes disks first; 50 s
/// were seen on Azure.
const SETTLE_MS: u64 = 60_000;
/// Deadline of all offers together, in milliseconds (policy): one exchange of many messages.
const OFFERS_MS: u64 = 5_000;
/// How long the slot must stay empty before it counts as drained, and how long draining may last (policy).
const QUIET_MS: u64 = 2;
const DRAIN_MS: u64 = 200;

/// GPADL ids start here (policy): apart from those of Linux (0xe1e10), iPXE (0x18ae0001) and OpenVMM's relay.
const FIRST_GPADL: u32 = 0x5200_0001;

/// Most blocks of memory that wait for the host's word at a time (policy: three opens that failed half-way).
const MAX_LENT: usize = 12;

/// A VMBus connection, or the want of one.
pub struct Connection<H: Hypervisor> {
    pub(super) hv: H,
    partition: Partition<H>,
    state: State,
    /// Where later messages are posted.
    message_connection_id: u32,
    next_id: u32,
    pub(super) offers: Offers,
    /// Memory whose teardown was never confirmed. The end of the connection confirms it.
    lent: Vec<H::Pages, MAX_LENT>,
}

impl<H: Hypervisor> Connection<H> {
    /// A connection on these pages, not connected yet.
    #[must_use]
    pub fn new(hv: &H, partition: Partition<H>) -> Self {
        Self {
            hv: hv.clone(),
            partition,
            state: State::Free,
            message_connection_id: MESSAGE_CONNECTION_ID,
            next_id: FIRST_GPADL,
            offers: Offers::new(),
            lent: Vec::new(),
        }
    }

    /// The hypervisor under it.
    #[must_use]
    pub const fn hv(&self) -> &H {
        &self.hv
    }

    /// The devices on offer.
    #[must_use]
    pub const fn offers(&self) -> &Offers {
        &self.offers
    }

    /// The version agreed on; `None` when not connected.
    #[must_use]
    pub const fn version(&self) -> Option<Version> {
        match self.state {
            State::Connected(version) => Some(version),
            _ => None,
        }
    }

    /// The virtual processor that takes messages and events.
    pub(super) fn vp_index(&self) -> u32 {
        self.partition.vp_index()
    }

    /// True when nobody changed the MSRs behind our back. Costs two exits.
    #[must_use]
    pub fn still_ours(&self) -> bool {
        self.partition.still_ours()
    }

    /// Somebody took VMBus: nothing we ask would be answered any more.
    pub fn mark_lost(&mut self) {
        self.advance(Event::Taken);
        self.offers.clear();
    }

    /// Runs `work` with our message page in place, and puts the SynIC back as found.
    ///
    /// # Errors
    /// [`Error::VmbusOwned`] when somebody else uses the SynIC now; else what `work` returns.
    pub fn with_synic<T>(&mut self, work: impl FnOnce(&mut Self) -> Result<T, Error>) -> Result<T, Error> {
        if let Err(error) = self.partition.reclaim().and_then(|()| self.partition.enter()) {
            self.mark_lost();
            return Err(error);
        }
        let result = work(self);
        // A message left in the slot would block all later ones, and on some hosts its page must not go away.
        let _ = self.service();
        self.partition.leave();
        result
    }

    /// Connects and reads the offers. The message page must be in place.
    ///
    /// # Errors
    /// [`Error::NoVmbus`] when the first post is refused, [`Error::VersionRefused`], [`Error::HostTimeout`].
    pub fn connect(&mut self) -> Result<(), Error> {
        self.connect_within(SETTLE_MS)
    }

    /// [`connect`](Self::connect) for a caller who can't wait until another owner's devices have settled.
    ///
    /// # Errors
    /// As [`connect`](Self::connect), when each answer to a version isn't there within `patience_ms`.
    pub fn connect_within(&mut self, patience_ms: u64) -> Result<(), Error> {
        self.drain();
        self.offers.clear();
        for version in VERSIONS {
            if self.contact(version, patience_ms)? {
                log::line(format_args!("vmbus: connected, version {}.{}", version.major(), version.minor()));
                self.request(&Header::new(message_type::REQUESTOFFERS))?;
                self.wait_for(message_type::ALLOFFERS_DELIVERED, &[], OFFERS_MS)?;
                return Ok(());
            }
        }
        log::line(format_args!("vmbus: the host speaks none of versions 5.3, 4.0 and 3.0"));
        Err(Error::VersionRefused)
    }

    /// Asks for one version.
    fn contact(&mut self, version: Version, patience_ms: u64) -> Result<bool, Error> {
        let first = self.state == State::Free;
        self.message_connection_id = MESSAGE_CONNECTION_ID;
        let posted = self.request(&InitiateContact {
            header: Header::new(message_type::INITIATE_CONTACT),
            version: U32::new(version.0),
            target_vp: U32::new(self.vp_index()),
            interrupt_page: U64::ZERO,
            parent_to_child_page: U64::ZERO,
            child_to_parent_page: U64::ZERO,
        });
        match posted {
            // Nobody behind the connection id: a hypervisor without VMBus.
            Err(Error::HostTimeout | Error::HostRefused) if first => return Err(Error::NoVmbus),
            posted => posted?,
        }
        self.advance(Event::ContactSent);
        let response: VersionResponse = match self.wait_for(message_type::VERSION_RESPONSE, &[], patience_ms) {
            Ok(message) => message.read(),
            Err(error) => {
                self.advance(Event::Taken);
                return Err(error);
            }
        };
        // Either answer ends whatever was connected before: the host has let go of all our memory.
        self.give_back_lent();
        // The version in it isn't reliable: QEMU leaves it 0.
        let accepted = response.version_supported != 0 && response.connection_state == 0;
        self.advance(if accepted { Event::VersionAccepted(version) } else { Event::VersionRefused });
        if accepted && version.major() >= 5 {
            self.message_connection_id = response.message_connection_id.get();
        }
        Ok(accepted)
    }

    /// Ends the connection and puts all MSRs back. With the host's word for it, all memory is free again; without, this
    /// keeps the record of it for the next connection ([`has_lent`](Self::has_lent)).
    ///
    /// # Errors
    /// [`Error::HostTimeout`] when the word doesn't come; [`Error::VmbusOwned`].
    pub fn disconnect(&mut self) -> Result<(), Error> {
        let result = if self.version().is_some() { self.with_synic(Self::unload) } else { Ok(()) };
        if result.is_err() {
            self.mark_lost();
        }
        self.partition.put_back();
        if self.has_lent() {
            log::line(format_args!("vmbus: the host did not let go of {} memory blocks; kept", self.lent.len()));
        }
        result
    }

    /// Frees the pages behind hypercalls and SynIC, after [`disconnect`](Self::disconnect).
    pub fn free(self) {
        self.partition.release();
    }

    fn unload(&mut self) -> Result<(), Error> {
        self.request(&Header::new(message_type::UNLOAD))?;
        self.advance(Event::UnloadSent);
        self.wait_for(message_type::UNLOAD_RESPONSE, &[], SETTLE_MS)?;
        self.advance(Event::UnloadAcked);
        self.give_back_lent();
        log::line(format_args!("vmbus: unloaded"));
        Ok(())
    }

    /// Handles the messages that wait now. The message page must be in place; an empty slot costs no exit.
    ///
    /// # Errors
    /// [`Error::HostTimeout`] when the host takes no messages from us.
    pub fn service(&mut self) -> Result<(), Error> {
        while let Some(message) = self.next_message() {
            self.dispatch(&message)?;
        }
        Ok(())
    }

    /// Tells the host to look at the ring of the channel with this connection id. One exit.
    pub fn signal(&self, connection_id: u32) {
        self.partition.signal_event(connection_id);
    }

    /// A number that no GPADL or open of this connection has had.
    pub(super) fn new_id(&mut self) -> u32 {
        let id = self.next_id;
        self.next_id += 1;
        id
    }

    /// Keeps memory that the host may still write until the connection ends.
    pub fn lend(&mut self, pages: H::Pages) {
        if self.lent.push(pages).is_err() {
            log::line(format_args!("vmbus: memory lost: the host did not let go of it"));
        }
    }

    /// True while memory waits for the end of the connection.
    #[must_use]
    pub fn has_lent(&self) -> bool {
        !self.lent.is_empty()
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
    fn wait_for(&mut self, wanted: u32, ids: &[u32], milliseconds: u64) -> Result<Message, Error> {
        let deadline = self.hv.now().plus_millis(milliseconds);
        loop {
            while let Some(message) = self.next_message() {
                if message_type_of(&message) != wanted {
                    self.dispatch(&message)?;
                } else if message.read::<[U32; 4]>()[2..].iter().zip(ids).all(|(is, wanted)| is == wanted) {
                    return Ok(message);
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
        self.hv.relax();
        Ok(())
    }

    fn next_message(&mut self) -> Option<Message> {
        // A slot with an impossible length is as good as empty: whoever waits runs into the deadline.
        self.partition.take_message().unwrap_or_default()
    }

    /// Empties the slot of what earlier owners left.
    fn drain(&mut self) {
        let end = self.hv.now().plus_millis(DRAIN_MS);
        let mut quiet = self.hv.now().plus_millis(QUIET_MS);
        while self.hv.now() < quiet {
            if self.next_message().is_some() {
                quiet = self.hv.now().plus_millis(QUIET_MS).min(end);
            }
            self.hv.relax();
        }
    }

    /// Messages that come unasked, at any moment.
    fn dispatch(&mut self, message: &Message) -> Result<(), Error> {
        if self.version().is_none() {
            // Of an earlier connection.
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
        self.request(&RelidMessage { header: Header::new(message_type::RELID_RELEASED), id: U32::new(relid) })
    }

    fn give_back_lent(&mut self) {
        while let Some(pages) = self.lent.pop() {
            self.hv.free_pages(pages);
        }
    }

    fn advance(&mut self, event: Event) {
        match step(self.state, event) {
            Ok(state) => self.state = state,
            Err(_) => debug_assert!(false, "{event:?} in {:?}", self.state),
        }
    }
}

fn message_type_of(message: &Message) -> u32 {
    message.read::<Header>().message_type.get()
}
