//! Servers that mean harm: whatever comes in, the client neither panics nor waits for ever.

use std::net::Ipv4Addr;
use std::time::Duration;

use hvpxe::machine::Key;
use hvpxe::net::NetError;
use hvpxe::net::dhcp::{self, BootInfo};
use hvpxe::net::tftp::{self, Request};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::lan::Lan;

/// Bytes before the UDP payload: Ethernet, IPv4 and UDP headers.
const HEADERS: usize = 14 + 20 + 8;

/// Longer than every wait of a search and a download together; a menu may wait for ever.
const PATIENCE: Duration = Duration::from_secs(400);

/// How frames change on their way.
#[derive(Clone, Debug)]
struct Damage {
    /// Bytes set, by their place in the payload.
    bytes: Vec<(usize, u8)>,
    /// Payload length, if it is cut.
    cut: Option<usize>,
    /// Only every so many frames are changed, so that an exchange gets further.
    every: usize,
}

fn damage() -> impl Strategy<Value = Damage> {
    // DHCP's options begin at 240; option 43 is somewhere behind them. TFTP has all in its first bytes.
    let place = prop_oneof![0..8_usize, 8..236_usize, 240..420_usize];
    let byte = prop_oneof![any::<u8>(), Just(0), Just(255), Just(43), Just(52), Just(67)];
    (vec((place, byte), 0..12), proptest::option::of(0..500_usize), 1..4_usize).prop_map(|(bytes, cut, every)| Damage {
        bytes,
        cut,
        every,
    })
}

/// Damages the UDP payload of a frame and makes the headers right again, so that the damage is seen.
fn apply(damage: &Damage, frame: &mut Vec<u8>) {
    if frame.len() < HEADERS || frame[12..14] != [8, 0] || frame[23] != 17 {
        return;
    }
    let ip_len = usize::from(u16::from_be_bytes([frame[16], frame[17]]));
    frame.truncate(14 + ip_len);
    let mut payload = frame.split_off(HEADERS);
    for &(place, byte) in &damage.bytes {
        if let Some(target) = payload.get_mut(place) {
            *target = byte;
        }
    }
    payload.truncate(damage.cut.unwrap_or(usize::MAX));
    let udp_len = (8 + payload.len()) as u16;
    frame[16..18].copy_from_slice(&(20 + udp_len).to_be_bytes());
    frame[38..40].copy_from_slice(&udp_len.to_be_bytes());
    // No UDP checksum (RFC 768), and a new one for the header (RFC 1071).
    frame[40..42].fill(0);
    frame[24..26].fill(0);
    let sum: u32 = frame[14..34].chunks(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]]))).sum();
    let folded = (sum & 0xffff) + (sum >> 16);
    let checksum = !((folded & 0xffff) + (folded >> 16)) as u16;
    frame[24..26].copy_from_slice(&checksum.to_be_bytes());
    frame.extend_from_slice(&payload);
}

fn tampered(switches: &[(&str, &str)], damage: Damage) -> Lan {
    let lan = Lan::new(switches);
    let mut count = 0;
    lan.0.borrow_mut().tamper = Some(Box::new(move |frame: &mut Vec<u8>| {
        count += 1;
        if count % damage.every == 0 {
            apply(&damage, frame);
        }
    }));
    lan.0.borrow_mut().keys.push_back((PATIENCE, Key::Cancel));
    lan
}

fn boot(lan: &Lan) -> Result<dhcp::Outcome, NetError> {
    let mut info = Box::new(BootInfo::new());
    let result = lan.with_net(|net| dhcp::run(net, &mut info, &mut |_| ()));
    for packet in [&info.discover, &info.ack, &info.reply] {
        if packet[0] != 0 {
            let mut at = 240;
            while packet[at] != 255 {
                at += if packet[at] == 0 { 1 } else { 2 + usize::from(packet[at + 1]) };
            }
        }
    }
    result
}

const MENU: [(&str, &str); 8] = [
    ("boot-file", "pxelinux.0"),
    ("pxe-class", "yes"),
    ("menu.item", "1 First"),
    ("menu.item", "2 Second"),
    ("menu.prompt", "3 F8"),
    ("menu.control", "0"),
    ("menu.server", "1 10.0.2.3 10.0.2.4"),
    ("menu.file", "1 first.0"),
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn damaged_dhcp_packets(damage in damage()) {
        let lan = tampered(&[("boot-file", "pxelinux.0"), ("proxy", "4011"), ("proxy.boot-file", "x")], damage);
        let result = boot(&lan);
        prop_assert!(lan.elapsed() <= PATIENCE + Duration::from_secs(1), "{result:?}");
    }

    #[test]
    fn damaged_menus(damage in damage()) {
        let lan = tampered(&MENU, damage);
        let result = boot(&lan);
        prop_assert!(lan.elapsed() <= PATIENCE + Duration::from_secs(1), "{result:?}");
    }

    #[test]
    fn damaged_tftp_packets(damage in damage(), window in 1..20_u16) {
        let lan = tampered(&[], damage);
        lan.0.borrow_mut().server.files().add("nbp", vec![1; 30_000]);
        let result = lan.with_net(|net| {
            net.stack.configure(Ipv4Addr::new(10, 0, 2, 15), None, None).unwrap();
            let server = Ipv4Addr::new(10, 0, 2, 2);
            let request = Request { server, gateway: None, port: 0, file: b"nbp", block_size: 1468, window };
            tftp::download(net, &request, 1 << 20, &mut |_, _| Ok(()), &mut |_, _| ())
        });
        prop_assert!(lan.elapsed() < PATIENCE, "{result:?}");
        if let Ok(len) = result {
            prop_assert!(len <= 1 << 20);
        }
    }

    #[test]
    fn frames_of_any_kind(frames in vec(frame(), 0..40)) {
        let lan = Lan::new(&[("boot-file", "pxelinux.0"), ("latency-ms", "1")]);
        lan.0.borrow_mut().injected.extend(frames);
        // Noise does not keep the client from its lease.
        prop_assert_eq!(boot(&lan), Ok(dhcp::Outcome::File));
    }
}

/// Frames that reach the deeper parsers: to us or to all, with real EtherTypes and protocols.
fn frame() -> impl Strategy<Value = Vec<u8>> {
    let to = prop_oneof![Just(crate::lan::MAC), Just([0xff; 6]), any::<[u8; 6]>()];
    let kind = prop_oneof![Just([8, 0]), Just([8, 6]), any::<[u8; 2]>()];
    (to, kind, vec(any::<u8>(), 0..200), any::<bool>()).prop_map(|(to, kind, mut body, udp)| {
        if udp && body.len() >= 28 {
            body[..2].copy_from_slice(&[0x45, 0]);
            let len = (body.len() as u16).to_be_bytes();
            body[2..4].copy_from_slice(&len);
            body[6..8].fill(0);
            body[9] = 17;
        }
        let mut frame = [&to[..], &[2, 0, 0, 0, 0, 9], &kind].concat();
        frame.extend(body);
        frame
    })
}
