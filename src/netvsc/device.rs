//! One open card: its memory, its frames, its life.

use heapless::Vec;
use zerocopy::little_endian::U32;
use zerocopy::{FromZeros, IntoBytes};

use super::exchange::Exchange;
use super::rxbuf::{MAX_FETCHED, Queue, RECEIVE_PAGES, Waiting};
use super::txbuf::{SEND_PAGES, Sections};
use super::vlan;
use crate::error::Error;
use crate::hv::Hypervisor;
use crate::log;
use crate::mem::{PAGE_SIZE, SharedMem};
use crate::nic::{MAX_FRAME_LEN, MacAddress, NicStatistics, PacketFilter};
use crate::text::Plain;
use crate::vmbus::{Channel, Connection, Gpadl};
use crate::wire::rndis::{self, OFFSET_BASE, PACKET_HEADER_LEN, VlanTag, oid};
use crate::wire::{nvsp, ring};

/// Shortest frame on a wire, without its check sequence (IEEE 802.3).
const MIN_FRAME_LEN: usize = 60;
/// Length of an Ethernet header.
const ETHERNET_HEADER_LEN: usize = 14;
/// Most ring packets looked at in one call (policy), so that a host that floods us can't hold us for ever.
const MAX_PACKETS_PER_CALL: usize = 256;

/// Cycles after which packets are completed although nothing is sent (policy: 13 to 67 ms, above the round trip to most
/// servers). They hold a part of the receive buffer meanwhile that the host can spare.
const FETCHED_CYCLES: u64 = 1 << 26;

/// An open network card.
pub struct Device<H: Hypervisor> {
    pub(super) channel: Channel<H>,
    /// The receive buffer.
    pub(super) receive: Option<Gpadl<H::Pages>>,
    /// The send buffer, and behind what the GPADL covers one page for RNDIS requests.
    pub(super) send: Option<Gpadl<H::Pages>>,
    pub(super) sections: Sections,
    pub(super) queue: Queue,
    /// Packets whose frames were fetched, and which the host doesn't know of yet.
    pub(super) fetched: Vec<u64, MAX_FETCHED>,
    /// Cycles when the first of them was.
    pub(super) fetched_since: u64,
    /// Parts of the receive buffer that they hold.
    pub(super) fetched_frames: usize,
    /// The one NVSP or RNDIS exchange that is under way.
    pub(super) exchange: Exchange,
    pub(super) link_up: bool,
    pub(super) statistics: NicStatistics,
    mac: MacAddress,
    vlan: u16,
}

impl<H: Hypervisor> Device<H> {
    /// The card on a channel that was just opened. Nothing is negotiated yet.
    #[must_use]
    pub fn new(channel: Channel<H>) -> Self {
        Self {
            channel,
            receive: None,
            send: None,
            sections: Sections::default(),
            queue: Queue::new(),
            fetched: Vec::new(),
            fetched_since: 0,
            fetched_frames: 0,
            exchange: Exchange::default(),
            link_up: false,
            statistics: NicStatistics::default(),
            mac: [0; 6],
            vlan: 0,
        }
    }

    /// Puts the card into a VLAN, or into none with 0: frames of others are dropped.
    pub const fn set_vlan(&mut self, id: u16) {
        self.vlan = id;
    }

    /// Brings the card up: version, buffers, address, link. On an error the card must still be [`close`](Self::close)d.
    ///
    /// # Errors
    /// [`Error::HostRefused`], [`Error::HostTimeout`], [`Error::HostProtocol`], [`Error::OutOfResources`], and
    /// [`Error::NicGone`] when the host takes it back meanwhile.
    pub fn start(&mut self, connection: &mut Connection<H>) -> Result<(), Error> {
        let version = self.negotiate(connection)?;
        self.send_configuration(connection, version)?;
        self.share_receive_buffer(connection)?;
        self.share_send_buffer(connection)?;
        self.initialize(connection)?;
        let mut mac = [0; 6];
        if self.query(connection, oid::PERMANENT_ADDRESS, &mut mac)? != mac.len() {
            return Err(Error::HostProtocol);
        }
        self.mac = mac;
        let mut payload = U32::new(0);
        // Only for the log; not every host has to know it.
        let _ = self.query(connection, oid::GEN_MAXIMUM_FRAME_SIZE, payload.as_mut_bytes());
        self.query_link(connection)?;
        let [a, b, c, d, e, f] = mac;
        log::line(format_args!(
            "netvsc: NVSP {}.{}, {a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{f:02x}, MTU {payload}, link {}",
            version >> 16,
            version & 0xffff,
            Plain(if self.link_up { "up" } else { "down" }),
        ));
        Ok(())
    }

    /// Closes the card and gives its memory back. Whatever the host doesn't answer stays reserved.
    pub fn close(mut self, connection: &mut Connection<H>) {
        if connection.version().is_some() && !self.is_gone(connection) && self.send.is_some() {
            // A ring that is broken by now says so again below.
            let _ = self.complete_fetched(connection);
            // Without this, 2012 R2 delivers nothing after the next open.
            if self.set_filter(connection, PacketFilter::empty()).is_ok() {
                let _ = self.halt(connection);
            }
        }
        self.channel.quiesce(connection);
        let relid = self.channel.relid();
        for buffer in [self.receive, self.send].into_iter().flatten() {
            connection.unshare(relid, buffer);
        }
        self.channel.close(connection);
    }

    /// Shares the largest receive buffer that there is memory for.
    fn share_receive_buffer(&mut self, connection: &mut Connection<H>) -> Result<(), Error> {
        for count in RECEIVE_PAGES {
            let Some(pages) = connection.hv().alloc_pages(count) else { continue };
            let gpadl = connection.share(self.channel.relid(), pages, count)?;
            let id = gpadl.id;
            self.receive = Some(gpadl);
            return self.announce_receive_buffer(connection, id, count * PAGE_SIZE);
        }
        Err(Error::OutOfResources)
    }

    fn share_send_buffer(&mut self, connection: &mut Connection<H>) -> Result<(), Error> {
        let pages = connection.hv().alloc_pages(SEND_PAGES + 1).ok_or(Error::OutOfResources)?;
        let gpadl = connection.share(self.channel.relid(), pages, SEND_PAGES)?;
        let id = gpadl.id;
        self.send = Some(gpadl);
        let section = self.announce_send_buffer(connection, id)?;
        self.sections = Sections::new(SEND_PAGES * PAGE_SIZE, section).ok_or(Error::HostProtocol)?;
        Ok(())
    }

    /// Channel id.
    #[must_use]
    pub const fn relid(&self) -> u32 {
        self.channel.relid()
    }

    /// The address burnt in.
    #[must_use]
    pub const fn mac(&self) -> MacAddress {
        self.mac
    }

    /// True when there was a carrier at the last look.
    #[must_use]
    pub const fn link_up(&self) -> bool {
        self.link_up
    }

    /// Counters since the card was opened.
    #[must_use]
    pub const fn statistics(&self) -> NicStatistics {
        self.statistics
    }

    /// True when the host took the card back.
    #[must_use]
    pub fn is_gone(&self, connection: &Connection<H>) -> bool {
        connection.offers().is_gone(self.channel.relid())
    }

    /// True when the host has confirmed every frame, as far as its packets were looked at.
    #[must_use]
    pub const fn all_confirmed(&self) -> bool {
        self.sections.all_free()
    }

    /// Asks the host for the carrier.
    ///
    /// # Errors
    /// As in any RNDIS exchange.
    pub fn query_link(&mut self, connection: &mut Connection<H>) -> Result<bool, Error> {
        let mut status = U32::new(0);
        self.query(connection, oid::GEN_MEDIA_CONNECT_STATUS, status.as_mut_bytes())?;
        self.link_up = status == 0;
        Ok(self.link_up)
    }

    /// Sets which frames are delivered.
    ///
    /// # Errors
    /// As in any RNDIS exchange.
    pub fn set_filter(&mut self, connection: &mut Connection<H>, filter: PacketFilter) -> Result<(), Error> {
        let pairs = [
            (PacketFilter::DIRECTED, rndis::FILTER_DIRECTED),
            (PacketFilter::BROADCAST, rndis::FILTER_BROADCAST),
            (PacketFilter::PROMISCUOUS, rndis::FILTER_PROMISCUOUS),
            (PacketFilter::ALL_MULTICAST, rndis::FILTER_MULTICAST | rndis::FILTER_ALL_MULTICAST),
        ];
        let mut bits = 0;
        for (ours, theirs) in pairs {
            if filter.contains(ours) {
                bits |= theirs;
            }
        }
        self.set(connection, oid::GEN_CURRENT_PACKET_FILTER, bits)
    }

    /// Copies the next frame to the start of `buffer`; `None` when none waits. No exit, unless the host waits for room
    /// in a ring or sleeps.
    ///
    /// # Errors
    /// [`Error::HostProtocol`] when the ring is corrupt.
    pub fn receive(&mut self, connection: &Connection<H>, buffer: &mut [u8]) -> Result<Option<usize>, Error> {
        for _ in 0..MAX_PACKETS_PER_CALL {
            while let Some(waiting) = self.queue.pop_front() {
                let length = self.take_frame(&waiting, buffer);
                if waiting.completes != 0 && !self.complete_soon(connection, &waiting)? {
                    // No room for the completion now: it is owed, and comes before all else next time.
                    let _ = self.queue.push_front(Waiting { length: 0, ..waiting });
                    return Ok(length);
                }
                if length.is_some() {
                    return Ok(length);
                }
            }
            if !self.poll(connection)? {
                break;
            }
        }
        if !self.fetched.is_empty() && connection.hv().cycles().wrapping_sub(self.fetched_since) >= FETCHED_CYCLES {
            self.complete_fetched(connection)?;
        }
        Ok(None)
    }

    /// Copies a frame out of the receive buffer; `None` when there is none in this part of it.
    fn take_frame(&mut self, waiting: &Waiting, buffer: &mut [u8]) -> Option<usize> {
        let length = waiting.length as usize;
        if length == 0 {
            return None;
        }
        let receive = self.receive.as_ref()?;
        let mut packet = rndis::Packet::new_zeroed();
        let header_len = PACKET_HEADER_LEN.min(length);
        receive.pages.read(waiting.offset as usize, &mut packet.as_mut_bytes()[..header_len]);
        if packet.header.message_type != rndis::message_type::PACKET {
            self.control_message(waiting.offset, waiting.length);
            return None;
        }
        // Both come from the host: any sum of them may overflow.
        let start = (packet.data_offset.get() as usize).saturating_add(OFFSET_BASE);
        let frame_len = packet.data_length.get() as usize;
        let fits = frame_len >= ETHERNET_HEADER_LEN && start.saturating_add(frame_len) <= length;
        let read = |at, into: &mut [u8]| receive.pages.read(waiting.offset as usize + at, into);
        let fits = fits && vlan::id_of(&packet, length, &read) == self.vlan;
        match buffer.get_mut(..frame_len) {
            Some(frame) if fits => {
                receive.pages.read(waiting.offset as usize + start, frame);
                self.statistics.received += 1;
                Some(frame_len)
            }
            _ => {
                self.statistics.dropped += 1;
                None
            }
        }
    }

    /// Sends one frame, given in pieces. One exit at most.
    ///
    /// # Errors
    /// [`Error::InvalidParameter`] when it is shorter than a header or longer than [`MAX_FRAME_LEN`];
    /// [`Error::RingFull`] while the host hasn't taken enough of the earlier ones; [`Error::HostProtocol`].
    pub fn transmit(&mut self, connection: &Connection<H>, pieces: &[&[u8]]) -> Result<(), Error> {
        let length = pieces.iter().fold(0_usize, |sum, piece| sum.saturating_add(piece.len()));
        if !(ETHERNET_HEADER_LEN..=MAX_FRAME_LEN).contains(&length) {
            return Err(Error::InvalidParameter);
        }
        let index = self.free_section(connection)?;
        self.post_fetched()?;
        let send = self.send.as_ref().ok_or(Error::NotOpen)?;
        let padded = length.max(MIN_FRAME_LEN);
        let mut at = self.sections.offset(index);
        let tag = VlanTag::new(self.vlan);
        let tag = if self.vlan == 0 { &[] } else { tag.as_bytes() };
        let head_len = PACKET_HEADER_LEN + tag.len();
        send.pages.write(at, rndis::Packet::for_frame(padded as u32, tag.len() as u32).as_bytes());
        send.pages.write(at + PACKET_HEADER_LEN, tag);
        at += head_len;
        for piece in pieces {
            send.pages.write(at, piece);
            at += piece.len();
        }
        send.pages.write(at, &[0; MIN_FRAME_LEN][..padded - length]);
        let message = nvsp::SendRndisPacket {
            message_type: U32::new(nvsp::message_type::SEND_RNDIS_PKT),
            channel_type: U32::new(nvsp::CHANNEL_DATA),
            section_index: U32::new(index),
            section_size: U32::new((head_len + padded) as u32),
        };
        let bytes = nvsp::padded(message.as_bytes());
        let bytes = &bytes[..self.exchange.message_len];
        let flags = ring::FLAG_COMPLETION_REQUESTED;
        self.channel.send(connection, ring::PACKET_IN_BAND, flags, u64::from(index), &[], bytes)?;
        self.sections.take(index);
        Ok(())
    }

    /// A free section, after looking for completions if there is none.
    fn free_section(&mut self, connection: &Connection<H>) -> Result<u32, Error> {
        for _ in 0..MAX_PACKETS_PER_CALL {
            if let Some(index) = self.sections.first_free() {
                return Ok(index);
            }
            if !self.poll(connection)? {
                break;
            }
        }
        self.sections.first_free().ok_or(Error::RingFull)
    }
}
