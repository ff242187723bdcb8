//! VMBus control messages: the payload of SynIC messages of type 1.
//!
//! Source: no public text describes them; every layout here agrees between OpenVMM `vmbus_core::protocol`, Linux
//! `include/linux/hyperv.h` and iPXE `vmbus.h`. All integers are little-endian.

use static_assertions::{const_assert, const_assert_eq};
use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::wire::hv::HV_MESSAGE_PAYLOAD_BYTE_COUNT;

/// A GUID in its wire order: the first three fields little-endian, the last eight bytes as written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(transparent)]
pub struct Guid(pub [u8; 16]);

/// Class of the synthetic network card: f8615163-df3e-46c5-913f-f2d2f965ed0e.
pub const CLASS_NETWORK: Guid =
    Guid([0x63, 0x51, 0x61, 0xf8, 0x3e, 0xdf, 0xc5, 0x46, 0x91, 0x3f, 0xf2, 0xd2, 0xf9, 0x65, 0xed, 0x0e]);

/// Class of the synthetic SCSI controller: ba6163d9-04a1-4d29-b605-72e2ffb1dc7f.
pub const CLASS_SCSI: Guid =
    Guid([0xd9, 0x63, 0x61, 0xba, 0xa1, 0x04, 0x29, 0x4d, 0xb6, 0x05, 0x72, 0xe2, 0xff, 0xb1, 0xdc, 0x7f]);

/// A protocol version: major number in the upper half, minor in the lower.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version(pub u32);

impl Version {
    /// Windows Server 2022.
    pub const V5_3: Self = Self(0x0005_0003);
    /// Windows Server 2016; the newest that QEMU speaks.
    pub const V4_0: Self = Self(0x0004_0000);
    /// Windows Server 2012 R2: the first whose UNLOAD works, and so the oldest that we accept.
    pub const V3_0: Self = Self(0x0003_0000);

    /// Major number.
    #[must_use]
    pub const fn major(self) -> u32 {
        self.0 >> 16
    }

    /// Minor number.
    #[must_use]
    pub const fn minor(self) -> u32 {
        self.0 & 0xffff
    }
}

/// Connection id to which control messages are posted; usable at every version when SINT2 takes the answers.
pub const MESSAGE_CONNECTION_ID: u32 = 1;

/// Message numbers that we send or understand.
pub mod message_type {
    /// h2g: [`super::OfferChannel`].
    pub const OFFERCHANNEL: u32 = 1;
    /// h2g: [`super::RelidMessage`]: the channel is gone.
    pub const RESCIND_CHANNELOFFER: u32 = 2;
    /// g2h: header only.
    pub const REQUESTOFFERS: u32 = 3;
    /// h2g: header only. More offers may follow later.
    pub const ALLOFFERS_DELIVERED: u32 = 4;
    /// g2h: [`super::OpenChannel`].
    pub const OPENCHANNEL: u32 = 5;
    /// h2g: [`super::OpenChannelResult`].
    pub const OPENCHANNEL_RESULT: u32 = 6;
    /// g2h: [`super::RelidMessage`]. Never answered.
    pub const CLOSECHANNEL: u32 = 7;
    /// g2h: [`super::GpadlHeader`], then page frame numbers.
    pub const GPADL_HEADER: u32 = 8;
    /// g2h: [`super::GpadlBody`], then page frame numbers.
    pub const GPADL_BODY: u32 = 9;
    /// h2g: [`super::GpadlCreated`].
    pub const GPADL_CREATED: u32 = 10;
    /// g2h: [`super::GpadlTeardown`].
    pub const GPADL_TEARDOWN: u32 = 11;
    /// h2g: the GPADL id alone, in the place of [`super::RelidMessage`]'s channel id.
    pub const GPADL_TORNDOWN: u32 = 12;
    /// g2h: [`super::RelidMessage`], the answer to a rescind.
    pub const RELID_RELEASED: u32 = 13;
    /// g2h: [`super::InitiateContact`].
    pub const INITIATE_CONTACT: u32 = 14;
    /// h2g: [`super::VersionResponse`].
    pub const VERSION_RESPONSE: u32 = 15;
    /// g2h: header only.
    pub const UNLOAD: u32 = 16;
    /// h2g: header only.
    pub const UNLOAD_RESPONSE: u32 = 17;
}

/// Head of every message.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct Header {
    /// One of [`message_type`].
    pub message_type: U32,
    /// Zero; not checked on receipt.
    pub padding: U32,
}
const_assert_eq!(size_of::<Header>(), 8);

impl Header {
    /// The head of a message of this type.
    #[must_use]
    pub const fn new(message_type: u32) -> Self {
        Self { message_type: U32::new(message_type), padding: U32::ZERO }
    }
}

/// `INITIATE_CONTACT` (14) without client id.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct InitiateContact {
    /// Type 14.
    pub header: Header,
    /// The one version asked for.
    pub version: U32,
    /// Index of the virtual processor that takes control messages.
    pub target_vp: U32,
    /// Interrupt page up to 2.3; ignored from 2.4 on.
    pub interrupt_page: U64,
    /// Monitor page host to guest; 0 with the other one: none.
    pub parent_to_child_page: U64,
    /// Monitor page guest to host.
    pub child_to_parent_page: U64,
}
const_assert_eq!(size_of::<InitiateContact>(), 40);

/// `VERSION_RESPONSE` (15), the part that every host sends.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct VersionResponse {
    /// Type 15.
    pub header: Header,
    /// Not 0: accepted.
    pub version_supported: u8,
    /// 0: fine. Meaningful from 2.4 on.
    pub connection_state: u8,
    /// Garbage.
    pub padding: U16,
    /// From 5.0 on the connection id for later posts; before that the version, which QEMU leaves 0.
    pub message_connection_id: U32,
}
const_assert_eq!(size_of::<VersionResponse>(), 16);

/// `OFFERCHANNEL` (1), version 1.1 and later.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct OfferChannel {
    /// Type 1.
    pub header: Header,
    /// Class of the device.
    pub interface: Guid,
    /// This device among its class; the same for the life of the machine.
    pub instance: Guid,
    /// Zero.
    pub reserved: [u8; 16],
    /// Offer flags.
    pub flags: U16,
    /// MMIO space that the device wants, in megabytes.
    pub mmio_megabytes: U16,
    /// The device's own business.
    pub user_defined: [u8; 120],
    /// 0: the primary channel.
    pub subchannel_index: U16,
    /// MMIO space that the device would like, in megabytes.
    pub mmio_megabytes_optional: U16,
    /// Channel id.
    pub child_relid: U32,
    /// Monitor bit; 0xff without one.
    pub monitor_id: u8,
    /// Bit 0: the monitor bit is usable.
    pub monitor_allocated: u8,
    /// Bit 0: signals go to `connection_id`.
    pub dedicated_interrupt: U16,
    /// Connection id for `HvSignalEvent`.
    pub connection_id: U32,
}
const_assert_eq!(size_of::<OfferChannel>(), 196);

/// `OPENCHANNEL` (5).
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct OpenChannel {
    /// Type 5.
    pub header: Header,
    /// Channel id, as offered.
    pub child_relid: U32,
    /// Our choice, echoed in the result.
    pub open_id: U32,
    /// GPADL of both rings.
    pub ring_gpadl: U32,
    /// Index of the virtual processor that takes the channel's interrupt.
    pub target_vp: U32,
    /// Start of the host-to-guest ring in the GPADL, in 4 KiB pages.
    pub downstream_page_offset: U32,
    /// The device's own business.
    pub user_data: [u8; 120],
}
const_assert_eq!(size_of::<OpenChannel>(), 148);
const_assert!(size_of::<OpenChannel>() <= HV_MESSAGE_PAYLOAD_BYTE_COUNT);

/// `OPENCHANNEL_RESULT` (6).
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct OpenChannelResult {
    /// Type 6.
    pub header: Header,
    /// Channel id.
    pub child_relid: U32,
    /// As in the request.
    pub open_id: U32,
    /// 0: open.
    pub status: U32,
}
const_assert_eq!(size_of::<OpenChannelResult>(), 20);

/// Messages with one number after the header: `RESCIND_CHANNELOFFER` (2), `CLOSECHANNEL` (7), `RELID_RELEASED` (13)
/// with a channel id, `GPADL_TORNDOWN` (12) with a GPADL id.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct RelidMessage {
    /// Type 2, 7, 12 or 13.
    pub header: Header,
    /// Channel id; of type 12 the GPADL id.
    pub id: U32,
}
const_assert_eq!(size_of::<RelidMessage>(), 12);

/// `GPADL_HEADER` (8) with one range; page frame numbers follow, 8 bytes each.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct GpadlHeader {
    /// Type 8.
    pub header: Header,
    /// Channel that the memory belongs to.
    pub child_relid: U32,
    /// Our choice, not 0.
    pub gpadl: U32,
    /// Length of the range and all its page numbers in bytes, over all messages: 8 + 8 × pages.
    pub range_buffer_length: U16,
    /// 1.
    pub range_count: U16,
    /// Length of the memory in bytes.
    pub byte_count: U32,
    /// Where it starts in its first page.
    pub byte_offset: U32,
}
const_assert_eq!(size_of::<GpadlHeader>(), 28);

/// `GPADL_BODY` (9); page frame numbers follow, 8 bytes each.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct GpadlBody {
    /// Type 9.
    pub header: Header,
    /// Running number; no host is known to look at it.
    pub message_number: U32,
    /// As in the header message.
    pub gpadl: U32,
}
const_assert_eq!(size_of::<GpadlBody>(), 16);

/// Most page numbers that go with a [`GpadlHeader`].
pub const GPADL_HEADER_PFNS: usize = (HV_MESSAGE_PAYLOAD_BYTE_COUNT - size_of::<GpadlHeader>()) / 8;
/// Most page numbers that go with a [`GpadlBody`].
pub const GPADL_BODY_PFNS: usize = (HV_MESSAGE_PAYLOAD_BYTE_COUNT - size_of::<GpadlBody>()) / 8;
/// Most page numbers of a range whose length fits `range_buffer_length` (spec: it is 16 bits wide).
pub const GPADL_MAX_PFNS: usize = 8190;
const_assert_eq!(GPADL_HEADER_PFNS, 26);
const_assert_eq!(GPADL_BODY_PFNS, 28);

/// `GPADL_CREATED` (10).
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct GpadlCreated {
    /// Type 10.
    pub header: Header,
    /// Channel id.
    pub child_relid: U32,
    /// GPADL id.
    pub gpadl: U32,
    /// 0: created.
    pub status: U32,
}
const_assert_eq!(size_of::<GpadlCreated>(), 20);

/// `GPADL_TEARDOWN` (11).
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct GpadlTeardown {
    /// Type 11.
    pub header: Header,
    /// Channel id.
    pub child_relid: U32,
    /// GPADL id.
    pub gpadl: U32,
}
const_assert_eq!(size_of::<GpadlTeardown>(), 16);

#[cfg(test)]
mod tests {
    use super::*;

    // All byte vectors: facts 15.1.

    #[test]
    fn initiate_contact_has_the_published_bytes() {
        let message = InitiateContact {
            header: Header::new(message_type::INITIATE_CONTACT),
            version: U32::new(Version::V4_0.0),
            target_vp: U32::ZERO,
            interrupt_page: U64::ZERO,
            parent_to_child_page: U64::ZERO,
            child_to_parent_page: U64::ZERO,
        };
        let mut expected = [0; 40];
        expected[0] = 0x0e;
        expected[10] = 4;
        assert_eq!(message.as_bytes(), expected);
    }

    #[test]
    fn version_response_is_read_at_the_published_offsets() {
        let bytes = [0x0f, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 4, 0];
        let response = VersionResponse::read_from_bytes(&bytes).unwrap();
        assert_eq!(response.header.message_type, message_type::VERSION_RESPONSE);
        assert_eq!((response.version_supported, response.connection_state), (1, 0));
        assert_eq!(response.message_connection_id, Version::V4_0.0);
    }

    #[test]
    fn gpadl_header_has_the_published_bytes() {
        let message = GpadlHeader {
            header: Header::new(message_type::GPADL_HEADER),
            child_relid: U32::new(5),
            gpadl: U32::new(0x5200_0001),
            range_buffer_length: U16::new(8 + 16 * 8),
            range_count: U16::new(1),
            byte_count: U32::new(0x1_0000),
            byte_offset: U32::ZERO,
        };
        let expected = [8, 0, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0, 1, 0, 0, 0x52, 0x88, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0];
        assert_eq!(message.as_bytes(), expected);
    }

    #[test]
    fn open_channel_has_the_published_bytes() {
        let message = OpenChannel {
            header: Header::new(message_type::OPENCHANNEL),
            child_relid: U32::new(5),
            open_id: U32::new(0xabcd),
            ring_gpadl: U32::new(0x5200_0002),
            target_vp: U32::ZERO,
            downstream_page_offset: U32::new(8),
            user_data: [0; 120],
        };
        let head = [5, 0, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0, 0xcd, 0xab, 0, 0, 2, 0, 0, 0x52, 0, 0, 0, 0, 8, 0, 0, 0];
        assert_eq!(message.as_bytes()[..28], head);
        assert_eq!(message.as_bytes()[28..], [0; 120]);
    }

    /// Offsets as in facts 5.2, "OFFERCHANNEL".
    #[test]
    fn offer_fields_lie_where_the_host_puts_them() {
        let mut bytes = [0; 196];
        bytes[8..24].copy_from_slice(&CLASS_NETWORK.0);
        bytes[24] = 0x11;
        bytes[180] = 3;
        bytes[184] = 9;
        bytes[190] = 1;
        bytes[192..196].copy_from_slice(&[9, 0x20, 0, 0]);
        let offer = OfferChannel::read_from_bytes(&bytes).unwrap();
        assert_eq!(offer.interface, CLASS_NETWORK);
        assert_eq!(offer.instance.0[0], 0x11);
        assert_eq!((offer.subchannel_index.get(), offer.child_relid.get()), (3, 9));
        assert_eq!((offer.dedicated_interrupt.get(), offer.connection_id.get()), (1, 0x2009));
    }
}
