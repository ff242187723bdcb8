//! NVSP messages: type u32 @0, then the fields. Source: Linux `hyperv_net.h`, OpenVMM `netvsp`.

pub(crate) const INIT: u32 = 1;
pub(crate) const INIT_COMPLETE: u32 = 2;
pub(crate) const SEND_NDIS_VERSION: u32 = 100;
pub(crate) const SEND_RECV_BUF: u32 = 101;
pub(crate) const SEND_RECV_BUF_COMPLETE: u32 = 102;
pub(crate) const REVOKE_RECV_BUF: u32 = 103;
pub(crate) const SEND_SEND_BUF: u32 = 104;
pub(crate) const SEND_SEND_BUF_COMPLETE: u32 = 105;
pub(crate) const REVOKE_SEND_BUF: u32 = 106;
pub(crate) const SEND_RNDIS_PKT: u32 = 107;
pub(crate) const SEND_RNDIS_PKT_COMPLETE: u32 = 108;
pub(crate) const SEND_NDIS_CONFIG: u32 = 125;
pub(crate) const SEND_VF_ASSOCIATION: u32 = 128;
pub(crate) const SWITCH_DATA_PATH: u32 = 129;
pub(crate) const OID_QUERY_EX: u32 = 131;
pub(crate) const OID_QUERY_EX_COMPLETE: u32 = 132;
pub(crate) const SUBCHANNEL: u32 = 133;
pub(crate) const SEND_INDIRECTION_TABLE: u32 = 134;

/// Channel types of SEND_RNDIS_PKT.
pub(crate) const CHANNEL_DATA: u32 = 0;
pub(crate) const CHANNEL_CONTROL: u32 = 1;

pub(crate) const V1: u32 = 0x0_0002;
pub(crate) const V2: u32 = 0x3_0002;
pub(crate) const V4: u32 = 0x4_0000;
pub(crate) const V5: u32 = 0x5_0000;
pub(crate) const V6_1: u32 = 0x6_0001;
/// Every version that exists.
pub(crate) const VERSIONS: [u32; 6] = [V1, V2, V4, V5, 0x6_0000, V6_1];

pub(crate) const STATUS_NONE: u32 = 0;
pub(crate) const STATUS_SUCCESS: u32 = 1;
pub(crate) const STATUS_FAILURE: u32 = 2;

/// Size of a section of the send buffer, on OpenVMM and in Linux's view of Microsoft's host.
pub(crate) const SEND_SECTION: usize = 6144;
/// "No section of the send buffer".
pub(crate) const NO_SECTION: u32 = u32::MAX;

/// A message of `kind` with these dwords, as long as messages of `version` are on the ring.
pub(crate) fn message(version: u32, kind: u32, fields: &[u32]) -> Vec<u8> {
    let mut bytes: Vec<u8> = std::iter::once(&kind).chain(fields).flat_map(|field| field.to_le_bytes()).collect();
    bytes.resize(if version >= V6_1 { 40 } else { 32 }, 0);
    bytes
}

/// The dword at `at`, or `None` past the end.
pub(crate) fn field(message: &[u8], at: usize) -> Option<u32> {
    message.get(at..)?.first_chunk().map(|bytes| u32::from_le_bytes(*bytes))
}
