//! The network cards and disk controllers that the host offers. Everything else it offers is passed over.

use heapless::Vec;

use crate::wire::vmbus::{CLASS_NETWORK, CLASS_SCSI, Guid, OfferChannel};

/// Most network cards that are remembered (policy: Hyper-V allows 8 synthetic ones per machine).
const MAX_CARDS: usize = 8;
/// Most SCSI controllers (policy: Hyper-V allows 4 per machine); none in a ROM without the disk service.
const MAX_CONTROLLERS: usize = if cfg!(feature = "disk") { 4 } else { 0 };
/// Most offers.
pub const MAX_OFFERS: usize = MAX_CARDS + MAX_CONTROLLERS;

/// What became of an offer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OfferState {
    /// Nothing of ours is in use.
    Closed,
    /// A channel is open on it: ours, or that of a guest on our connection.
    Open,
    /// Taken back by the host while a channel was open on it.
    Rescinded,
}

/// A channel that the host offers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Offer {
    /// What kind of device.
    pub class: Guid,
    /// Which device; the same over reconnects.
    pub instance: Guid,
    /// Channel id; for this connection only.
    pub relid: u32,
    /// Connection id for signals.
    pub connection_id: u32,
    pub(super) state: OfferState,
}

impl Offer {
    /// True while a channel is open on it: ours, or that of a guest on our connection.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.state == OfferState::Open
    }

    /// The primary channel of a device, on which nothing of ours is open.
    #[must_use]
    pub const fn new(class: Guid, instance: Guid, relid: u32, connection_id: u32) -> Self {
        Self { class, instance, relid, connection_id, state: OfferState::Closed }
    }
}

/// The devices of this connection, in the order of their offers.
#[derive(Default)]
pub struct Offers {
    table: Vec<Offer, MAX_OFFERS>,
}

impl Offers {
    /// No offers yet.
    #[must_use]
    pub const fn new() -> Self {
        Self { table: Vec::new() }
    }

    /// Remembers the host's offer of a device's primary channel.
    pub(crate) fn add(&mut self, message: &OfferChannel) {
        if message.subchannel_index == 0 {
            let (relid, connection_id) = (message.child_relid.get(), message.connection_id.get());
            self.admit(Offer::new(message.interface, message.instance, relid, connection_id));
        }
    }

    /// Remembers an offer if it is of a device that we can drive, and there is room.
    pub(super) fn admit(&mut self, offer: Offer) {
        let most = match offer.class {
            CLASS_NETWORK => MAX_CARDS,
            CLASS_SCSI => MAX_CONTROLLERS,
            _ => 0,
        };
        if most == 0 {
            return;
        }
        if let Some(known) = self.table.iter_mut().find(|known| known.relid == offer.relid) {
            *known = offer;
        } else if self.table.iter().filter(|known| known.class == offer.class).count() >= most
            || self.table.push(offer).is_err()
        {
            crate::log::line(format_args!("vmbus: more than {most} devices of a kind; the rest is not used"));
        }
    }

    pub(super) fn clear(&mut self) {
        self.table.clear();
    }

    /// Notes that the host took a channel back; true when we still have it open, and have to close it first.
    pub(super) fn rescind(&mut self, relid: u32) -> bool {
        match self.table.iter_mut().find(|offer| offer.relid == relid) {
            Some(offer) if offer.state != OfferState::Closed => {
                offer.state = OfferState::Rescinded;
                true
            }
            _ => false,
        }
    }

    /// Notes that a channel is open, or no longer.
    pub(super) fn set_open(&mut self, relid: u32, open: bool) {
        if let Some(offer) = self.table.iter_mut().find(|offer| offer.relid == relid)
            && offer.state != OfferState::Rescinded
        {
            offer.state = if open { OfferState::Open } else { OfferState::Closed };
        }
    }

    /// True when the host took this channel back, and somebody still has it open.
    pub(super) fn is_rescinded(&self, relid: u32) -> bool {
        self.table.iter().any(|offer| offer.relid == relid && offer.state == OfferState::Rescinded)
    }

    pub(super) fn remove(&mut self, relid: u32) {
        self.table.retain(|offer| offer.relid != relid);
    }

    /// The network cards that are there, in the order of their offers.
    pub fn iter(&self) -> impl Iterator<Item = &Offer> {
        self.there().filter(|offer| offer.class == CLASS_NETWORK)
    }

    /// The SCSI controllers that are there, likewise.
    pub fn controllers(&self) -> impl Iterator<Item = &Offer> {
        self.there().filter(|offer| offer.class == CLASS_SCSI)
    }

    /// All that are there.
    pub fn there(&self) -> impl Iterator<Item = &Offer> {
        self.table.iter().filter(|offer| offer.state != OfferState::Rescinded)
    }

    /// True when the host took this channel back, or never offered it.
    #[must_use]
    pub fn is_gone(&self, relid: u32) -> bool {
        !self.there().any(|offer| offer.relid == relid)
    }
}
