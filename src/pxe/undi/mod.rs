//! UNDI: the card's life cycle, its filter and its address.
//!
//! The states are those of PXE 2.1, the policy is tolerant: every order in which a surveyed client calls works, and
//! repeating a call does no harm. The data path is in `data`, the queries are in `query`.

mod data;
mod query;

pub(super) use query::iface_info;

use heapless::Vec;

use super::api::Api;
use super::block::{Answer, Block};
use crate::error::Error;
use crate::machine::Machine;
use crate::mem::PhysMem;
use crate::nic::{MAX_FRAME_LEN, MacAddress, Nic, NicStatistics, PacketFilter};
use crate::wire::pxe::*;

/// Where UNDI is in its life (PXE 2.1, "UNDI States").
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Phase {
    /// After `STOP_UNDI`: the caller may have taken the memory.
    Stopped,
    /// Loaded, and started by the BIOS.
    Loaded,
    /// After `STARTUP`, or `SHUTDOWN`.
    Started,
    /// After `INITIALIZE`, or `CLOSE`: the card is up, its receiver is off.
    Initialized,
    /// After `OPEN`: frames flow.
    Opened,
}

/// The filter that a call which needs the card sets when nobody opened it.
const IMPLICIT_FILTER: PacketFilter = PacketFilter::DIRECTED.union(PacketFilter::BROADCAST);

/// What UNDI knows beside the card.
pub(super) struct Undi {
    phase: Phase,
    filter: PacketFilter,
    multicast: Vec<MacAddress, MAXNUM_MCADDR>,
    /// Set by `SET_STATION_ADDRESS`; the card's own address otherwise.
    station: Option<MacAddress>,
    /// Frames sent and not yet reported by `UNDI_ISR`.
    sent: u16,
    /// The frame that waits to be handed out, and its length.
    frame: [u8; MAX_FRAME_LEN],
    frame_len: Option<u16>,
    /// The card's counters when `CLEAR_STATISTICS` was called.
    cleared: NicStatistics,
    /// The host did not confirm once that it let go of our memory.
    leaked: bool,
}

impl Undi {
    pub(super) const fn new() -> Self {
        Self {
            phase: Phase::Loaded,
            filter: PacketFilter::empty(),
            multicast: Vec::new(),
            station: None,
            sent: 0,
            frame: [0; MAX_FRAME_LEN],
            frame_len: None,
            cleared: NicStatistics { transmitted: 0, received: 0, dropped: 0 },
            leaked: false,
        }
    }

    pub(super) fn phase(&self) -> Phase {
        self.phase
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.phase == Phase::Stopped
    }

    pub(super) fn is_opened(&self) -> bool {
        self.phase == Phase::Opened
    }

    /// Begins a new life, at every boot attempt. What the host didn't let go of stays on record.
    pub(super) fn restart(&mut self) {
        self.phase = Phase::Loaded;
        self.multicast.clear();
        self.station = None;
        self.forget_traffic();
    }

    /// As the UNDI loader leaves it: `START_UNDI` is the only call that is legal.
    pub(super) fn wait_for_start(&mut self) {
        self.restart();
        self.phase = Phase::Stopped;
    }

    /// Forgets what the receiver and the transmitter had pending.
    fn forget_traffic(&mut self) {
        self.sent = 0;
        self.frame_len = None;
    }
}

impl<N: Nic, M: PhysMem, C: Machine> Api<'_, N, M, C> {
    /// `START_UNDI`: undoes `STOP_UNDI`. The BIOS's values say nothing about a card on VMBus; they are ignored.
    pub(super) fn start_undi(&mut self) -> Answer {
        if self.state.undi.is_stopped() {
            self.publish_structures();
            self.state.undi.phase = Phase::Loaded;
        }
        Ok(())
    }

    /// `STOP_UNDI`: after success nothing of ours is reached any more, and the host writes no memory of ours.
    pub(super) fn stop_undi(&mut self) -> Answer {
        self.quiesce(Phase::Loaded);
        if self.state.undi.leaked || !self.machine.unhook_interrupts() {
            return Err(PxenvStatus::KEEP_UNDI);
        }
        self.unpublish();
        self.state.undi.phase = Phase::Stopped;
        Ok(())
    }

    /// `UNDI_STARTUP`: nothing to reserve; a repetition is no error.
    pub(super) fn undi_startup(&mut self) -> Answer {
        self.state.undi.phase = self.state.undi.phase.max(Phase::Started);
        Ok(())
    }

    /// `UNDI_CLEANUP`.
    pub(super) fn undi_cleanup(&mut self) -> Answer {
        self.quiesce(Phase::Loaded);
        Ok(())
    }

    /// `UNDI_SHUTDOWN`: the card is handed back whole, because the caller may start an operating system next, and
    /// several callers (GRUB, FreeBSD's loader) make no further call.
    pub(super) fn undi_shutdown(&mut self) -> Answer {
        self.quiesce(Phase::Started);
        Ok(())
    }

    /// `UNDI_INITIALIZE`: `protocol.ini` is not looked at.
    pub(super) fn undi_initialize(&mut self) -> Answer {
        Ok(self.bring_up()?)
    }

    /// `UNDI_RESET_ADAPTER`: filter and station address stay, the multicast list is replaced.
    pub(super) fn undi_reset_adapter(&mut self, block: &Block<M>) -> Answer {
        let list = multicast_list(block, size_of::<PxenvStatus>())?;
        if self.nic.close().is_err() {
            self.state.undi.leaked = true;
        }
        self.state.undi.phase = Phase::Started;
        self.bring_up()?;
        self.state.undi.multicast = list;
        Ok(self.open_receiver(self.state.undi.filter)?)
    }

    /// `UNDI_OPEN`; again when open: filter and list are replaced.
    pub(super) fn undi_open(&mut self, block: &Block<M>) -> Answer {
        let open: PxenvUndiOpen = block.read()?;
        let list = multicast_list(block, size_of::<PxenvUndiOpen>())?;
        self.bring_up()?;
        self.state.undi.multicast = list;
        Ok(self.open_receiver(client_filter(open.pkt_filter.get()))?)
    }

    /// `UNDI_CLOSE`: the block is not read, iPXE does not initialise it.
    pub(super) fn undi_close(&mut self) -> Answer {
        self.close_receiver()?;
        Ok(())
    }

    /// Turns the receiver off.
    pub(super) fn close_receiver(&mut self) -> Result<(), Error> {
        if self.state.undi.is_opened() {
            self.state.undi.phase = Phase::Initialized;
            self.state.undi.forget_traffic();
            self.nic.set_filter(PacketFilter::empty())?;
        }
        Ok(())
    }

    /// `UNDI_SET_MCAST_ADDRESS`.
    pub(super) fn undi_set_mcast_address(&mut self, block: &Block<M>) -> Answer {
        self.state.undi.multicast = multicast_list(block, size_of::<PxenvStatus>())?;
        Ok(self.apply_filter()?)
    }

    /// `UNDI_SET_PACKET_FILTER`.
    pub(super) fn undi_set_packet_filter(&mut self, block: &Block<M>) -> Answer {
        let set: PxenvUndiSetPacketFilter = block.read()?;
        self.state.undi.filter = client_filter(u16::from(set.filter));
        Ok(self.apply_filter()?)
    }

    /// `UNDI_SET_STATION_ADDRESS`: only while closed, unless nothing changes.
    pub(super) fn undi_set_station_address(&mut self, block: &Block<M>) -> Answer {
        let set: PxenvUndiSetStationAddress = block.read()?;
        let mut station = MacAddress::default();
        station.copy_from_slice(&set.station_address[..ETH_ALEN]);
        if station == self.station() {
            return Ok(());
        }
        if self.state.undi.is_opened() {
            return Err(PxenvStatus::UNDI_INVALID_STATE);
        }
        if is_multicast(station) || station == MacAddress::default() {
            return Err(PxenvStatus::UNDI_BAD_MAC_ADDRESS);
        }
        self.state.undi.station = (station != self.nic.permanent_mac()).then_some(station);
        if self.state.answers.is_some() {
            self.publish_answers();
        }
        Ok(())
    }

    /// The address in use.
    #[inline(never)] // one copy for all callers
    pub(super) fn station(&self) -> MacAddress {
        self.state.undi.station.unwrap_or_else(|| self.nic.permanent_mac())
    }

    /// Makes the card usable: its receiver off if it was down, as it was if the card was lost while open.
    pub(super) fn bring_up(&mut self) -> Result<(), Error> {
        if !self.nic.is_open() {
            self.nic.open()?;
            self.state.undi.forget_traffic();
            self.state.undi.cleared = NicStatistics::default(); // the card counts from its opening
            self.apply_filter()?;
        }
        self.state.undi.phase = self.state.undi.phase.max(Phase::Initialized);
        Ok(())
    }

    /// Opens the receiver for a call that needs it and finds it closed: 3Com's code never calls `UNDI_OPEN`, and
    /// pxelinux started by GRUB finds what GRUB closed.
    pub(super) fn require_open(&mut self) -> Answer {
        self.bring_up()?;
        if !self.state.undi.is_opened() {
            self.open_receiver(IMPLICIT_FILTER)?;
        }
        Ok(())
    }

    /// As [`require_open`](Self::require_open), but a card that was shut down stays so: `otherwise` is the answer.
    pub(super) fn require_up(&mut self, otherwise: PxenvStatus) -> Answer {
        if self.state.undi.phase < Phase::Initialized { Err(otherwise) } else { self.require_open() }
    }

    /// Brings the card up for base code.
    pub(super) fn open_for_base_code(&mut self) -> Result<(), Error> {
        self.bring_up()?;
        self.open_receiver(IMPLICIT_FILTER)
    }

    /// Turns the receiver on.
    fn open_receiver(&mut self, filter: PacketFilter) -> Result<(), Error> {
        self.state.undi.filter = filter;
        self.state.undi.phase = Phase::Opened;
        let applied = self.apply_filter();
        if applied.is_err() {
            self.state.undi.phase = Phase::Initialized;
        }
        applied
    }

    /// Tells the card which frames are wanted; what it can't sort by is sorted out in `data`.
    fn apply_filter(&mut self) -> Result<(), Error> {
        if !self.state.undi.is_opened() {
            return Ok(()); // OPEN will
        }
        let mut filter = self.state.undi.filter;
        if filter.contains(PacketFilter::DIRECTED) && !self.state.undi.multicast.is_empty() {
            filter |= PacketFilter::ALL_MULTICAST;
        }
        if self.state.undi.station.is_some() && !filter.is_empty() {
            filter |= PacketFilter::PROMISCUOUS;
        }
        self.nic.set_filter(filter)
    }

    /// Hands the card and its bus back, and goes down to `phase`. An error leaves memory with the host, which stays
    /// reserved: the caller may go on, but `STOP_UNDI` will not give the memory up.
    fn quiesce(&mut self, phase: Phase) {
        if self.nic.release().is_err() {
            self.state.undi.leaked = true;
        }
        self.state.undi.forget_traffic();
        self.state.undi.phase = self.state.undi.phase.min(phase);
    }
}

/// The filter bits that callers have; others are ignored.
fn client_filter(bits: u16) -> PacketFilter {
    PacketFilter::from_bits_truncate(bits).difference(PacketFilter::ALL_MULTICAST)
}

/// Reads the `R_Mcast_Buf` at `offset` of a block: no further than its count says.
///
/// # Errors
/// `UNDI_INVALID_PARAMETER` for more than eight addresses.
fn multicast_list<M: PhysMem>(block: &Block<M>, offset: usize) -> Answer<Vec<MacAddress, MAXNUM_MCADDR>> {
    let count: zerocopy::little_endian::U16 = block.read_at(offset)?;
    let mut list = Vec::new();
    for index in 0..usize::from(count.get()) {
        let address: MacAddress = block.read_at(offset + MCAST_COUNT_LEN + index * size_of::<MacAddr16>())?;
        list.push(address).map_err(|_| PxenvStatus::UNDI_INVALID_PARAMETER)?;
    }
    Ok(list)
}

/// True for group addresses, the broadcast address among them.
fn is_multicast(address: MacAddress) -> bool {
    address[0] & 1 != 0
}
