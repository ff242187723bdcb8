//! NVSP: what the network card's two ends say to each other in ring packets.
//!
//! Source: no public text; OpenVMM `netvsp::protocol`, Linux `hyperv_net.h` and iPXE `netvsc.h` agree.

use static_assertions::const_assert_eq;
use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// Versions that we ask for, newest first. 6.0 has an odd number that a few hosts know only.
pub const VERSIONS: [u32; 6] = [VERSION_6_1, 0x6_0000, VERSION_5, 0x4_0000, VERSION_2, 0x0_0002];
/// Longer messages.
pub const VERSION_6_1: u32 = 0x6_0001;
/// NDIS 6.30.
pub const VERSION_5: u32 = 0x5_0000;
/// `SEND_NDIS_CONFIG`.
pub const VERSION_2: u32 = 0x3_0002;

/// Length of a message on the ring up to version 6.0, in bytes: 28, padded.
pub const MESSAGE_LEN: usize = 32;
/// Length of a message on the ring from version 6.1 on, in bytes.
pub const MESSAGE_LEN_V6_1: usize = 40;

/// Message numbers.
pub mod message_type {
    /// g2h: [`super::Init`].
    pub const INIT: u32 = 1;
    /// h2g: [`super::InitComplete`].
    pub const INIT_COMPLETE: u32 = 2;
    /// g2h: [`super::SendNdisVersion`]. Not completed.
    pub const SEND_NDIS_VERSION: u32 = 100;
    /// g2h: [`super::SendBuffer`].
    pub const SEND_RECV_BUF: u32 = 101;
    /// h2g: [`super::RecvBufComplete`].
    pub const SEND_RECV_BUF_COMPLETE: u32 = 102;
    /// g2h: [`super::SendBuffer`].
    pub const SEND_SEND_BUF: u32 = 104;
    /// h2g: [`super::SendBufComplete`].
    pub const SEND_SEND_BUF_COMPLETE: u32 = 105;
    /// Both: [`super::SendRndisPacket`].
    pub const SEND_RNDIS_PKT: u32 = 107;
    /// Both: [`super::SendRndisPacketComplete`].
    pub const SEND_RNDIS_PKT_COMPLETE: u32 = 108;
    /// g2h: [`super::SendNdisConfig`]. Not completed.
    pub const SEND_NDIS_CONFIG: u32 = 125;
}

/// Status: done. Anything else is a refusal.
pub const STATUS_SUCCESS: u32 = 1;

/// RNDIS channel: Ethernet frames.
pub const CHANNEL_DATA: u32 = 0;
/// RNDIS channel: requests and their answers.
pub const CHANNEL_CONTROL: u32 = 1;
/// [`SendRndisPacket::section_index`]: the RNDIS message isn't in the send buffer.
pub const NO_SECTION: u32 = 0xffff_ffff;

/// `INIT` (1).
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct Init {
    /// 1.
    pub message_type: U32,
    /// The version asked for.
    pub version: U32,
    /// The same again; once there was a range.
    pub version_again: U32,
}
const_assert_eq!(size_of::<Init>(), 12);

/// `INIT_COMPLETE` (2).
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct InitComplete {
    /// 2.
    pub message_type: U32,
    /// Version 1 only; else all ones.
    pub negotiated_version: U32,
    /// Most ranges of a packet.
    pub max_mdl_chain: U32,
    /// [`STATUS_SUCCESS`], or the version is refused.
    pub status: U32,
}
const_assert_eq!(size_of::<InitComplete>(), 16);

/// `SEND_NDIS_VERSION` (100).
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct SendNdisVersion {
    /// 100.
    pub message_type: U32,
    /// Major number.
    pub major: U32,
    /// Minor number.
    pub minor: U32,
}
const_assert_eq!(size_of::<SendNdisVersion>(), 12);

/// `SEND_NDIS_CONFIG` (125).
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct SendNdisConfig {
    /// 125.
    pub message_type: U32,
    /// Longest frame with its 14-byte header.
    pub mtu: U32,
    /// Zero.
    pub reserved: U32,
    /// What we want; 0 here: no virtual functions, no offloads.
    pub capabilities: U64,
}
const_assert_eq!(size_of::<SendNdisConfig>(), 20);

/// `SEND_RECV_BUF` (101) and `SEND_SEND_BUF` (104).
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct SendBuffer {
    /// 101 or 104.
    pub message_type: U32,
    /// GPADL of the buffer.
    pub gpadl: U32,
    /// Our choice.
    pub id: U16,
    /// Zero.
    pub reserved: U16,
}
const_assert_eq!(size_of::<SendBuffer>(), 12);

/// `SEND_RECV_BUF_COMPLETE` (102) with its first section; more were never seen.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct RecvBufComplete {
    /// 102.
    pub message_type: U32,
    /// [`STATUS_SUCCESS`] or a refusal.
    pub status: U32,
    /// 1.
    pub section_count: U32,
    /// Where the host's buffers start.
    pub offset: U32,
    /// Length of each in bytes: 1806 (OpenVMM at MTU 1514), 1728 (Linux assumes).
    pub sub_allocation_size: U32,
    /// Their number.
    pub sub_allocation_count: U32,
    /// Where they end.
    pub end_offset: U32,
}
const_assert_eq!(size_of::<RecvBufComplete>(), 28);

/// `SEND_SEND_BUF_COMPLETE` (105).
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct SendBufComplete {
    /// 105.
    pub message_type: U32,
    /// [`STATUS_SUCCESS`] or a refusal.
    pub status: U32,
    /// Length of a section in bytes: 6144 on every known host.
    pub section_size: U32,
}
const_assert_eq!(size_of::<SendBufComplete>(), 12);

/// `SEND_RNDIS_PKT` (107).
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct SendRndisPacket {
    /// 107.
    pub message_type: U32,
    /// [`CHANNEL_DATA`] or [`CHANNEL_CONTROL`].
    pub channel_type: U32,
    /// Section of the send buffer, or [`NO_SECTION`].
    pub section_index: U32,
    /// Bytes used in it.
    pub section_size: U32,
}
const_assert_eq!(size_of::<SendRndisPacket>(), 16);

/// `SEND_RNDIS_PKT_COMPLETE` (108).
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct SendRndisPacketComplete {
    /// 108.
    pub message_type: U32,
    /// [`STATUS_SUCCESS`], or the frame was dropped.
    pub status: U32,
}
const_assert_eq!(size_of::<SendRndisPacketComplete>(), 8);

/// A message at the length that its version wants, zero behind its fields.
#[must_use]
pub fn padded(message: &[u8]) -> [u8; MESSAGE_LEN_V6_1] {
    let mut bytes = [0; MESSAGE_LEN_V6_1];
    bytes[..message.len()].copy_from_slice(message);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Offsets as in facts 9.2.
    #[test]
    fn config_carries_the_capabilities_at_offset_12() {
        let config = SendNdisConfig {
            message_type: U32::new(message_type::SEND_NDIS_CONFIG),
            mtu: U32::new(1514),
            reserved: U32::ZERO,
            capabilities: U64::new(0xff),
        };
        let bytes = padded(config.as_bytes());
        assert_eq!(bytes[..13], [0x7d, 0, 0, 0, 0xea, 5, 0, 0, 0, 0, 0, 0, 0xff]);
        assert_eq!(bytes[13..], [0; 27]);
    }

    /// What OpenVMM answers for 64 KiB at MTU 1514 (facts 9.4).
    #[test]
    fn receive_buffer_completion_is_read_at_the_published_offsets() {
        let mut bytes = [0; 28];
        for (at, value) in [(0, 102_u32), (4, 1), (8, 1), (12, 0), (16, 1806), (20, 36), (24, 65016)] {
            bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
        }
        let complete = RecvBufComplete::read_from_bytes(&bytes).unwrap();
        assert_eq!((complete.status.get(), complete.sub_allocation_size.get()), (STATUS_SUCCESS, 1806));
        assert_eq!((complete.sub_allocation_count.get(), complete.end_offset.get()), (36, 65016));
    }
}
