//! UDP datagrams in Ethernet frames.

use std::net::SocketAddrV4;

use etherparse::{NetSlice, PacketBuilder, SlicedPacket, TransportSlice, UdpHeader};

/// The server's station address.
pub const SERVER_MAC: [u8; 6] = [0x52, 0x55, 0x0a, 0x00, 0x02, 0x02];

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
