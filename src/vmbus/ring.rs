//! The two rings of a channel, in memory that the host writes too.
//!
//! ```text
//! page 0        1 .. half     half          half+1 .. 2*half
//! | control g2h | data g2h    | control h2g | data h2g      |
//! ```
//! Indexes are multiples of 8 below the data size; equal indexes mean an empty ring, so a producer leaves at least 8
//! bytes free. Neither side ever waits here: a full or empty ring is an answer.

use static_assertions::const_assert;
use zerocopy::little_endian::{U16, U64};
use zerocopy::{FromZeros, IntoBytes};

use crate::mem::{PAGE_SIZE, SharedMem};
use crate::wire::ring::{
    DATA_START, DESCRIPTOR_LEN, FEATURE_BITS, FEATURE_PENDING_SEND_SIZE, IN_INDEX, INTERRUPT_MASK, OUT_INDEX,
    PACKET_COMPLETION, PACKET_GPA_DIRECT, PACKET_IN_BAND, PACKET_TRANSFER_PAGES, PENDING_SEND_SIZE, PacketDescriptor,
    TRAILER_LEN,
};

const_assert!(DATA_START == PAGE_SIZE);

/// Why a ring operation did nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RingError {
    /// No packet waits.
    Empty,
    /// No room for the packet now.
    Full,
    /// Indexes or lengths that can't be: the ring is of no more use.
    Corrupt,
}

/// Whether the host must be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Signal {
    /// It looks by itself.
    NotNeeded,
    /// It sleeps, or waits for room.
    Needed,
}

/// Head of a received packet, checked: its parts lie in the ring and in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet {
    /// One of [`crate::wire::ring`]'s `PACKET_` constants, always a known one.
    pub packet_type: u16,
    /// Flags.
    pub flags: u16,
    /// Opaque number to echo in a completion.
    pub transaction_id: u64,
    /// Where the payload starts, in bytes from the start of the packet; at least [`DESCRIPTOR_LEN`].
    pub data_offset: usize,
    /// Descriptor and all, in bytes.
    pub length: usize,
    start: u32,
}

/// Both rings of a channel.
pub struct Rings<M: SharedMem> {
    pages: M,
    /// Length of each ring's data in bytes.
    size: u32,
    /// Our "in" index of the g2h ring. The host may scribble over the copy in the control page.
    in_index: u32,
    /// Our "out" index of the h2g ring.
    out_index: u32,
}

impl<M: SharedMem> Rings<M> {
    /// Lays empty rings out in zeroed pages, one half each.
    ///
    /// The host is asked for no interrupts: its packets are polled for.
    ///
    /// # Panics
    /// With less than four pages, or an odd number.
    #[must_use]
    pub fn new(pages: M) -> Self {
        let half = pages.len() / 2;
        assert!(half >= 2 * PAGE_SIZE && half.is_multiple_of(PAGE_SIZE));
        pages.store(FEATURE_BITS, FEATURE_PENDING_SEND_SIZE);
        pages.store(half + INTERRUPT_MASK, 1);
        Self { pages, size: (half - DATA_START) as u32, in_index: 0, out_index: 0 }
    }

    /// The shared memory.
    #[must_use]
    pub const fn pages(&self) -> &M {
        &self.pages
    }

    /// Takes the memory back, when the host has let go of it.
    #[must_use]
    pub fn into_pages(self) -> M {
        self.pages
    }

    /// Start of the host-to-guest ring, in pages.
    #[must_use]
    pub fn downstream_page_offset(&self) -> u32 {
        (self.inbound() / PAGE_SIZE) as u32
    }

    /// Puts a packet into the guest-to-host ring: descriptor, `extra` header (a multiple of 8 bytes), `payload`.
    ///
    /// # Errors
    /// [`RingError::Full`]; [`RingError::Corrupt`] when the host's "out" index is nonsense.
    pub fn write(
        &mut self,
        packet_type: u16,
        flags: u16,
        transaction_id: u64,
        extra: &[u8],
        payload: &[u8],
    ) -> Result<Signal, RingError> {
        let data_offset = DESCRIPTOR_LEN + extra.len();
        let length = (data_offset + payload.len()).next_multiple_of(8);
        let needed = (length + TRAILER_LEN) as u32;
        let out_index = self.index(OUT_INDEX)?;
        // "Full" would look like "empty", so what is needed must be less than what is free.
        if needed >= self.size - self.used(self.in_index, out_index) {
            return Err(RingError::Full);
        }
        let descriptor = PacketDescriptor {
            packet_type: U16::new(packet_type),
            data_offset8: U16::new((data_offset / 8) as u16),
            length8: U16::new((length / 8) as u16),
            flags: U16::new(flags),
            transaction_id: U64::new(transaction_id),
        };
        let start = self.in_index;
        self.copy_in(start, descriptor.as_bytes());
        if !extra.is_empty() {
            self.copy_in(self.advance(start, DESCRIPTOR_LEN), extra);
        }
        self.copy_in(self.advance(start, data_offset), payload);
        let padding = length - data_offset - payload.len();
        // The trailer has the index in its upper half; before it comes the padding.
        let end = (u128::from(start) << 96).to_le_bytes();
        self.copy_in(self.advance(start, length - padding), &end[TRAILER_LEN - padding..]);

        self.in_index = self.advance(start, needed as usize);
        self.pages.store(IN_INDEX, self.in_index);
        // The host reads the index after it has set the mask back; so must we, the other way round.
        self.pages.fence();
        let wanted = self.pages.load(INTERRUPT_MASK) & 1 == 0;
        // Empty before: the host has taken all but this packet. More signals than that get a machine throttled.
        let was_empty = self.index(OUT_INDEX)? == start;
        Ok(if wanted && was_empty { Signal::Needed } else { Signal::NotNeeded })
    }

    /// Looks at the next packet of the host-to-guest ring without taking it.
    ///
    /// # Errors
    /// [`RingError::Empty`]; [`RingError::Corrupt`] when indexes, type or lengths are nonsense.
    pub fn peek(&self) -> Result<Packet, RingError> {
        let start = self.out_index;
        let in_index = self.index(self.inbound() + IN_INDEX)?;
        if in_index == start {
            return Err(RingError::Empty);
        }
        let available = self.used(in_index, start) as usize;
        if available < DESCRIPTOR_LEN + TRAILER_LEN {
            return Err(RingError::Corrupt);
        }
        let mut descriptor = PacketDescriptor::new_zeroed();
        self.copy_out(start, descriptor.as_mut_bytes());
        let packet = Packet {
            packet_type: descriptor.packet_type.get(),
            flags: descriptor.flags.get(),
            transaction_id: descriptor.transaction_id.get(),
            data_offset: usize::from(descriptor.data_offset8.get()) * 8,
            length: usize::from(descriptor.length8.get()) * 8,
            start,
        };
        let known = matches!(
            packet.packet_type,
            PACKET_IN_BAND | PACKET_TRANSFER_PAGES | PACKET_GPA_DIRECT | PACKET_COMPLETION
        );
        let ordered = DESCRIPTOR_LEN <= packet.data_offset
            && packet.data_offset <= packet.length
            && packet.length + TRAILER_LEN <= available;
        if known && ordered { Ok(packet) } else { Err(RingError::Corrupt) }
    }

    /// Copies bytes of a packet that waits, from `offset` within it.
    ///
    /// # Errors
    /// [`RingError::Corrupt`] when the packet is shorter than that.
    pub fn read(&self, packet: &Packet, offset: usize, into: &mut [u8]) -> Result<(), RingError> {
        if packet.length < offset || packet.length - offset < into.len() {
            return Err(RingError::Corrupt);
        }
        self.copy_out(self.advance(packet.start, offset), into);
        Ok(())
    }

    /// Takes the packet that [`peek`](Self::peek) showed: its room goes back to the host.
    ///
    /// # Errors
    /// [`RingError::Corrupt`] when the host's "in" index is nonsense.
    pub fn consume(&mut self, packet: &Packet) -> Result<Signal, RingError> {
        let inbound = self.inbound();
        let before = self.out_index;
        self.out_index = self.advance(packet.start, packet.length + TRAILER_LEN);
        self.pages.store(inbound + OUT_INDEX, self.out_index);
        self.pages.fence();
        // Our mask stays set, so it says nothing about a host that waits for room.
        let pending = self.pages.load(inbound + PENDING_SEND_SIZE);
        if pending == 0 || self.pages.load(inbound + FEATURE_BITS) & FEATURE_PENDING_SEND_SIZE == 0 {
            return Ok(Signal::NotNeeded);
        }
        // Some hosts store one byte too few.
        let pending = pending & !7;
        let in_index = self.index(inbound + IN_INDEX)?;
        let free_before = self.size - self.used(in_index, before);
        let free_now = self.size - self.used(in_index, self.out_index);
        Ok(if free_before <= pending && free_now >= pending { Signal::Needed } else { Signal::NotNeeded })
    }

    /// Where the host-to-guest ring starts, in bytes.
    fn inbound(&self) -> usize {
        self.size as usize + DATA_START
    }

    /// An index that the host wrote, checked.
    fn index(&self, offset: usize) -> Result<u32, RingError> {
        let index = self.pages.load(offset);
        if index < self.size && index.is_multiple_of(8) { Ok(index) } else { Err(RingError::Corrupt) }
    }

    /// Bytes between the indexes.
    const fn used(&self, in_index: u32, out_index: u32) -> u32 {
        if in_index >= out_index { in_index - out_index } else { self.size - (out_index - in_index) }
    }

    /// An index further on; `by` is at most one round.
    const fn advance(&self, index: u32, by: usize) -> u32 {
        let next = index + by as u32;
        if next >= self.size { next - self.size } else { next }
    }

    fn copy_in(&self, index: u32, bytes: &[u8]) {
        let at = DATA_START + index as usize;
        let room = (self.size - index) as usize;
        if bytes.len() <= room {
            return self.pages.write(at, bytes);
        }
        let (head, tail) = bytes.split_at(room);
        self.pages.write(at, head);
        self.pages.write(DATA_START, tail);
    }

    fn copy_out(&self, index: u32, into: &mut [u8]) {
        let data = self.inbound() + DATA_START;
        let at = data + index as usize;
        let room = (self.size - index) as usize;
        if into.len() <= room {
            return self.pages.read(at, into);
        }
        let (head, tail) = into.split_at_mut(room);
        self.pages.read(at, head);
        self.pages.read(data, tail);
    }
}

#[cfg(test)]
#[path = "ring_tests.rs"]
mod tests;
