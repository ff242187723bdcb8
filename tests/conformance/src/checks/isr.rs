//! 08: the receive path through UNDI_ISR.

use super::Check;
use crate::machine::arena::DATA;
use crate::machine::memory::{self, read_u8};
use crate::machine::{free_base_memory, pause, within};
use crate::pxe::frames::{BROADCAST, arp_request, frame};
use crate::pxe::{Stack, op};
use crate::report::{Outcome, ensure, fail, skip};

/// The checks.
pub const CHECKS: &[Check] = &[
    Check::new("08.1", "PROCESS without START receives", without_start),
    Check::new("08.2", "a directed frame - lengths, header, protocol, type", directed),
    Check::new("08.3", "the frame lies in the stack's memory", frame_place),
    Check::new("08.4", "START is NOT_OURS when nothing waits", idle),
    Check::new("08.5", "START is OURS when a frame waits", ours),
    Check::new("08.6", "two frames that wait both come", two_frames),
    Check::new("08.7", "a broadcast is marked as one", broadcast),
    Check::new("08.8", "a multicast is marked as one", multicast),
    Check::new("08.9", "a completion is reported for each frame sent", completions),
    Check::new("08.10", "DONE again behind DONE, with zero in the other fields", done),
    Check::new("08.11", "unknown FuncFlag - DONE or status 6C, no damage", bogus),
    Check::new("08.12", "after CLOSE - opens, or nothing", after_close),
    Check::new("08.13", "filter 4 alone receives directed frames", promiscuous),
];

/// FuncFlag on return.
const DONE: u16 = 0;
/// FuncFlag on return of a completion.
const TRANSMIT: u16 = 2;

fn fresh(stack: &mut Stack, filter: u16) -> Outcome {
    stack.simple(op::UDP_CLOSE);
    stack.open(filter).ok("OPEN")?;
    stack.drain();
    Ok(())
}

fn ask(stack: &mut Stack) -> Outcome {
    let request = arp_request(stack);
    stack.transmit(&request).ok("TRANSMIT")
}

fn without_start(stack: &mut Stack) -> Outcome {
    fresh(stack, 3)?;
    ask(stack)?;
    ensure!(stack.receive_arp_reply().is_some(), "no answer to ARP");
    Ok(())
}

fn directed(stack: &mut Stack) -> Outcome {
    fresh(stack, 3)?;
    ask(stack)?;
    let Some(reply) = stack.receive_arp_reply() else { fail!("no answer to ARP") };
    ensure!(reply.buffer_len == reply.frame_len, "{} of {} bytes", reply.buffer_len, reply.frame_len);
    ensure!((42..=64).contains(&reply.frame_len), "{} bytes", reply.frame_len);
    ensure!(reply.header_len == 14, "header {}", reply.header_len);
    ensure!(reply.start[..6] == stack.network.mac, "to {:x?}", &reply.start[..6]);
    ensure!(reply.protocol == 2 && reply.kind == 0, "ProtType {}, PktType {}", reply.protocol, reply.kind);
    Ok(())
}

fn frame_place(stack: &mut Stack) -> Outcome {
    fresh(stack, 3)?;
    ask(stack)?;
    let Some(reply) = stack.receive_arp_reply() else { fail!("no answer to ARP") };
    let free = u32::from(free_base_memory()) * 1024;
    let end = reply.at + u32::from(reply.buffer_len);
    ensure!(reply.at >= free && end <= 0xa0000, "at {:x}, free memory ends at {free:x}", reply.at);
    Ok(())
}

fn idle(stack: &mut Stack) -> Outcome {
    fresh(stack, 1)?;
    // A frame may come by itself; not five times in a row.
    let quiet = (0..5).any(|_| {
        stack.drain();
        stack.isr(1).1.get16(2) == 1
    });
    ensure!(quiet, "OURS five times");
    Ok(())
}

fn ours(stack: &mut Stack) -> Outcome {
    fresh(stack, 3)?;
    ask(stack)?;
    // Past the completion, if it is one.
    pause(2);
    let found = within(36, || (stack.isr(1).1.get16(2) == 0).then_some(()));
    ensure!(found.is_some(), "NOT_OURS with a frame waiting");
    ensure!(stack.receive_arp_reply().is_some(), "no frame after OURS");
    Ok(())
}

fn two_frames(stack: &mut Stack) -> Outcome {
    fresh(stack, 3)?;
    ask(stack)?;
    ask(stack)?;
    pause(2);
    for number in 1..=2 {
        ensure!(stack.receive_arp_reply().is_some(), "frame {number} is missing");
    }
    Ok(())
}

/// Internet checksum (RFC 1071) of some bytes.
fn checksum(bytes: &[u8], start: u32) -> [u8; 2] {
    let mut sum = bytes
        .chunks(2)
        .fold(start, |sum, pair| sum + (u32::from(pair[0]) << 8) + u32::from(pair.get(1).copied().unwrap_or(0)));
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    (!(sum as u16)).to_be_bytes()
}

/// A DHCPDISCOVER that asks for a broadcast answer (RFC 2131).
fn discover(stack: &Stack) -> [u8; 342] {
    let mut packet = [0; 342];
    packet[..60].copy_from_slice(&frame(stack, BROADCAST, 0x800));
    packet[14..24].copy_from_slice(&[0x45, 0, 1, 0x48, 0, 1, 0, 0, 64, 17]);
    packet[30..34].fill(0xff);
    let sum = checksum(&packet[14..34], 0);
    packet[24..26].copy_from_slice(&sum);
    packet[34..42].copy_from_slice(&[0, 68, 0, 67, 1, 0x34, 0, 0]);
    packet[42..54].copy_from_slice(&[1, 1, 6, 0, 0x51, 0x52, 0x53, 0x54, 0, 0, 0x80, 0]);
    packet[70..76].copy_from_slice(&stack.network.mac);
    packet[278..282].copy_from_slice(&[99, 130, 83, 99]);
    packet[282..286].copy_from_slice(&[53, 1, 1, 255]);
    packet
}

fn broadcast(stack: &mut Stack) -> Outcome {
    fresh(stack, 3)?;
    let packet = discover(stack);
    stack.transmit(&packet).ok("TRANSMIT")?;
    let found = stack.receive(54, |received| received.start[..6] == BROADCAST);
    let Some(found) = found else { skip!("nobody sent one") };
    ensure!(found.kind == 1, "PktType {}", found.kind);
    let expected = if found.ether_type() == 0x800 { 1 } else { found.protocol };
    ensure!(found.protocol == expected, "ProtType {}", found.protocol);
    ensure!(found.buffer_len == found.frame_len, "{} of {} bytes", found.buffer_len, found.frame_len);
    Ok(())
}

/// An ICMPv6 router solicitation (RFC 4861), which a router answers by multicast to all nodes.
fn solicitation(stack: &Stack) -> [u8; 62] {
    let mut packet = [0; 62];
    packet[..60].copy_from_slice(&frame(stack, [0x33, 0x33, 0, 0, 0, 2], 0x86dd));
    packet[14..22].copy_from_slice(&[0x60, 0, 0, 0, 0, 8, 58, 255]);
    packet[38..40].copy_from_slice(&[0xff, 2]);
    packet[53] = 2;
    packet[54] = 133;
    let sum = checksum(&packet[22..62], 8 + 58);
    packet[56..58].copy_from_slice(&sum);
    packet
}

fn multicast(stack: &mut Stack) -> Outcome {
    fresh(stack, 7)?;
    let packet = solicitation(stack);
    stack.transmit(&packet).ok("TRANSMIT")?;
    let found = stack.receive(36, |received| received.start[0] & 1 == 1 && received.start[..6] != BROADCAST);
    let Some(found) = found else { skip!("nobody sent one") };
    ensure!(found.kind == 2, "PktType {}", found.kind);
    Ok(())
}

fn completions(stack: &mut Stack) -> Outcome {
    fresh(stack, 1)?;
    memory::write(DATA, &frame(stack, BROADCAST, 0x88b5));
    for _ in 0..3 {
        stack.transmit_data(0, 1, 60).ok("TRANSMIT")?;
    }
    let mut seen = 0;
    within(9, || {
        let (_, mut block) = stack.isr(2);
        while block.get16(2) != DONE && seen < 100 {
            seen += u32::from(block.get16(2) == TRANSMIT);
            block = stack.isr(3).1;
        }
        (seen >= 3).then_some(())
    });
    // Once more, so that one too many is seen.
    pause(2);
    let (_, mut block) = stack.isr(2);
    while block.get16(2) != DONE && seen < 100 {
        seen += u32::from(block.get16(2) == TRANSMIT);
        block = stack.isr(3).1;
    }
    ensure!(seen == 3, "{seen} completions for three frames");
    Ok(())
}

fn done(stack: &mut Stack) -> Outcome {
    fresh(stack, 1)?;
    for function in [3, 3, 2] {
        let (reply, block) = stack.isr(function);
        reply.ok("ISR")?;
        if block.get16(2) == 3 {
            skip!("a frame came by itself");
        }
        ensure!(block.get16(2) == DONE, "FuncFlag {}", block.get16(2));
        let fields = [block.get16(4), block.get16(6), block.get16(8), block.get16(0x0e)];
        ensure!(fields == [0; 4], "fields {fields:x?}");
    }
    Ok(())
}

fn bogus(stack: &mut Stack) -> Outcome {
    fresh(stack, 3)?;
    for function in [0, 4, 5, 0x100, 0xffff] {
        let (reply, block) = stack.isr(function);
        ensure!(block.get16(2) == DONE || !reply.is_ok(), "{function:x}: FuncFlag {:x}, success", block.get16(2));
    }
    without_start(stack)
}

fn after_close(stack: &mut Stack) -> Outcome {
    stack.simple(op::UNDI_CLOSE).ok("CLOSE")?;
    for function in [1, 2, 3] {
        let (reply, block) = stack.isr(function);
        if !reply.is_ok() {
            reply.fails_with("ISR", &[0x6a])?;
        }
        ensure!(block.get16(2) <= 4, "FuncFlag {:x}", block.get16(2));
    }
    without_start(stack)
}

fn promiscuous(stack: &mut Stack) -> Outcome {
    stack.simple(op::UNDI_CLOSE).ok("CLOSE")?;
    fresh(stack, 4)?;
    ask(stack)?;
    let Some(reply) = stack.receive_arp_reply() else { fail!("no answer to ARP") };
    ensure!(read_u8(reply.at) == stack.network.mac[0], "the frame is gone");
    Ok(())
}
