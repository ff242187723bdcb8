//! The `$VMBS` record: what one firmware tells another about the VMBus connection that it holds.
//!
//! Source: docs/vmbs.md of this project, revision 1.0. All integers are little-endian.

use static_assertions::const_assert_eq;
use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::wire::hv::HV_MESSAGE_SIZE;
use crate::wire::vmbus::Guid;

/// [`Anchor::signature`].
pub const ANCHOR_SIGNATURE: [u8; 5] = *b"$VMBS";
/// [`Fixed::signature`].
pub const RECORD_SIGNATURE: [u8; 4] = *b"VMBR";
/// Revision 1.0: the major number in the upper four bits. Minor revisions only add.
pub const REVISION: u8 = 0x10;
/// Anchors, and the areas searched for them, are aligned to this; records too.
pub const ALIGNMENT: u32 = 16;
/// Greatest length of a record, in bytes.
pub const MAX_RECORD_LEN: u32 = 0x1_0000;
/// Highest channel id: the event flags end there (TLFS, 2048 per SINT).
pub const MAX_RELID: u32 = 2047;

/// [`OfferEntry::state`].
pub mod offer_state {
    /// Nothing in this entry.
    pub const EMPTY: u8 = 0;
    /// Offered; no channel is open.
    pub const CLOSED: u8 = 1;
    /// The user has it open, opens it or closes it.
    pub const OPEN: u8 = 2;
    /// Taken back by the host while it was open; the user closes it.
    pub const RESCINDED: u8 = 3;
}

/// What can be found: read-only once it is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct Anchor {
    /// [`ANCHOR_SIGNATURE`].
    pub signature: [u8; 5],
    /// As [`REVISION`].
    pub revision: u8,
    /// Length in bytes, a multiple of 16.
    pub length: u8,
    /// Makes the sum of `length` bytes 0.
    pub checksum: u8,
    /// Physical address of the record.
    pub record: U32,
    /// As [`Fixed::record_length`].
    pub record_length: U32,
    /// Zero.
    pub unused: U32,
    /// As [`Fixed::serial`].
    pub serial: U32,
    /// Zero.
    pub reserved: [u8; 8],
}
const_assert_eq!(size_of::<Anchor>(), 32);

/// The start of the record, which stays as it is while the record exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct Fixed {
    /// [`RECORD_SIGNATURE`].
    pub signature: [u8; 4],
    /// As [`REVISION`].
    pub revision: u8,
    /// Length of this part in bytes.
    pub length: u8,
    /// Synthetic interrupt source that takes the connection's messages.
    pub sint: u8,
    /// Makes the sum of `length` bytes 0.
    pub checksum: u8,
    /// Length of the whole record in bytes.
    pub record_length: U32,
    /// Any number but 0; differs from that of an earlier record in the same place.
    pub serial: U32,
    /// The owner's short name: four letters.
    pub owner: [u8; 4],
    /// Zero.
    pub flags: U32,
    /// `HV_X64_MSR_GUEST_OS_ID` while the connection lives.
    pub guest_os_id: U64,
    /// The owner's name, printable ASCII, filled up with zeroes.
    pub name: [u8; 16],
    /// Where [`Live`] is, in bytes from the start of the record.
    pub live_offset: U16,
    /// Its length in bytes.
    pub live_length: U16,
    /// Where the table of [`OfferEntry`] is.
    pub offers_offset: U16,
    /// Length of an entry in bytes.
    pub offer_length: u8,
    /// Entries in the table, the empty ones included.
    pub offer_count: u8,
    /// Where the message slots are.
    pub slots_offset: U16,
    /// Length of a slot in bytes.
    pub slot_length: U16,
    /// Number of slots, a power of two.
    pub slot_count: u8,
    /// Zero.
    pub reserved: [u8; 3],
}
const_assert_eq!(size_of::<Fixed>(), 64);

/// The part that changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct Live {
    /// Odd: there is no connection that can be used.
    pub generation: U32,
    /// 0: free; else any number of the holder's choice.
    pub lock: U32,
    /// Counted up by the holder at least once a second.
    pub beat: U32,
    /// The generation at the host's last `VERSION_RESPONSE` or `UNLOAD_RESPONSE`: memory of earlier ones is free.
    pub settled: U32,
    /// VMBus version, major number in the upper half.
    pub version: U32,
    /// Feature flags agreed on; 0 before version 6.0.
    pub features: U32,
    /// Connection id to which control messages are posted.
    pub message_connection_id: U32,
    /// Index of the virtual processor that takes control messages.
    pub vp: U32,
    /// The next number for a GPADL or an open.
    pub next_id: U32,
    /// The first number that must not be used.
    pub end_id: U32,
    /// `HV_X64_MSR_SIMP` as the owner leaves it behind.
    pub simp: U64,
    /// `HV_X64_MSR_HYPERCALL` as the owner leaves it behind; enabled.
    pub hypercall: U64,
    /// Messages put into the slots so far, modulo 2^32.
    pub put: U32,
    /// Messages taken out of the slots so far, modulo 2^32.
    pub taken: U32,
}
const_assert_eq!(size_of::<Live>(), 64);

/// A channel that the host offers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct OfferEntry {
    /// What kind of device.
    pub class: Guid,
    /// Which device.
    pub instance: Guid,
    /// Channel id.
    pub relid: U32,
    /// Connection id for signals.
    pub connection_id: U32,
    /// Short name of who uses the channel; zero: nobody.
    pub user: [u8; 4],
    /// One of [`offer_state`].
    pub state: u8,
    /// Zero.
    pub reserved: u8,
    /// 0: the device's primary channel.
    pub subchannel_index: U16,
}
const_assert_eq!(size_of::<OfferEntry>(), 48);

/// Length of a message slot: as in the SynIC message page.
pub const SLOT_LEN: usize = HV_MESSAGE_SIZE;

/// The sum of all bytes, modulo 256: 0 when the checksum among them is right.
#[must_use]
pub fn byte_sum(bytes: &[u8]) -> u8 {
    bytes.iter().fold(0, |sum, byte| sum.wrapping_add(*byte))
}
