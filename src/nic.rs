//! The network card as the PXE services see it: a carrier of Ethernet frames with an on and an off state.
//!
//! This is the seam under UNDI and the network stack. Nothing here knows Hyper-V; tests put a simulated wire behind it.

use crate::error::Error;

/// A station address as it goes over the wire.
pub type MacAddress = [u8; 6];

/// Longest Ethernet frame in either direction, without VLAN tag and frame check sequence (IEEE 802.3: 14 + 1500).
pub const MAX_FRAME_LEN: usize = 1514;

bitflags::bitflags! {
    /// Which received frames are wanted, in PXE's own bits.
    ///
    /// Source: PXE 2.1, `PXENV_UNDI_OPEN.PktFilter`.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct PacketFilter: u16 {
        /// Frames to our own address and to the multicast list.
        const DIRECTED = 1 << 0;
        /// Frames to ff:ff:ff:ff:ff:ff.
        const BROADCAST = 1 << 1;
        /// Everything on the wire.
        const PROMISCUOUS = 1 << 2;
        /// Source-routed frames; meaningless on Ethernet, accepted and ignored.
        const SOURCE_ROUTING = 1 << 3;
        /// Every multicast frame. Ours: PXE expresses it by a multicast list.
        const ALL_MULTICAST = 1 << 8;
    }
}

/// Counters since the card was opened, in frames.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NicStatistics {
    /// Sent, and confirmed by the host.
    pub transmitted: u32,
    /// Received and handed on.
    pub received: u32,
    /// Given up by the host or by us for lack of room.
    pub dropped: u32,
}

/// One network card.
///
/// Life cycle: *closed* until [`open`](Nic::open), *open* until [`close`](Nic::close). A closed card does no DMA.
pub trait Nic {
    /// Brings the card up: its channel, its buffers, its address. Frames flow once a filter is set. Does nothing when open.
    ///
    /// # Errors
    /// Whatever kept the card from coming up; the card is closed again then.
    fn open(&mut self) -> Result<(), Error>;

    /// Quiesces the card: filter off, channel closed, no more DMA. Does nothing when closed.
    ///
    /// # Errors
    /// The card counts as closed all the same; what the host may still write stays reserved.
    fn close(&mut self) -> Result<(), Error>;

    /// Gives back all that the card's bus holds (VMBus: UNLOAD, pages off). Implies [`close`](Nic::close).
    ///
    /// # Errors
    /// As [`close`](Nic::close).
    fn release(&mut self) -> Result<(), Error>;

    /// True between a successful [`open`](Nic::open) and [`close`](Nic::close).
    fn is_open(&self) -> bool;

    /// The address burnt in; all zero before the first [`open`](Nic::open).
    fn permanent_mac(&self) -> MacAddress;

    /// Sets which frames to receive; an empty filter stops reception.
    ///
    /// # Errors
    /// [`Error::NotOpen`], or the host's refusal.
    fn set_filter(&mut self, filter: PacketFilter) -> Result<(), Error>;

    /// Asks for the carrier.
    ///
    /// # Errors
    /// [`Error::NotOpen`], or the host did not answer.
    fn link_is_up(&mut self) -> Result<bool, Error>;

    /// Copies the next received frame to the start of `buffer` and returns its length; `None` when nothing waits.
    ///
    /// Frames longer than `buffer` are dropped and counted. Costs no exit when nothing waits.
    ///
    /// # Errors
    /// [`Error::NotOpen`], [`Error::NicGone`], [`Error::HostProtocol`].
    fn receive(&mut self, buffer: &mut [u8]) -> Result<Option<usize>, Error>;

    /// Sends one frame, given in pieces; copied before return, padded to 60 bytes.
    ///
    /// # Errors
    /// [`Error::NotOpen`]; [`Error::InvalidParameter`] when the pieces are over [`MAX_FRAME_LEN`] or under 14 bytes;
    /// [`Error::RingFull`] when there is still no room after completed frames were reaped.
    fn transmit(&mut self, pieces: &[&[u8]]) -> Result<(), Error>;

    /// Counters since the card was opened.
    fn statistics(&self) -> NicStatistics;

    /// How many cards the host has. Opens none, and gives up soon: this is asked during POST, where nothing is on the
    /// screen. For a closed card only.
    ///
    /// # Errors
    /// Why the host can't be asked.
    fn count(&mut self) -> Result<usize, Error> {
        Ok(1)
    }

    /// Which card to open from now on, counted from 1 in the host's order; 0: the first one that will do. Where there is
    /// one card only, this changes nothing.
    fn prefer(&mut self, card: usize) {
        let _ = card;
    }

    /// Which card this is, counted from 1 in the host's order, and how many there are.
    fn place(&self) -> (usize, usize) {
        (1, 1)
    }
}

impl<N: Nic> Nic for &mut N {
    fn open(&mut self) -> Result<(), Error> {
        (**self).open()
    }

    fn close(&mut self) -> Result<(), Error> {
        (**self).close()
    }

    fn release(&mut self) -> Result<(), Error> {
        (**self).release()
    }

    fn is_open(&self) -> bool {
        (**self).is_open()
    }

    fn permanent_mac(&self) -> MacAddress {
        (**self).permanent_mac()
    }

    fn set_filter(&mut self, filter: PacketFilter) -> Result<(), Error> {
        (**self).set_filter(filter)
    }

    fn link_is_up(&mut self) -> Result<bool, Error> {
        (**self).link_is_up()
    }

    fn receive(&mut self, buffer: &mut [u8]) -> Result<Option<usize>, Error> {
        (**self).receive(buffer)
    }

    fn transmit(&mut self, pieces: &[&[u8]]) -> Result<(), Error> {
        (**self).transmit(pieces)
    }

    fn statistics(&self) -> NicStatistics {
        (**self).statistics()
    }

    fn count(&mut self) -> Result<usize, Error> {
        (**self).count()
    }

    fn prefer(&mut self, card: usize) {
        (**self).prefer(card);
    }

    fn place(&self) -> (usize, usize) {
        (**self).place()
    }
}
