//! What a received frame is: a datagram for the queue, a fragment of one, or something for smoltcp (ARP, ICMP, TCP).
//!
//! Datagrams don't pass through smoltcp: its sockets would copy each twice more.

use core::net::Ipv4Addr;
use core::ops::Range;

use smoltcp::wire::{EthernetAddress, EthernetFrame, EthernetProtocol, IpProtocol, Ipv4Cidr, Ipv4Packet, UdpPacket};

use super::checksum::Sum;
use super::stack::is_host;

/// Length of an Ethernet header.
const ETHERNET: usize = EthernetFrame::<&[u8]>::header_len();
/// Length of a UDP header (RFC 768).
const UDP: usize = 8;

/// A frame, by who is to have it.
#[derive(Debug, PartialEq, Eq)]
pub enum Frame {
    /// A datagram for us.
    Datagram(Arrived),
    /// A fragment of an IP packet.
    Fragment,
    /// ARP, or a whole IP packet that holds no datagram.
    Other,
    /// Broken, or for somebody else.
    Nothing,
}

/// Where a datagram came from, where it goes, and where its payload lies in the frame or packet.
#[derive(Debug, PartialEq, Eq)]
pub struct Arrived {
    /// Sender and its port.
    pub source: (Ipv4Addr, u16),
    /// Receiver and its port.
    pub destination: (Ipv4Addr, u16),
    /// Payload.
    pub payload: Range<usize>,
}

/// Sorts a frame that came in at the station `mac` with the address `own`, if it has one.
pub fn sort(frame: &[u8], mac: EthernetAddress, own: Option<&Ipv4Cidr>) -> Frame {
    let Ok(ethernet) = EthernetFrame::new_checked(frame) else { return Frame::Nothing };
    let receiver = ethernet.dst_addr();
    if receiver != mac && receiver.is_unicast() {
        return Frame::Nothing;
    }
    if ethernet.ethertype() != EthernetProtocol::Ipv4 {
        return Frame::Other;
    }
    let Ok(ip) = Ipv4Packet::new_checked(&frame[ETHERNET..]) else { return Frame::Nothing };
    let header = &frame[ETHERNET..][..usize::from(ip.header_len())];
    if ip.version() != 4 || !Sum::default().add(header).is_right() {
        return Frame::Nothing;
    }
    if ip.more_frags() || ip.frag_offset() != 0 {
        return Frame::Fragment;
    }
    match ip.next_header() {
        IpProtocol::Udp => datagram(&ip, own).map_or(Frame::Nothing, |arrived| {
            let payload = ETHERNET + arrived.payload.start..ETHERNET + arrived.payload.end;
            Frame::Datagram(Arrived { payload, ..arrived })
        }),
        // smoltcp is told not to look at TCP's: it would take three times as long.
        IpProtocol::Tcp if !transport_sum(&ip, ip.payload()).is_right() => Frame::Nothing,
        _ => Frame::Other,
    }
}

/// The datagram in a whole packet whose header is right, if there is one for us.
pub fn datagram(ip: &Ipv4Packet<&[u8]>, own: Option<&Ipv4Cidr>) -> Option<Arrived> {
    let (source, destination) = (ip.src_addr(), ip.dst_addr());
    // Before the lease a server may already send to the address that it offers, which we don't know yet.
    let for_us = own.is_none_or(|own| destination == own.address() || own.broadcast() == Some(destination))
        || !is_host(destination);
    let udp = UdpPacket::new_checked(ip.payload()).ok().filter(|_| for_us)?;
    let length = usize::from(udp.len());
    // No checksum is a right one (RFC 768).
    if udp.checksum() != 0 && !transport_sum(ip, &ip.payload()[..length]).is_right() {
        return None;
    }
    let start = usize::from(ip.header_len());
    Some(Arrived {
        source: (source, udp.src_port()),
        destination: (destination, udp.dst_port()),
        payload: start + UDP..start + length,
    })
}

/// The sum over a UDP or TCP segment with its pseudo header.
fn transport_sum(ip: &Ipv4Packet<&[u8]>, segment: &[u8]) -> Sum {
    let protocol = ip.next_header().into();
    Sum::default().add(segment).add_pseudo_header(ip.src_addr(), ip.dst_addr(), protocol, segment.len() as u16)
}

#[cfg(test)]
mod tests {
    use smoltcp::phy::ChecksumCapabilities;
    use smoltcp::wire::{Ipv4Repr, UdpRepr};

    use super::*;

    const MAC: EthernetAddress = EthernetAddress([2, 0, 0, 0, 0, 1]);
    const SERVER: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 2);
    const OWN: Ipv4Cidr = Ipv4Cidr::new(Ipv4Addr::new(10, 0, 2, 15), 24);

    fn frame(destination: Ipv4Addr, payload: &[u8]) -> Vec<u8> {
        let mut frame = vec![0; ETHERNET + 20 + UDP + payload.len()];
        let mut ethernet = EthernetFrame::new_unchecked(&mut frame[..]);
        ethernet.set_dst_addr(MAC);
        ethernet.set_ethertype(EthernetProtocol::Ipv4);
        let checksums = ChecksumCapabilities::default();
        Ipv4Repr {
            src_addr: SERVER,
            dst_addr: destination,
            next_header: IpProtocol::Udp,
            payload_len: UDP + payload.len(),
            hop_limit: 64,
        }
        .emit(&mut Ipv4Packet::new_unchecked(&mut frame[ETHERNET..]), &checksums);
        UdpRepr { src_port: 69, dst_port: 1069 }.emit(
            &mut UdpPacket::new_unchecked(&mut frame[ETHERNET + 20..]),
            &SERVER.into(),
            &destination.into(),
            payload.len(),
            |into| into.copy_from_slice(payload),
            &checksums,
        );
        frame
    }

    #[test]
    fn a_datagram_is_found_in_its_frame_padding_or_not() {
        let mut frame = frame(OWN.address(), b"odd");
        frame.resize(60, 0xee);
        let arrived = Arrived { source: (SERVER, 69), destination: (OWN.address(), 1069), payload: 42..45 };
        assert_eq!(sort(&frame, MAC, Some(&OWN)), Frame::Datagram(arrived));
    }

    #[test]
    fn a_flipped_bit_anywhere_loses_the_datagram() {
        let good = frame(OWN.address(), b"payload");
        for at in ETHERNET..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 4;
            assert!(!matches!(sort(&bad, MAC, Some(&OWN)), Frame::Datagram(_)), "byte {at}");
        }
    }

    #[test]
    fn what_is_for_others_is_nothing_and_a_missing_checksum_is_no_fault() {
        let other = Ipv4Addr::new(10, 0, 2, 16);
        assert_eq!(sort(&frame(other, b"x"), MAC, Some(&OWN)), Frame::Nothing);
        assert!(matches!(sort(&frame(other, b"x"), MAC, None), Frame::Datagram(_)), "perhaps it will be ours");
        let broadcast = Ipv4Addr::new(10, 0, 2, 255);
        assert!(matches!(sort(&frame(broadcast, b"x"), MAC, Some(&OWN)), Frame::Datagram(_)));
        let mut bare = frame(OWN.address(), b"x");
        bare[ETHERNET + 26..ETHERNET + 28].fill(0);
        assert!(matches!(sort(&bare, MAC, Some(&OWN)), Frame::Datagram(_)));
        bare[5] ^= 1;
        assert_eq!(sort(&bare, MAC, Some(&OWN)), Frame::Nothing, "another station's");
    }

    #[test]
    fn arp_and_fragments_go_their_own_ways() {
        let mut arp = frame(OWN.address(), b"x");
        arp[13] = 6;
        assert_eq!(sort(&arp, MAC, Some(&OWN)), Frame::Other);
        let mut fragment = frame(OWN.address(), &[0; 16]);
        let mut ip = Ipv4Packet::new_unchecked(&mut fragment[ETHERNET..]);
        ip.set_more_frags(true);
        ip.fill_checksum();
        assert_eq!(sort(&fragment, MAC, Some(&OWN)), Frame::Fragment);
        for len in 0..arp.len() {
            let cut = &frame(OWN.address(), b"x")[..len];
            assert_eq!(sort(cut, MAC, Some(&OWN)), Frame::Nothing, "{len} bytes");
        }
    }
}
