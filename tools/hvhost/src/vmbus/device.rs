//! What a device behind a channel sees of VMBus.

use serde::{Deserialize, Serialize};

use super::gpadl::{GpadlKey, Gpadls, Region};
use super::ring::{Corrupt, Inbound, Outbound, Packet};
use crate::config::Config;
use crate::memory::GuestMemory;
use crate::report::Report;
use crate::saved::{Backend, BadState};
use crate::violations::Breach;

/// What the host lends a device while it works.
pub(crate) struct Io<'a> {
    pub relid: u32,
    pub config: &'a Config,
    pub gpadls: &'a Gpadls,
    pub mem: &'a mut dyn GuestMemory,
    pub report: &'a mut Report,
    /// Set when the guest is to be signalled afterwards.
    pub signal_guest: bool,
}

impl Io<'_> {
    /// The memory of one of the channel's GPADLs, if it is one page-aligned range of RAM.
    pub fn region(&self, gpadl: u32) -> Option<Region> {
        let pages = self.gpadls.pages(GpadlKey { relid: self.relid, id: gpadl })?;
        Region::new(pages, self.mem)
    }
}

/// Why a device stopped. Its channel stays open and silent until the guest closes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    /// The rings make no sense.
    Ring(Corrupt),
    /// The guest broke the device's protocol; the device has reported it.
    Protocol,
}

impl From<Corrupt> for Stop {
    fn from(corrupt: Corrupt) -> Self {
        Self::Ring(corrupt)
    }
}

/// The two rings of an open channel.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Rings {
    pub inbound: Inbound,
    outbound: Outbound,
    /// All of the guest's packets have been read.
    pub drained: bool,
    /// Something was read since the guest's last signal.
    pub consumed: bool,
    /// A packet for the guest did not fit, and the guest was asked for a signal.
    pub blocked: bool,
}

impl Rings {
    pub fn new(inbound: Inbound, outbound: Outbound) -> Self {
        Self { inbound, outbound, drained: false, consumed: true, blocked: false }
    }

    /// The next packet from the guest.
    pub fn next(&mut self, io: &mut Io<'_>) -> Result<Option<Packet>, Corrupt> {
        let bad = self.inbound.bad_trailers;
        let packet = self.inbound.next(io.mem)?;
        if self.inbound.bad_trailers > bad {
            io.report.breach(Breach::RingCorrupt { relid: io.relid, why: "a trailer does not name its packet" });
        }
        self.drained = packet.is_none();
        self.consumed |= packet.is_some();
        Ok(packet)
    }

    /// Gives the space of what was read back to the guest.
    pub fn commit(&mut self, io: &mut Io<'_>) -> Result<(), Corrupt> {
        io.signal_guest |= self.inbound.commit(io.mem)?;
        Ok(())
    }

    /// Notices that the guest uses the memory of the rings for something else.
    ///
    /// # Errors
    /// An index of the host's has changed.
    pub fn check(&self, io: &Io<'_>) -> Result<(), Corrupt> {
        let intact = self.inbound.is_intact(io.mem)? && self.outbound.is_intact(io.mem)?;
        intact.then_some(()).ok_or("an index of the host's was overwritten")
    }

    /// Whether a packet of this size can be sent now. If not, the guest's signal will tell.
    pub fn reserve(&mut self, io: &mut Io<'_>, extra: usize, payload: usize) -> Result<bool, Corrupt> {
        let fits = self.outbound.reserve(io.mem, Outbound::packet_len(extra, payload))?;
        self.blocked |= !fits;
        Ok(fits)
    }

    /// Bytes of packets that fit now.
    pub fn room(&self, io: &Io<'_>) -> Result<usize, Corrupt> {
        self.outbound.room(io.mem)
    }

    /// Sends a packet for which [`reserve`](Self::reserve) has found room.
    pub fn send(
        &mut self,
        io: &mut Io<'_>,
        kind: u16,
        completion_requested: bool,
        transaction: u64,
        extra: &[u8],
        payload: &[u8],
    ) -> Result<(), Corrupt> {
        io.signal_guest |= self.outbound.write(io.mem, kind, completion_requested, transaction, extra, payload)?;
        Ok(())
    }
}

/// A device that VMBus offers.
pub(crate) trait Device: Send {
    /// The channel was opened.
    fn open(&mut self);

    /// Does what can be done. `woken` says that the guest signalled: only then its packets are to be read.
    ///
    /// # Errors
    /// [`Stop`] when the guest left no way to go on.
    fn service(&mut self, rings: &mut Rings, woken: bool, io: &mut Io<'_>) -> Result<(), Stop>;

    /// Called in place of [`service`](Self::service) while the channel is not open.
    fn idle(&mut self, report: &mut Report);

    /// The channel closes. `orderly` says that the guest asked for just that.
    fn close(&mut self, relid: u32, orderly: bool, report: &mut Report);

    /// Whether the device uses the GPADL with this id.
    fn holds(&self, gpadl: u32) -> bool;

    /// The device's state as bytes, without what is behind it.
    fn save(&self) -> Vec<u8>;

    /// Takes over the state of a device that was made alike.
    ///
    /// # Errors
    /// [`BadState`] when the bytes are not from [`save`](Self::save).
    fn restore(&mut self, state: &[u8]) -> Result<(), BadState>;

    /// Ends the device, and gives back what is behind it.
    fn into_backend(self: Box<Self>) -> Backend;
}

/// A device that takes what it is sent and never says anything: the integration services of a host that has nothing to
/// ask of the guest.
pub(crate) struct Inert;

impl Device for Inert {
    fn open(&mut self) {}

    fn service(&mut self, rings: &mut Rings, woken: bool, io: &mut Io<'_>) -> Result<(), Stop> {
        if woken {
            while rings.next(io)?.is_some() {}
            rings.commit(io)?;
        }
        Ok(())
    }

    fn idle(&mut self, _report: &mut Report) {}

    fn close(&mut self, _relid: u32, _orderly: bool, _report: &mut Report) {}

    fn holds(&self, _gpadl: u32) -> bool {
        false
    }

    fn save(&self) -> Vec<u8> {
        Vec::new()
    }

    fn restore(&mut self, state: &[u8]) -> Result<(), BadState> {
        state.is_empty().then_some(()).ok_or_else(|| BadState::new("a state for a device that has none"))
    }

    fn into_backend(self: Box<Self>) -> Backend {
        Backend::None
    }
}
