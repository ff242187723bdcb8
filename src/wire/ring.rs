//! VMBus ring buffers: the control page at the start of each ring, and the packets in its data.
//!
//! Source: no public text; OpenVMM `vmbus_ring`, Linux `ring_buffer.c` and iPXE `vmbus.h` agree.

use static_assertions::const_assert_eq;
use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// Control page: where the producer writes next ("in" index), bytes from the start of the data.
pub const IN_INDEX: usize = 0;
/// Control page: where the consumer reads next ("out" index).
pub const OUT_INDEX: usize = 4;
/// Control page: 1 when the consumer wants no signal for new data.
pub const INTERRUPT_MASK: usize = 8;
/// Control page: bytes of room that a blocked producer waits for; 0 when it isn't blocked.
pub const PENDING_SEND_SIZE: usize = 12;
/// Control page: what the producer's side can do.
pub const FEATURE_BITS: usize = 64;
/// Feature bit: the producer keeps [`PENDING_SEND_SIZE`] up to date.
pub const FEATURE_PENDING_SEND_SIZE: u32 = 1;
/// Where the data starts, after the control page.
pub const DATA_START: usize = 4096;

/// In-band packet: all of it is in the ring.
pub const PACKET_IN_BAND: u16 = 6;
/// The payload lies in the receive buffer; [`TransferPages`] says where.
pub const PACKET_TRANSFER_PAGES: u16 = 7;
/// The payload lies in guest memory that a range names; [`GpaDirect`].
pub const PACKET_GPA_DIRECT: u16 = 9;
/// The answer to a packet that asked for it, with the same transaction id.
pub const PACKET_COMPLETION: u16 = 11;

/// Flag: the sender wants a completion.
pub const FLAG_COMPLETION_REQUESTED: u16 = 1;

/// Head of every packet.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct PacketDescriptor {
    /// One of the `PACKET_` constants.
    pub packet_type: U16,
    /// Where the payload starts, from the start of the descriptor, in units of 8 bytes.
    pub data_offset8: U16,
    /// Descriptor, extra header and padded payload, in units of 8 bytes, without the trailer.
    pub length8: U16,
    /// [`FLAG_COMPLETION_REQUESTED`] or 0.
    pub flags: U16,
    /// Echoed in the completion; means nothing to the receiver.
    pub transaction_id: U64,
}
/// Length of a [`PacketDescriptor`] in bytes.
pub const DESCRIPTOR_LEN: usize = 16;
const_assert_eq!(size_of::<PacketDescriptor>(), DESCRIPTOR_LEN);

/// What follows every packet: 4 bytes 0, and the packet's own offset in the ring. Readers skip it.
pub const TRAILER_LEN: usize = 8;

/// Extra header of a transfer-page packet; `range_count` × [`TransferRange`] follow.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct TransferPages {
    /// Id under which the guest announced the receive buffer.
    pub set_id: U16,
    /// Not used.
    pub sender_owns: u8,
    /// Garbage.
    pub reserved: u8,
    /// Number of ranges.
    pub range_count: U32,
}
const_assert_eq!(size_of::<TransferPages>(), 8);

/// A part of the receive buffer.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct TransferRange {
    /// Length in bytes.
    pub byte_count: U32,
    /// Where it starts, in bytes from the start of the receive buffer.
    pub byte_offset: U32,
}
const_assert_eq!(size_of::<TransferRange>(), 8);

/// The extra header, and the range that comes first; most packets have no other.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct TransferHead {
    /// The header.
    pub pages: TransferPages,
    /// Its first range, if it has one.
    pub first: TransferRange,
}
const_assert_eq!(size_of::<TransferHead>(), 16);

/// Extra header of a GPA-direct packet with one range inside one page.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct GpaDirect {
    /// Zero.
    pub reserved: U32,
    /// 1.
    pub range_count: U32,
    /// Length in bytes.
    pub byte_count: U32,
    /// Where it starts in the page.
    pub byte_offset: U32,
    /// The page.
    pub pfn: U64,
}
const_assert_eq!(size_of::<GpaDirect>(), 24);
