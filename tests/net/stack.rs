//! The IPv4 host by itself: the UDP queue, addresses, and what is answered.

use std::net::Ipv4Addr;

use hvpxe::net::udp::{Filter, MAX_PAYLOAD, QUEUE_LEN, Route};
use hvpxe::net::{Net, NetError};
use hvpxe::nic::Nic;

use crate::lan::{Lan, MAC};

const OWN: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 15);
const PEER: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 2);

/// A datagram from the peer without checksums to verify but the header's.
pub fn datagram(to: Ipv4Addr, source_port: u16, port: u16, payload: &[u8]) -> Vec<u8> {
    use smoltcp::phy::ChecksumCapabilities;
    use smoltcp::wire::{IpProtocol, Ipv4Packet, Ipv4Repr, UdpPacket, UdpRepr};
    let mut frame = [&MAC[..], &[2, 0, 0, 0, 0, 9, 8, 0]].concat();
    let mut bytes = vec![0; 28 + payload.len()];
    let checksums = ChecksumCapabilities::default();
    let ip = Ipv4Repr {
        src_addr: PEER,
        dst_addr: to,
        next_header: IpProtocol::Udp,
        payload_len: 8 + payload.len(),
        hop_limit: 64,
    };
    ip.emit(&mut Ipv4Packet::new_unchecked(&mut bytes[..]), &checksums);
    UdpRepr { src_port: source_port, dst_port: port }.emit(
        &mut UdpPacket::new_unchecked(&mut bytes[20..]),
        &PEER.into(),
        &to.into(),
        payload.len(),
        |into| into.copy_from_slice(payload),
        &checksums,
    );
    frame.extend(bytes);
    frame
}

fn with_address<R>(lan: &Lan, action: impl FnOnce(&mut Net<'_, Lan, Lan>) -> R) -> R {
    lan.with_net(|net| {
        net.stack.configure(OWN, Some(Ipv4Addr::new(255, 255, 255, 0)), None).unwrap();
        action(net)
    })
}

fn inject(lan: &Lan, frame: Vec<u8>) {
    lan.0.borrow_mut().injected.push_back(frame);
}

#[test]
fn datagrams_for_several_ports_are_read_in_any_order_and_none_is_lost() {
    let lan = Lan::new(&[]);
    for (port, text) in [(100, "a"), (200, "b"), (100, "c"), (200, "d")] {
        inject(&lan, datagram(OWN, 9, port, text.as_bytes()));
    }
    with_address(&lan, |net| {
        let mut read = |port| net.receive(&Filter::port(port)).unwrap().map(|datagram| datagram.payload().to_vec());
        assert_eq!(read(300), None);
        assert_eq!(read(200).unwrap(), b"b");
        assert_eq!(read(100).unwrap(), b"a");
        assert_eq!(read(100).unwrap(), b"c");
        assert_eq!(read(100), None);
        assert_eq!(read(200).unwrap(), b"d");
    });
}

#[test]
fn filters_compare_both_ends() {
    let lan = Lan::new(&[]);
    inject(&lan, datagram(OWN, 9, 100, b"x"));
    with_address(&lan, |net| {
        let filter = Filter::port(100);
        let mut is_some = |filter: Filter| net.receive(&filter).unwrap().is_some();
        assert!(!is_some(Filter { source: Some(OWN), ..filter }));
        assert!(!is_some(Filter { source_port: Some(8), ..filter }));
        assert!(!is_some(Filter { destination: Some(Ipv4Addr::BROADCAST), ..filter }));
        assert!(is_some(Filter {
            source: Some(PEER),
            source_port: Some(9),
            destination: Some(OWN),
            destination_port: Some(100)
        }));
    });
}

#[test]
fn a_port_that_nobody_reads_costs_only_its_oldest_datagrams() {
    let lan = Lan::new(&[]);
    with_address(&lan, |net| {
        let count = QUEUE_LEN as u8 + 10;
        for number in 0..count {
            inject(&lan, datagram(OWN, 9, 100, &[number]));
            let now = hvpxe::machine::Machine::now(net.machine);
            net.stack.poll(net.nic, now).unwrap();
        }
        let mut read = || net.receive(&Filter::port(100)).unwrap().map(|datagram| datagram.payload()[0]);
        assert!((10..count).all(|number| read() == Some(number)));
        assert_eq!(read(), None);
    });
}

#[test]
fn datagrams_for_others_are_left_alone_and_nothing_is_answered() {
    let lan = Lan::new(&[]);
    let mut damaged = datagram(OWN, 9, 100, b"damaged");
    *damaged.last_mut().unwrap() ^= 1;
    inject(&lan, damaged);
    inject(&lan, datagram(Ipv4Addr::new(10, 0, 2, 16), 9, 100, b"for another host"));
    with_address(&lan, |net| {
        assert!(net.receive(&Filter::default()).unwrap().is_none());
    });
    for to in [OWN, Ipv4Addr::new(10, 0, 2, 255), Ipv4Addr::BROADCAST, Ipv4Addr::new(224, 0, 0, 1)] {
        inject(&lan, datagram(to, 9, 100, b"for us"));
    }
    with_address(&lan, |net| {
        let mut read = || net.receive(&Filter::port(100)).unwrap().map(|datagram| datagram.destination);
        assert_eq!(read(), Some(OWN));
        assert_eq!(read(), Some(Ipv4Addr::new(10, 0, 2, 255)));
        assert_eq!(read(), Some(Ipv4Addr::BROADCAST));
        assert_eq!(read(), Some(Ipv4Addr::new(224, 0, 0, 1)));
    });
    assert!(lan.0.borrow().sent.is_empty(), "no ICMP for ports that nobody reads");
}

#[test]
fn what_can_not_be_sent_is_refused_at_once() {
    let lan = Lan::new(&[]);
    let route = Route { source: None, source_port: 1, destination: PEER, destination_port: 2, gateway: None };
    lan.with_net(|net| assert_eq!(net.send(&route, b""), Err(NetError::NoRoute), "no address yet"));
    with_address(&lan, |net| {
        assert_eq!(net.send(&route, &[0; MAX_PAYLOAD + 1]), Err(NetError::InvalidDatagram));
        let nowhere = Route { destination: Ipv4Addr::UNSPECIFIED, ..route };
        assert_eq!(net.send(&nowhere, b""), Err(NetError::InvalidDatagram));
        assert_eq!(net.send(&route, &[7; MAX_PAYLOAD]), Ok(()));
    });
    let world = lan.0.borrow();
    assert_eq!(world.sent.last().unwrap().len(), 1514);
    assert_eq!(world.sent.len(), 2, "one ARP request and the datagram");
}

#[test]
fn addresses_that_no_host_has_are_refused() {
    let lan = Lan::new(&[]);
    lan.with_net(|net| {
        for address in [Ipv4Addr::UNSPECIFIED, Ipv4Addr::BROADCAST, Ipv4Addr::new(224, 0, 0, 1)] {
            assert_eq!(net.stack.configure(address, None, None), Err(NetError::NotConfigured));
        }
        net.stack.configure(OWN, Some(Ipv4Addr::new(255, 0, 255, 0)), Some(Ipv4Addr::BROADCAST)).unwrap();
        assert_eq!((net.stack.mask(), net.stack.gateway()), (Ipv4Addr::new(255, 0, 0, 0), None));
        let mut nic = lan.clone();
        let group = [1, 2, 3, 4, 5, 6];
        assert!(net.stack.start(&mut nic, group, hvpxe::time::Ticks100ns(0), 1).is_err());
        assert_eq!(nic.permanent_mac(), MAC);
    });
}

#[test]
fn arp_requests_for_our_address_are_answered() {
    let lan = Lan::new(&[]);
    let mut request = [&[0xff; 6][..], &[2, 0, 0, 0, 0, 9, 8, 6, 0, 1, 8, 0, 6, 4, 0, 1, 2, 0, 0, 0, 0, 9]].concat();
    request.extend(PEER.octets());
    request.extend([0; 6]);
    request.extend(OWN.octets());
    inject(&lan, request);
    with_address(&lan, |net| assert!(net.receive(&Filter::default()).unwrap().is_none()));
    let world = lan.0.borrow();
    let [reply] = &world.sent[..] else { panic!("one answer, not {}", world.sent.len()) };
    assert_eq!(reply[20..22], [0, 2], "an ARP reply");
    assert_eq!((&reply[22..28], &reply[28..32]), (&MAC[..], &OWN.octets()[..]));
}
