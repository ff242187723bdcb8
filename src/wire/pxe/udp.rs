//! Parameter blocks and opcodes of the UDP functions.

use static_assertions::const_assert_eq;
use zerocopy::little_endian::U16;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned, big_endian};

use super::SegOff16;

/// Opcode: begin to receive datagrams.
pub const PXENV_UDP_OPEN: u16 = 0x0030;
/// Opcode: stop.
pub const PXENV_UDP_CLOSE: u16 = 0x0031;
/// Opcode: take a datagram; never waits.
pub const PXENV_UDP_READ: u16 = 0x0032;
/// Opcode: send a datagram.
pub const PXENV_UDP_WRITE: u16 = 0x0033;

/// Source port of a datagram whose sender named none (PXE 2.1, `PXENV_UDP_WRITE.src_port`).
pub const PXENV_UDP_DEFAULT_PORT: u16 = 2069;

/// `PXENV_UDP_OPEN`, 6 bytes.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct PxenvUdpOpen {
    /// Out: status.
    pub status: U16,
    /// In: our address; 0 keeps the one that there is.
    pub src_ip: [u8; 4],
}
const_assert_eq!(size_of::<PxenvUdpOpen>(), 6);

/// `PXENV_UDP_READ`, 20 bytes.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct PxenvUdpRead {
    /// Out: status.
    pub status: U16,
    /// Out: who sent it.
    pub src_ip: [u8; 4],
    /// In: the destination address wanted, 0 for any; out: the datagram's.
    pub dest_ip: [u8; 4],
    /// Out: source port.
    pub s_port: big_endian::U16,
    /// In: the destination port wanted, 0 for any; out: the datagram's.
    pub d_port: big_endian::U16,
    /// In: room at `buffer`; out: bytes written.
    pub buffer_size: U16,
    /// In: where to write.
    pub buffer: SegOff16,
}
const_assert_eq!(size_of::<PxenvUdpRead>(), 20);

/// `PXENV_UDP_WRITE`, 20 bytes.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct PxenvUdpWrite {
    /// Out: status.
    pub status: U16,
    /// In: destination.
    pub ip: [u8; 4],
    /// In: the gateway to it; 0 for our own routing.
    pub gw: [u8; 4],
    /// In: source port, 0 for [`PXENV_UDP_DEFAULT_PORT`].
    pub src_port: big_endian::U16,
    /// In: destination port.
    pub dst_port: big_endian::U16,
    /// In: bytes at `buffer`.
    pub buffer_size: U16,
    /// In: the payload.
    pub buffer: SegOff16,
}
const_assert_eq!(size_of::<PxenvUdpWrite>(), 20);
