//! The OIDs that RNDIS QUERY and SET name (NDIS; the set of OpenVMM's `netvsp`).

use super::nvsp::field;

pub(crate) const STATUS_SUCCESS: u32 = 0;
pub(crate) const STATUS_NOT_SUPPORTED: u32 = 0xc000_00bb;
pub(crate) const STATUS_INVALID_DATA: u32 = 0xc001_0015;

const SUPPORTED_LIST: u32 = 0x0001_0101;
const HARDWARE_STATUS: u32 = 0x0001_0102;
const MEDIA_SUPPORTED: u32 = 0x0001_0103;
const MEDIA_IN_USE: u32 = 0x0001_0104;
const MAXIMUM_LOOKAHEAD: u32 = 0x0001_0105;
const MAXIMUM_FRAME_SIZE: u32 = 0x0001_0106;
const LINK_SPEED: u32 = 0x0001_0107;
const TRANSMIT_BUFFER_SPACE: u32 = 0x0001_0108;
const RECEIVE_BUFFER_SPACE: u32 = 0x0001_0109;
const TRANSMIT_BLOCK_SIZE: u32 = 0x0001_010a;
const RECEIVE_BLOCK_SIZE: u32 = 0x0001_010b;
const VENDOR_ID: u32 = 0x0001_010c;
const VENDOR_DESCRIPTION: u32 = 0x0001_010d;
const CURRENT_PACKET_FILTER: u32 = 0x0001_010e;
const CURRENT_LOOKAHEAD: u32 = 0x0001_010f;
const DRIVER_VERSION: u32 = 0x0001_0110;
const MAXIMUM_TOTAL_SIZE: u32 = 0x0001_0111;
const MAC_OPTIONS: u32 = 0x0001_0113;
const MEDIA_CONNECT_STATUS: u32 = 0x0001_0114;
const MAXIMUM_SEND_PACKETS: u32 = 0x0001_0115;
const VENDOR_DRIVER_VERSION: u32 = 0x0001_0116;
const NETWORK_LAYER_ADDRESSES: u32 = 0x0001_0118;
const MAX_LINK_SPEED: u32 = 0x0001_0206;
const LINK_STATE: u32 = 0x0001_0207;
const RNDIS_CONFIG_PARAMETER: u32 = 0x0001_021b;
const TRANSMIT_OK: u32 = 0x0002_0101;
const RECEIVE_OK: u32 = 0x0002_0102;
const TRANSMIT_ERROR: u32 = 0x0002_0103;
const RECEIVE_ERROR: u32 = 0x0002_0104;
const RECEIVE_NO_BUFFER: u32 = 0x0002_0105;
const FRIENDLY_NAME: u32 = 0x0002_0216;
const PERMANENT_ADDRESS: u32 = 0x0101_0101;
const CURRENT_ADDRESS: u32 = 0x0101_0102;
const MAXIMUM_LIST_SIZE: u32 = 0x0101_0104;
const OFFLOAD_ENCAPSULATION: u32 = 0x0101_010a;
const TCP_OFFLOAD_CURRENT_CONFIG: u32 = 0xfc01_020b;
const TCP_OFFLOAD_PARAMETERS: u32 = 0xfc01_020c;
const TCP_OFFLOAD_HARDWARE_CAPABILITIES: u32 = 0xfc01_020d;

/// Every OID that can be queried.
const SUPPORTED: [u32; 34] = [
    SUPPORTED_LIST,
    HARDWARE_STATUS,
    MEDIA_SUPPORTED,
    MEDIA_IN_USE,
    MAXIMUM_LOOKAHEAD,
    MAXIMUM_FRAME_SIZE,
    LINK_SPEED,
    TRANSMIT_BUFFER_SPACE,
    RECEIVE_BUFFER_SPACE,
    TRANSMIT_BLOCK_SIZE,
    RECEIVE_BLOCK_SIZE,
    VENDOR_ID,
    VENDOR_DESCRIPTION,
    CURRENT_PACKET_FILTER,
    CURRENT_LOOKAHEAD,
    DRIVER_VERSION,
    MAXIMUM_TOTAL_SIZE,
    MAC_OPTIONS,
    MEDIA_CONNECT_STATUS,
    MAXIMUM_SEND_PACKETS,
    VENDOR_DRIVER_VERSION,
    MAX_LINK_SPEED,
    LINK_STATE,
    TRANSMIT_OK,
    RECEIVE_OK,
    TRANSMIT_ERROR,
    RECEIVE_ERROR,
    RECEIVE_NO_BUFFER,
    FRIENDLY_NAME,
    PERMANENT_ADDRESS,
    CURRENT_ADDRESS,
    MAXIMUM_LIST_SIZE,
    TCP_OFFLOAD_CURRENT_CONFIG,
    TCP_OFFLOAD_HARDWARE_CAPABILITIES,
];

/// Link speed in bits per second.
const SPEED: u64 = 10_000_000_000;

/// What the queries are about.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Adapter {
    pub mac: [u8; 6],
    /// Largest frame with its Ethernet header.
    pub mtu: u32,
    pub link_up: bool,
    pub filter: u32,
    /// Frames sent and received.
    pub sent: u64,
    pub received: u64,
    /// Whether the guest speaks NDIS 6: then offloads are told.
    pub ndis6: bool,
}

impl Adapter {
    /// The information behind an OID; `None` when it is not supported.
    pub fn query(&self, oid: u32) -> Option<Vec<u8>> {
        let dword = |value: u32| Some(value.to_le_bytes().to_vec());
        match oid {
            SUPPORTED_LIST => Some(SUPPORTED.iter().flat_map(|oid| oid.to_le_bytes()).collect()),
            HARDWARE_STATUS | MEDIA_SUPPORTED | MEDIA_IN_USE | MAXIMUM_LIST_SIZE => dword(0), // ready; 802.3; none
            MAXIMUM_LOOKAHEAD | CURRENT_LOOKAHEAD | MAXIMUM_FRAME_SIZE => dword(self.mtu - 14),
            MAXIMUM_TOTAL_SIZE | TRANSMIT_BLOCK_SIZE | RECEIVE_BLOCK_SIZE => dword(self.mtu),
            LINK_SPEED => dword((SPEED / 100) as u32),
            TRANSMIT_BUFFER_SPACE | RECEIVE_BUFFER_SPACE => dword(256 * 1024),
            VENDOR_ID => dword(0x0000_155d),
            VENDOR_DESCRIPTION => Some(b"Microsoft Corporation".to_vec()),
            CURRENT_PACKET_FILTER => dword(self.filter),
            DRIVER_VERSION | VENDOR_DRIVER_VERSION => Some(0x0100u16.to_le_bytes().to_vec()),
            // copy lookahead, transfers do not pend, no loopback, 802.1p, 802.1Q
            MAC_OPTIONS => dword(0x001 | 0x004 | 0x008 | 0x040 | 0x200),
            MEDIA_CONNECT_STATUS => dword(u32::from(!self.link_up)),
            MAXIMUM_SEND_PACKETS => dword(u32::MAX),
            MAX_LINK_SPEED => Some([SPEED, SPEED].iter().flat_map(|speed| speed.to_le_bytes()).collect()),
            LINK_STATE => Some(self.link_state()),
            TRANSMIT_OK => dword(self.sent as u32),
            RECEIVE_OK => dword(self.received as u32),
            TRANSMIT_ERROR | RECEIVE_ERROR | RECEIVE_NO_BUFFER => dword(0),
            FRIENDLY_NAME => {
                // 256 UTF-16 units, zero-filled
                let mut name: Vec<u8> = "Network Device".encode_utf16().flat_map(u16::to_le_bytes).collect();
                name.resize(512, 0);
                Some(name)
            }
            PERMANENT_ADDRESS | CURRENT_ADDRESS => Some(self.mac.to_vec()),
            TCP_OFFLOAD_CURRENT_CONFIG | TCP_OFFLOAD_HARDWARE_CAPABILITIES if self.ndis6 => Some(no_offloads()),
            _ => None,
        }
    }

    /// NDIS_LINK_STATE: object header {type 0x80, revision 1, size}, connect state, duplex, pad, speeds, pause, flags.
    fn link_state(&self) -> Vec<u8> {
        let mut bytes = vec![0x80, 1, 40, 0];
        bytes.extend_from_slice(&if self.link_up { 1u32 } else { 2 }.to_le_bytes());
        bytes.extend_from_slice(&[0; 8]);
        bytes.extend_from_slice(&SPEED.to_le_bytes());
        bytes.extend_from_slice(&SPEED.to_le_bytes());
        bytes.extend_from_slice(&[0; 8]);
        bytes
    }

    /// Sets an OID: the status.
    pub fn set(&mut self, oid: u32, info: &[u8]) -> u32 {
        match oid {
            CURRENT_PACKET_FILTER => match field(info, 0) {
                Some(filter) => {
                    self.filter = filter;
                    STATUS_SUCCESS
                }
                None => STATUS_INVALID_DATA,
            },
            NETWORK_LAYER_ADDRESSES | RNDIS_CONFIG_PARAMETER | OFFLOAD_ENCAPSULATION | TCP_OFFLOAD_PARAMETERS => {
                STATUS_SUCCESS
            }
            _ => STATUS_NOT_SUPPORTED,
        }
    }
}

/// NDIS_OFFLOAD revision 3, 156 bytes: object header {type 0xa7, revision, size}, no offload supported.
fn no_offloads() -> Vec<u8> {
    let mut bytes = vec![0xa7, 3, 156, 0];
    bytes.resize(156, 0);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn adapter() -> Adapter {
        Adapter {
            mac: [0, 0x15, 0x5d, 1, 2, 3],
            mtu: 1514,
            link_up: false,
            filter: 0,
            sent: 0,
            received: 0,
            ndis6: true,
        }
    }

    #[test]
    fn every_supported_oid_answers() {
        for oid in SUPPORTED {
            assert!(adapter().query(oid).is_some(), "{oid:#x}");
        }
        assert_eq!(adapter().query(0x0001_0203), None);
    }

    #[test]
    fn link_down_is_one_in_the_old_oid_and_two_in_the_new() {
        assert_eq!(adapter().query(MEDIA_CONNECT_STATUS).unwrap(), [1, 0, 0, 0]);
        assert_eq!(adapter().query(LINK_STATE).unwrap()[4..8], [2, 0, 0, 0]);
        assert_eq!(adapter().query(MAXIMUM_FRAME_SIZE).unwrap(), 1500u32.to_le_bytes());
    }

    #[test]
    fn the_filter_is_set_and_the_multicast_list_is_not_supported() {
        let mut adapter = adapter();
        assert_eq!(adapter.set(CURRENT_PACKET_FILTER, &[0x0f, 0, 0, 0]), STATUS_SUCCESS);
        assert_eq!(adapter.filter, 0x0f);
        assert_eq!(adapter.set(CURRENT_PACKET_FILTER, &[1]), STATUS_INVALID_DATA);
        assert_eq!(adapter.set(0x0101_0103, &[0; 6]), STATUS_NOT_SUPPORTED);
    }
}
