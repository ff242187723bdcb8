//! Parameter blocks and opcodes of the preboot functions.

use static_assertions::const_assert_eq;
use zerocopy::little_endian::U16;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::SegOff16;

/// Opcode: hook INT 1Ah, remember the BIOS's values.
pub const PXENV_START_UNDI: u16 = 0x0000;
/// Opcode: unhook and give the memory up. The same number as [`super::PXENV_UNDI_GET_STATE`].
pub const PXENV_STOP_UNDI: u16 = 0x0015;
/// Opcode: give the base code up, keep UNDI.
pub const PXENV_UNLOAD_STACK: u16 = 0x0070;
/// Opcode: hand out a DHCP packet.
pub const PXENV_GET_CACHED_INFO: u16 = 0x0071;
/// Opcode: load another boot program and start it in place of the first.
pub const PXENV_RESTART_TFTP: u16 = 0x0073;
/// Opcode: start base code from UNDI.
pub const PXENV_START_BASE: u16 = 0x0075;
/// Opcode: stop base code.
pub const PXENV_STOP_BASE: u16 = 0x0076;

/// `PXENV_GET_CACHED_INFO`, 12 bytes. `BufferLimit`, the last two, is absent in blocks of 1.x callers: it is neither
/// read nor written, and not declared here.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct PxenvGetCachedInfo {
    /// Out: status.
    pub status: U16,
    /// In: which packet, `PXENV_PACKET_TYPE_*`.
    pub packet_type: U16,
    /// In: room at `buffer`, 0 to ask for a pointer; out: bytes there.
    pub buffer_size: U16,
    /// In: where to copy; out: where the packet is.
    pub buffer: SegOff16,
}
const_assert_eq!(size_of::<PxenvGetCachedInfo>(), 10);

/// Length of a cached packet (`BOOTPLAYER`) in bytes: 236 of BOOTP and 1024 of options. It is what every client expects
/// `GET_CACHED_INFO` to return; WinPE's pxeboot uses it as the size of its own buffer.
pub const BOOTPLAYER_LEN: usize = 1260;

/// The DHCPDISCOVER that was sent.
pub const PXENV_PACKET_TYPE_DHCP_DISCOVER: u16 = 1;
/// The DHCPACK that gave the address.
pub const PXENV_PACKET_TYPE_DHCP_ACK: u16 = 2;
/// The reply that gave the boot file: proxyDHCP's, the boot server's, or the DHCPACK again.
pub const PXENV_PACKET_TYPE_CACHED_REPLY: u16 = 3;
