//! VMBus control messages: 8-byte header {type u32, padding u32}, then the fields. All offsets include the header.
//!
//! Source: no public text; OpenVMM `vmbus_core` and Linux `include/linux/hyperv.h` agree on these layouts.

use serde::{Deserialize, Serialize};

use super::gpadl::GpadlKey;
use super::guid::Guid;
use super::offers::Offer;

pub(crate) const OFFER_CHANNEL: u32 = 1;
pub(crate) const RESCIND_CHANNEL_OFFER: u32 = 2;
pub(crate) const REQUEST_OFFERS: u32 = 3;
pub(crate) const ALL_OFFERS_DELIVERED: u32 = 4;
pub(crate) const OPEN_CHANNEL: u32 = 5;
pub(crate) const OPEN_CHANNEL_RESULT: u32 = 6;
pub(crate) const CLOSE_CHANNEL: u32 = 7;
pub(crate) const GPADL_HEADER: u32 = 8;
pub(crate) const GPADL_BODY: u32 = 9;
pub(crate) const GPADL_CREATED: u32 = 10;
pub(crate) const GPADL_TEARDOWN: u32 = 11;
pub(crate) const GPADL_TORNDOWN: u32 = 12;
pub(crate) const RELID_RELEASED: u32 = 13;
pub(crate) const INITIATE_CONTACT: u32 = 14;
pub(crate) const VERSION_RESPONSE: u32 = 15;
pub(crate) const UNLOAD: u32 = 16;
pub(crate) const UNLOAD_RESPONSE: u32 = 17;
pub(crate) const MODIFY_CHANNEL: u32 = 22;
pub(crate) const MODIFY_CHANNEL_RESPONSE: u32 = 24;
pub(crate) const MODIFY_CONNECTION: u32 = 25;
pub(crate) const MODIFY_CONNECTION_RESPONSE: u32 = 26;
pub(crate) const PAUSE: u32 = 27;
pub(crate) const PAUSE_RESPONSE: u32 = 28;
pub(crate) const RESUME: u32 = 29;

pub(crate) const V1_1: u32 = 0x0001_0001;
pub(crate) const V2_4: u32 = 0x0002_0004;
pub(crate) const V3_0: u32 = 0x0003_0000;
pub(crate) const V5_0: u32 = 0x0005_0000;
pub(crate) const V5_3: u32 = 0x0005_0003;
pub(crate) const V6_0: u32 = 0x0006_0000;
/// Every version that exists; nothing between them is taken.
pub(crate) const VERSIONS: [u32; 11] =
    [0x0000_000d, V1_1, V2_4, V3_0, 0x0004_0000, 0x0004_0001, V5_0, 0x0005_0001, 0x0005_0002, V5_3, V6_0];

/// Feature flags of version 6.0 that this host has: guest-specified signal parameters, interrupt redirection,
/// MODIFY_CONNECTION, client id, pause and resume.
pub(crate) const FEATURES: u32 = 0x2f;
/// Guest-specified signal parameters, interrupt redirection: OPENCHANNEL is 156 bytes long.
pub(crate) const FEATURES_LONG_OPEN: u32 = 0x03;
pub(crate) const FEATURE_SIGNAL_PARAMETERS: u32 = 0x01;
const FEATURE_MODIFY_CONNECTION: u32 = 0x04;
const FEATURE_CLIENT_ID: u32 = 0x08;
const FEATURE_PAUSE: u32 = 0x20;

/// A failed open or GPADL (STATUS_UNSUCCESSFUL as OpenVMM maps it).
pub(crate) const STATUS_FAILED: u32 = 0x8000_ffff;
/// Target VP of OPENCHANNEL: no interrupts.
pub(crate) const NO_VP: u32 = u32::MAX;

/// INITIATE_CONTACT.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub(crate) struct Contact {
    pub version: u32,
    pub vp: u32,
    /// Up to 2.3: the interrupt page. From 5.0: SINT in the low byte, VTL above it.
    pub page_or_target: u64,
    pub features: u32,
    pub monitor_pages: [u64; 2],
}

/// OPENCHANNEL.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub(crate) struct Open {
    pub relid: u32,
    pub open_id: u32,
    pub gpadl: u32,
    pub vp: u32,
    pub downstream: u32,
    /// Connection id for signals to the host, event flag for signals to the guest.
    pub signal: Option<(u32, u16)>,
}

/// A message from the guest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum FromGuest {
    InitiateContact(Contact),
    Unload,
    RequestOffers,
    OpenChannel(Open),
    CloseChannel { relid: u32 },
    GpadlHeader { key: GpadlKey, len: u16, count: u16, words: Vec<u64> },
    GpadlBody { id: u32, words: Vec<u64> },
    GpadlTeardown { key: GpadlKey },
    RelidReleased { relid: u32 },
    ModifyChannel { relid: u32, vp: u32 },
    ModifyConnection { monitor_pages: [u64; 2] },
    Pause,
    Resume,
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..at + 4).and_then(|b| b.first_chunk()).map_or(0, |b| u32::from_le_bytes(*b))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from(u32_at(bytes, at)) | u64::from(u32_at(bytes, at + 4)) << 32
}

fn words(bytes: &[u8]) -> Vec<u64> {
    bytes.chunks_exact(8).map(|word| u64_at(word, 0)).collect()
}

/// Type of a message; 0 when it has no header.
pub(crate) fn message_type(bytes: &[u8]) -> u32 {
    u32_at(bytes, 0)
}

/// Reads a message on a connection of `version` with `features`; `None` while disconnected.
///
/// # Errors
/// Why the message is dropped.
pub(crate) fn parse(bytes: &[u8], connection: Option<(u32, u32)>) -> Result<FromGuest, &'static str> {
    let kind = message_type(bytes);
    let (version, features) = connection.unwrap_or((0, 0));
    let feature = |bit: u32| if features & bit != 0 { V6_0 } else { u32::MAX };
    // Shortest length, and the first version that knows the message.
    let (min_len, min_version) = match kind {
        REQUEST_OFFERS | UNLOAD => (8, 0),
        OPEN_CHANNEL if features & FEATURES_LONG_OPEN != 0 => (156, 0),
        OPEN_CHANNEL => (148, 0),
        CLOSE_CHANNEL | RELID_RELEASED => (12, 0),
        GPADL_HEADER => (20, 0),
        GPADL_BODY | GPADL_TEARDOWN => (16, 0),
        INITIATE_CONTACT => (40, 0),
        MODIFY_CHANNEL => (16, 0x0004_0001),
        MODIFY_CONNECTION => (24, feature(FEATURE_MODIFY_CONNECTION)),
        PAUSE | RESUME => (8, feature(FEATURE_PAUSE)),
        _ => return Err("message type not known to this host"),
    };
    if connection.is_none() && kind != INITIATE_CONTACT {
        return Err("no connection");
    }
    if version < min_version {
        return Err("message of a newer version than the connection's");
    }
    if bytes.len() < min_len {
        return Err("too short");
    }
    let relid = u32_at(bytes, 8);
    let key = GpadlKey { relid, id: u32_at(bytes, 12) };
    Ok(match kind {
        REQUEST_OFFERS => FromGuest::RequestOffers,
        UNLOAD => FromGuest::Unload,
        OPEN_CHANNEL => FromGuest::OpenChannel(Open {
            relid,
            open_id: u32_at(bytes, 12),
            gpadl: u32_at(bytes, 16),
            vp: u32_at(bytes, 20),
            downstream: u32_at(bytes, 24),
            signal: (features & FEATURE_SIGNAL_PARAMETERS != 0)
                .then(|| (u32_at(bytes, 148), u32_at(bytes, 152) as u16)),
        }),
        CLOSE_CHANNEL => FromGuest::CloseChannel { relid },
        RELID_RELEASED => FromGuest::RelidReleased { relid },
        GPADL_HEADER => {
            let lens = u32_at(bytes, 16);
            FromGuest::GpadlHeader { key, len: lens as u16, count: (lens >> 16) as u16, words: words(&bytes[20..]) }
        }
        GPADL_BODY => FromGuest::GpadlBody { id: key.id, words: words(&bytes[16..]) },
        GPADL_TEARDOWN => FromGuest::GpadlTeardown { key },
        MODIFY_CHANNEL => FromGuest::ModifyChannel { relid, vp: key.id },
        MODIFY_CONNECTION => FromGuest::ModifyConnection { monitor_pages: [u64_at(bytes, 8), u64_at(bytes, 16)] },
        PAUSE => FromGuest::Pause,
        RESUME => FromGuest::Resume,
        _ => {
            let version = u32_at(bytes, 8);
            let features = if version >= V6_0 { u32_at(bytes, 20) } else { 0 };
            if features & FEATURE_CLIENT_ID != 0 && bytes.len() < 56 {
                return Err("client id announced but missing");
            }
            FromGuest::InitiateContact(Contact {
                version,
                vp: u32_at(bytes, 12),
                page_or_target: u64_at(bytes, 16),
                features,
                monitor_pages: [u64_at(bytes, 24), u64_at(bytes, 32)],
            })
        }
    })
}

/// A message of `kind` with these dwords after the header.
pub(crate) fn build(kind: u32, fields: &[u32]) -> Vec<u8> {
    [kind, 0].iter().chain(fields).flat_map(|field| field.to_le_bytes()).collect()
}

/// VERSION_RESPONSE: supported u8 @8, connection state u8 @9, version or message connection id @12, features @16.
pub(crate) fn version_response(accepted: Option<u32>, state: u8, features: u32) -> Vec<u8> {
    let Some(version) = accepted else { return build(VERSION_RESPONSE, &[0, 0]) };
    let supported = 1 | u32::from(state) << 8;
    match version {
        V6_0.. => build(VERSION_RESPONSE, &[supported, MESSAGE_CONNECTION, features]),
        V5_0.. => build(VERSION_RESPONSE, &[supported, MESSAGE_CONNECTION]),
        _ => build(VERSION_RESPONSE, &[supported, version]),
    }
}

/// Connection id of control messages; the one for clients that choose a SINT and VTL.
pub(crate) const MESSAGE_CONNECTION: u32 = 1;
pub(crate) const MULTI_CLIENT_CONNECTION: u32 = 4;
/// Connection id for signals of channels without a dedicated one.
pub(crate) const EVENT_CONNECTION: u32 = 2;

/// OFFERCHANNEL, 196 bytes, or 190 before version 1.1.
pub(crate) fn offer_channel(offer: &Offer, relid: u32, connection: u32, version: u32) -> Vec<u8> {
    let mut bytes = build(OFFER_CHANNEL, &[]);
    bytes.extend_from_slice(&offer.class.to_bytes());
    bytes.extend_from_slice(&Guid::to_bytes(offer.instance));
    bytes.resize(56, 0);
    bytes.extend_from_slice(&offer.flags.to_le_bytes());
    bytes.resize(60, 0);
    bytes.extend_from_slice(&offer.pipe_type.to_le_bytes()); // user data: 120 bytes
    bytes.resize(184, 0);
    bytes.extend_from_slice(&relid.to_le_bytes());
    bytes.extend_from_slice(&[0xff, 0]); // no monitor
    if version >= V1_1 {
        bytes.extend_from_slice(&1u16.to_le_bytes()); // dedicated interrupt
        bytes.extend_from_slice(&connection.to_le_bytes());
    }
    bytes
}
