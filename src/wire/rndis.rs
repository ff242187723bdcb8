//! RNDIS: how frames are wrapped and how the card is configured, inside NVSP packets.
//!
//! Source: [MS-RNDIS]; OIDs: NDIS. Offsets inside messages count from byte 8 of the message.

use static_assertions::const_assert_eq;
use zerocopy::little_endian::U32;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// Message numbers.
pub mod message_type {
    /// Both: [`super::Packet`] with an Ethernet frame.
    pub const PACKET: u32 = 1;
    /// g2h: [`super::Initialize`].
    pub const INITIALIZE: u32 = 2;
    /// g2h: [`super::Request`]. No answer.
    pub const HALT: u32 = 3;
    /// g2h: [`super::QueryOrSet`].
    pub const QUERY: u32 = 4;
    /// g2h: [`super::QueryOrSet`].
    pub const SET: u32 = 5;
    /// h2g: [`super::IndicateStatus`], unsolicited.
    pub const INDICATE_STATUS: u32 = 7;
    /// Both: [`super::Request`].
    pub const KEEPALIVE: u32 = 8;
    /// Set in the number of an answer.
    pub const COMPLETION: u32 = 0x8000_0000;
}

/// Object ids that we ask for or set.
pub mod oid {
    /// Longest payload of a frame, without its 14-byte header.
    pub const GEN_MAXIMUM_FRAME_SIZE: u32 = 0x0001_0106;
    /// Which frames to deliver: the `FILTER_` bits.
    pub const GEN_CURRENT_PACKET_FILTER: u32 = 0x0001_010e;
    /// 0: carrier.
    pub const GEN_MEDIA_CONNECT_STATUS: u32 = 0x0001_0114;
    /// The address burnt in.
    pub const PERMANENT_ADDRESS: u32 = 0x0101_0101;
}

/// Filter: frames to our own address.
pub const FILTER_DIRECTED: u32 = 0x01;
/// Filter: frames to the multicast list.
pub const FILTER_MULTICAST: u32 = 0x02;
/// Filter: every multicast frame. Hosts keep no multicast list.
pub const FILTER_ALL_MULTICAST: u32 = 0x04;
/// Filter: broadcast frames.
pub const FILTER_BROADCAST: u32 = 0x08;
/// Filter: everything.
pub const FILTER_PROMISCUOUS: u32 = 0x20;

/// Done.
pub const STATUS_SUCCESS: u32 = 0;
/// Indication: there is a carrier now.
pub const STATUS_MEDIA_CONNECT: u32 = 0x4001_000b;
/// Indication: the carrier is lost.
pub const STATUS_MEDIA_DISCONNECT: u32 = 0x4001_000c;

/// Head of every message.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct Header {
    /// One of [`message_type`].
    pub message_type: U32,
    /// Whole message in bytes.
    pub length: U32,
}
const_assert_eq!(size_of::<Header>(), 8);

/// Where the offsets of a message count from.
pub const OFFSET_BASE: usize = size_of::<Header>();

/// A message with nothing but a request id: `HALT` (3), `KEEPALIVE` (8).
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct Request {
    /// Type and length.
    pub header: Header,
    /// Echoed in the answer.
    pub request_id: U32,
}
const_assert_eq!(size_of::<Request>(), 12);

/// The start of every answer: `INITIALIZE_CMPLT`, `QUERY_CMPLT`, `SET_CMPLT`, `KEEPALIVE_CMPLT`.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct Completion {
    /// Type and length.
    pub header: Header,
    /// Of the request.
    pub request_id: U32,
    /// [`STATUS_SUCCESS`] or an NDIS status.
    pub status: U32,
}
const_assert_eq!(size_of::<Completion>(), 16);

/// `INITIALIZE` (2).
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct Initialize {
    /// Type and length.
    pub header: Header,
    /// Echoed in the answer.
    pub request_id: U32,
    /// 1.
    pub major: U32,
    /// 0.
    pub minor: U32,
    /// Most bytes that the host may send us in one transfer.
    pub max_transfer_size: U32,
}
const_assert_eq!(size_of::<Initialize>(), 24);

/// `QUERY` (4) and `SET` (5); the value follows.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct QueryOrSet {
    /// Type and length.
    pub header: Header,
    /// Echoed in the answer.
    pub request_id: U32,
    /// One of [`oid`].
    pub oid: U32,
    /// Length of the value in bytes.
    pub info_length: U32,
    /// Where it starts, from [`OFFSET_BASE`].
    pub info_offset: U32,
    /// Zero.
    pub vc_handle: U32,
}
const_assert_eq!(size_of::<QueryOrSet>(), 28);

/// `QUERY_CMPLT`; the value lies at `info_offset`.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct QueryComplete {
    /// Type, length, request id and status.
    pub completion: Completion,
    /// Length of the value in bytes.
    pub info_length: U32,
    /// Where it starts, from [`OFFSET_BASE`].
    pub info_offset: U32,
}
const_assert_eq!(size_of::<QueryComplete>(), 24);

/// `INDICATE_STATUS` (7), as far as its length can be relied on (2012 R2 gets it wrong).
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct IndicateStatus {
    /// Type and length.
    pub header: Header,
    /// What happened.
    pub status: U32,
}
const_assert_eq!(size_of::<IndicateStatus>(), 12);

/// `PACKET` (1); the frame lies at `data_offset`.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct Packet {
    /// Type and length.
    pub header: Header,
    /// Where the frame starts, from [`OFFSET_BASE`].
    pub data_offset: U32,
    /// Length of the frame in bytes.
    pub data_length: U32,
    /// Out-of-band data: offset, length, count; zero in what we send, not needed in what we receive.
    pub out_of_band: [U32; 3],
    /// Where the [`PerPacketInfo`] starts, from [`OFFSET_BASE`].
    pub info_offset: U32,
    /// Length of all of it in bytes.
    pub info_length: U32,
    /// Handle and reserved; zero.
    pub other: [U32; 2],
}
/// Length of a [`Packet`] header in bytes.
pub const PACKET_HEADER_LEN: usize = 44;
const_assert_eq!(size_of::<Packet>(), PACKET_HEADER_LEN);

/// Per-packet information: the head of one piece.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct PerPacketInfo {
    /// Length of the piece in bytes, this head included.
    pub size: U32,
    /// What it is.
    pub kind: U32,
    /// Where its value starts, from the head.
    pub offset: U32,
}
const_assert_eq!(size_of::<PerPacketInfo>(), 12);

/// Kind of a [`PerPacketInfo`] with a [`VlanInfo`].
pub const PER_PACKET_INFO_VLAN: u32 = 6;

/// `Ieee8021QInfo`: bits 2:0 priority, 3 canonical format, 15:4 VLAN id.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct VlanInfo(pub U32);

impl VlanInfo {
    /// The VLAN id.
    #[must_use]
    pub const fn id(self) -> u16 {
        (self.0.get() >> 4 & 0xfff) as u16
    }
}

/// The only per-packet information that we send: the tag of the frame's VLAN, with priority 0.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct VlanTag {
    head: PerPacketInfo,
    value: VlanInfo,
}
const_assert_eq!(size_of::<VlanTag>(), 16);

impl VlanTag {
    /// The tag of a VLAN.
    #[must_use]
    pub const fn new(id: u16) -> Self {
        Self {
            head: PerPacketInfo {
                size: U32::new(size_of::<Self>() as u32),
                kind: U32::new(PER_PACKET_INFO_VLAN),
                offset: U32::new(size_of::<PerPacketInfo>() as u32),
            },
            value: VlanInfo(U32::new((id as u32) << 4)),
        }
    }
}

impl Packet {
    /// The header of a frame of this length that follows it immediately, or behind per-packet information.
    #[must_use]
    pub const fn for_frame(length: u32, info_length: u32) -> Self {
        let behind = (PACKET_HEADER_LEN - OFFSET_BASE) as u32;
        Self {
            header: Header {
                message_type: U32::new(message_type::PACKET),
                length: U32::new(PACKET_HEADER_LEN as u32 + info_length + length),
            },
            data_offset: U32::new(behind + info_length),
            data_length: U32::new(length),
            out_of_band: [U32::ZERO; 3],
            info_offset: U32::new(if info_length == 0 { 0 } else { behind }),
            info_length: U32::new(info_length),
            other: [U32::ZERO; 2],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // All byte vectors: facts 15.1.

    #[test]
    fn packet_header_has_the_published_bytes() {
        let mut expected = [0; 44];
        expected[..16].copy_from_slice(&[1, 0, 0, 0, 0x68, 0, 0, 0, 0x24, 0, 0, 0, 0x3c, 0, 0, 0]);
        assert_eq!(Packet::for_frame(60, 0).as_bytes(), expected);
    }

    #[test]
    fn a_vlan_tag_lies_between_header_and_frame() {
        let mut expected = [0; 44];
        expected[..16].copy_from_slice(&[1, 0, 0, 0, 0x78, 0, 0, 0, 0x34, 0, 0, 0, 0x3c, 0, 0, 0]);
        expected[28..36].copy_from_slice(&[0x24, 0, 0, 0, 0x10, 0, 0, 0]);
        assert_eq!(Packet::for_frame(60, 16).as_bytes(), expected);
        assert_eq!(VlanTag::new(5).as_bytes(), [16, 0, 0, 0, 6, 0, 0, 0, 12, 0, 0, 0, 0x50, 0, 0, 0]);
    }

    #[test]
    fn query_has_the_published_bytes() {
        let query = QueryOrSet {
            header: Header { message_type: U32::new(message_type::QUERY), length: U32::new(28) },
            request_id: U32::new(3),
            oid: U32::new(0x0101_0102),
            info_length: U32::ZERO,
            info_offset: U32::new(20),
            vc_handle: U32::ZERO,
        };
        let expected = [4, 0, 0, 0, 28, 0, 0, 0, 3, 0, 0, 0, 2, 1, 1, 1, 0, 0, 0, 0, 20, 0, 0, 0, 0, 0, 0, 0];
        assert_eq!(query.as_bytes(), expected);
    }

    #[test]
    fn initialize_has_the_published_bytes() {
        let initialize = Initialize {
            header: Header { message_type: U32::new(message_type::INITIALIZE), length: U32::new(24) },
            request_id: U32::new(1),
            major: U32::new(1),
            minor: U32::ZERO,
            max_transfer_size: U32::new(2048),
        };
        let expected = [2, 0, 0, 0, 0x18, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 8, 0, 0];
        assert_eq!(initialize.as_bytes(), expected);
    }
}
