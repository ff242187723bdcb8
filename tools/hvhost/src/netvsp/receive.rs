//! What the guest receives: replies, indications and frames, through its receive buffer.

use super::nvsp::{self, field};
use super::rxbuf::ReceiveBuffer;
use super::{NetVsp, rndis};
use crate::violations::Breach;
use crate::vmbus::device::{Device, Io, Rings, Stop};
use crate::vmbus::ring::TRANSFER_PAGES;

/// Real hosts do not clear the reserved byte of a transfer-page packet.
const RESERVED_GARBAGE: u8 = 0xb5;

impl NetVsp {
    /// Answers control messages as far as there is room.
    pub(super) fn serve_control(&mut self, rings: &mut Rings, io: &mut Io<'_>) -> Result<(), Stop> {
        let up = self.link_up(io.config, io.report.now);
        if up != self.link_told {
            self.link_told = up;
            io.report.log(format!("channel {}: link {}", io.relid, if up { "up" } else { "down" }));
            if self.initialized {
                self.indications.push_back(rndis::link_changed(up));
            }
        }
        while !(self.control.is_empty() && self.indications.is_empty()) {
            let header = nvsp::message(
                self.setup.version(),
                nvsp::SEND_RNDIS_PKT,
                &[nvsp::CHANNEL_CONTROL, nvsp::NO_SECTION, 0],
            );
            let has_buffer = self.setup.receive.as_ref().is_some_and(ReceiveBuffer::has_control);
            if !has_buffer || !rings.reserve(io, 16, header.len())? {
                return Ok(());
            }
            let reply = match self.control.pop_front() {
                Some(request) => {
                    let mut adapter = self.adapter(up);
                    let was_initialized = self.initialized;
                    let reply = rndis::control(&request, &mut adapter, &mut self.initialized);
                    if io.config.faults.wrong_indication && self.initialized && !was_initialized {
                        self.indications.push_back(rndis::wrong_indication());
                    }
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
    pub(super) fn serve_receive(&mut self, rings: &mut Rings, io: &mut Io<'_>) -> Result<(), Stop> {
        let listening = self.filter != 0 && self.initialized && self.link_up(io.config, io.report.now);
        let header =
            nvsp::message(self.setup.version(), nvsp::SEND_RNDIS_PKT, &[nvsp::CHANNEL_DATA, nvsp::NO_SECTION, 0]);
        let Some(buffer) = self.setup.receive.as_mut().filter(|_| listening) else {
            self.idle(io.report);
            return Ok(());
        };
        while self.received.len() < buffer.free().min(io.config.max_rx_ranges) {
            let Some(frame) = self.backend.receive() else { break };
            let tag_len = if frame.get(12..14) == Some(&[0x81, 0x00]) { 4 } else { 0 };
            if (14..=buffer.mtu + tag_len).contains(&frame.len()) {
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
        extra.extend_from_slice(&[0, RESERVED_GARBAGE]);
        extra.extend_from_slice(&(ranges.len() as u32).to_le_bytes());
        for (len, offset) in ranges {
            extra.extend_from_slice(&len.to_le_bytes());
            extra.extend_from_slice(&offset.to_le_bytes());
        }
        Ok(rings.send(io, TRANSFER_PAGES, true, transaction, &extra, message)?)
    }
}
