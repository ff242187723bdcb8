//! VSTOR packets: operation u32 @0, flags u32 @4, status u32 @8, then 52 bytes of payload (36 before version 5.1).
//! Source: Linux `storvsc_drv.c`, OpenVMM `storvsp_protocol`.

pub(crate) const COMPLETE_IO: u32 = 1;
pub(crate) const EXECUTE_SRB: u32 = 3;
pub(crate) const RESET_LUN: u32 = 4;
pub(crate) const RESET_ADAPTER: u32 = 5;
pub(crate) const RESET_BUS: u32 = 6;
pub(crate) const BEGIN_INIT: u32 = 7;
pub(crate) const END_INIT: u32 = 8;
pub(crate) const QUERY_PROTOCOL_VERSION: u32 = 9;
pub(crate) const QUERY_PROPERTIES: u32 = 10;
pub(crate) const ENUMERATE_BUS: u32 = 11;
pub(crate) const CREATE_SUB_CHANNELS: u32 = 13;

/// Major << 8 | minor of every version that exists.
pub(crate) const VERSIONS: [u16; 5] = [V2_0, V4_2, V5_1, V6_0, V6_2];
pub(crate) const V2_0: u16 = 0x0200;
pub(crate) const V4_2: u16 = 0x0402;
pub(crate) const V5_1: u16 = 0x0501;
pub(crate) const V6_0: u16 = 0x0600;
pub(crate) const V6_2: u16 = 0x0602;

/// NTSTATUS.
pub(crate) const STATUS_SUCCESS: u32 = 0;
pub(crate) const STATUS_DEVICE_BUSY: u32 = 0x8000_0011;
pub(crate) const STATUS_INVALID_PARAMETER: u32 = 0xc000_000d;
pub(crate) const STATUS_REVISION_MISMATCH: u32 = 0xc000_0059;
pub(crate) const STATUS_IO_TIMEOUT: u32 = 0xc000_00b5;
pub(crate) const STATUS_DEVICE_DOES_NOT_EXIST: u32 = 0xc000_00c0;
pub(crate) const STATUS_CANCELLED: u32 = 0xc000_0120;
pub(crate) const STATUS_INVALID_DEVICE_STATE: u32 = 0xc000_0184;
pub(crate) const STATUS_IO_DEVICE_ERROR: u32 = 0xc000_0185;
pub(crate) const STATUS_BUFFER_OVERFLOW: u32 = 0x8000_0005;

/// Longest packet.
pub(crate) const MAX_PACKET: usize = 0x40;

/// Length of a packet of `version`.
pub(crate) fn packet_len(version: u16) -> usize {
    if version >= V5_1 { MAX_PACKET } else { 0x30 }
}

/// A packet of the host's; `len` is that of the request which it answers.
pub(crate) fn packet(operation: u32, status: u32, payload: &[u8], len: usize) -> Vec<u8> {
    let mut bytes: Vec<u8> = [operation, 0, status].iter().flat_map(|field| field.to_le_bytes()).collect();
    bytes.extend_from_slice(payload);
    bytes.resize(len, 0);
    bytes
}

/// The dword at `at`; the caller has checked that it lies inside.
pub(crate) fn u32_at(packet: &[u8], at: usize) -> u32 {
    packet.get(at..).and_then(|bytes| bytes.first_chunk()).map_or(0, |bytes| u32::from_le_bytes(*bytes))
}

/// The word at `at`, likewise.
pub(crate) fn u16_at(packet: &[u8], at: usize) -> u16 {
    packet.get(at..).and_then(|bytes| bytes.first_chunk()).map_or(0, |bytes| u16::from_le_bytes(*bytes))
}
