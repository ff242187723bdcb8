//! UDP datagrams: how they are addressed, and a bounded queue of those that came in for any port.

use core::net::Ipv4Addr;

use crate::nic::MAX_FRAME_LEN;

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

/// All slots of the queue: first those for one frame each.
const SLOTS: usize = QUEUE_LEN + FRAGMENTED_QUEUE_LEN;

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

/// Where a datagram came from, where it went, and how long it is.
#[derive(Clone, Copy)]
struct Header {
    source: (Ipv4Addr, u16),
    destination: (Ipv4Addr, u16),
    length: usize,
}

impl Header {
    const EMPTY: Self = Self { source: (Ipv4Addr::UNSPECIFIED, 0), destination: (Ipv4Addr::UNSPECIFIED, 0), length: 0 };
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

/// A datagram taken from its queue: index and arrival. Good until the queue takes the next one in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slot(usize, u64);

/// Received datagrams in the order of their arrival.
///
/// Slots stay where they are; `arrival` numbers them, 0 meaning free. So a datagram is taken from the middle without
/// moving the others, and stays readable after it was taken.
pub struct Queue {
    arrival: [u64; SLOTS],
    headers: [Header; SLOTS],
    whole: [[u8; MAX_PAYLOAD]; QUEUE_LEN],
    fragmented: [[u8; MAX_FRAGMENTED]; FRAGMENTED_QUEUE_LEN],
    arrivals: u64,
}

impl Queue {
    /// An empty queue.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            arrival: [0; SLOTS],
            headers: [Header::EMPTY; SLOTS],
            whole: [[0; MAX_PAYLOAD]; QUEUE_LEN],
            fragmented: [[0; MAX_FRAGMENTED]; FRAGMENTED_QUEUE_LEN],
            arrivals: 0,
        }
    }

    /// Adds a datagram; the oldest of its kind makes room. One of more than [`MAX_FRAGMENTED`] bytes is lost.
    pub fn push(&mut self, source: (Ipv4Addr, u16), destination: (Ipv4Addr, u16), payload: &[u8]) {
        let slots = if payload.len() <= MAX_PAYLOAD { 0..QUEUE_LEN } else { QUEUE_LEN..SLOTS };
        let Some(oldest) = slots.min_by_key(|&slot| self.arrival[slot]) else { return };
        let Some(bytes) = self.bytes_mut(oldest).get_mut(..payload.len()) else { return };
        bytes.copy_from_slice(payload);
        self.arrivals += 1;
        self.arrival[oldest] = self.arrivals;
        self.headers[oldest] = Header { source, destination, length: payload.len() };
    }

    fn payload(&self, slot: usize) -> &[u8] {
        let bytes = match slot.checked_sub(QUEUE_LEN) {
            None => &self.whole[slot][..],
            Some(slot) => &self.fragmented[slot][..],
        };
        &bytes[..self.headers[slot].length]
    }

    /// The memory of a slot.
    fn bytes_mut(&mut self, slot: usize) -> &mut [u8] {
        match slot.checked_sub(QUEUE_LEN) {
            None => &mut self.whole[slot],
            Some(slot) => &mut self.fragmented[slot],
        }
    }

    /// Takes the oldest datagram that matches; the others stay.
    pub fn take(&mut self, filter: &Filter) -> Option<Slot> {
        self.take_if(filter, &|_| true)
    }

    /// Takes the oldest datagram that matches and whose payload is accepted; the others stay.
    pub fn take_if(&mut self, filter: &Filter, accepts: &dyn Fn(&[u8]) -> bool) -> Option<Slot> {
        let slot = (0..SLOTS)
            .filter(|&slot| self.arrival[slot] != 0 && filter.accepts(&self.headers[slot]))
            .filter(|&slot| accepts(self.payload(slot)))
            .min_by_key(|&slot| self.arrival[slot])?;
        let arrival = core::mem::take(&mut self.arrival[slot]);
        Some(Slot(slot, arrival))
    }

    /// Undoes a [`take`](Self::take), if nothing came in since.
    pub fn put_back(&mut self, slot: Slot) {
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
        self.arrival.iter().all(|&arrival| arrival == 0)
    }

    /// Drops everything.
    pub fn clear(&mut self) {
        self.arrival = [0; SLOTS];
    }
}

impl Default for Queue {
    fn default() -> Self {
        Self::new()
    }
}
