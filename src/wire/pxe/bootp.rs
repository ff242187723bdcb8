//! `BOOTPLAYER`: a DHCP packet as `GET_CACHED_INFO` hands it out.

use static_assertions::const_assert_eq;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned, big_endian};

/// Length of a cached packet in bytes: what every client expects `GET_CACHED_INFO` to return (PXE 2.1; WinPE's
/// pxeboot uses it as the size of its own buffer).
pub const BOOTPLAYER_LEN: usize = 1260;

/// `BOOTPLAYER`, 1260 bytes. Source: PXE 2.1, "BOOTPLAYER"; RFC 951, RFC 2131.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct BootPlayer {
    /// 1 request, 2 reply.
    pub opcode: u8,
    /// 1, Ethernet.
    pub hardware: u8,
    /// 6.
    pub hard_len: u8,
    /// Relay hops.
    pub gate_hops: u8,
    /// Transaction id.
    pub ident: [u8; 4],
    /// Seconds since the client began.
    pub seconds: big_endian::U16,
    /// 8000h: answer by broadcast.
    pub flags: big_endian::U16,
    /// `ciaddr`.
    pub cip: [u8; 4],
    /// `yiaddr`.
    pub yip: [u8; 4],
    /// `siaddr`, the boot server.
    pub sip: [u8; 4],
    /// `giaddr`, the relay.
    pub gip: [u8; 4],
    /// `chaddr`.
    pub c_addr: [u8; 16],
    /// Server name.
    pub s_name: [u8; 64],
    /// Boot file name.
    pub bootfile: [u8; 128],
    /// Magic cookie and options.
    pub vendor: [u8; 1024],
}
const_assert_eq!(size_of::<BootPlayer>(), BOOTPLAYER_LEN);
