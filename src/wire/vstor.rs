//! VSTOR: what the two ends of the synthetic SCSI controller say to each other in ring packets.
//!
//! Source: no public text; OpenVMM `storvsp_protocol` and Linux `storvsc_drv.c` agree.

use static_assertions::const_assert_eq;
use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// Versions that we ask for, newest first, major << 8 | minor (policy: nothing older than the hosts whose VMBus we
/// speak, which saves the shorter packets).
pub const VERSIONS: [u16; 3] = [0x0602, 0x0600, 0x0501];

/// Length of a packet in bytes, from version 5.1 on.
pub const PACKET_LEN: usize = 64;

/// Operations.
pub mod operation {
    /// h2g: the completion of any packet.
    pub const COMPLETE_IO: u32 = 1;
    /// g2h: a SCSI request, [`super::Srb`].
    pub const EXECUTE_SRB: u32 = 3;
    /// g2h: resets the controller and all its disks.
    pub const RESET_ADAPTER: u32 = 5;
    /// g2h: first step of the handshake.
    pub const BEGIN_INITIALIZATION: u32 = 7;
    /// g2h: its last step.
    pub const END_INITIALIZATION: u32 = 8;
    /// g2h: [`super::ProtocolVersion`].
    pub const QUERY_PROTOCOL_VERSION: u32 = 9;
    /// g2h: answered with [`super::Properties`].
    pub const QUERY_PROPERTIES: u32 = 10;
}

/// Flag: the sender wants a completion.
pub const FLAG_REQUEST_COMPLETION: u32 = 1;

/// Status: done.
pub const STATUS_SUCCESS: u32 = 0;
/// Status: a version that the host does not know.
pub const STATUS_REVISION_MISMATCH: u32 = 0xc000_0059;

/// Head of every packet.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct PacketHeader {
    /// One of [`operation`].
    pub operation: U32,
    /// [`FLAG_REQUEST_COMPLETION`].
    pub flags: U32,
    /// NTSTATUS, from the host.
    pub status: U32,
}
/// Length of a [`PacketHeader`] in bytes.
pub const HEADER_LEN: usize = 12;
const_assert_eq!(size_of::<PacketHeader>(), HEADER_LEN);

/// Payload of `QUERY_PROTOCOL_VERSION` (9).
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct ProtocolVersion {
    /// Major << 8 | minor.
    pub major_minor: U16,
    /// Zero.
    pub revision: U16,
}
const_assert_eq!(size_of::<ProtocolVersion>(), 4);

/// Answer to `QUERY_PROPERTIES` (10).
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct Properties {
    /// Not used.
    pub reserved: U32,
    /// Sub-channels that could be had.
    pub max_channel_count: U16,
    /// Not used.
    pub reserved2: U16,
    /// 1: sub-channels are possible.
    pub flags: U32,
    /// Most bytes of one request.
    pub max_transfer_bytes: U32,
    /// Not used.
    pub reserved3: U64,
}
const_assert_eq!(size_of::<Properties>(), 24);

/// [`Srb::data_in`]: data go to the disk.
pub const DATA_OUT: u8 = 0;
/// [`Srb::data_in`]: data come from the disk.
pub const DATA_IN: u8 = 1;
/// [`Srb::data_in`]: there are no data.
pub const DATA_NONE: u8 = 2;

/// Flag of a request: [`Srb::queue_action`] counts.
pub const SRB_FLAGS_QUEUE_ACTION_ENABLE: u32 = 0x02;
/// Flag of a request: transfer modes are not negotiated.
pub const SRB_FLAGS_DISABLE_SYNCH_TRANSFER: u32 = 0x08;
/// Flag of a request: data come from the disk.
pub const SRB_FLAGS_DATA_IN: u32 = 0x40;
/// Flag of a request: data go to the disk.
pub const SRB_FLAGS_DATA_OUT: u32 = 0x80;
/// Queue action: no order among requests.
pub const SIMPLE_QUEUE: u8 = 0x20;

/// Status of a request: done.
pub const SRB_STATUS_SUCCESS: u8 = 0x01;
/// Status of a request: the disk said no; see the SCSI status and the sense data.
pub const SRB_STATUS_ERROR: u8 = 0x04;
/// Status of a request: no such path.
pub const SRB_STATUS_INVALID_PATH: u8 = 0x07;
/// Status of a request: no such device.
pub const SRB_STATUS_NO_DEVICE: u8 = 0x08;
/// Status of a request: nobody answers at this target.
pub const SRB_STATUS_SELECTION_TIMEOUT: u8 = 0x0a;
/// Status of a request: less data than there was room for.
pub const SRB_STATUS_DATA_OVERRUN: u8 = 0x12;
/// Status of a request: no such LUN.
pub const SRB_STATUS_INVALID_LUN: u8 = 0x20;
/// Status of a request: no such target.
pub const SRB_STATUS_INVALID_TARGET: u8 = 0x21;
/// The bits of [`Srb::srb_status`] that are the status; above them two flags.
pub const SRB_STATUS_MASK: u8 = 0x3f;
/// Flag in [`Srb::srb_status`]: the sense data are valid.
pub const SRB_STATUS_AUTOSENSE_VALID: u8 = 0x80;

/// A SCSI request, payload of `EXECUTE_SRB` (3), and its answer.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct Srb {
    /// Length of this structure: 52.
    pub length: U16,
    /// From the host: one of the `SRB_STATUS_` constants, and flags.
    pub srb_status: u8,
    /// From the host: SCSI status.
    pub scsi_status: u8,
    /// 0.
    pub port: u8,
    /// Bus, 0.
    pub path: u8,
    /// Target on it.
    pub target: u8,
    /// Logical unit.
    pub lun: u8,
    /// Bytes in the CDB.
    pub cdb_length: u8,
    /// Room for sense data: 20.
    pub sense_length: u8,
    /// [`DATA_OUT`], [`DATA_IN`] or [`DATA_NONE`].
    pub data_in: u8,
    /// Zero.
    pub reserved: u8,
    /// Bytes to move; from the host: bytes moved.
    pub data_transfer_length: U32,
    /// The CDB in the first 16 bytes; from the host: sense data.
    pub cdb_or_sense: [u8; SENSE_LEN],
    /// Zero.
    pub reserved2: U16,
    /// Not used.
    pub queue_tag: u8,
    /// [`SIMPLE_QUEUE`].
    pub queue_action: u8,
    /// `SRB_FLAGS_` constants.
    pub srb_flags: U32,
    /// Seconds after which the host may give up.
    pub time_out_value: U32,
    /// Zero.
    pub queue_sort_key: U32,
}
/// Room for sense data in a request, in bytes.
pub const SENSE_LEN: usize = 20;
const_assert_eq!(size_of::<Srb>(), 52);
const_assert_eq!(HEADER_LEN + size_of::<Srb>(), PACKET_LEN);
