//! The synthetic NIC's host side (NetVSP).
//!
//! Handshake, then RNDIS. What stops the channel and what only fails a packet follows OpenVMM, with the switches of
//! [`Config`] for what Microsoft's host allows.

mod handshake;
mod nvsp;
mod oid;
mod rndis;
mod rxbuf;
mod tx;

use std::collections::VecDeque;

use crate::backend::NetBackend;
use crate::config::Config;
use crate::report::Report;
use crate::violations::Breach;
use crate::vmbus::device::{Device, Io, Rings, Stop};
use crate::vmbus::gpadl::Region;
use crate::vmbus::ring::{COMPLETION, Packet, TRANSFER_PAGES};
use handshake::Setup;
use nvsp::field;
use oid::Adapter;
use rxbuf::{MAX_RANGES, ReceiveBuffer};
use tx::Sent;

/// Bytes in one message from the guest; policy, far beyond what any guest sends at once.
const MAX_SENT: usize = 256 * 1024;
/// RNDIS control messages that may wait for a buffer; policy.
const MAX_CONTROL_QUEUE: usize = 64;
/// Frames dropped in one go while nobody listens; policy.
const MAX_DROPS: usize = 64;

/// One virtual NIC.
pub(crate) struct NetVsp {
    mac: [u8; 6],
    backend: Box<dyn NetBackend>,
    setup: Setup,
    initialized: bool,
    filter: u32,
    /// Completions that wait for room in the ring: transaction id and payload.
    completions: VecDeque<(u64, Vec<u8>)>,
    /// RNDIS requests and indications that wait for a receive buffer.
    control: VecDeque<Vec<u8>>,
    indications: VecDeque<Vec<u8>>,
    /// The link state that the guest knows.
    link_told: bool,
    /// Frames taken from the network for which there was no room.
    received: VecDeque<Vec<u8>>,
    /// Packets of the guest are left in the ring.
    behind: bool,
    sent_count: u64,
    received_count: u64,
}

impl NetVsp {
    /// NIC number `index`; MAC addresses count up from the configured one.
    pub fn new(config: &Config, index: u32, backend: Box<dyn NetBackend>) -> Self {
        let mut mac = config.mac;
        let tail = u32::from_be_bytes([0, mac[3], mac[4], mac[5]]).wrapping_add(index).to_be_bytes();
        mac[3..].copy_from_slice(&tail[1..]);
        Self {
            mac,
            backend,
            setup: Setup::default(),
            initialized: false,
            filter: 0,
            completions: VecDeque::new(),
            control: VecDeque::new(),
            indications: VecDeque::new(),
            link_told: true,
            received: VecDeque::new(),
            behind: false,
            sent_count: 0,
            received_count: 0,
        }
    }

    fn link_up(&self, config: &Config, now: u64) -> bool {
        self.backend.link_up() && config.faults.link_at(now).unwrap_or(config.link_up)
    }

    fn adapter(&self, link_up: bool) -> Adapter {
        Adapter {
            mac: self.mac,
            mtu: self.setup.mtu(),
            link_up,
            filter: self.filter,
            sent: self.sent_count,
            received: self.received_count,
            ndis6: self.setup.is_ndis6(),
        }
    }

    /// Sends what waits for room. `false` when the ring is still full.
    fn flush_completions(&mut self, rings: &mut Rings, io: &mut Io<'_>) -> Result<bool, Stop> {
        while let Some((transaction, payload)) = self.completions.front() {
            if !rings.reserve(io, 0, payload.len())? {
                return Ok(false);
            }
            rings.send(io, COMPLETION, false, *transaction, &[], payload)?;
            self.completions.pop_front();
        }
        Ok(true)
    }

    fn packet(&mut self, packet: Packet, io: &mut Io<'_>) -> Result<(), Stop> {
        if packet.kind == COMPLETION {
            return self.completion(&packet, io);
        }
        let Some(kind) = field(&packet.payload, 0) else {
            return Err(self.stop(io, 0, "packet without a message"));
        };
        if kind == nvsp::SEND_RNDIS_PKT && self.setup.version() != 0 {
            return self.rndis(packet, io);
        }
        let reply = match self.setup.message(kind, &packet.payload, io) {
            Ok(reply) => reply,
            Err(why) => return Err(self.stop(io, kind, why)),
        };
        if packet.completion_requested {
            self.completions.push_back((packet.transaction, reply));
        } else if !reply.is_empty() {
            let why = "sent without asking for its completion";
            io.report.breach(Breach::Nvsp { relid: io.relid, message: kind, why });
        }
        Ok(())
    }

    fn stop(&self, io: &mut Io<'_>, message: u32, why: &'static str) -> Stop {
        io.report.breach(Breach::Nvsp { relid: io.relid, message, why });
        Stop::Protocol
    }

    /// The guest returns a received packet.
    fn completion(&mut self, packet: &Packet, io: &mut Io<'_>) -> Result<(), Stop> {
        let transaction = packet.transaction;
        let why = match (field(&packet.payload, 0), field(&packet.payload, 4)) {
            (None, _) if packet.payload.is_empty() && io.config.lenient_rx_completion => None,
            (None, _) => Some("no message in it"),
            (Some(nvsp::SEND_RNDIS_PKT_COMPLETE), Some(_)) => None,
            (Some(_), _) => Some("not a SEND_RNDIS_PKT_COMPLETE with a status"),
        };
        let why = why.or_else(|| {
            let known = self.setup.receive.as_mut().is_some_and(|buffer| buffer.complete(transaction));
            (!known).then_some("nothing with this id was outstanding")
        });
        match why {
            None => Ok(()),
            Some(why) => {
                io.report.breach(Breach::Completion { relid: io.relid, transaction, why });
                Err(Stop::Protocol)
            }
        }
    }

    /// SEND_RNDIS_PKT: channel type @4, send section @8, size in it @12.
    fn rndis(&mut self, packet: Packet, io: &mut Io<'_>) -> Result<(), Stop> {
        if let Err(why) = self.setup.finish() {
            return Err(self.stop(io, nvsp::SEND_RNDIS_PKT, why));
        }
        let (Some(section), Some(size)) = (field(&packet.payload, 8), field(&packet.payload, 12)) else {
            return Err(self.stop(io, nvsp::SEND_RNDIS_PKT, "too short"));
        };
        let mut sent = Sent { bytes: Vec::new(), range_ends: Vec::new() };
        if section != nvsp::NO_SECTION {
            let Some(bytes) = self.setup.send_section(section as usize, size as usize, io) else {
                return Err(self.stop(io, nvsp::SEND_RNDIS_PKT, "no such section of the send buffer"));
            };
            sent.bytes = bytes;
            sent.range_ends.push(sent.bytes.len());
        }
        let result = gather(&packet, &mut sent, io).and_then(|()| self.rndis_message(sent, io));
        let status = match result {
            Ok(()) => nvsp::STATUS_SUCCESS,
            Err((message, why)) => {
                io.report.breach(Breach::Rndis { relid: io.relid, message, why });
                nvsp::STATUS_FAILURE
            }
        };
        if packet.completion_requested {
            let reply = nvsp::message(self.setup.version(), nvsp::SEND_RNDIS_PKT_COMPLETE, &[status]);
            self.completions.push_back((packet.transaction, reply));
        } else {
            let why = "sent without asking for its completion";
            io.report.breach(Breach::Nvsp { relid: io.relid, message: nvsp::SEND_RNDIS_PKT, why });
        }
        Ok(())
    }

    fn rndis_message(&mut self, sent: Sent, io: &mut Io<'_>) -> Result<(), (u32, &'static str)> {
        let kind = field(&sent.bytes, 0).ok_or((0, "no message"))?;
        let len = field(&sent.bytes, 4).ok_or((kind, "no length"))? as usize;
        match kind {
            rndis::PACKET => {
                if !self.initialized {
                    let why = "a frame before INITIALIZE";
                    io.report.breach(Breach::Rndis { relid: io.relid, message: kind, why });
                }
                let frames = tx::frames(&sent, self.setup.mtu() as usize).map_err(|why| (kind, why))?;
                let up = self.link_up(io.config, io.report.now);
                for frame in frames {
                    io.report.counters.tx_frames += 1;
                    io.report.counters.tx_bytes += frame.len() as u64;
                    self.sent_count += 1;
                    if up {
                        self.backend.send(&frame);
                    }
                }
                Ok(())
            }
            rndis::HALT => Ok(()),
            _ if self.control.len() >= MAX_CONTROL_QUEUE => Err((kind, "too many control messages at once")),
            _ => {
                if len != sent.bytes.len() {
                    let why = "its length is not that of the data sent";
                    io.report.breach(Breach::Rndis { relid: io.relid, message: kind, why });
                }
                self.control.push_back(sent.bytes);
                Ok(())
            }
        }
    }

    /// Answers control messages as far as there is room.
    fn serve_control(&mut self, rings: &mut Rings, io: &mut Io<'_>) -> Result<(), Stop> {
        let up = self.link_up(io.config, io.report.now);
        if up != self.link_told {
            self.link_told = up;
            io.report.log(format!("channel {}: link {}", io.relid, if up { "up" } else { "down" }));
            if self.initialized {
                self.indications.push_back(rndis::link_changed(up));
            }
        }
        while !(self.control.is_empty() && self.indications.is_empty()) {
            let header = nvsp::message(self.setup.version(), nvsp::SEND_RNDIS_PKT, &[1, nvsp::NO_SECTION, 0]);
            let has_buffer = self.setup.receive.as_ref().is_some_and(ReceiveBuffer::has_control);
            if !has_buffer || !rings.reserve(io, 16, header.len())? {
                return Ok(());
            }
            let reply = match self.control.pop_front() {
                Some(request) => {
                    let mut adapter = self.adapter(up);
                    let reply = rndis::control(&request, &mut adapter, &mut self.initialized);
                    self.set_filter(adapter.filter, io);
                    reply.map_err(|rndis::Fatal(why)| {
                        let message = field(&request, 0).unwrap_or(0);
                        io.report.breach(Breach::Rndis { relid: io.relid, message, why });
                        Stop::Protocol
                    })?
                }
                None => match self.indications.pop_front() {
                    Some(indication) => indication,
                    None => return Ok(()),
                },
            };
            if let Some((transaction, range)) =
                self.setup.receive.as_mut().and_then(|buffer| buffer.put_control(&reply, io.mem))
            {
                self.transfer(rings, io, transaction, &[range], &header)?;
            }
        }
        Ok(())
    }

    fn set_filter(&mut self, filter: u32, io: &mut Io<'_>) {
        if filter != self.filter {
            io.report.log(format!("channel {}: packet filter {filter:#x}", io.relid));
            self.filter = filter;
        }
    }

    /// Takes frames from the network, to the guest or to nowhere.
    fn serve_receive(&mut self, rings: &mut Rings, io: &mut Io<'_>) -> Result<(), Stop> {
        let listening = self.filter != 0 && self.initialized && self.link_up(io.config, io.report.now);
        let header = nvsp::message(self.setup.version(), nvsp::SEND_RNDIS_PKT, &[0, nvsp::NO_SECTION, 0]);
        let Some(buffer) = self.setup.receive.as_mut().filter(|_| listening) else {
            self.idle(io.report);
            return Ok(());
        };
        while self.received.len() < buffer.free().min(MAX_RANGES) {
            let Some(frame) = self.backend.receive() else { break };
            if (14..=buffer.mtu).contains(&frame.len()) {
                self.received.push_back(frame);
            } else {
                io.report.log(format!("channel {}: frame of {} bytes dropped", io.relid, frame.len()));
            }
        }
        if self.received.is_empty() {
            return Ok(());
        }
        // 16 bytes of descriptor, 8 of set id and count, 8 of trailer; 8 for each range.
        let ranges = (rings.room(io)?.saturating_sub(32 + header.len()) / 8).min(self.received.len());
        if ranges == 0 {
            rings.reserve(io, 16, header.len())?; // asks for a signal
            return Ok(());
        }
        let frames: Vec<Vec<u8>> = self.received.drain(..ranges).collect();
        let Some((transaction, placed)) = buffer.put_frames(&frames, io.mem) else {
            return Err(Stop::Ring("the receive buffer is not RAM any more"));
        };
        io.report.counters.rx_packets += 1;
        io.report.counters.rx_frames += placed.len() as u64;
        io.report.counters.rx_bytes += frames.iter().map(|frame| frame.len() as u64).sum::<u64>();
        self.received_count += placed.len() as u64;
        self.transfer(rings, io, transaction, &placed, &header)
    }

    /// Sends a transfer-page packet: set id u16, sender-owns u8, reserved u8, range count u32, {length, offset} each.
    fn transfer(
        &self,
        rings: &mut Rings,
        io: &mut Io<'_>,
        transaction: u64,
        ranges: &[(u32, u32)],
        message: &[u8],
    ) -> Result<(), Stop> {
        let mut extra = self.setup.receive_id.to_le_bytes().to_vec();
        extra.extend_from_slice(&[0, 0]);
        extra.extend_from_slice(&(ranges.len() as u32).to_le_bytes());
        for (len, offset) in ranges {
            extra.extend_from_slice(&len.to_le_bytes());
            extra.extend_from_slice(&offset.to_le_bytes());
        }
        Ok(rings.send(io, TRANSFER_PAGES, true, transaction, &extra, message)?)
    }
}

/// Appends what the packet's ranges describe.
fn gather(packet: &Packet, sent: &mut Sent, io: &mut Io<'_>) -> Result<(), (u32, &'static str)> {
    for range in &packet.ranges {
        let (at, len) = (sent.bytes.len(), range.len as usize);
        if at + len > MAX_SENT {
            return Err((0, "more data than any message has"));
        }
        sent.bytes.resize(at + len, 0);
        let region = Region::new(&range.pfns, io.mem);
        if !region.is_some_and(|region| region.read(io.mem, range.offset as usize, &mut sent.bytes[at..])) {
            return Err((0, "a range is not in RAM"));
        }
        sent.range_ends.push(sent.bytes.len());
    }
    Ok(())
}

impl Device for NetVsp {
    fn open(&mut self) {
        self.setup = Setup::default();
        self.initialized = false;
        self.filter = 0;
        self.completions.clear();
        self.control.clear();
        self.indications.clear();
        self.received.clear();
        self.behind = false;
    }

    fn service(&mut self, rings: &mut Rings, woken: bool, io: &mut Io<'_>) -> Result<(), Stop> {
        if rings.blocked && !woken {
            return Ok(()); // the guest was asked for a signal
        }
        let mut room = self.flush_completions(rings, io)?;
        if woken || self.behind {
            self.behind = !room;
            while room {
                let Some(packet) = rings.next(io)? else { break };
                self.packet(packet, io)?;
                room = self.flush_completions(rings, io)?;
                self.behind = !room;
            }
            rings.commit(io)?;
        }
        if room {
            self.serve_control(rings, io)?;
            self.serve_receive(rings, io)?;
        }
        Ok(())
    }

    fn idle(&mut self, report: &mut Report) {
        for _ in 0..MAX_DROPS {
            if self.backend.receive().is_none() {
                return;
            }
            report.counters.rx_filtered += 1;
        }
    }

    fn close(&mut self, relid: u32, orderly: bool, report: &mut Report) {
        if orderly && self.filter != 0 {
            report.breach(Breach::Rndis { relid, message: 0, why: "channel closed with a packet filter set" });
        }
        self.open();
    }

    fn holds(&self, gpadl: u32) -> bool {
        self.setup.holds(gpadl)
    }
}
