//! SCSI: commands, and what they return. Fields are big-endian.
//!
//! Source: SPC-4 (INQUIRY, REPORT LUNS, sense data) and SBC-3 (everything about blocks).

use static_assertions::const_assert_eq;
use zerocopy::big_endian::{U16, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// Bytes of room for a command.
pub const CDB_LEN: usize = 16;

/// Operation codes.
pub mod operation {
    /// Nothing but the state of the disk.
    pub const TEST_UNIT_READY: u8 = 0x00;
    /// What kind of device.
    pub const INQUIRY: u8 = 0x12;
    /// Mode parameters, 6-byte form.
    pub const MODE_SENSE_6: u8 = 0x1a;
    /// Number of blocks, 10-byte form.
    pub const READ_CAPACITY_10: u8 = 0x25;
    /// Read, 10-byte form.
    pub const READ_10: u8 = 0x28;
    /// Write, 10-byte form.
    pub const WRITE_10: u8 = 0x2a;
    /// Write back caches, 10-byte form.
    pub const SYNCHRONIZE_CACHE_10: u8 = 0x35;
    /// Read, 16-byte form.
    pub const READ_16: u8 = 0x88;
    /// Write, 16-byte form.
    pub const WRITE_16: u8 = 0x8a;
    /// Its service action [`super::READ_CAPACITY_16`] gives the number of blocks.
    pub const SERVICE_ACTION_IN_16: u8 = 0x9e;
    /// Which logical units there are.
    pub const REPORT_LUNS: u8 = 0xa0;
}

/// Service action of `SERVICE_ACTION_IN_16`.
pub const READ_CAPACITY_16: u8 = 0x10;

/// SCSI status: done.
pub const STATUS_GOOD: u8 = 0x00;
/// SCSI status: there are sense data.
pub const STATUS_CHECK_CONDITION: u8 = 0x02;

/// READ (10), WRITE (10), SYNCHRONIZE CACHE (10), READ CAPACITY (10).
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct Cdb10 {
    /// Operation code.
    pub operation: u8,
    /// Zero.
    pub flags: u8,
    /// First block.
    pub lba: U32,
    /// Zero.
    pub group: u8,
    /// Number of blocks.
    pub blocks: U16,
    /// Zero.
    pub control: u8,
}
const_assert_eq!(size_of::<Cdb10>(), 10);

/// READ (16), WRITE (16), and with the length in bytes READ CAPACITY (16).
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct Cdb16 {
    /// Operation code.
    pub operation: u8,
    /// Zero, or a service action.
    pub flags: u8,
    /// First block.
    pub lba: U64,
    /// Number of blocks, or of bytes.
    pub blocks: U32,
    /// Zero.
    pub group: u8,
    /// Zero.
    pub control: u8,
}
const_assert_eq!(size_of::<Cdb16>(), CDB_LEN);

/// Data of READ CAPACITY (10).
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct Capacity10 {
    /// Number of the last block; all ones when it does not fit.
    pub last_lba: U32,
    /// Bytes in a block.
    pub block_length: U32,
}
const_assert_eq!(size_of::<Capacity10>(), 8);

/// Start of the data of READ CAPACITY (16).
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct Capacity16 {
    /// Number of the last block.
    pub last_lba: U64,
    /// Bytes in a block.
    pub block_length: U32,
}
const_assert_eq!(size_of::<Capacity16>(), 12);

/// Byte 0 of INQUIRY's data: a disk that is there.
pub const INQUIRY_DISK: u8 = 0x00;

/// Start of sense data in fixed format.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct Sense {
    /// Bits 6:0: 70h current, 71h deferred error.
    pub response_code: u8,
    /// Obsolete.
    pub segment: u8,
    /// Bits 3:0: sense key.
    pub key: u8,
    /// Depends on the command.
    pub information: U32,
    /// Bytes behind this one.
    pub additional_length: u8,
    /// Depends on the command.
    pub command_specific: U32,
    /// Additional sense code.
    pub code: u8,
    /// Its qualifier.
    pub qualifier: u8,
}
const_assert_eq!(size_of::<Sense>(), 14);

/// Sense keys.
pub mod sense_key {
    /// All is well, after some effort.
    pub const RECOVERED_ERROR: u8 = 0x1;
    /// Not ready now.
    pub const NOT_READY: u8 = 0x2;
    /// The medium has a fault.
    pub const MEDIUM_ERROR: u8 = 0x3;
    /// The device has a fault.
    pub const HARDWARE_ERROR: u8 = 0x4;
    /// The command makes no sense.
    pub const ILLEGAL_REQUEST: u8 = 0x5;
    /// Something happened that we have to know, such as a reset; the command was not executed.
    pub const UNIT_ATTENTION: u8 = 0x6;
    /// Write-protected.
    pub const DATA_PROTECT: u8 = 0x7;
    /// The device gave the command up.
    pub const ABORTED_COMMAND: u8 = 0xb;
}

/// Additional sense code: block number beyond the end.
pub const CODE_LBA_OUT_OF_RANGE: u8 = 0x21;
