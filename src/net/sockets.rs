//! smoltcp's sockets, which live between calls over memory that is lent once and for all.

use smoltcp::iface::{SocketHandle, SocketSet, SocketStorage};
use smoltcp::socket::tcp;

/// Streams at the same time (policy: a boot program reads a module while its configuration is open, and seldom more).
pub const STREAMS: usize = 4;

/// Receive buffer of a stream, in bytes, and so its window (policy: 10 MB/s at a round trip of 12 ms).
const RECEIVE_LEN: usize = 0x2_0000;

/// Send buffer of a stream, in bytes: a whole request.
pub(super) const SEND_LEN: usize = 1024;

/// What all buffers take, in bytes.
pub const BUFFERS_LEN: usize = STREAMS * (RECEIVE_LEN + SEND_LEN);

/// Where smoltcp keeps its sockets.
pub struct SocketPlaces {
    sockets: [SocketStorage<'static>; STREAMS],
}

impl SocketPlaces {
    /// Room without sockets.
    #[must_use]
    pub const fn new() -> Self {
        Self { sockets: [SocketStorage::EMPTY; STREAMS] }
    }
}

impl Default for SocketPlaces {
    fn default() -> Self {
        Self::new()
    }
}

/// All sockets of the stack: the streams.
pub(super) struct Sockets {
    pub(super) set: SocketSet<'static>,
    streams: [SocketHandle; STREAMS],
}

impl Sockets {
    /// Closed sockets.
    pub(super) fn new(places: &'static mut SocketPlaces, buffers: &'static mut [u8; BUFFERS_LEN]) -> Self {
        let mut set = SocketSet::new(&mut places.sockets[..]);
        let mut streams = buffers.chunks_exact_mut(RECEIVE_LEN + SEND_LEN);
        let streams = core::array::from_fn(|_| {
            let (receive, send) = streams.next().unwrap_or_default().split_at_mut(RECEIVE_LEN);
            let mut socket = tcp::Socket::new(tcp::SocketBuffer::new(receive), tcp::SocketBuffer::new(send));
            // Frames come in batches already; a timer would only hold the server up.
            socket.set_ack_delay(None);
            set.add(socket)
        });
        Self { set, streams }
    }

    /// A stream by its number.
    pub(super) fn stream(&mut self, stream: usize) -> &mut tcp::Socket<'static> {
        self.set.get_mut(self.streams[stream])
    }
}
