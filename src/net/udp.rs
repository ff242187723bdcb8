//! UDP datagrams: how they are addressed, and a bounded queue of those that came in for any port.

use core::net::Ipv4Addr;

use crate::nic::MAX_FRAME_LEN;

/// Length of an IPv4 header without options plus a UDP header, in bytes (RFC 791, RFC 768).
pub const HEADERS_LEN: usize = 20 + 8;

/// Most payload bytes in one frame; longer datagrams are neither sent nor received (spec: 1500 - 20 - 8).
pub const MAX_PAYLOAD: usize = MAX_FRAME_LEN - 14 - HEADERS_LEN;

/// Datagrams kept until somebody asks for them; the oldest gives way (policy: a client may never read a port).
pub const QUEUE_LEN: usize = 32;

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

    fn accepts(&self, datagram: &Datagram) -> bool {
        self.source.is_none_or(|address| address == datagram.source)
            && self.source_port.is_none_or(|port| port == datagram.source_port)
            && self.destination.is_none_or(|address| address == datagram.destination)
            && self.destination_port.is_none_or(|port| port == datagram.destination_port)
    }
}

/// One received datagram.
pub struct Datagram {
    /// Sender.
    pub source: Ipv4Addr,
    /// Sender's port.
    pub source_port: u16,
    /// Address that it was sent to.
    pub destination: Ipv4Addr,
    /// Port that it was sent to.
    pub destination_port: u16,
    length: usize,
    bytes: [u8; MAX_PAYLOAD],
}

impl Datagram {
    const EMPTY: Self = Self {
        source: Ipv4Addr::UNSPECIFIED,
        source_port: 0,
        destination: Ipv4Addr::UNSPECIFIED,
        destination_port: 0,
        length: 0,
        bytes: [0; MAX_PAYLOAD],
    };

    /// What it carries.
    #[must_use]
    pub fn payload(&self) -> &[u8] {
        &self.bytes[..self.length]
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
    arrival: [u64; QUEUE_LEN],
    slots: [Datagram; QUEUE_LEN],
    arrivals: u64,
}

impl Queue {
    /// An empty queue.
    #[must_use]
    pub const fn new() -> Self {
        Self { arrival: [0; QUEUE_LEN], slots: [Datagram::EMPTY; QUEUE_LEN], arrivals: 0 }
    }

    /// Adds a datagram; the oldest makes room. Payload past [`MAX_PAYLOAD`] can't occur in a frame and is cut.
    pub fn push(&mut self, source: (Ipv4Addr, u16), destination: (Ipv4Addr, u16), payload: &[u8]) {
        let oldest = (0..QUEUE_LEN).min_by_key(|&slot| self.arrival[slot]).unwrap_or(0);
        self.arrivals += 1;
        self.arrival[oldest] = self.arrivals;
        let datagram = &mut self.slots[oldest];
        (datagram.source, datagram.source_port) = source;
        (datagram.destination, datagram.destination_port) = destination;
        datagram.length = payload.len().min(MAX_PAYLOAD);
        datagram.bytes[..datagram.length].copy_from_slice(&payload[..datagram.length]);
    }

    /// Takes the oldest datagram that matches; the others stay.
    pub fn take(&mut self, filter: &Filter) -> Option<Slot> {
        let slot = (0..QUEUE_LEN)
            .filter(|&slot| self.arrival[slot] != 0 && filter.accepts(&self.slots[slot]))
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
    pub fn datagram(&self, slot: Slot) -> &Datagram {
        &self.slots[slot.0]
    }

    /// Drops everything.
    pub fn clear(&mut self) {
        self.arrival = [0; QUEUE_LEN];
    }
}

impl Default for Queue {
    fn default() -> Self {
        Self::new()
    }
}
