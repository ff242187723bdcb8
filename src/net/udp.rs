//! UDP datagrams: how they are addressed, and a bounded queue of those that came in for any port.

use core::net::Ipv4Addr;
use core::ops::Range;

use crate::nic::MAX_FRAME_LEN;

use super::ingress::Arrived;

/// Length of an IPv4 header without options plus a UDP header, in bytes (RFC 791, RFC 768).
pub const HEADERS_LEN: usize = 20 + 8;

/// Most payload bytes in one frame; longer datagrams are not sent (spec: 1500 - 20 - 8).
pub const MAX_PAYLOAD: usize = MAX_FRAME_LEN - 14 - HEADERS_LEN;

/// Most payload bytes received, in IP fragments then (policy: a TFTP block of 16 KiB, the largest that clients ask for).
pub const MAX_FRAGMENTED: usize = 16384 + 4;

/// Datagrams kept until somebody asks for them; the oldest gives way (policy: a client may never read a port).
pub const QUEUE_LEN: usize = 32;

/// The same for datagrams that came in fragments (policy: a TFTP block, and the same again or the next one).
pub const FRAGMENTED_QUEUE_LEN: usize = 2;

/// Slots for one frame each: one is always free, for the next frame.
const FRAME_SLOTS: usize = QUEUE_LEN + 1;

/// All slots of the queue: first those for one frame each.
const SLOTS: usize = FRAME_SLOTS + FRAGMENTED_QUEUE_LEN;

/// Where a datagram goes, and as what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Route {
    /// Our address to send from; `None` for the stack's own, which is 0.0.0.0 before the lease.
    pub source: Option<Ipv4Addr>,
    /// Our port.
    pub source_port: u16,
    /// Where to.
    pub destination: Ipv4Addr,
    /// Port there.
    pub destination_port: u16,
    /// Next hop for an off-link destination, instead of the lease's gateway.
    pub gateway: Option<Ipv4Addr>,
}

/// Which datagrams a reader wants. `None` means any.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Sender.
    pub source: Option<Ipv4Addr>,
    /// Sender's port.
    pub source_port: Option<u16>,
    /// Address that it was sent to: ours, or a broadcast or multicast address.
    pub destination: Option<Ipv4Addr>,
    /// Port that it was sent to.
    pub destination_port: Option<u16>,
}

impl Filter {
    /// Everything for one of our ports.
    #[must_use]
    pub fn port(port: u16) -> Self {
        Self { destination_port: Some(port), ..Self::default() }
    }

    fn accepts(&self, header: &Header) -> bool {
        self.source.is_none_or(|address| address == header.source.0)
            && self.source_port.is_none_or(|port| port == header.source.1)
            && self.destination.is_none_or(|address| address == header.destination.0)
            && self.destination_port.is_none_or(|port| port == header.destination.1)
    }
}

/// Where a datagram came from, where it went, and where its payload is.
#[derive(Clone, Copy)]
struct Header {
    source: (Ipv4Addr, u16),
    destination: (Ipv4Addr, u16),
    /// Where the payload lies in the slot.
    start: usize,
    end: usize,
}

impl Header {
    const EMPTY: Self =
        Self { source: (Ipv4Addr::UNSPECIFIED, 0), destination: (Ipv4Addr::UNSPECIFIED, 0), start: 0, end: 0 };
}

/// One received datagram, still in the queue's memory.
pub struct Datagram<'q> {
    /// Sender.
    pub source: Ipv4Addr,
    /// Sender's port.
    pub source_port: u16,
    /// Address that it was sent to.
    pub destination: Ipv4Addr,
    /// Port that it was sent to.
    pub destination_port: u16,
    payload: &'q [u8],
}

impl<'q> Datagram<'q> {
    /// What it carries.
    #[must_use]
    pub fn payload(&self) -> &'q [u8] {
        self.payload
    }
}

/// A datagram taken from its queue: index and arrival. Good until the next frame is taken in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slot(usize, u64);

/// Received datagrams in the order of their arrival.
///
/// Slots stay where they are; `arrival` numbers them, 0 meaning free. So a datagram is taken from the middle without
/// moving the others, and stays readable after it was taken.
pub struct Queue {
    arrival: [u64; SLOTS],
    headers: [Header; SLOTS],
    /// How many datagrams wait.
    waiting: usize,
    arrivals: u64,
    frames: [[u8; MAX_FRAME_LEN]; FRAME_SLOTS],
    fragmented: [[u8; MAX_FRAGMENTED]; FRAGMENTED_QUEUE_LEN],
}

impl Queue {
    /// An empty queue.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            arrival: [0; SLOTS],
            headers: [Header::EMPTY; SLOTS],
            waiting: 0,
            arrivals: 0,
            frames: [[0; MAX_FRAME_LEN]; FRAME_SLOTS],
            fragmented: [[0; MAX_FRAGMENTED]; FRAGMENTED_QUEUE_LEN],
        }
    }

    /// The free slot for the next frame, and its memory: what the card delivers there needs no copy to be queued.
    pub(super) fn spare(&mut self) -> (usize, &mut [u8; MAX_FRAME_LEN]) {
        let slot = self.arrival[..FRAME_SLOTS].iter().position(|&arrival| arrival == 0).unwrap_or(0);
        (slot, &mut self.frames[slot])
    }

    /// The frame in a slot that [`spare`](Self::spare) gave.
    pub(super) fn frame(&self, slot: usize, length: usize) -> &[u8] {
        &self.frames[slot][..length]
    }

    /// Queues the datagram in a slot that [`spare`](Self::spare) gave. When no slot is free then, the oldest datagram is lost.
    pub(super) fn commit(&mut self, slot: usize, arrived: Arrived) {
        self.mark(slot, arrived.source, arrived.destination, arrived.payload);
        let frames = &self.arrival[..FRAME_SLOTS];
        if self.waiting >= FRAME_SLOTS && frames.iter().all(|&arrival| arrival != 0) {
            let oldest = (0..FRAME_SLOTS).min_by_key(|&slot| frames[slot]).unwrap_or(0);
            self.free(oldest);
        }
    }

    /// Queues a datagram that came in fragments; the oldest of its kind makes room. One of more than [`MAX_FRAGMENTED`]
    /// bytes is lost.
    pub(super) fn push(&mut self, source: (Ipv4Addr, u16), destination: (Ipv4Addr, u16), payload: &[u8]) {
        let Some(oldest) = (FRAME_SLOTS..SLOTS).min_by_key(|&slot| self.arrival[slot]) else { return };
        let Some(bytes) = self.fragmented[oldest - FRAME_SLOTS].get_mut(..payload.len()) else { return };
        bytes.copy_from_slice(payload);
        self.mark(oldest, source, destination, 0..payload.len());
    }

    fn mark(&mut self, slot: usize, source: (Ipv4Addr, u16), destination: (Ipv4Addr, u16), payload: Range<usize>) {
        self.waiting += usize::from(self.arrival[slot] == 0);
        self.arrivals += 1;
        self.arrival[slot] = self.arrivals;
        self.headers[slot] = Header { source, destination, start: payload.start, end: payload.end };
    }

    /// Makes a slot free; gives the number of the datagram that was in it.
    fn free(&mut self, slot: usize) -> u64 {
        self.waiting -= 1;
        core::mem::take(&mut self.arrival[slot])
    }

    fn payload(&self, slot: usize) -> &[u8] {
        let bytes = match slot.checked_sub(FRAME_SLOTS) {
            None => &self.frames[slot][..],
            Some(slot) => &self.fragmented[slot][..],
        };
        let Header { start, end, .. } = self.headers[slot];
        &bytes[start..end]
    }

    /// Takes the oldest datagram that matches; the others stay.
    pub fn take(&mut self, filter: &Filter) -> Option<Slot> {
        self.take_if(filter, &|_| true)
    }

    /// Takes the oldest datagram that matches and whose payload is accepted; the others stay.
    pub fn take_if(&mut self, filter: &Filter, accepts: &dyn Fn(&[u8]) -> bool) -> Option<Slot> {
        let mut unseen = self.waiting;
        let mut oldest: Option<usize> = None;
        for slot in 0..SLOTS {
            if unseen == 0 {
                break;
            }
            if self.arrival[slot] == 0 {
                continue;
            }
            unseen -= 1;
            let is_older = oldest.is_none_or(|oldest| self.arrival[slot] < self.arrival[oldest]);
            if is_older && filter.accepts(&self.headers[slot]) && accepts(self.payload(slot)) {
                oldest = Some(slot);
            }
        }
        oldest.map(|slot| Slot(slot, self.free(slot)))
    }

    /// Undoes a [`take`](Self::take), if nothing came in since.
    pub fn put_back(&mut self, slot: Slot) {
        self.waiting += 1;
        self.arrival[slot.0] = slot.1;
    }

    /// The datagram in a slot that was taken.
    #[must_use]
    pub fn datagram(&self, slot: Slot) -> Datagram<'_> {
        let Header { source, destination, .. } = self.headers[slot.0];
        Datagram {
            source: source.0,
            source_port: source.1,
            destination: destination.0,
            destination_port: destination.1,
            payload: self.payload(slot.0),
        }
    }

    /// Whether there is nothing to take.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.waiting == 0
    }

    /// Drops everything.
    pub fn clear(&mut self) {
        self.waiting = 0;
        self.arrival = [0; SLOTS];
    }
}

impl Default for Queue {
    fn default() -> Self {
        Self::new()
    }
}
