//! PXE 2.1: entry structures, parameter blocks, opcodes and status codes.
//!
//! Every layout is little-endian with alignment 1, as it lies in the caller's memory; addresses and UDP ports inside
//! parameter blocks are in network byte order and are kept as byte arrays or big-endian fields.
//!
//! Source: Preboot Execution Environment (PXE) 2.1, Intel 1999, "PXE 2.1 Client / API"; where clients deviate, the
//! field's line says so.

mod entry;
mod file;
mod preboot;
mod status;
mod tftp;
mod udp;
mod undi;

pub use entry::*;
pub use file::*;
pub use preboot::*;
pub use status::*;
pub use tftp::*;
pub use udp::*;
pub use undi::*;

use zerocopy::little_endian::U16;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// `SEGOFF16`: a real-mode far pointer, offset first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct SegOff16 {
    /// Offset in bytes.
    pub offset: U16,
    /// Segment in units of 16 bytes.
    pub segment: U16,
}

/// `MAC_ADDR`: 16 bytes, of which Ethernet uses the first 6; the rest is zero.
pub type MacAddr16 = [u8; 16];

/// Length of the station address inside a [`MacAddr16`] (Ethernet).
pub const ETH_ALEN: usize = 6;
