//! GPADLs: memory that a device of the host may read and write, under an id of our choice.

use zerocopy::IntoBytes;
use zerocopy::little_endian::{U16, U32, U64};

use super::connection::Connection;
use crate::error::Error;
use crate::hv::Hypervisor;
use crate::mem::{PAGE_SIZE, SharedMem};
use crate::wire::hv::HV_MESSAGE_PAYLOAD_BYTE_COUNT;
use crate::wire::vmbus::{
    GPADL_BODY_PFNS, GPADL_HEADER_PFNS, GPADL_MAX_PFNS, GpadlBody, GpadlCreated, GpadlHeader, GpadlTeardown, Header,
    message_type,
};

/// Memory that a channel's device may use.
pub struct Gpadl<M> {
    /// Its id.
    pub id: u32,
    /// The memory; the GPADL may cover only its start.
    pub pages: M,
}

/// A message under construction: a fixed head, then page numbers.
struct PfnMessage {
    bytes: [u8; HV_MESSAGE_PAYLOAD_BYTE_COUNT],
    len: usize,
}

impl PfnMessage {
    fn new(head: &[u8]) -> Self {
        let mut message = Self { bytes: [0; HV_MESSAGE_PAYLOAD_BYTE_COUNT], len: 0 };
        message.push(head);
        message
    }

    fn push(&mut self, bytes: &[u8]) {
        self.bytes[self.len..self.len + bytes.len()].copy_from_slice(bytes);
        self.len += bytes.len();
    }

    fn bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

impl<H: Hypervisor> Connection<H> {
    /// Shares the first `count` pages with the device behind `relid`. When that fails half-way the memory waits for
    /// the end of the connection.
    ///
    /// # Errors
    /// [`Error::HostRefused`] by the host's word, and the memory is free again; else as in any exchange.
    pub fn share(&mut self, relid: u32, pages: H::Pages, count: usize) -> Result<Gpadl<H::Pages>, Error> {
        let id = self.new_id();
        match self.create(relid, id, pages.gpa().pfn(), count) {
            Ok(0) => Ok(Gpadl { id, pages }),
            Ok(_) => {
                self.hv.free_pages(pages);
                Err(Error::HostRefused)
            }
            Err(error) => {
                self.lend(pages);
                Err(error)
            }
        }
    }

    /// Posts the GPADL in as many messages as it takes; returns the host's status.
    fn create(&mut self, relid: u32, id: u32, first: u64, count: usize) -> Result<u32, Error> {
        debug_assert!(0 < count && count <= GPADL_MAX_PFNS);
        let header = GpadlHeader {
            header: Header::new(message_type::GPADL_HEADER),
            child_relid: U32::new(relid),
            gpadl: U32::new(id),
            range_buffer_length: U16::new((8 + 8 * count) as u16),
            range_count: U16::new(1),
            byte_count: U32::new((count * PAGE_SIZE) as u32),
            byte_offset: U32::ZERO,
        };
        let mut message = PfnMessage::new(header.as_bytes());
        let mut next = first;
        let end = first + count as u64;
        let mut room = GPADL_HEADER_PFNS;
        let mut number = 0;
        loop {
            while room > 0 && next < end {
                message.push(U64::new(next).as_bytes());
                next += 1;
                room -= 1;
            }
            self.post(message.bytes())?;
            if next == end {
                break;
            }
            let body = GpadlBody {
                header: Header::new(message_type::GPADL_BODY),
                message_number: U32::new(number),
                gpadl: U32::new(id),
            };
            message = PfnMessage::new(body.as_bytes());
            number += 1;
            room = GPADL_BODY_PFNS;
        }
        let created: GpadlCreated = self.wait(message_type::GPADL_CREATED, &[relid, id])?.read();
        Ok(created.status.get())
    }

    /// Takes memory back from a device and frees it. Without the host's word it waits for the end of the connection.
    ///
    /// The rings and the receive buffer are confirmed only after the channel was closed.
    pub fn unshare(&mut self, relid: u32, gpadl: Gpadl<H::Pages>) {
        if self.version().is_some() && self.teardown(relid, gpadl.id).is_ok() {
            self.hv.free_pages(gpadl.pages);
        } else {
            self.lend(gpadl.pages);
        }
    }

    fn teardown(&mut self, relid: u32, id: u32) -> Result<(), Error> {
        self.request(&GpadlTeardown {
            header: Header::new(message_type::GPADL_TEARDOWN),
            child_relid: U32::new(relid),
            gpadl: U32::new(id),
        })?;
        self.wait(message_type::GPADL_TORNDOWN, &[id]).map(|_| ())
    }
}
