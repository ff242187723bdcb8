//! Whole call sequences of boot programs, with their habits, against a server that answers.

use hvpxe::mem::SegOff;

use super::network::{CLIENT, SERVER, booted, file};
use super::sim::{BUFFER, MAC, RESIDENT, Rig, far};

const TBD: SegOff = SegOff { offset: 0x0800, segment: 0x3000 };
const DESTINATION: SegOff = SegOff { offset: 0x0900, segment: 0x3000 };
const UDP_PORT: u16 = 49_152;

/// An ARP request for the server, behind its Ethernet header.
fn arp_payload() -> Vec<u8> {
    [&[0, 1, 8, 0, 6, 4, 0, 1][..], &MAC, &CLIENT, &[0; 6], &SERVER].concat()
}

/// Hands over a frame or payload in one immediate piece.
#[track_caller]
fn transmit(rig: &mut Rig, protocol: u8, flag: u8, destination: SegOff, bytes: &[u8]) {
    rig.mem.poke(BUFFER.linear(), bytes);
    let tbd = [&(bytes.len() as u16).to_le_bytes()[..], &far(BUFFER), &[0, 0]].concat();
    rig.mem.poke(TBD.linear(), &tbd);
    let block = [&[0, 0, protocol, flag][..], &far(destination), &far(TBD), &[0; 8]].concat();
    assert_eq!(rig.call(0x08, &block).0, 0);
    // Callers use their buffers again at once.
    rig.mem.poke(BUFFER.linear(), &vec![0; bytes.len()]);
}

/// A whole ARP request as a frame, flags as Syslinux has them.
fn ask(rig: &mut Rig, flag: u8, destination: SegOff) {
    let frame = [&[0xff; 6][..], &MAC, &[8, 6], &arp_payload()].concat();
    transmit(rig, 0, flag, destination, &frame);
}

/// One ISR call in a block of zeros: FuncFlag, and the frame if one came.
#[track_caller]
fn isr(rig: &mut Rig, function: u8) -> (u8, Vec<u8>) {
    let (status, block) = rig.call(0x14, &[0, 0, function, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!(status, 0);
    let word = |at: usize| u32::from(u16::from_le_bytes([block[at], block[at + 1]]));
    assert_eq!(word(4), word(6), "no fragments");
    (block[2], rig.mem.peek(word(0x0a) + (word(0x0c) << 4), word(4) as usize))
}

/// The server's answer to [`ask`].
#[track_caller]
fn is_arp_reply(frame: &[u8]) {
    assert_eq!(frame[..6], MAC);
    assert_eq!(frame[12..14], [8, 6]);
    assert_eq!(frame[20..22], [0, 2]);
    assert_eq!(frame[28..32], SERVER);
}

#[test]
fn grub_opens_promiscuous_ignores_start_and_loops_over_get_next() {
    let (mut rig, _) = booted();
    assert_eq!(rig.call(0x0c, &[0; 50]).1[0x0c..0x12], MAC);
    rig.open(4);
    ask(&mut rig, 0, SegOff::default());
    isr(&mut rig, 1);
    let (mut function, mut frame) = isr(&mut rig, 2);
    while function != 3 {
        assert_ne!(function, 0, "done without a frame");
        (function, frame) = isr(&mut rig, 3);
    }
    is_arp_reply(&frame);
    assert_eq!(isr(&mut rig, 3).0, 0);
    for opcode in [0x07, 0x05, 0x70] {
        rig.succeed(opcode);
    }
    assert!(rig.machine.hooked.get() && !rig.card.held.get());
}

#[test]
fn undionly_unloads_restarts_and_sends_by_protocol() {
    let (mut rig, _) = booted();
    let mut nic_type = [0; 17];
    nic_type[2] = 0xeb;
    assert_eq!(rig.call(0x12, &nic_type).1[2..], nic_type[2..]);
    assert_eq!(rig.call(0x71, &[&[0, 0, 2, 0, 0xec, 4][..], &far(BUFFER), &[0, 0]].concat()).0, 0);
    assert_eq!(rig.mem.peek(BUFFER.linear() + 0x10, 4), CLIENT);
    assert_eq!(rig.call(0xe8, &[0; 8]).0, 0);
    for opcode in [0x05, 0x70, 0x01, 0x03] {
        rig.succeed(opcode);
    }
    assert_eq!(rig.call(0x0c, &[0; 50]).1[0x1c..0x22], MAC);
    assert_eq!(&rig.call(0x13, &[0; 42]).1[2..11], b"DIX+802.3");
    assert_eq!(rig.call(0x0a, &[&[0, 0][..], &MAC, &[0; 10]].concat()).0, 0);
    rig.open(7);
    rig.mem.poke(DESTINATION.linear(), &[0xff; 6]);
    transmit(&mut rig, 2, 0, DESTINATION, &arp_payload());
    assert_eq!(isr(&mut rig, 2).0, 2, "no START in polling mode; the completion comes first");
    let (function, frame) = isr(&mut rig, 3);
    assert_eq!(function, 3);
    is_arp_reply(&frame);
    while isr(&mut rig, 3).0 != 0 {}
    for opcode in [0x07, 0x05, 0x02, 0x15] {
        rig.succeed(opcode);
    }
    assert!(!rig.machine.hooked.get() && !rig.card.held.get());
}

/// What pxelinux and lpxelinux do first.
fn syslinux_starts(rig: &mut Rig) {
    let check = [&[0, 0, 20, 0, 0xb2, 0x47, 0xd4, 0x91][..], &[0; 12]].concat();
    assert_eq!(rig.call(0xe6, &check).0, 0);
    for kind in 1..=3 {
        let block = [&[0, 0, kind, 0, 0, 0x10][..], &far(BUFFER), &[0, 0]].concat();
        let (status, block) = rig.call(0x71, &block);
        assert_eq!(status, 0);
        assert_eq!(block[4..6], 1260_u16.to_le_bytes());
    }
    // Packet 3: it takes the server from there.
    assert_eq!(rig.mem.peek(BUFFER.linear() + 0x10, 8), [CLIENT, SERVER].concat());
}

#[test]
fn lpxelinux_processes_only_what_start_calls_ours() {
    let (mut rig, _) = booted();
    syslinux_starts(&mut rig);
    rig.open(3);
    assert_eq!(isr(&mut rig, 1).0, 1);
    ask(&mut rig, 1, DESTINATION);
    let mut reply = None;
    while isr(&mut rig, 1).0 == 0 {
        let (mut function, mut frame) = isr(&mut rig, 2);
        while function != 0 {
            if function == 3 {
                reply = Some(frame);
            }
            (function, frame) = isr(&mut rig, 3);
        }
    }
    is_arp_reply(&reply.unwrap());
    for opcode in [0x07, 0x05, 0x70, 0x15] {
        rig.succeed(opcode);
    }
    assert!(!rig.machine.hooked.get());
}

#[test]
fn haiku_asks_for_the_state_by_the_number_of_stop_undi() {
    let (mut rig, _) = booted();
    rig.open(7);
    assert_eq!(rig.call(0x15, &[0, 0, 0]), (0, vec![0, 0, 3]));
    ask(&mut rig, 0, SegOff::default());
    assert_eq!(isr(&mut rig, 1).0, 0);
    assert_eq!(isr(&mut rig, 2).0, 2);
    is_arp_reply(&isr(&mut rig, 3).1);
}

/// Sends a datagram to the server as pxelinux does.
fn udp_send(rig: &mut Rig, port: u16, payload: &[u8]) {
    rig.mem.poke(BUFFER.linear(), payload);
    let ports = [UDP_PORT.to_be_bytes(), port.to_be_bytes()].concat();
    let len = (payload.len() as u16).to_le_bytes();
    let block = [&[0, 0][..], &SERVER, &[0; 4], &ports, &len, &far(BUFFER)].concat();
    assert_eq!(rig.call(0x33, &block).0, 0);
}

/// Polls for a datagram: the sender's port, and the payload.
fn udp_receive(rig: &mut Rig) -> (u16, Vec<u8>) {
    for _ in 0..100_000 {
        let ports = [[0, 0], UDP_PORT.to_be_bytes()].concat();
        let block = [&[0; 6][..], &CLIENT, &ports, &2048_u16.to_le_bytes(), &far(BUFFER)].concat();
        let (status, block) = rig.call(0x32, &block);
        if status == 0 {
            let len = usize::from(u16::from_le_bytes([block[14], block[15]]));
            return (u16::from_be_bytes([block[10], block[11]]), rig.mem.peek(BUFFER.linear(), len));
        }
    }
    panic!("nothing came")
}

#[test]
fn pxelinux_runs_its_own_tftp_over_the_udp_functions() {
    let (mut rig, server) = booted();
    server.borrow_mut().files().add("pxelinux.cfg/default", file(10_000));
    syslinux_starts(&mut rig);
    assert_eq!(rig.call(0x30, &[&[0, 0][..], &CLIENT].concat()).0, 0);
    udp_send(&mut rig, 69, b"\0\x01pxelinux.cfg/default\0octet\0");
    let mut contents = Vec::new();
    for number in 1_u16.. {
        let (port, packet) = udp_receive(&mut rig);
        assert_eq!(packet[..4], [[0, 3], number.to_be_bytes()].concat());
        contents.extend_from_slice(&packet[4..]);
        udp_send(&mut rig, port, &[[0, 4], number.to_be_bytes()].concat());
        if packet.len() < 4 + 512 {
            break;
        }
    }
    assert!(contents == file(10_000));
    for opcode in [0x31, 0x05, 0x70, 0x15] {
        rig.succeed(opcode);
    }
    assert!(!rig.machine.hooked.get() && !rig.card.held.get());
}

#[test]
fn grub_then_pxelinux_then_undionly_share_one_machine() {
    let (mut rig, _) = booted();
    rig.open(4);
    rig.succeed(0x07);
    // GRUB's pxechainloader edits the cached ACK, and pxelinux must see it.
    let pointer = rig.call(0x71, &[0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0xee, 0xee]).1;
    let at = RESIDENT + u32::from(u16::from_le_bytes([pointer[6], pointer[7]]));
    rig.mem.poke(at + 0x6c, b"pxelinux.0\0");
    syslinux_starts(&mut rig);
    assert_eq!(rig.call(0x30, &[&[0, 0][..], &CLIENT].concat()).0, 0);
    udp_send(&mut rig, 69, b"\0\x01boot.0\0octet\0");
    assert_eq!(udp_receive(&mut rig).1[..4], [0, 3, 0, 1]);
    rig.call(0x71, &[&[0, 0, 2, 0, 0xec, 4][..], &far(BUFFER), &[0, 0]].concat());
    assert_eq!(rig.mem.peek(BUFFER.linear() + 0x6c, 10), b"pxelinux.0");
    for opcode in [0x05, 0x70, 0x01, 0x03] {
        rig.succeed(opcode);
    }
    rig.open(7);
}
