//! What the guest sends: NVSP messages, frames and completions.

use super::nvsp::{self, field};
use super::tx::{self, Sent};
use super::{NetVsp, rndis};
use crate::violations::Breach;
use crate::vmbus::device::{Io, Stop};
use crate::vmbus::ring::{COMPLETION, Packet};

/// Bytes in one message from the guest; policy, far beyond what any guest sends at once.
const MAX_SENT: usize = 256 * 1024;
/// RNDIS control messages that may wait for a buffer; policy.
const MAX_CONTROL_QUEUE: usize = 64;

impl NetVsp {
    /// Serves a packet of the guest.
    pub(super) fn packet(&mut self, packet: Packet, io: &mut Io<'_>) -> Result<(), Stop> {
        if packet.kind == COMPLETION {
            return self.completion(&packet, io);
        }
        let Some(kind) = field(&packet.payload, 0) else {
            return Err(self.stop(io, 0, "packet without a message"));
        };
        if io.config.faults.ignore_nvsp.contains(&kind) {
            io.report.log(format!("channel {}: NVSP message {kind} ignored, as configured", io.relid));
            return Ok(());
        }
        if kind == nvsp::SEND_RNDIS_PKT && self.setup.version() != 0 {
            return self.rndis(packet, io);
        }
        let reply = match self.setup.message(kind, &packet.payload, io) {
            Ok(reply) => reply,
            Err(why) => return Err(self.stop(io, kind, why)),
        };
        if packet.completion_requested {
            self.replies.complete(packet.transaction, reply, io.report.now);
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
            let known = self.setup.receive.as_mut().is_some_and(|buffer| buffer.complete(transaction, io.mem));
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
        match self.setup.finish() {
            Ok(first) if first && io.config.faults.unsolicited_nvsp => {
                self.setup.unsolicited().into_iter().for_each(|message| self.replies.notify(message));
            }
            Ok(_) => {}
            Err(why) => return Err(self.stop(io, nvsp::SEND_RNDIS_PKT, why)),
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
        let is_frame = field(&packet.payload, 4) == Some(nvsp::CHANNEL_DATA);
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
            let delay = if is_frame { io.config.faults.tx_completion_delay } else { 0 };
            self.replies.complete(packet.transaction, reply, io.report.now + delay);
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
            rndis::HALT => {
                // Halting stops the reception too; Linux closes its channel after it without touching the filter.
                self.filter = 0;
                Ok(())
            }
            _ if io.config.faults.ignore_rndis.contains(&kind) => {
                io.report.log(format!("channel {}: RNDIS message {kind} ignored, as configured", io.relid));
                Ok(())
            }
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
}

/// Appends what the packet's ranges describe.
fn gather(packet: &Packet, sent: &mut Sent, io: &mut Io<'_>) -> Result<(), (u32, &'static str)> {
    for range in &packet.ranges {
        let len = range.len as usize;
        if sent.bytes.len() + len > MAX_SENT {
            return Err((0, "more data than any message has"));
        }
        sent.bytes.extend(range.read(len, io.mem).ok_or((0, "a range is not in RAM"))?);
        sent.range_ends.push(sent.bytes.len());
    }
    Ok(())
}
