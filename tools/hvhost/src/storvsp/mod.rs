//! The synthetic SCSI controller's host side (StorVSP).
//!
//! Handshake, then SCSI requests for disks that are LUNs of target 0. What stops the channel and what only fails a
//! request follows OpenVMM.

mod handshake;
mod inquiry;
mod lun;
mod mode;
mod request;
mod sense;
mod srb;
mod vstor;

use crate::disk::DiskBackend;
use crate::report::Report;
use crate::saved::{Backend, BadState, decode, encode};
use crate::violations::Breach;
use crate::vmbus::device::{Device, Io, Rings, Stop};
use crate::vmbus::replies::Replies;
use crate::vmbus::ring::{COMPLETION, Packet};
use handshake::Setup;
use lun::Lun;
use request::Request;
use sense::Sense;

/// LUNs of one controller; spec: Hyper-V's limit.
const MAX_LUNS: usize = 64;
/// Operation and status in front of every packet.
const HEADER: usize = 12;

/// One controller.
pub(crate) struct StorVsp {
    luns: Vec<Lun>,
    setup: Setup,
    /// Requests under way, the next to be executed first.
    under_way: Vec<Request>,
    replies: Replies,
    /// An ENUMERATE_BUS is still to come, when that is asked for.
    news_due: bool,
    /// Packets of the guest are left in the ring.
    behind: bool,
}

impl StorVsp {
    /// Controller number `index` with its disks, from LUN 0 on; what is beyond the last LUN is left out.
    pub fn new(index: u32, disks: Vec<Box<dyn DiskBackend>>) -> Self {
        let lun = |(lun, disk)| Lun::new(disk, format!("hvhost-{index}-{lun}"));
        let luns = disks.into_iter().take(MAX_LUNS).enumerate().map(lun).collect();
        Self {
            luns,
            setup: Setup::default(),
            under_way: Vec::new(),
            replies: Replies::default(),
            news_due: true,
            behind: false,
        }
    }

    fn packet(&mut self, packet: Packet, io: &mut Io<'_>) -> Result<(), Stop> {
        if packet.kind == COMPLETION {
            let why = "the host asks for no completion";
            io.report.breach(Breach::Completion { relid: io.relid, transaction: packet.transaction, why });
            return Err(Stop::Protocol);
        }
        if packet.payload.len() < HEADER {
            return Err(stop(io, 0, "packet without a message"));
        }
        let operation = vstor::u32_at(&packet.payload, 0);
        if io.config.faults.ignore_vstor.contains(&operation) {
            io.report.log(format!("channel {}: VSTOR operation {operation} ignored, as configured", io.relid));
            return Ok(());
        }
        if !packet.completion_requested {
            return Err(stop(io, operation, "sent without asking for its completion"));
        }
        let known = matches!(operation, vstor::EXECUTE_SRB..=vstor::QUERY_PROPERTIES | vstor::CREATE_SUB_CHANNELS);
        if !known {
            return Err(stop(io, operation, "no operation for a host"));
        }
        match operation {
            vstor::EXECUTE_SRB if self.setup.is_ready() => {
                // Real hosts send none before: Linux is not ready for it then, and dies.
                if std::mem::take(&mut self.news_due) && io.config.faults.unsolicited_vstor {
                    let len = vstor::packet_len(self.setup.version());
                    self.replies.notify(vstor::packet(vstor::ENUMERATE_BUS, vstor::STATUS_SUCCESS, &[], len));
                }
                return self.take_request(packet, io);
            }
            vstor::RESET_LUN | vstor::RESET_ADAPTER | vstor::RESET_BUS if self.setup.is_ready() => {
                self.attention();
                self.reply(&packet, vstor::STATUS_SUCCESS, &[], io.report.now);
            }
            _ => self.step(operation, &packet, io),
        }
        Ok(())
    }

    /// A step of the handshake.
    fn step(&mut self, operation: u32, packet: &Packet, io: &mut Io<'_>) {
        let was = self.setup.version();
        let (status, payload) = match self.setup.message(operation, &packet.payload, io.config) {
            Ok(answer) => answer,
            Err(why) => {
                io.report.breach(Breach::Vstor { relid: io.relid, operation, why });
                (vstor::STATUS_INVALID_DEVICE_STATE, Vec::new())
            }
        };
        self.reply(packet, status, &payload, io.report.now);
        let version = self.setup.version();
        if version != was {
            io.report.log(format!("channel {}: VSTOR {}.{}", io.relid, version >> 8, version & 0xff));
        }
        if operation == vstor::END_INIT && self.setup.is_ready() && io.config.unit_attention {
            self.attention();
        }
    }

    /// Completes a packet with as many bytes as it had.
    fn reply(&mut self, packet: &Packet, status: u32, payload: &[u8], now: u64) {
        let len = packet.payload.len().min(vstor::MAX_PACKET);
        let mut reply = vstor::packet(vstor::COMPLETE_IO, status, payload, vstor::MAX_PACKET);
        reply.truncate(len);
        self.replies.complete(packet.transaction, reply, now);
    }

    fn attention(&mut self) {
        for lun in &mut self.luns {
            lun.attention = Some(Sense::RESET);
        }
    }
}

fn stop(io: &mut Io<'_>, operation: u32, why: &'static str) -> Stop {
    io.report.breach(Breach::Vstor { relid: io.relid, operation, why });
    Stop::Protocol
}

impl Device for StorVsp {
    fn open(&mut self) {
        self.setup = Setup::default();
        self.under_way.clear();
        self.replies.clear();
        self.news_due = true;
        self.behind = false;
    }

    fn service(&mut self, rings: &mut Rings, woken: bool, io: &mut Io<'_>) -> Result<(), Stop> {
        self.execute_due(io);
        if rings.blocked && !woken {
            return Ok(()); // the guest was asked for a signal
        }
        let mut room = self.replies.flush(rings, io)?;
        if woken || self.behind {
            self.behind = !room;
            while room {
                let Some(packet) = rings.next(io)? else { break };
                self.packet(packet, io)?;
                self.execute_due(io);
                room = self.replies.flush(rings, io)?;
                self.behind = !room;
            }
            rings.commit(io)?;
        }
        Ok(())
    }

    fn idle(&mut self, _report: &mut Report) {}

    fn close(&mut self, relid: u32, orderly: bool, report: &mut Report) {
        if orderly && !self.under_way.is_empty() {
            let why = "channel closed with requests under way";
            report.breach(Breach::Vstor { relid, operation: vstor::EXECUTE_SRB, why });
        }
        self.open();
    }

    fn holds(&self, _gpadl: u32) -> bool {
        false
    }

    fn save(&self) -> Vec<u8> {
        let Self { luns, setup, under_way, replies, news_due, behind } = self;
        let attentions: Vec<Option<Sense>> = luns.iter().map(|lun| lun.attention).collect();
        encode(&(attentions, setup, under_way, replies, news_due, behind))
    }

    fn restore(&mut self, state: &[u8]) -> Result<(), BadState> {
        let attentions: Vec<Option<Sense>>;
        (attentions, self.setup, self.under_way, self.replies, self.news_due, self.behind) = decode(state)?;
        if attentions.len() != self.luns.len() {
            return Err(BadState::new("another number of disks"));
        }
        for (lun, attention) in self.luns.iter_mut().zip(attentions) {
            lun.attention = attention;
        }
        Ok(())
    }

    fn into_backend(self: Box<Self>) -> Backend {
        Backend::Disks(self.luns.into_iter().map(Lun::into_disk).collect())
    }
}
