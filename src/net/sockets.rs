//! smoltcp's sockets, which live between calls over memory that is lent once and for all.

use smoltcp::iface::{SocketHandle, SocketSet, SocketStorage};
use smoltcp::socket::raw;
use smoltcp::socket::tcp;
use smoltcp::storage::PacketMetadata;
use smoltcp::wire::{IpProtocol, IpVersion};

use crate::nic::MAX_FRAME_LEN;

/// Streams at the same time (policy: a boot program reads a module while its configuration is open, and seldom more).
pub const STREAMS: usize = 4;

/// Receive buffer of a stream, in bytes, and so its window (policy: 10 MB/s at a round trip of 12 ms).
const RECEIVE_LEN: usize = 0x2_0000;

/// Send buffer of a stream, in bytes: a whole request.
pub(super) const SEND_LEN: usize = 1024;

/// Room for one IP packet received; fragments don't come here.
const DATAGRAM_LEN: usize = MAX_FRAME_LEN;

/// What all buffers take, in bytes.
pub const BUFFERS_LEN: usize = STREAMS * (RECEIVE_LEN + SEND_LEN) + DATAGRAM_LEN;

/// Where smoltcp keeps its sockets.
pub struct SocketPlaces {
    sockets: [SocketStorage<'static>; STREAMS + 1],
    datagram: [PacketMetadata<()>; 1],
}

impl SocketPlaces {
    /// Room without sockets.
    #[must_use]
    pub const fn new() -> Self {
        Self { sockets: [SocketStorage::EMPTY; STREAMS + 1], datagram: [PacketMetadata::EMPTY] }
    }
}

impl Default for SocketPlaces {
    fn default() -> Self {
        Self::new()
    }
}

/// All sockets of the stack: one that sees every UDP packet, and the streams.
pub(super) struct Sockets {
    pub(super) set: SocketSet<'static>,
    pub(super) datagrams: SocketHandle,
    streams: [SocketHandle; STREAMS],
}

impl Sockets {
    /// Closed sockets.
    pub(super) fn new(places: &'static mut SocketPlaces, buffers: &'static mut [u8; BUFFERS_LEN]) -> Self {
        let mut set = SocketSet::new(&mut places.sockets[..]);
        let (datagram, streams) = buffers.split_at_mut(DATAGRAM_LEN);
        let datagrams = set.add(raw::Socket::new(
            Some(IpVersion::Ipv4),
            Some(IpProtocol::Udp),
            raw::PacketBuffer::new(&mut places.datagram[..], datagram),
            raw::PacketBuffer::new(&mut [][..], &mut [][..]),
        ));
        let mut streams = streams.chunks_exact_mut(RECEIVE_LEN + SEND_LEN);
        let streams = core::array::from_fn(|_| {
            let (receive, send) = streams.next().unwrap_or_default().split_at_mut(RECEIVE_LEN);
            let mut socket = tcp::Socket::new(tcp::SocketBuffer::new(receive), tcp::SocketBuffer::new(send));
            // Frames come in batches already; a timer would only hold the server up.
            socket.set_ack_delay(None);
            set.add(socket)
        });
        Self { set, datagrams, streams }
    }

    /// A stream by its number.
    pub(super) fn stream(&mut self, stream: usize) -> &mut tcp::Socket<'static> {
        self.set.get_mut(self.streams[stream])
    }
}
