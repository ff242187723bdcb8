//! RNDIS requests: initialise, query, set, halt; and the answer to the host's `KEEPALIVE`.
//!
//! A request lies in a page of its own and goes out as a GPA-direct packet, as every other driver does it. Two answers
//! come, in either order: the packet's completion, and the RNDIS answer in the receive buffer.

use heapless::Vec;
use zerocopy::little_endian::{U32, U64};
use zerocopy::{FromBytes, IntoBytes};

use super::device::Device;
use super::exchange::{Exchange, KEEPALIVE_TRANSACTION, MAX_ANSWER_LEN, RNDIS_TRANSACTION};
use super::txbuf::SEND_PAGES;
use crate::error::Error;
use crate::hv::Hypervisor;
use crate::mem::{Gpa, PAGE_SIZE, SharedMem};
use crate::vmbus::Connection;
use crate::wire::nvsp::{self, SendRndisPacket};
use crate::wire::ring::{FLAG_COMPLETION_REQUESTED, GpaDirect, PACKET_GPA_DIRECT};
use crate::wire::rndis::{
    Completion, Header, Initialize, OFFSET_BASE, QueryComplete, QueryOrSet, Request, STATUS_SUCCESS, message_type,
};

/// Most bytes that the host may send in one transfer; as Linux says.
const MAX_TRANSFER_SIZE: u32 = 0x4000;

/// Where requests lie in the send memory, behind the buffer itself.
const REQUEST_OFFSET: usize = SEND_PAGES * PAGE_SIZE;
/// Where the answer to a `KEEPALIVE` lies: apart from a request that may be under way.
const KEEPALIVE_OFFSET: usize = REQUEST_OFFSET + PAGE_SIZE / 2;

const fn header<T>(message_type: u32) -> Header {
    Header { message_type: U32::new(message_type), length: U32::new(size_of::<T>() as u32) }
}

impl<H: Hypervisor> Device<H> {
    /// Starts RNDIS; without it nothing is ever delivered.
    pub(super) fn initialize(&mut self, connection: &mut Connection<H>) -> Result<(), Error> {
        let request_id = self.next_request();
        let initialize = Initialize {
            header: header::<Initialize>(message_type::INITIALIZE),
            request_id,
            major: U32::new(1),
            minor: U32::ZERO,
            max_transfer_size: U32::new(MAX_TRANSFER_SIZE),
        };
        self.ask(connection, initialize.as_bytes()).map(|_| ())
    }

    /// Asks for an object; returns how many bytes of it fit into `value`.
    pub(super) fn query(&mut self, connection: &mut Connection<H>, oid: u32, value: &mut [u8]) -> Result<usize, Error> {
        let answer = self.query_or_set(connection, message_type::QUERY, oid, &[])?;
        let (complete, _) = QueryComplete::read_from_prefix(answer).map_err(|_| Error::HostProtocol)?;
        let start = (complete.info_offset.get() as usize).saturating_add(OFFSET_BASE);
        let length = value.len().min(complete.info_length.get() as usize);
        let info = answer.get(start..).and_then(|rest| rest.get(..length)).ok_or(Error::HostProtocol)?;
        value[..length].copy_from_slice(info);
        Ok(length)
    }

    /// Sets a 32-bit object.
    pub(super) fn set(&mut self, connection: &mut Connection<H>, oid: u32, value: u32) -> Result<(), Error> {
        self.query_or_set(connection, message_type::SET, oid, &value.to_le_bytes()).map(|_| ())
    }

    fn query_or_set(
        &mut self,
        connection: &mut Connection<H>,
        kind: u32,
        oid: u32,
        value: &[u8],
    ) -> Result<&[u8; MAX_ANSWER_LEN], Error> {
        let length = size_of::<QueryOrSet>() + value.len();
        let request = QueryOrSet {
            header: Header { message_type: U32::new(kind), length: U32::new(length as u32) },
            request_id: self.next_request(),
            oid: U32::new(oid),
            info_length: U32::new(value.len() as u32),
            info_offset: U32::new((size_of::<QueryOrSet>() - OFFSET_BASE) as u32),
            vc_handle: U32::ZERO,
        };
        let mut bytes: Vec<u8, 32> = Vec::new();
        // A head and at most one number: both fit.
        let _ = bytes.extend_from_slice(request.as_bytes());
        let _ = bytes.extend_from_slice(value);
        self.ask(connection, &bytes)
    }

    /// Stops RNDIS. The host never answers, it only reads.
    pub(super) fn halt(&mut self, connection: &mut Connection<H>) -> Result<(), Error> {
        let halt = Request { header: header::<Request>(message_type::HALT), request_id: self.next_request() };
        self.exchange.rndis_sent = false;
        self.put(connection, REQUEST_OFFSET, RNDIS_TRANSACTION, halt.as_bytes())?;
        self.wait(connection, |exchange| exchange.rndis_sent)
    }

    /// Tells the host that we are alive, when it asked.
    pub(super) fn answer_keepalive(&mut self, connection: &Connection<H>) -> Result<(), Error> {
        let Some(request_id) = self.exchange.keepalive else { return Ok(()) };
        let answer = Completion {
            header: header::<Completion>(message_type::KEEPALIVE | message_type::COMPLETION),
            request_id: U32::new(request_id),
            status: U32::new(STATUS_SUCCESS),
        };
        match self.put(connection, KEEPALIVE_OFFSET, KEEPALIVE_TRANSACTION, answer.as_bytes()) {
            Ok(()) => self.exchange.keepalive = None,
            // Still owed.
            Err(Error::RingFull) => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Sends a request and returns the answer to it, whose status is success.
    fn ask(&mut self, connection: &mut Connection<H>, request: &[u8]) -> Result<&[u8; MAX_ANSWER_LEN], Error> {
        self.exchange.rndis_sent = false;
        self.exchange.rndis_answer = None;
        self.put(connection, REQUEST_OFFSET, RNDIS_TRANSACTION, request)?;
        let done = |exchange: &Exchange| exchange.rndis_sent && exchange.rndis_answer.is_some();
        self.wait(connection, done)?;
        let answer = self.exchange.rndis_answer.as_ref().ok_or(Error::HostProtocol)?;
        let (completion, _) = Completion::read_from_prefix(answer).map_err(|_| Error::HostProtocol)?;
        if completion.status == STATUS_SUCCESS { Ok(answer) } else { Err(Error::HostRefused) }
    }

    /// Sends an RNDIS message from the page behind the send buffer.
    fn put(
        &mut self,
        connection: &Connection<H>,
        offset: usize,
        transaction_id: u64,
        message: &[u8],
    ) -> Result<(), Error> {
        let pages = &self.send.as_ref().ok_or(Error::NotOpen)?.pages;
        pages.write(offset, message);
        let at = Gpa(pages.gpa().0 + offset as u64);
        let range = GpaDirect {
            reserved: U32::ZERO,
            range_count: U32::new(1),
            byte_count: U32::new(message.len() as u32),
            byte_offset: U32::new((offset % PAGE_SIZE) as u32),
            pfn: U64::new(at.pfn()),
        };
        let head = SendRndisPacket {
            message_type: U32::new(nvsp::message_type::SEND_RNDIS_PKT),
            channel_type: U32::new(nvsp::CHANNEL_CONTROL),
            section_index: U32::new(nvsp::NO_SECTION),
            section_size: U32::ZERO,
        };
        let payload = nvsp::padded(head.as_bytes());
        let payload = &payload[..self.exchange.message_len];
        let flags = FLAG_COMPLETION_REQUESTED;
        self.channel.send(connection, PACKET_GPA_DIRECT, flags, transaction_id, range.as_bytes(), payload)
    }

    fn next_request(&mut self) -> U32 {
        self.exchange.request_id = self.exchange.request_id.wrapping_add(1);
        U32::new(self.exchange.request_id)
    }
}
