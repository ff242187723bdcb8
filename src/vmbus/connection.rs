//! The connection: contact, offers, unload; or a place on somebody else's.

use heapless::Vec;
use zerocopy::little_endian::{U32, U64};

use super::gpadl::Gpadl;
use super::offers::{Offer, Offers};
use super::state::{Event, State, step};
use crate::error::Error;
use crate::hv::{Hypervisor, Message, Partition, Sharing};
use crate::log;
use crate::wire::hv::HV_MESSAGE_SIZE;
use crate::wire::vmbus::{Header, InitiateContact, MESSAGE_CONNECTION_ID, Version, VersionResponse, message_type};

/// Versions that we ask for, newest first (policy). Not 6.0: its message sizes depend on features. Nothing below 3.0:
/// such hosts accept one connection per boot, and the operating system would get none.
const VERSIONS: [Version; 3] = [Version::V5_3, Version::V4_0, Version::V3_0];

/// Deadline of `VERSION_RESPONSE` and `UNLOAD_RESPONSE`, in milliseconds (policy): the host closes disks first; 50 s
/// were seen on Azure.
pub const SETTLE_MS: u64 = 60_000;
/// Deadline of all offers together, in milliseconds (policy): one exchange of many messages.
const OFFERS_MS: u64 = 5_000;
/// From when on the log says what we wait for, in milliseconds (policy).
const NOTICE_MS: u64 = 2_000;

/// GPADL ids start here (policy): apart from those of Linux (0xe1e10), iPXE (0x18ae0001) and OpenVMM's relay.
const FIRST_GPADL: u32 = 0x5200_0001;

/// Most blocks of memory that wait for the host's word at a time (policy: three opens that failed half-way).
const MAX_LENT: usize = 12;
/// Most messages that a guest on somebody else's connection keeps for the owner in one exchange (policy); the next one
/// stays in the slot.
const MAX_STRAYS: usize = 8;

/// What a guest must know of somebody else's connection.
#[derive(Clone, Copy, Debug)]
pub struct Terms {
    /// The version agreed on.
    pub version: Version,
    /// Where messages are posted.
    pub message_connection_id: u32,
}

/// A VMBus connection, or the want of one.
pub struct Connection<H: Hypervisor> {
    pub(super) hv: H,
    pub(super) partition: Partition<H>,
    state: State,
    /// The connection is somebody else's.
    is_guest: bool,
    /// The version of the last connection of our own: the next one asks for it first.
    agreed: Option<Version>,
    /// Where later messages are posted.
    pub(super) message_connection_id: u32,
    next_id: u32,
    pub(super) offers: Offers,
    /// Messages for the owner, and how many he has room for.
    pub(super) strays: Vec<Message, MAX_STRAYS>,
    pub(super) stray_room: usize,
    /// Memory whose teardown was not confirmed in time. The end of the connection confirms it.
    lent: Vec<Gpadl<H::Pages>, MAX_LENT>,
}

impl<H: Hypervisor> Connection<H> {
    /// A connection on these pages, not connected yet.
    #[must_use]
    pub fn new(hv: &H, partition: Partition<H>) -> Self {
        Self {
            hv: hv.clone(),
            partition,
            state: State::Free,
            is_guest: false,
            agreed: None,
            message_connection_id: MESSAGE_CONNECTION_ID,
            next_id: FIRST_GPADL,
            offers: Offers::new(),
            strays: Vec::new(),
            stray_room: 0,
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

    /// What a guest must know of this connection; `None` when not connected.
    #[must_use]
    pub fn terms(&self) -> Option<Terms> {
        self.version().map(|version| Terms { version, message_connection_id: self.message_connection_id })
    }

    /// The virtual processor that takes messages and events.
    pub(super) fn vp_index(&self) -> u32 {
        self.partition.vp_index()
    }

    /// The pages and MSRs under it.
    pub const fn partition(&mut self) -> &mut Partition<H> {
        &mut self.partition
    }

    /// True when nobody changed the MSRs behind our back. Costs two exits.
    #[must_use]
    pub fn still_ours(&self) -> bool {
        self.partition.simp_is_as_left() && self.partition.calls_are_as_left()
    }

    /// Becomes a guest on a connection that somebody else made, with these offers. Whatever we had before is lost by it.
    pub fn join(&mut self, terms: Terms, offers: impl Iterator<Item = Offer>) {
        self.mark_lost();
        self.partition.share(Sharing::Guest);
        self.advance(Event::Joined(terms.version));
        self.is_guest = true;
        self.message_connection_id = terms.message_connection_id;
        offers.for_each(|offer| self.offers.admit(offer));
    }

    /// True when the connection is somebody else's.
    #[must_use]
    pub const fn is_guest(&self) -> bool {
        self.is_guest
    }

    /// What the owner set aside for the next exchange of his guest: numbers for GPADLs and opens from `id` on, and room for
    /// so many messages of his own.
    pub const fn set_aside(&mut self, id: u32, room: usize) {
        self.next_id = id;
        self.stray_room = room;
    }

    /// The host has let go of all that was shared on the connection that we were a guest on.
    pub fn settle(&mut self) {
        if self.state == State::Lost {
            self.give_back_lent();
        }
    }

    /// The host took this channel back, as somebody else heard.
    pub fn note_rescind(&mut self, relid: u32) {
        self.offers.rescind(relid);
    }

    /// The host offers this channel, as somebody else heard, and nobody uses it.
    pub fn note_offer(&mut self, offer: Offer) {
        self.offers.admit(offer);
    }

    /// Handles a message that a guest on our connection found and kept for us.
    ///
    /// # Errors
    /// As [`service`](Self::service).
    pub fn handle(&mut self, slot: [u8; HV_MESSAGE_SIZE]) -> Result<(), Error> {
        self.dispatch(&Message::from_slot(slot))
    }

    /// A guest on our connection has this channel open, or not any more.
    ///
    /// # Errors
    /// As [`service`](Self::service): a channel that the host took back meanwhile is released.
    pub fn note_use(&mut self, relid: u32, is_used: bool) -> Result<(), Error> {
        if !is_used && self.offers.is_rescinded(relid) {
            return self.release_relid(relid);
        }
        self.offers.set_open(relid, is_used);
        Ok(())
    }

    /// A message that came for the owner meanwhile.
    pub fn take_stray(&mut self) -> Option<Message> {
        if self.strays.is_empty() { None } else { Some(self.strays.remove(0)) }
    }

    /// Somebody took VMBus: nothing we ask would be answered any more.
    pub fn mark_lost(&mut self) {
        self.advance(Event::Taken);
        self.offers.clear();
        self.strays.clear();
        self.is_guest = false;
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
        if self.partition.is_moving_in() {
            // Whoever left its slot in place does not read it: the messages are about our connection, or one that is over.
            let _ = self.service();
        }
        self.partition.move_in();
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
        let agreed = self.agreed;
        let others = VERSIONS.into_iter().filter(|version| Some(*version) != agreed);
        for version in agreed.into_iter().chain(others) {
            if self.contact(version, patience_ms)? {
                log::line(format_args!("vmbus: connected, version {}.{}", version.major(), version.minor()));
                self.agreed = Some(version);
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
        let response: VersionResponse = match self.wait_for_version(patience_ms) {
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

    fn wait_for_version(&mut self, patience_ms: u64) -> Result<Message, Error> {
        let soon = NOTICE_MS.min(patience_ms);
        match self.wait_for(message_type::VERSION_RESPONSE, &[], soon) {
            Err(Error::HostTimeout) if soon < patience_ms => {
                log::line(format_args!("vmbus: the host closes what was open; waiting up to a minute"));
                self.wait_for(message_type::VERSION_RESPONSE, &[], patience_ms - soon)
            }
            answer => answer,
        }
    }

    /// Ends the connection and puts all MSRs back. With the host's word for it, all memory is free again; without, this
    /// keeps the record of it for the next connection ([`has_lent`](Self::has_lent)).
    ///
    /// # Errors
    /// [`Error::HostTimeout`] when the word doesn't come; [`Error::VmbusOwned`].
    pub fn disconnect(&mut self) -> Result<(), Error> {
        let result = match self.state {
            State::Connected(_) if !self.is_guest() => self.with_synic(Self::unload),
            _ => Ok(()),
        };
        if result.is_err() || self.is_guest() {
            self.mark_lost();
        }
        self.is_guest = false;
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

    /// A number that no GPADL or open of this connection has had.
    pub(super) fn new_id(&mut self) -> u32 {
        let id = self.next_id;
        self.next_id += 1;
        id
    }

    /// Keeps memory that the host may still write until the connection ends, or until the teardown of its GPADL is confirmed
    /// after all.
    pub fn lend(&mut self, gpadl: Gpadl<H::Pages>) {
        if self.lent.push(gpadl).is_err() {
            log::line(format_args!("vmbus: memory lost: the host did not let go of it"));
        }
    }

    /// The host has let go of this GPADL, late. True when its memory was waited for.
    pub(super) fn take_back(&mut self, id: u32) -> bool {
        let before = self.lent.len();
        while let Some(index) = self.lent.iter().position(|gpadl| gpadl.id == id) {
            self.hv.free_pages(self.lent.swap_remove(index).pages);
        }
        self.lent.len() != before
    }

    /// True while memory waits for the end of the connection.
    #[must_use]
    pub fn has_lent(&self) -> bool {
        !self.lent.is_empty()
    }

    fn give_back_lent(&mut self) {
        while let Some(gpadl) = self.lent.pop() {
            self.hv.free_pages(gpadl.pages);
        }
    }

    fn advance(&mut self, event: Event) {
        match step(self.state, event) {
            Ok(state) => self.state = state,
            Err(_) => debug_assert!(false, "{event:?} in {:?}", self.state),
        }
    }
}
