//! RNDIS control messages: {type u32, length u32, request id u32, ...}. Offsets inside count from byte 8.
//! Source: OpenVMM `netvsp`, Linux `hyperv_net.h`.

use super::nvsp::field;
use super::oid::{Adapter, STATUS_INVALID_DATA, STATUS_NOT_SUPPORTED, STATUS_SUCCESS};

pub(crate) const PACKET: u32 = 1;
const INITIALIZE: u32 = 2;
pub(crate) const HALT: u32 = 3;
const QUERY: u32 = 4;
const SET: u32 = 5;
const RESET: u32 = 6;
const INDICATE_STATUS: u32 = 7;
const KEEPALIVE: u32 = 8;
const COMPLETE: u32 = 0x8000_0000;

const STATUS_MEDIA_CONNECT: u32 = 0x4001_000b;
const STATUS_OFFLOAD_CONFIG: u32 = 0x4002_0006;
const STATUS_MEDIA_DISCONNECT: u32 = 0x4001_000c;

/// RNDIS messages in one NVSP message; length of a transfer; alignment as a power of two. As OpenVMM says.
const MAX_PACKETS: u32 = 8;
const MAX_TRANSFER: u32 = 0xefff_ffff;
const ALIGNMENT: u32 = 3;

/// A control message that stops the channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fatal(pub &'static str);

fn build(kind: u32, fields: &[u32], info: &[u8]) -> Vec<u8> {
    let len = 8 + 4 * fields.len() + info.len();
    let mut bytes: Vec<u8> = [kind, len as u32].iter().chain(fields).flat_map(|field| field.to_le_bytes()).collect();
    bytes.extend_from_slice(info);
    bytes
}

/// Serves a control message. `initialized` is whether INITIALIZE came before.
///
/// # Errors
/// What no host goes on after.
pub(crate) fn control(message: &[u8], adapter: &mut Adapter, initialized: &mut bool) -> Result<Vec<u8>, Fatal> {
    const SHORT: Fatal = Fatal("shorter than its fields");
    let kind = field(message, 0).ok_or(SHORT)?;
    let id = field(message, 8).ok_or(SHORT)?;
    match kind {
        INITIALIZE => {
            field(message, 20).ok_or(SHORT)?;
            if std::mem::replace(initialized, true) {
                return Err(Fatal("INITIALIZE a second time"));
            }
            // version 1.0, connectionless, 802.3, no address families
            let fields = [id, STATUS_SUCCESS, 1, 0, 1, 0, MAX_PACKETS, MAX_TRANSFER, ALIGNMENT, 0, 0];
            Ok(build(INITIALIZE | COMPLETE, &fields, &[]))
        }
        QUERY => {
            let oid = field(message, 12).ok_or(SHORT)?;
            let (status, info) = match adapter.query(oid) {
                Some(info) => (STATUS_SUCCESS, info),
                None => (STATUS_NOT_SUPPORTED, Vec::new()),
            };
            let offset = if info.is_empty() { 0 } else { 16 };
            Ok(build(QUERY | COMPLETE, &[id, status, info.len() as u32, offset], &info))
        }
        SET => {
            let oid = field(message, 12).ok_or(SHORT)?;
            let len = field(message, 16).ok_or(SHORT)? as usize;
            let at = field(message, 20).ok_or(SHORT)? as usize;
            let info = at.checked_add(8).and_then(|at| message.get(at..at.checked_add(len)?));
            let status = info.map_or(STATUS_INVALID_DATA, |info| adapter.set(oid, info));
            Ok(build(SET | COMPLETE, &[id, status], &[]))
        }
        RESET => Ok(build(RESET | COMPLETE, &[STATUS_SUCCESS, 0], &[])),
        KEEPALIVE => Ok(build(KEEPALIVE | COMPLETE, &[id, STATUS_SUCCESS], &[])),
        _ => Err(Fatal("message type not known to this host")),
    }
}

/// INDICATE_STATUS of a link change.
pub(crate) fn link_changed(up: bool) -> Vec<u8> {
    build(INDICATE_STATUS, &[if up { STATUS_MEDIA_CONNECT } else { STATUS_MEDIA_DISCONNECT }, 0, 0], &[])
}

/// INDICATE_STATUS of the offloads as Windows Server 2012 R2 sends it at the start: its length is not its own.
pub(crate) fn wrong_indication() -> Vec<u8> {
    let mut bytes = build(INDICATE_STATUS, &[STATUS_OFFLOAD_CONFIG, 0x100, 0x0c], &[]);
    bytes[4] = 0xff;
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    const INITIALIZE_ID_1: [u8; 24] = [2, 0, 0, 0, 0x18, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 8, 0, 0];
    const QUERY_MAC_ID_3: [u8; 28] =
        [4, 0, 0, 0, 0x1c, 0, 0, 0, 3, 0, 0, 0, 2, 1, 1, 1, 0, 0, 0, 0, 0x14, 0, 0, 0, 0, 0, 0, 0];
    const SET_FILTER_ID_2: [u8; 32] =
        [5, 0, 0, 0, 0x20, 0, 0, 0, 2, 0, 0, 0, 0x0e, 1, 1, 0, 4, 0, 0, 0, 0x14, 0, 0, 0, 0, 0, 0, 0, 0x0f, 0, 0, 0];

    fn adapter() -> Adapter {
        Adapter {
            mac: [0, 0x15, 0x5d, 1, 2, 3],
            mtu: 1514,
            link_up: true,
            filter: 0,
            sent: 0,
            received: 0,
            ndis6: false,
        }
    }

    #[test]
    fn initialize_is_answered_once() {
        let (mut adapter, mut initialized) = (adapter(), false);
        let reply = control(&INITIALIZE_ID_1, &mut adapter, &mut initialized).unwrap();
        assert_eq!(reply.len(), 52);
        assert_eq!(reply[..16], [2, 0, 0, 0x80, 52, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0]);
        assert!(control(&INITIALIZE_ID_1, &mut adapter, &mut initialized).is_err());
    }

    #[test]
    fn the_mac_query_has_an_odd_length() {
        let reply = control(&QUERY_MAC_ID_3, &mut adapter(), &mut true).unwrap();
        assert_eq!(reply.len(), 30);
        assert_eq!(reply[8..24], [3, 0, 0, 0, 0, 0, 0, 0, 6, 0, 0, 0, 16, 0, 0, 0]);
        assert_eq!(reply[24..], [0, 0x15, 0x5d, 1, 2, 3]);
    }

    #[test]
    fn set_takes_its_information_from_the_offset() {
        let mut adapter = adapter();
        let reply = control(&SET_FILTER_ID_2, &mut adapter, &mut true).unwrap();
        assert_eq!(reply, [5, 0, 0, 0x80, 16, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(adapter.filter, 0x0f);
        let mut outside = SET_FILTER_ID_2;
        outside[20] = 0x18;
        assert_eq!(control(&outside, &mut adapter, &mut true).unwrap()[12..], STATUS_INVALID_DATA.to_le_bytes());
    }

    #[test]
    fn short_and_unknown_messages_are_fatal() {
        assert!(control(&QUERY_MAC_ID_3[..12], &mut adapter(), &mut true).is_err());
        assert!(control(&[9, 0, 0, 0, 12, 0, 0, 0, 1, 0, 0, 0], &mut adapter(), &mut true).is_err());
    }
}
