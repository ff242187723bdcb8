//! One open controller: its channel, its data pages, and the request that is under way.

use heapless::Vec;
use zerocopy::little_endian::{U16, U32};
use zerocopy::{FromBytes, FromZeros, IntoBytes};

use super::scsi::{Command, Direction};
use crate::error::Error;
use crate::hv::Hypervisor;
use crate::log;
use crate::mem::{PAGE_SIZE, SharedMem};
use crate::vmbus::ring::Packet;
use crate::vmbus::{Channel, Connection, Gpadl, SIGN_OF_LIFE_MS};
use crate::wire::ring::{FLAG_COMPLETION_REQUESTED, PACKET_COMPLETION, PACKET_GPA_DIRECT, PACKET_IN_BAND};
use crate::wire::vstor::{
    DATA_IN, DATA_NONE, DATA_OUT, FLAG_REQUEST_COMPLETION, HEADER_LEN, PACKET_LEN, PacketHeader, SENSE_LEN,
    SIMPLE_QUEUE, SRB_FLAGS_DATA_IN, SRB_FLAGS_DATA_OUT, SRB_FLAGS_DISABLE_SYNCH_TRANSFER,
    SRB_FLAGS_QUEUE_ACTION_ENABLE, STATUS_SUCCESS, Srb, operation,
};

/// Data pages: as many as there is memory for (policy: a whole INT 13h transfer of 127 blocks in two or four requests).
const DATA_PAGES: [usize; 3] = [8, 4, 1];
/// Extra header of a GPA-direct packet: reserved, range count, byte count, offset, and the page numbers.
const MAX_EXTRA_LEN: usize = 16 + 8 * DATA_PAGES[0];

/// Deadline of a step of the handshake, in milliseconds (policy; Linux: 5 to 10 s).
const EXCHANGE_MS: u64 = 5_000;
/// Deadline of a SCSI request, in milliseconds (policy: hosts never give up a request that waits for storage; Linux waits
/// 180 s too).
const REQUEST_MS: u64 = 180_000;
/// How often a wait for a SCSI request looks whether the host and the channel are still there, in milliseconds (policy).
const LOOK_MS: u64 = 200;
/// How often it asks the host for a sign of life, in milliseconds (policy: storage that takes longer is rare).
const PROBE_MS: u64 = 5_000;
/// What we tell the host as time-out, in seconds (policy; Linux too).
const TIME_OUT_VALUE: u32 = 60;

/// An open controller.
pub struct Controller<H: Hypervisor> {
    channel: Channel<H>,
    pub(super) data: H::Pages,
    /// Bytes in one request at most.
    pub(super) max_transfer: usize,
    transaction: u64,
    /// A request was given up: the host may still write the data pages, and answers come late.
    stuck: bool,
}

impl<H: Hypervisor> Controller<H> {
    /// The controller on a channel that was just opened. Nothing is negotiated yet.
    ///
    /// # Errors
    /// [`Error::OutOfResources`] without memory; the channel is closed then.
    pub fn new(connection: &mut Connection<H>, channel: Channel<H>) -> Result<Self, Error> {
        let Some(data) = DATA_PAGES.into_iter().find_map(|count| connection.hv().alloc_pages(count)) else {
            channel.quiesce(connection);
            channel.close(connection);
            return Err(Error::OutOfResources);
        };
        let max_transfer = data.len();
        Ok(Self { channel, data, max_transfer, transaction: 0, stuck: false })
    }

    /// Closes the controller and gives its memory back. What the host may still write stays reserved.
    pub fn close(self, connection: &mut Connection<H>) {
        self.channel.quiesce(connection);
        let id = self.channel.gpadl();
        let let_go = self.channel.close(connection);
        if self.stuck && !let_go {
            connection.lend(Gpadl { id, pages: self.data });
        } else {
            connection.hv().free_pages(self.data);
        }
    }

    /// Whether the host took the controller back, or a request got lost: only closing helps.
    #[must_use]
    pub fn is_dead(&self, connection: &Connection<H>) -> bool {
        self.stuck || self.is_gone(connection)
    }

    /// True when the host took the controller back.
    #[must_use]
    pub fn is_gone(&self, connection: &Connection<H>) -> bool {
        connection.offers().is_gone(self.channel.relid())
    }

    /// One packet without data, and its completion: status and payload. The message page must be in place.
    ///
    /// # Errors
    /// [`Error::HostTimeout`], [`Error::NicGone`], [`Error::HostProtocol`].
    pub(super) fn exchange(
        &mut self,
        connection: &mut Connection<H>,
        operation: u32,
        payload: &[u8],
    ) -> Result<(u32, [u8; PACKET_LEN - HEADER_LEN]), Error> {
        let packet = packet(operation, payload);
        self.send(connection, PACKET_IN_BAND, &[], &packet)?;
        let deadline = connection.hv().now().plus_millis(EXCHANGE_MS);
        loop {
            if let Some((header, payload)) = self.poll(connection)? {
                return Ok((header.status.get(), payload));
            }
            connection.service()?;
            self.give_up_if_gone(connection)?;
            if let Err(error) = connection.before(deadline) {
                self.stuck = true;
                return Err(error);
            }
        }
    }

    /// Executes a SCSI command with its data in [`data`](Self::data). Works without the message page.
    ///
    /// # Errors
    /// [`Error::HostTimeout`]; [`Error::VmbusOwned`] when somebody else took VMBus meanwhile; [`Error::NicGone`];
    /// [`Error::HostProtocol`]. Whether the command was executed is not known then.
    pub(super) fn execute(&mut self, connection: &mut Connection<H>, lun: u8, command: &Command) -> Result<Srb, Error> {
        if self.stuck {
            return Err(Error::HostTimeout);
        }
        let packet = packet(operation::EXECUTE_SRB, srb(lun, command).as_bytes());
        if command.len == 0 {
            self.send(connection, PACKET_IN_BAND, &[], &packet)?;
        } else {
            let extra = self.range(command.len);
            self.send(connection, PACKET_GPA_DIRECT, &extra, &packet)?;
        }
        let result = self.wait(connection);
        self.stuck |= result.is_err();
        let payload = result?;
        Srb::read_from_bytes(&payload).map_err(|_| Error::HostProtocol)
    }

    /// Whether the host still serves this controller: asks a disk whether it is ready, without any VMBus message. `patient`:
    /// waits for the answer although the host refuses to be signalled.
    pub fn is_alive(&mut self, connection: &mut Connection<H>, lun: u8, patient: bool) -> bool {
        if self.stuck {
            return false;
        }
        let packet = packet(operation::EXECUTE_SRB, srb(lun, &Command::test_unit_ready()).as_bytes());
        let sent = self.send(connection, PACKET_IN_BAND, &[], &packet);
        // What was sent last may lie in the ring unseen, and nothing behind it would be signalled.
        self.channel.wake(connection);
        let deadline = connection.hv().now().plus_millis(SIGN_OF_LIFE_MS);
        self.stuck = sent.is_err()
            || (connection.partition().is_suspect() && !patient)
            || loop {
                match self.poll(connection) {
                    Ok(Some(_)) => break false,
                    Ok(None) if connection.before(deadline).is_ok() => {}
                    _ => break true,
                }
            };
        !self.stuck
    }

    fn wait(&mut self, connection: &mut Connection<H>) -> Result<[u8; PACKET_LEN - HEADER_LEN], Error> {
        let start = connection.hv().now();
        let deadline = start.plus_millis(REQUEST_MS);
        let (mut look, mut probe) = (start.plus_millis(LOOK_MS), start.plus_millis(PROBE_MS));
        // After a refused signal: until when the answer must be there.
        let mut patience = None;
        loop {
            if let Some((_, payload)) = self.poll(connection)? {
                return Ok(payload);
            }
            connection.before(deadline)?;
            let now = connection.hv().now();
            let is_suspect = connection.partition().is_suspect();
            if is_suspect {
                patience.get_or_insert(now.plus_millis(SIGN_OF_LIFE_MS));
            }
            if patience.is_some_and(|end| now >= end) {
                // A second thief leaves the MSRs as the first did, and the host may know the channel on his connection.
                return Err(Error::VmbusOwned);
            }
            if now >= look || is_suspect {
                if !connection.still_ours() {
                    return Err(Error::VmbusOwned);
                }
                connection.with_synic(Connection::service)?;
                self.give_up_if_gone(connection)?;
                look = now.plus_millis(LOOK_MS);
            }
            if now >= probe || is_suspect {
                // Somebody may have ended our connection without leaving a trace in the MSRs.
                self.probe(connection)?;
                probe = now.plus_millis(PROBE_MS);
            }
        }
    }

    /// Asks the host something about our channel that it must answer: whether a page can be shared.
    ///
    /// # Errors
    /// [`Error::VmbusOwned`] when it does not know the channel.
    fn probe(&self, connection: &mut Connection<H>) -> Result<(), Error> {
        let Some(page) = connection.hv().alloc_pages(1) else { return Ok(()) };
        let relid = self.channel.relid();
        let answer = connection.with_synic(|connection| {
            let shared = connection.share(relid, page, 1)?;
            connection.unshare(relid, shared);
            Ok(())
        });
        answer.map_err(|_: Error| Error::VmbusOwned)
    }

    fn give_up_if_gone(&self, connection: &Connection<H>) -> Result<(), Error> {
        if self.is_gone(connection) { Err(Error::NicGone) } else { Ok(()) }
    }

    fn send(
        &mut self,
        connection: &Connection<H>,
        packet_type: u16,
        extra: &[u8],
        packet: &[u8; PACKET_LEN],
    ) -> Result<(), Error> {
        self.transaction += 1;
        self.channel.send(connection, packet_type, FLAG_COMPLETION_REQUESTED, self.transaction, extra, packet)
    }

    /// The one range of a GPA-direct packet: the first `len` bytes of the data pages.
    fn range(&self, len: usize) -> Vec<u8, MAX_EXTRA_LEN> {
        let mut extra = Vec::new();
        // Everything fits: the capacity follows from the number of pages.
        for field in [0, 1, len as u32, 0] {
            let _ = extra.extend_from_slice(&u32::to_le_bytes(field));
        }
        let first = self.data.gpa().pfn();
        for pfn in (first..).take(len.div_ceil(PAGE_SIZE)) {
            let _ = extra.extend_from_slice(&pfn.to_le_bytes());
        }
        extra
    }

    /// Takes packets off the ring until the completion that is waited for. No exit when there is none.
    fn poll(
        &mut self,
        connection: &Connection<H>,
    ) -> Result<Option<(PacketHeader, [u8; PACKET_LEN - HEADER_LEN])>, Error> {
        while let Some(packet) = self.channel.peek()? {
            let answer = self.answer(&packet)?;
            self.channel.consume(connection, &packet)?;
            if packet.packet_type == PACKET_COMPLETION {
                if packet.transaction_id == self.transaction {
                    return Ok(Some(answer));
                }
                log::line(format_args!("storvsc: completion of a request that is not under way"));
            }
            // Else news of the bus: disks that came or went show when they are used.
        }
        Ok(None)
    }

    fn answer(&self, packet: &Packet) -> Result<(PacketHeader, [u8; PACKET_LEN - HEADER_LEN]), Error> {
        let mut bytes = [0; PACKET_LEN];
        let len = bytes.len().min(packet.length - packet.data_offset);
        self.channel.read(packet, packet.data_offset, &mut bytes[..len])?;
        let (header, payload) = PacketHeader::read_from_prefix(&bytes).map_err(|_| Error::HostProtocol)?;
        let payload = *payload.first_chunk().ok_or(Error::HostProtocol)?;
        Ok((header, payload))
    }
}

fn packet(operation: u32, payload: &[u8]) -> [u8; PACKET_LEN] {
    let mut bytes = [0; PACKET_LEN];
    let header = PacketHeader {
        operation: U32::new(operation),
        flags: U32::new(FLAG_REQUEST_COMPLETION),
        status: U32::new(STATUS_SUCCESS),
    };
    bytes[..HEADER_LEN].copy_from_slice(header.as_bytes());
    bytes[HEADER_LEN..][..payload.len()].copy_from_slice(payload);
    bytes
}

fn srb(lun: u8, command: &Command) -> Srb {
    let (data_in, flags) = match command.direction {
        _ if command.len == 0 => (DATA_NONE, 0),
        Direction::In => (DATA_IN, SRB_FLAGS_DATA_IN),
        Direction::Out => (DATA_OUT, SRB_FLAGS_DATA_OUT),
    };
    let mut srb = Srb::new_zeroed();
    srb.length = U16::new(size_of::<Srb>() as u16);
    srb.lun = lun;
    srb.cdb_length = command.cdb_len as u8;
    srb.sense_length = SENSE_LEN as u8;
    srb.data_in = data_in;
    srb.data_transfer_length = U32::new(command.len as u32);
    srb.cdb_or_sense[..command.cdb.len()].copy_from_slice(&command.cdb);
    srb.queue_action = SIMPLE_QUEUE;
    srb.srb_flags = U32::new(flags | SRB_FLAGS_QUEUE_ACTION_ENABLE | SRB_FLAGS_DISABLE_SYNCH_TRANSFER);
    srb.time_out_value = U32::new(TIME_OUT_VALUE);
    srb
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The READ (10) of facts 15.1, as OpenVMM's and Linux's structures give it.
    #[test]
    fn a_read_request_has_the_published_bytes() {
        let command = Command::access(Direction::In, 0x12345, 8, 512);
        let bytes = packet(operation::EXECUTE_SRB, srb(0, &command).as_bytes());
        let text = include_str!("../../tests/vectors/hyperv.hex");
        let line = text.lines().find_map(|line| line.strip_prefix("vstor_read_10 = ")).unwrap();
        let published: std::vec::Vec<u8> = line
            .split_whitespace()
            .filter(|word| *word != "|")
            .map(|word| u8::from_str_radix(word, 16).unwrap())
            .collect();
        assert_eq!(bytes[..], published);
    }
}
