//! GPADLs: memory that a device of the host may read and write, under an id of our choice.

use heapless::Vec;
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

/// The messages that announce a GPADL of contiguous pages: a header, and as many bodies as it takes.
struct Messages {
    relid: u32,
    id: u32,
    count: usize,
    /// Page number that comes next, and the one behind the last.
    next: u64,
    end: u64,
    /// Messages made so far.
    made: u32,
}

impl Messages {
    const fn new(relid: u32, id: u32, first: u64, count: usize) -> Self {
        Self { relid, id, count, next: first, end: first + count as u64, made: 0 }
    }

    /// The next message; `None` after the last.
    fn next(&mut self) -> Option<Vec<u8, HV_MESSAGE_PAYLOAD_BYTE_COUNT>> {
        if self.made != 0 && self.next == self.end {
            return None;
        }
        let mut message = Vec::new();
        // Everything fits: the constants follow from the capacity.
        let mut room = if self.made == 0 {
            let header = GpadlHeader {
                header: Header::new(message_type::GPADL_HEADER),
                child_relid: U32::new(self.relid),
                gpadl: U32::new(self.id),
                range_buffer_length: U16::new((8 + 8 * self.count) as u16),
                range_count: U16::new(1),
                byte_count: U32::new((self.count * PAGE_SIZE) as u32),
                byte_offset: U32::ZERO,
            };
            let _ = message.extend_from_slice(header.as_bytes());
            GPADL_HEADER_PFNS
        } else {
            let body = GpadlBody {
                header: Header::new(message_type::GPADL_BODY),
                message_number: U32::new(self.made - 1),
                gpadl: U32::new(self.id),
            };
            let _ = message.extend_from_slice(body.as_bytes());
            GPADL_BODY_PFNS
        };
        while room > 0 && self.next < self.end {
            let _ = message.extend_from_slice(U64::new(self.next).as_bytes());
            self.next += 1;
            room -= 1;
        }
        self.made += 1;
        Some(message)
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
                self.lend(Gpadl { id, pages });
                Err(error)
            }
        }
    }

    /// Posts the GPADL in as many messages as it takes; returns the host's status.
    fn create(&mut self, relid: u32, id: u32, first: u64, count: usize) -> Result<u32, Error> {
        debug_assert!(0 < count && count <= GPADL_MAX_PFNS);
        let mut messages = Messages::new(relid, id, first, count);
        while let Some(message) = messages.next() {
            self.post(&message)?;
        }
        let created: GpadlCreated = self.wait(message_type::GPADL_CREATED, &[relid, id])?.read();
        Ok(created.status.get())
    }

    /// Takes memory back from a device and frees it. Without the host's word it waits for the end of the connection, and
    /// the answer is `false`.
    ///
    /// The rings and the receive buffer are confirmed only after the channel was closed.
    pub fn unshare(&mut self, relid: u32, gpadl: Gpadl<H::Pages>) -> bool {
        let let_go = self.version().is_some() && self.teardown(relid, gpadl.id).is_ok();
        if let_go {
            self.hv.free_pages(gpadl.pages);
        } else {
            self.lend(gpadl);
        }
        let_go
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

#[cfg(test)]
mod tests {
    use super::*;

    // Byte vectors: facts 15.1.

    #[test]
    fn sixteen_pages_fit_into_the_header() {
        let mut messages = Messages::new(5, 0x5200_0001, 0x100, 16);
        let header = messages.next().unwrap();
        assert_eq!(header.len(), 156);
        let head = [8, 0, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0, 1, 0, 0, 0x52, 0x88, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0];
        assert_eq!(header[..28], head);
        assert_eq!(header[28..44], [0, 1, 0, 0, 0, 0, 0, 0, 1, 1, 0, 0, 0, 0, 0, 0]);
        assert_eq!(header[148..], [0x0f, 1, 0, 0, 0, 0, 0, 0]);
        assert_eq!(messages.next(), None);
    }

    #[test]
    fn forty_pages_take_a_header_of_26_and_a_body_of_14() {
        let mut messages = Messages::new(5, 0x5200_0001, 0x100, 40);
        let header = messages.next().unwrap();
        assert_eq!((header.len(), &header[16..18]), (236, &[0x48, 1][..]));
        let body = messages.next().unwrap();
        assert_eq!(body.len(), 128);
        assert_eq!(body[..24], [9, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0x52, 0x1a, 1, 0, 0, 0, 0, 0, 0]);
        assert_eq!(messages.next(), None);
    }

    #[test]
    fn exactly_full_messages_are_not_followed_by_an_empty_one() {
        for (count, messages_wanted) in [(26, 1), (27, 2), (54, 2), (55, 3), (8190, 293)] {
            let mut messages = Messages::new(1, 1, 0, count);
            let mut made = 0;
            while let Some(message) = messages.next() {
                assert!(message.len() > 16);
                made += 1;
            }
            assert_eq!(made, messages_wanted, "{count} pages");
        }
    }
}
