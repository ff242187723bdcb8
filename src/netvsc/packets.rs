//! Ring packets from the host, one at a time.

use zerocopy::{FromBytes, FromZeros, IntoBytes};

use super::device::Device;
use super::exchange::{NVSP_TRANSACTION, RNDIS_TRANSACTION};
use super::rxbuf::{BYTES_PER_FETCHED, MAX_FETCHED, MAX_WAITING, Waiting, in_bounds};
use crate::error::Error;
use crate::hv::Hypervisor;
use crate::mem::SharedMem;
use crate::vmbus::Connection;
use crate::vmbus::ring::Packet;
use crate::wire::nvsp::{self, SendRndisPacket, SendRndisPacketComplete};
use crate::wire::ring::{
    DESCRIPTOR_LEN, FLAG_COMPLETION_REQUESTED, PACKET_COMPLETION, PACKET_TRANSFER_PAGES, TransferHead, TransferPages,
    TransferRange,
};
use zerocopy::little_endian::U32;

/// Where the ranges of a transfer-page packet start.
const RANGES_START: usize = DESCRIPTOR_LEN + size_of::<TransferPages>();

impl<H: Hypervisor> Device<H> {
    /// Takes one packet off the ring, if there is one, and does what it asks. No exit when there is none.
    ///
    /// # Errors
    /// [`Error::HostProtocol`] when the ring is corrupt.
    pub(super) fn poll(&mut self, connection: &Connection<H>) -> Result<bool, Error> {
        let Some(packet) = self.channel.peek()? else { return Ok(false) };
        match packet.packet_type {
            PACKET_COMPLETION => self.completion(&packet)?,
            PACKET_TRANSFER_PAGES => {
                if !self.transfer_pages(connection, &packet)? {
                    return Ok(false);
                }
            }
            // Virtual functions, indirection tables and the like: nothing of use to us.
            _ => {
                if packet.flags & FLAG_COMPLETION_REQUESTED != 0 && !self.complete(connection, packet.transaction_id)? {
                    return Ok(false);
                }
            }
        }
        self.channel.consume(connection, &packet)?;
        self.answer_keepalive(connection)?;
        Ok(true)
    }

    /// Completes a packet of the host; false when the ring has no room for that now.
    pub(super) fn complete(&mut self, connection: &Connection<H>, transaction_id: u64) -> Result<bool, Error> {
        let posted = self.post_completion(transaction_id)?;
        self.channel.notify(connection);
        Ok(posted)
    }

    /// Puts a completion into the ring; false when there is no room.
    fn post_completion(&mut self, transaction_id: u64) -> Result<bool, Error> {
        // OpenVMM stops the card at a completion without this payload.
        let payload = SendRndisPacketComplete {
            message_type: U32::new(nvsp::message_type::SEND_RNDIS_PKT_COMPLETE),
            status: U32::new(nvsp::STATUS_SUCCESS),
        };
        match self.channel.post(PACKET_COMPLETION, 0, transaction_id, &[], payload.as_bytes()) {
            Ok(()) => Ok(true),
            Err(Error::RingFull) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Completes a packet whose frames were fetched, along with the next frame that is sent: one exit for both. At once when
    /// too many frames wait for that; false when the ring has no room then.
    pub(super) fn complete_soon(&mut self, connection: &Connection<H>, packet: &Waiting) -> Result<bool, Error> {
        let size = self.receive.as_ref().map_or(0, |receive| receive.pages.len());
        self.fetched_frames = self.fetched_frames.saturating_add(packet.completes as usize);
        if self.fetched_frames > (size / BYTES_PER_FETCHED).clamp(1, MAX_FETCHED) {
            let posted = self.post_fetched()? && self.post_completion(packet.transaction_id)?;
            self.channel.notify(connection);
            return Ok(posted);
        }
        if self.fetched.is_empty() {
            self.fetched_since = connection.hv().cycles();
        }
        // There is room, by the test above: a packet has a frame.
        let _ = self.fetched.push(packet.transaction_id);
        Ok(true)
    }

    /// Completes what was fetched, and tells the host; false when the ring has no room for all of it.
    pub(super) fn complete_fetched(&mut self, connection: &Connection<H>) -> Result<bool, Error> {
        let done = self.post_fetched()?;
        self.channel.notify(connection);
        Ok(done)
    }

    /// As [`complete_fetched`](Self::complete_fetched); what is sent next tells the host.
    pub(super) fn post_fetched(&mut self) -> Result<bool, Error> {
        while let Some(&transaction_id) = self.fetched.last() {
            if !self.post_completion(transaction_id)? {
                return Ok(false);
            }
            self.fetched.pop();
        }
        self.fetched_frames = 0;
        Ok(true)
    }

    /// The host is done with a packet of ours.
    fn completion(&mut self, packet: &Packet) -> Result<(), Error> {
        let mut payload = [0; nvsp::MESSAGE_LEN_V6_1];
        let length = payload.len().min(packet.length - packet.data_offset);
        self.channel.read(packet, packet.data_offset, &mut payload[..length])?;
        match packet.transaction_id {
            NVSP_TRANSACTION => self.exchange.nvsp_answer = Some(payload),
            RNDIS_TRANSACTION => self.exchange.rndis_sent = true,
            index => {
                if self.sections.give_back(index) {
                    let status = SendRndisPacketComplete::read_from_prefix(&payload)
                        .map_or(0, |(complete, _)| complete.status.get());
                    if status == nvsp::STATUS_SUCCESS {
                        self.statistics.transmitted += 1;
                    } else {
                        self.statistics.dropped += 1;
                    }
                }
            }
        }
        Ok(())
    }

    /// RNDIS messages in the receive buffer. Frames are queued; answers and indications are handled at once, so that
    /// they never wait for a caller to fetch frames. False when the packet must wait in the ring.
    fn transfer_pages(&mut self, connection: &Connection<H>, packet: &Packet) -> Result<bool, Error> {
        // Without a range, there is a payload of that length at least.
        let mut head = TransferHead::new_zeroed();
        self.channel.read(packet, DESCRIPTOR_LEN, head.as_mut_bytes())?;
        let TransferHead { pages, first: mut range } = head;
        let count = pages.range_count.get() as usize;
        let mut message = SendRndisPacket::new_zeroed();
        self.channel.read(packet, packet.data_offset, message.as_mut_bytes())?;
        // All ranges lie before the payload, so the multiplication is bounded by the length of the packet.
        if packet.data_offset < RANGES_START || count > (packet.data_offset - RANGES_START) / size_of::<TransferRange>()
        {
            return Err(Error::HostProtocol);
        }
        let size = self.receive.as_ref().map_or(0, |receive| receive.pages.len());
        let rndis = message.message_type == nvsp::message_type::SEND_RNDIS_PKT;
        let frames = rndis && message.channel_type == nvsp::CHANNEL_DATA;
        if frames && count > MAX_WAITING - self.queue.len() {
            // Nobody fetches frames: as if the wire had lost them.
            self.statistics.dropped = self.statistics.dropped.wrapping_add(count as u32);
            return self.complete_or_owe(connection, packet.transaction_id);
        }
        for index in 0..count {
            if index > 0 {
                let at = RANGES_START + index * size_of::<TransferRange>();
                self.channel.read(packet, at, range.as_mut_bytes())?;
            }
            let (offset, mut length) = (range.byte_offset.get(), range.byte_count.get());
            if !in_bounds(offset, length, size) {
                self.statistics.dropped += 1;
                length = 0;
            }
            if frames {
                let completes = if index + 1 == count { count as u32 } else { 0 };
                let waiting = Waiting { transaction_id: packet.transaction_id, offset, length, completes };
                // There is room, by the test above.
                let _ = self.queue.push_back(waiting);
            } else if rndis && length != 0 {
                self.control_message(offset, length);
            }
        }
        if frames && count > 0 {
            // Completed after the last frame was fetched.
            return Ok(true);
        }
        self.complete_or_owe(connection, packet.transaction_id)
    }

    /// Completes a packet now, or after what waits already; false when there is no room for either.
    fn complete_or_owe(&mut self, connection: &Connection<H>, transaction_id: u64) -> Result<bool, Error> {
        let owed = Waiting { transaction_id, offset: 0, length: 0, completes: 1 };
        Ok(self.complete(connection, transaction_id)? || self.queue.push_back(owed).is_ok())
    }
}
