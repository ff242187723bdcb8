//! A channel: two rings between us and one device.

use zerocopy::little_endian::U32;

use super::connection::Connection;
use super::gpadl::Gpadl;
use super::offers::Offer;
use super::ring::{Packet, RingError, Rings, Signal};
use crate::error::Error;
use crate::hv::Hypervisor;

use crate::wire::vmbus::{Header, OpenChannel, OpenChannelResult, RelidMessage, message_type};

/// Pages of both rings together (policy): 12 KiB of data each way, room for every packet that can be on its way.
const RING_PAGES: usize = 8;

/// An open channel.
pub struct Channel<H: Hypervisor> {
    relid: u32,
    connection_id: u32,
    gpadl: u32,
    rings: Rings<H::Pages>,
    /// The host sleeps, and wasn't told yet of what is in its ring.
    unsignalled: bool,
}

impl<H: Hypervisor> Channel<H> {
    /// Opens the offered channel. The message page must be in place.
    ///
    /// # Errors
    /// [`Error::OutOfResources`] without memory, [`Error::HostRefused`], [`Error::HostTimeout`].
    pub fn open(connection: &mut Connection<H>, offer: &Offer) -> Result<Self, Error> {
        let relid = offer.relid;
        let pages = connection.hv.alloc_pages(RING_PAGES).ok_or(Error::OutOfResources)?;
        let Gpadl { id, pages } = connection.share(relid, pages, RING_PAGES)?;
        let rings = Rings::new(pages);
        let open_id = connection.new_id();
        let opened = connection
            .request(&OpenChannel {
                header: Header::new(message_type::OPENCHANNEL),
                child_relid: U32::new(relid),
                open_id: U32::new(open_id),
                ring_gpadl: U32::new(id),
                target_vp: U32::new(connection.vp_index()),
                downstream_page_offset: U32::new(rings.downstream_page_offset()),
                user_data: [0; 120],
            })
            .and_then(|()| connection.wait(message_type::OPENCHANNEL_RESULT, &[relid, open_id]));
        let result = match opened {
            Ok(message) if message.read::<OpenChannelResult>().status == 0 => {
                connection.offers.set_open(relid, true);
                return Ok(Self { relid, connection_id: offer.connection_id, gpadl: id, rings, unsignalled: false });
            }
            Ok(_) => Err(Error::HostRefused),
            Err(error) => {
                // The answer may only be late: the host gives the ring back after a close.
                let _ = post_close(connection, relid);
                Err(error)
            }
        };
        connection.unshare(relid, Gpadl { id, pages: rings.into_pages() });
        result
    }

    /// Channel id.
    #[must_use]
    pub const fn relid(&self) -> u32 {
        self.relid
    }

    /// The GPADL of the rings. When it is torn down, the host is done with the channel.
    #[must_use]
    pub const fn gpadl(&self) -> u32 {
        self.gpadl
    }

    /// Tells the host to stop. It never answers; that it let go of memory shows in the teardowns that follow.
    pub fn quiesce(&self, connection: &mut Connection<H>) {
        if connection.version().is_some() && !connection.offers.is_gone(self.relid) {
            let _ = post_close(connection, self.relid);
        }
    }

    /// Takes the rings back. Comes last, after [`quiesce`](Self::quiesce) and the teardown of all other memory. `true` when
    /// the host confirmed that it is done with the channel.
    pub fn close(self, connection: &mut Connection<H>) -> bool {
        let let_go = connection.unshare(self.relid, Gpadl { id: self.gpadl, pages: self.rings.into_pages() });
        connection.offers.set_open(self.relid, false);
        if connection.version().is_some() && connection.offers.is_gone(self.relid) {
            let _ = connection.release_relid(self.relid);
        }
        let_go
    }

    /// Sends a packet, and signals a host that sleeps.
    ///
    /// # Errors
    /// [`Error::RingFull`]; [`Error::HostProtocol`] when the host's index is nonsense.
    pub fn send(
        &mut self,
        connection: &Connection<H>,
        packet_type: u16,
        flags: u16,
        transaction_id: u64,
        extra: &[u8],
        payload: &[u8],
    ) -> Result<(), Error> {
        self.post(packet_type, flags, transaction_id, extra, payload)?;
        self.notify(connection);
        Ok(())
    }

    /// Puts a packet into the ring; [`notify`](Self::notify) or the next [`send`](Self::send) tells a host that sleeps.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub fn post(
        &mut self,
        packet_type: u16,
        flags: u16,
        transaction_id: u64,
        extra: &[u8],
        payload: &[u8],
    ) -> Result<(), Error> {
        match self.rings.write(packet_type, flags, transaction_id, extra, payload) {
            Ok(signal) => {
                self.unsignalled |= signal == Signal::Needed;
                Ok(())
            }
            Err(RingError::Full) => Err(Error::RingFull),
            Err(_) => Err(Error::HostProtocol),
        }
    }

    /// Signals a host that sleeps, if packets were put into its ring since.
    pub fn notify(&mut self, connection: &Connection<H>) {
        if core::mem::take(&mut self.unsignalled) {
            connection.signal(self.connection_id);
        }
    }

    /// Signals the host, whether its ring says that it sleeps or not.
    pub fn wake(&self, connection: &Connection<H>) {
        connection.signal(self.connection_id);
    }

    /// Looks at the next packet; `None` when the ring is empty. No exit.
    ///
    /// # Errors
    /// [`Error::HostProtocol`] when what the host wrote can't be a packet.
    pub fn peek(&self) -> Result<Option<Packet>, Error> {
        match self.rings.peek() {
            Ok(packet) => Ok(Some(packet)),
            Err(RingError::Empty) => Ok(None),
            Err(_) => Err(Error::HostProtocol),
        }
    }

    /// Copies bytes of the packet seen by [`peek`](Self::peek), from `offset` within it.
    ///
    /// # Errors
    /// [`Error::HostProtocol`] when the packet is shorter.
    pub fn read(&self, packet: &Packet, offset: usize, into: &mut [u8]) -> Result<(), Error> {
        self.rings.read(packet, offset, into).map_err(|_| Error::HostProtocol)
    }

    /// Takes the packet seen by [`peek`](Self::peek) off the ring. One exit at most, when the host waits for room.
    ///
    /// # Errors
    /// [`Error::HostProtocol`] when the host's index is nonsense.
    pub fn consume(&mut self, connection: &Connection<H>, packet: &Packet) -> Result<(), Error> {
        let signal = self.rings.consume(packet).map_err(|_| Error::HostProtocol)?;
        if signal == Signal::Needed {
            connection.signal(self.connection_id);
        }
        Ok(())
    }
}

fn post_close<H: Hypervisor>(connection: &mut Connection<H>, relid: u32) -> Result<(), Error> {
    connection.request(&RelidMessage { header: Header::new(message_type::CLOSECHANNEL), id: U32::new(relid) })
}
