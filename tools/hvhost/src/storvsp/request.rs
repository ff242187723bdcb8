//! SCSI requests, from the guest's packet to its completion.

use std::hash::{DefaultHasher, Hasher};

use serde::{Deserialize, Serialize};

use super::lun::{Extent, op, report_luns};
use super::sense::Sense;
use super::srb::{self, Direction, Outcome, Srb, srb_status};
use super::{StorVsp, inquiry, stop, vstor};
use crate::config::MissingLun;
use crate::faults::DiskFault;
use crate::violations::Breach;
use crate::vmbus::device::{Io, Stop};
use crate::vmbus::gpadl::Range;
use crate::vmbus::ring::Packet;

/// A request under way. Its memory is the host's until it is completed.
#[derive(Deserialize, Serialize)]
pub(crate) struct Request {
    due: u64,
    transaction: u64,
    srb: Srb,
    /// Length of the guest's packet, and so of the completion.
    len: usize,
    memory: Option<Range>,
    /// Digest of the memory that a read will fill, when it has to wait for that.
    untouched: Option<u64>,
}

impl StorVsp {
    /// Takes an EXECUTE_SRB packet.
    pub(super) fn take_request(&mut self, mut packet: Packet, io: &mut Io<'_>) -> Result<(), Stop> {
        let mut remarks = Vec::new();
        let version = self.setup.version();
        let srb = match Srb::parse(&packet.payload, version, &mut remarks) {
            Ok(srb) => srb,
            Err(why) => return Err(stop(io, vstor::EXECUTE_SRB, why)),
        };
        let memory = packet.ranges.pop();
        if !packet.ranges.is_empty() {
            return Err(stop(io, vstor::EXECUTE_SRB, "more than one range of memory"));
        }
        if srb.transfer > memory.as_ref().map_or(0, |range| range.len) {
            return Err(stop(io, vstor::EXECUTE_SRB, "less memory than the transfer length"));
        }
        if memory.as_ref().is_some_and(|range| !range.offset.is_multiple_of(2)) {
            remarks.push("memory at an odd address");
        }
        if packet.payload[4] & 1 == 0 {
            remarks.push("the packet's flags ask for no completion");
        }
        self.remark_on_extent(&srb, &mut remarks);
        for why in remarks {
            io.report.breach(Breach::Vstor { relid: io.relid, operation: vstor::EXECUTE_SRB, why });
        }
        let delay = if Extent::of(&srb.cdb).is_some() { io.config.faults.disk_delay } else { 0 };
        let mut request = Request {
            due: io.report.now + delay,
            transaction: packet.transaction,
            srb,
            len: packet.payload.len().min(vstor::MAX_PACKET),
            memory,
            untouched: None,
        };
        if delay > 0 && request.srb.direction == Direction::FromDevice {
            request.untouched = request.digest(io);
        }
        let at = self.under_way.partition_point(|other| other.due <= request.due);
        self.under_way.insert(at, request);
        Ok(())
    }

    /// What a READ or WRITE says twice has to agree.
    fn remark_on_extent(&self, srb: &Srb, remarks: &mut Vec<&'static str>) {
        let (Some(extent), Some(lun)) = (Extent::of(&srb.cdb), self.luns.get(usize::from(srb.lun))) else { return };
        let bytes = u64::from(extent.blocks) * u64::from(lun.block_size());
        if u64::from(srb.transfer) != bytes {
            remarks.push("the transfer length is not that of the command's blocks");
        }
        let direction = if extent.write { Direction::ToDevice } else { Direction::FromDevice };
        if srb.direction != direction {
            remarks.push("the data direction is not that of the command");
        }
    }

    /// Executes the requests whose time has come.
    pub(super) fn execute_due(&mut self, io: &mut Io<'_>) {
        while self.under_way.first().is_some_and(|request| request.due <= io.report.now) {
            let request = self.under_way.remove(0);
            if request.untouched.is_some() && request.untouched != request.digest(io) {
                let gpa = request.memory.as_ref().map_or(0, Range::start);
                io.report.breach(Breach::MemoryReused { relid: io.relid, gpa });
            }
            if let Some(outcome) = self.outcome(&request, io) {
                let reply = outcome.packet(&request.srb, self.setup.version(), request.len);
                self.replies.complete(request.transaction, reply, io.report.now);
            }
        }
    }

    /// Executes a request; `None` when its answer gets lost, as configured.
    fn outcome(&mut self, request: &Request, io: &mut Io<'_>) -> Option<Outcome> {
        let srb = &request.srb;
        if srb.transfer > io.config.max_transfer {
            let why = "a longer transfer than the controller announced";
            io.report.breach(Breach::Vstor { relid: io.relid, operation: vstor::EXECUTE_SRB, why });
            return Some(Outcome::failure(srb_status::INVALID_REQUEST, srb::GOOD));
        }
        let fault = Extent::of(&srb.cdb).and_then(|_| {
            let index = io.report.counters.disk_requests;
            io.report.counters.disk_requests += 1;
            io.config.faults.disk_fault(index)
        });
        if let Some(fault) = fault {
            io.report.log(format!("channel {}: a disk request ends with {fault:?}, as configured", io.relid));
        }
        Some(match fault {
            None => self.transfer(request, srb.transfer, io),
            Some(DiskFault::Busy) => Outcome::failure(srb_status::BUSY, srb::BUSY),
            Some(DiskFault::Abort) => Outcome::failure(srb_status::ABORTED, srb::GOOD),
            Some(DiskFault::Attention) => Outcome::sense(Sense::RESET),
            Some(DiskFault::Medium) => Outcome::sense(match srb.direction {
                Direction::ToDevice => Sense::WRITE_ERROR,
                _ => Sense::UNRECOVERED_READ,
            }),
            Some(DiskFault::Timeout) => Outcome::failure(srb_status::TIMEOUT, srb::GOOD),
            Some(DiskFault::Reset) => {
                self.attention();
                Outcome::failure(srb_status::BUS_RESET, srb::GOOD)
            }
            Some(DiskFault::Short) => self.transfer(request, srb.transfer / 2, io),
            Some(DiskFault::Lost) => return None,
        })
    }

    /// Executes a command and moves its data, of which no more than `limit` bytes.
    fn transfer(&mut self, request: &Request, limit: u32, io: &mut Io<'_>) -> Outcome {
        let srb = &request.srb;
        let mut data = Vec::new();
        if srb.direction == Direction::ToDevice && srb.transfer > 0 {
            match request.memory.as_ref().and_then(|range| range.read(srb.transfer as usize, io.mem)) {
                Some(bytes) => data = bytes,
                None => return outside_ram(io),
            }
        }
        let answer = match self.command(srb, &data, limit, io) {
            Ok(answer) => answer,
            Err(outcome) => return outcome,
        };
        if srb.direction == Direction::ToDevice {
            return moved(limit as usize, srb.transfer as usize, io);
        }
        let fits = answer.len().min(limit as usize);
        if fits > 0 {
            let written = request.memory.as_ref().and_then(|range| range.write(&answer[..fits], io.mem));
            if written.is_none() {
                return outside_ram(io);
            }
        }
        moved(fits, srb.transfer as usize, io)
    }

    fn command(&mut self, srb: &Srb, data: &[u8], limit: u32, io: &mut Io<'_>) -> Result<Vec<u8>, Outcome> {
        let here = srb.path == 0 && srb.target == 0;
        if srb.cdb[0] == op::REPORT_LUNS {
            // The controller answers this one, for every target.
            let count = if here { self.luns.len() } else { 0 };
            return Ok(report_luns((0..count).map(|lun| lun as u8), &srb.cdb));
        }
        let Some(lun) = self.luns.get_mut(usize::from(srb.lun)).filter(|_| here) else {
            return missing(srb, io.config.missing_lun);
        };
        if limit < srb.transfer && srb.direction == Direction::ToDevice {
            return Ok(Vec::new()); // an interrupted write: what was written is anybody's guess, so nothing was
        }
        lun.execute(&srb.cdb, data, &mut io.report.counters).map_err(Outcome::sense)
    }
}

impl Request {
    fn digest(&self, io: &Io<'_>) -> Option<u64> {
        let bytes = self.memory.as_ref()?.read(self.srb.transfer as usize, io.mem)?;
        let mut hasher = DefaultHasher::new();
        hasher.write(&bytes);
        Some(hasher.finish())
    }
}

fn outside_ram(io: &mut Io<'_>) -> Outcome {
    let why = "memory outside of RAM";
    io.report.breach(Breach::Vstor { relid: io.relid, operation: vstor::EXECUTE_SRB, why });
    Outcome::failure(srb_status::INVALID_REQUEST, srb::GOOD)
}

/// All went well, but perhaps with less data than there was room for.
fn moved(bytes: usize, transfer: usize, io: &Io<'_>) -> Outcome {
    let mut outcome = Outcome::success(bytes);
    if bytes < transfer && io.config.underrun_status {
        outcome.srb_status = srb_status::DATA_OVERRUN;
    }
    outcome
}

fn missing(srb: &Srb, answer: MissingLun) -> Result<Vec<u8>, Outcome> {
    match answer {
        MissingLun::Qualifier if srb.cdb[0] == op::INQUIRY && srb.cdb[1] & 1 == 0 => {
            Ok(inquiry::standard(inquiry::NO_UNIT))
        }
        MissingLun::Qualifier | MissingLun::InvalidLun => {
            Err(Outcome::failure(srb_status::INVALID_LUN, srb::CHECK_CONDITION))
        }
        MissingLun::NoDevice => Err(Outcome::failure(srb_status::NO_DEVICE, srb::GOOD)),
    }
}
