//! UDP datagrams in Ethernet frames.

use std::net::SocketAddrV4;

use etherparse::{IpFragOffset, Ipv4Header, NetSlice, PacketBuilder, SlicedPacket, TransportSlice, UdpHeader};

/// The server's station address.
pub const SERVER_MAC: [u8; 6] = [0x52, 0x55, 0x0a, 0x00, 0x02, 0x02];

/// Longest frame, without its checksum (IEEE 802.3).
const MAX_FRAME: usize = 1514;
/// Length of an Ethernet header.
const ETHERNET: usize = 14;
/// Payload of a fragment that fills a frame: a multiple of 8 (RFC 791).
const FRAGMENT: usize = 1480;

/// A datagram from the client.
pub struct Udp<'a> {
    /// The client's station address.
    pub mac: [u8; 6],
    /// Sender.
    pub source: SocketAddrV4,
    /// Receiver.
    pub destination: SocketAddrV4,
    /// Contents.
    pub payload: &'a [u8],
}

impl<'a> Udp<'a> {
    /// Takes a frame apart; `None` when it isn't UDP over IPv4, or goes to another station.
    ///
    /// # Errors
    /// What is wrong with it: a test's client is the code under test, so its mistakes must not pass as lost frames.
    pub fn parse(frame: &'a [u8]) -> Result<Option<Self>, String> {
        let packet = SlicedPacket::from_ethernet(frame).map_err(|error| error.to_string())?;
        let (Some(NetSlice::Ipv4(ip)), Some(TransportSlice::Udp(udp))) = (&packet.net, &packet.transport) else {
            return Ok(None);
        };
        let to = &frame[..6];
        if to != SERVER_MAC && to[0] & 1 == 0 {
            return Ok(None);
        }
        let header = ip.header();
        if header.header_checksum() != header.to_header().calc_header_checksum() {
            return Err("bad IPv4 checksum".into());
        }
        let expected = UdpHeader { checksum: 0, ..udp.to_header() }
            .calc_checksum_ipv4(&header.to_header(), udp.payload())
            .map_err(|error| error.to_string())?;
        if udp.checksum() != 0 && udp.checksum() != expected {
            return Err("bad UDP checksum".into());
        }
        let mut mac = [0; 6];
        mac.copy_from_slice(&frame[6..12]);
        Ok(Some(Self {
            mac,
            source: SocketAddrV4::new(header.source_addr(), udp.source_port()),
            destination: SocketAddrV4::new(header.destination_addr(), udp.destination_port()),
            payload: udp.payload(),
        }))
    }
}

/// Builds a frame with one datagram.
pub fn build(mac: [u8; 6], source: SocketAddrV4, destination: SocketAddrV4, payload: &[u8]) -> Vec<u8> {
    let builder = PacketBuilder::ethernet2(SERVER_MAC, mac)
        .ipv4(source.ip().octets(), destination.ip().octets(), 64)
        .udp(source.port(), destination.port());
    let mut frame = Vec::with_capacity(builder.size(payload.len()));
    builder.write(&mut frame, payload).expect("a Vec takes every write, and no payload here is over 64 KiB");
    frame.resize(frame.len().max(60), 0);
    frame
}

/// Cuts an IPv4 packet that is too long for one frame into fragments with this identification; other frames stay as they
/// are (RFC 791, section 3.2).
pub fn fragments(frame: Vec<u8>, identification: u16) -> Vec<Vec<u8>> {
    if frame.len() <= MAX_FRAME {
        return vec![frame];
    }
    let (ethernet, packet) = frame.split_at(ETHERNET);
    let (whole, payload) = Ipv4Header::from_slice(packet).expect("frames of that length are made in here");
    let count = payload.len().div_ceil(FRAGMENT);
    let fragment = |(index, bytes): (usize, &[u8])| {
        let offset = (index * FRAGMENT / 8) as u16;
        let mut header = Ipv4Header {
            identification,
            dont_fragment: false,
            more_fragments: index + 1 < count,
            fragment_offset: IpFragOffset::try_new(offset).expect("a packet has at most 64 KiB"),
            ..whole.clone()
        };
        header.set_payload_len(bytes.len()).expect("a fragment fits a frame");
        header.header_checksum = header.calc_header_checksum();
        let mut frame = ethernet.to_vec();
        header.write(&mut frame).expect("a Vec takes every write");
        frame.extend_from_slice(bytes);
        frame.resize(frame.len().max(60), 0);
        frame
    };
    payload.chunks(FRAGMENT).enumerate().map(fragment).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_packet_becomes_fragments_that_add_up() {
        let end = |host| SocketAddrV4::new([10, 0, 2, host].into(), 69);
        let payload: Vec<u8> = (0..3_000_u32).map(|at| at as u8).collect();
        let whole = build([2; 6], end(2), end(15), &payload);
        let frames = fragments(whole.clone(), 0x1234);
        let lengths: Vec<usize> = frames.iter().map(Vec::len).collect();
        assert_eq!(lengths, [1514, 1514, 14 + 20 + 3_008 - 2 * 1_480]);
        let mut joined = Vec::new();
        for (frame, expected) in frames.iter().zip([(0, true), (185, true), (370, false)]) {
            let (header, bytes) = Ipv4Header::from_slice(&frame[14..]).unwrap();
            assert_eq!((header.fragment_offset.value(), header.more_fragments), expected);
            assert_eq!(header.identification, 0x1234);
            assert_eq!(header.header_checksum, header.calc_header_checksum());
            joined.extend_from_slice(bytes);
        }
        assert_eq!(joined, whole[34..]);
        assert_eq!(fragments(frames[0].clone(), 1), [frames[0].clone()]);
    }
}
