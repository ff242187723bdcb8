//! The UDP functions.

use hvpxe::mem::SegOff;

use super::network::{CLIENT, SERVER, booted};
use super::sim::{BUFFER, MAC, Rig, far};

/// A datagram in its frame, from the server. UDP checksum 0: none (RFC 768).
fn datagram(destination: [u8; 4], port: u16, payload: &[u8]) -> Vec<u8> {
    let mut ip = vec![0x45, 0, 0, 0, 0, 0, 0, 0, 64, 17, 0, 0];
    ip[2..4].copy_from_slice(&(28 + payload.len() as u16).to_be_bytes());
    ip.extend_from_slice(&SERVER);
    ip.extend_from_slice(&destination);
    let sum: u32 = ip.chunks(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]]))).sum();
    let sum = (sum & 0xffff) + (sum >> 16);
    ip[10..12].copy_from_slice(&(!(sum as u16)).to_be_bytes());
    let mut udp = 7777_u16.to_be_bytes().to_vec();
    udp.extend_from_slice(&port.to_be_bytes());
    udp.extend_from_slice(&(8 + payload.len() as u16).to_be_bytes());
    udp.extend_from_slice(&[0, 0]);
    let mac = if destination == [255; 4] { [0xff; 6] } else { MAC };
    [&mac[..], &[0x52, 0x55, 0x0a, 0, 2, 2, 8, 0], &ip, &udp, payload].concat()
}

fn arrive(rig: &Rig, destination: [u8; 4], port: u16, payload: &[u8]) {
    rig.card.inbound.borrow_mut().push_back(datagram(destination, port, payload));
}

/// `PXENV_UDP_READ`.
fn read_block(destination: [u8; 4], port: u16, size: u16) -> Vec<u8> {
    [&[0, 0, 9, 9, 9, 9][..], &destination, &[9, 9], &port.to_be_bytes(), &size.to_le_bytes(), &far(BUFFER)].concat()
}

/// `PXENV_UDP_WRITE`.
fn write_block(to: [u8; 4], gateway: [u8; 4], source_port: u16, port: u16, size: u16) -> Vec<u8> {
    let ports = [source_port.to_be_bytes(), port.to_be_bytes()].concat();
    [&[0, 0][..], &to, &gateway, &ports, &size.to_le_bytes(), &far(BUFFER)].concat()
}

fn open(rig: &mut Rig) {
    assert_eq!(rig.call(0x30, &[&[0, 0][..], &CLIENT].concat()).0, 0);
}

/// Reads for a port and returns the payload.
fn read(rig: &mut Rig, port: u16) -> Option<Vec<u8>> {
    let (status, block) = rig.call(0x32, &read_block(CLIENT, port, 2048));
    match status {
        0 => Some(rig.mem.peek(BUFFER.linear(), usize::from(u16::from_le_bytes([block[14], block[15]])))),
        1 => None,
        other => panic!("status {other:#x}"),
    }
}

#[test]
fn a_datagram_is_read_with_all_its_addresses() {
    let (mut rig, _) = booted();
    open(&mut rig);
    arrive(&rig, CLIENT, 50_000, b"hello");
    for asked in [([0; 4], 0), (CLIENT, 50_000)] {
        arrive(&rig, CLIENT, 50_000, b"hello");
        let (status, block) = rig.call(0x32, &read_block(asked.0, asked.1, 2048));
        assert_eq!(status, 0);
        let ports = [7777_u16.to_be_bytes(), 50_000_u16.to_be_bytes()].concat();
        assert_eq!(block, [&[0, 0][..], &SERVER, &CLIENT, &ports, &[5, 0], &far(BUFFER)].concat());
        assert_eq!(rig.mem.peek(BUFFER.linear(), 5), b"hello");
    }
}

#[test]
fn nothing_to_read_is_failure_and_changes_nothing_else() {
    let (mut rig, _) = booted();
    open(&mut rig);
    let (status, block) = rig.call(0x32, &read_block(CLIENT, 50_000, 2048));
    assert_eq!(status, 1);
    assert_eq!(block[2..], read_block(CLIENT, 50_000, 2048)[2..]);
}

#[test]
fn ports_are_read_in_any_order_without_loss() {
    let (mut rig, _) = booted();
    open(&mut rig);
    for round in 0..5_u8 {
        for port in 50_000..50_004 {
            arrive(&rig, CLIENT, port, &[round, port as u8]);
        }
    }
    for port in (50_000..50_004).rev() {
        for round in 0..5 {
            assert_eq!(read(&mut rig, port), Some(vec![round, port as u8]));
        }
        assert_eq!(read(&mut rig, port), None);
    }
}

#[test]
fn long_datagrams_are_cut_to_the_buffer() {
    let (mut rig, _) = booted();
    open(&mut rig);
    rig.mem.poke(BUFFER.linear(), &[0xcc; 100]);
    arrive(&rig, CLIENT, 50_000, &[7; 60]);
    let (status, block) = rig.call(0x32, &read_block([0; 4], 0, 10));
    assert_eq!((status, &block[14..16]), (0, &[10, 0][..]));
    assert_eq!(rig.mem.peek(BUFFER.linear(), 11), [&[7; 10][..], &[0xcc]].concat());
}

#[test]
fn broadcasts_match_only_who_asks_for_them() {
    let (mut rig, _) = booted();
    open(&mut rig);
    arrive(&rig, [255; 4], 50_000, b"all");
    assert_eq!(read(&mut rig, 50_000), None, "asks for its own address");
    assert_eq!(rig.call(0x32, &read_block([255; 4], 50_000, 2048)).0, 0);
}

#[test]
fn the_first_datagram_waits_for_arp() {
    let (mut rig, _) = booted();
    open(&mut rig);
    rig.mem.poke(BUFFER.linear(), b"question");
    rig.card.outbound.take();
    assert_eq!(rig.call(0x33, &write_block(SERVER, [0; 4], 50_000, 1234, 8)).0, 0);
    let sent = rig.card.outbound.take();
    let frame = sent.last().unwrap();
    assert_eq!(frame[26..34], [CLIENT, SERVER].concat());
    assert_eq!(frame[34..38], [50_000_u16.to_be_bytes(), 1234_u16.to_be_bytes()].concat());
    assert_eq!(&frame[42..50], b"question");
}

#[test]
fn no_source_port_means_2069() {
    let (mut rig, _) = booted();
    open(&mut rig);
    assert_eq!(rig.call(0x33, &write_block(SERVER, [0; 4], 0, 1234, 0)).0, 0);
    assert_eq!(rig.card.outbound.borrow().last().unwrap()[34..36], 2069_u16.to_be_bytes());
}

#[test]
fn a_gateway_that_the_caller_names_is_used() {
    let (mut rig, _) = booted();
    open(&mut rig);
    let far_away = [192, 0, 2, 1];
    assert_eq!(rig.call(0x33, &write_block(far_away, SERVER, 50_000, 1234, 8)).0, 0);
    assert_eq!(rig.call(0x33, &write_block(far_away, [10, 0, 2, 99], 50_000, 1234, 8)).0, 0x11, "nobody there");
}

#[test]
fn datagrams_that_fit_no_frame_are_refused() {
    let (mut rig, _) = booted();
    open(&mut rig);
    assert_eq!(rig.call(0x33, &write_block(SERVER, [0; 4], 50_000, 1234, 1472)).0, 0);
    assert_eq!(rig.call(0x33, &write_block(SERVER, [0; 4], 50_000, 1234, 1473)).0, 0x6c);
    assert_eq!(rig.call(0x33, &write_block([0; 4], [0; 4], 50_000, 1234, 10)).0, 0x6c);
}

#[test]
fn null_buffers_are_refused_and_cost_no_datagram() {
    let (mut rig, _) = booted();
    open(&mut rig);
    arrive(&rig, CLIENT, 50_000, b"hello");
    let mut block = read_block(CLIENT, 50_000, 2048);
    block[16..20].copy_from_slice(&far(SegOff::default()));
    assert_eq!(rig.call(0x32, &block).0, 0x6c);
    assert_eq!(read(&mut rig, 50_000).as_deref(), Some(&b"hello"[..]));
}

#[test]
fn closing_undi_does_not_end_udp_but_shutting_down_does() {
    let (mut rig, _) = booted();
    open(&mut rig);
    rig.succeed(0x07);
    assert_eq!(rig.call(0x33, &write_block(SERVER, [0; 4], 50_000, 1234, 8)).0, 0, "reopens");
    rig.succeed(0x05);
    assert_eq!(rig.call(0x33, &write_block(SERVER, [0; 4], 50_000, 1234, 8)).0, 0x18);
    assert_eq!(rig.call(0x32, &read_block(CLIENT, 50_000, 2048)).0, 0x18);
    open(&mut rig);
    assert_eq!(rig.call(0x33, &write_block(SERVER, [0; 4], 50_000, 1234, 8)).0, 0);
}

#[test]
fn datagrams_from_before_open_are_not_delivered() {
    let (mut rig, _) = booted();
    for between in [None, Some(0x31), Some(0x30)] {
        open(&mut rig);
        arrive(&rig, CLIENT, 50_000, b"old");
        assert_eq!(read(&mut rig, 50_001), None, "queues it");
        arrive(&rig, CLIENT, 50_000, b"old, and still in the card");
        if let Some(opcode) = between {
            assert_eq!(rig.call(opcode, &[0; 6]).0, 0);
        }
        open(&mut rig);
        assert_eq!(read(&mut rig, 50_000), None);
    }
}
