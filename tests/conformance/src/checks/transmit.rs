//! 07: TRANSMIT. That a frame went out as it should is seen by the answer to an ARP request.

use super::Check;
use crate::machine::arena::{DATA, STRUCTURES};
use crate::machine::thunk::SegOff;
use crate::machine::{memory, pause};
use crate::pxe::frames::{BROADCAST, arp_payload, arp_request, frame};
use crate::pxe::{Block, CallOptions, Stack, op};
use crate::report::{Outcome, ensure};

/// The checks.
pub const CHECKS: &[Check] = &[
    Check::new("07.1", "a whole frame, immediate, XmitFlag 1 and DestAddr null", whole_frame),
    Check::new("07.2", "one immediate part and 1 to 8 blocks", blocks),
    Check::new("07.3", "nothing immediate, all in blocks", blocks_alone),
    Check::new("07.4", "protocol ARP, broadcast flag - the stack adds the header", arp_broadcast),
    Check::new("07.5", "protocol ARP with a destination address", arp_directed),
    Check::new("07.6", "protocols IP and RARP are sent", other_protocols),
    Check::new("07.7", "protocol 4 and up - status 6C", unknown_protocol),
    Check::new("07.8", "lengths 14, 42, 60 and 1514", lengths),
    Check::new("07.9", "length 1515 - status 6C", too_long),
    Check::new("07.10", "more than 8 blocks is refused", too_many_blocks),
    Check::new("07.11", "the data may change as soon as the call returns", reused),
    Check::new("07.12", "after CLOSE, without OPEN - the card opens by itself, or status 6A", without_open),
    Check::new("07.13", "a TBD without blocks at the end of a segment", tbd_at_end),
    Check::new("07.14", "10,000 frames without one ISR call", many),
];

/// EtherType for local experiments (IEEE 802): nobody answers.
const EXPERIMENTAL: u16 = 0x88b5;

fn answered(stack: &mut Stack) -> Outcome {
    ensure!(stack.receive_arp_reply().is_some(), "no answer to ARP");
    Ok(())
}

fn whole_frame(stack: &mut Stack) -> Outcome {
    stack.open(3).ok("OPEN")?;
    let request = arp_request(stack);
    stack.transmit(&request[..42]).ok("TRANSMIT")?;
    answered(stack)
}

/// Writes a TBD: so many bytes immediate, the rest spread over so many blocks.
fn write_tbd(len: u16, immediate: u16, blocks: u16) {
    let mut tbd = [0; 72];
    tbd[..2].copy_from_slice(&immediate.to_le_bytes());
    tbd[2..6].copy_from_slice(&SegOff::to(DATA).to_u32().to_le_bytes());
    tbd[6..8].copy_from_slice(&blocks.to_le_bytes());
    let mut at = immediate;
    for index in 0..blocks {
        // The last one takes what is left.
        let size = if index + 1 == blocks { len - at } else { (len - immediate) / blocks };
        let block = &mut tbd[8 + 8 * usize::from(index)..][..8];
        block[0] = 1;
        block[2..4].copy_from_slice(&size.to_le_bytes());
        block[4..].copy_from_slice(&SegOff::to(DATA + u32::from(at)).to_u32().to_le_bytes());
        at += size;
    }
    // No more than is used: whatever follows is not a block.
    memory::fill(STRUCTURES, 128, 0xff);
    memory::write(STRUCTURES, &tbd[..8 + 8 * usize::from(blocks)]);
}

fn in_blocks(stack: &mut Stack, immediate: u16, counts: core::ops::RangeInclusive<u16>) -> Outcome {
    stack.open(3).ok("OPEN")?;
    for count in counts {
        let request = arp_request(stack);
        memory::write(DATA, &request[..42]);
        write_tbd(42, immediate, count);
        stack.transmit_tbd(0, 1, SegOff::default()).ok("TRANSMIT")?;
        ensure!(stack.receive_arp_reply().is_some(), "{count} blocks: no answer to ARP");
    }
    Ok(())
}

fn blocks(stack: &mut Stack) -> Outcome {
    in_blocks(stack, 14, 1..=8)
}

fn blocks_alone(stack: &mut Stack) -> Outcome {
    in_blocks(stack, 0, 1..=8)
}

fn arp_broadcast(stack: &mut Stack) -> Outcome {
    stack.open(3).ok("OPEN")?;
    memory::write(DATA, &arp_payload(stack));
    stack.transmit_data(2, 1, 28).ok("TRANSMIT")?;
    answered(stack)
}

fn arp_directed(stack: &mut Stack) -> Outcome {
    stack.open(3).ok("OPEN")?;
    memory::write(DATA, &arp_payload(stack));
    write_tbd(28, 28, 0);
    memory::write(STRUCTURES + 64, &BROADCAST);
    stack.transmit_tbd(2, 0, SegOff::to(STRUCTURES + 64)).ok("TRANSMIT")?;
    answered(stack)
}

fn other_protocols(stack: &mut Stack) -> Outcome {
    stack.open(3).ok("OPEN")?;
    memory::fill(DATA, 64, 0);
    stack.transmit_data(1, 1, 46).ok("IP")?;
    stack.transmit_data(3, 1, 28).ok("RARP")
}

fn unknown_protocol(stack: &mut Stack) -> Outcome {
    for protocol in [4, 5, 0xff] {
        stack.transmit_data(protocol, 1, 46).fails_with("TRANSMIT", &[0x6c])?;
    }
    Ok(())
}

fn lengths(stack: &mut Stack) -> Outcome {
    stack.open(3).ok("OPEN")?;
    for len in [14, 42, 60, 1514] {
        memory::fill(DATA, 1514, 0);
        memory::write(DATA, &frame(stack, BROADCAST, EXPERIMENTAL));
        stack.transmit_data(0, 1, len).ok("TRANSMIT")?;
    }
    whole_frame(stack)
}

fn too_long(stack: &mut Stack) -> Outcome {
    for len in [1515, 4096, 0xffff] {
        memory::write(DATA, &frame(stack, BROADCAST, EXPERIMENTAL));
        stack.transmit_data(0, 1, len).fails_with("TRANSMIT", &[0x6c])?;
    }
    whole_frame(stack)
}

fn too_many_blocks(stack: &mut Stack) -> Outcome {
    for count in [9u16, 0xffff] {
        let request = arp_request(stack);
        memory::write(DATA, &request[..42]);
        write_tbd(42, 14, 8);
        memory::write(STRUCTURES + 6, &count.to_le_bytes());
        let reply = stack.transmit_tbd(0, 1, SegOff::default());
        ensure!(!reply.is_ok(), "{count} blocks were taken");
    }
    whole_frame(stack)
}

fn reused(stack: &mut Stack) -> Outcome {
    stack.open(3).ok("OPEN")?;
    for _ in 0..8 {
        let request = arp_request(stack);
        stack.transmit(&request).ok("TRANSMIT")?;
        memory::fill(DATA, 64, 0xff);
        memory::fill(STRUCTURES, 64, 0xff);
        answered(stack)?;
    }
    Ok(())
}

fn without_open(stack: &mut Stack) -> Outcome {
    stack.simple(op::UNDI_CLOSE).ok("CLOSE")?;
    let request = arp_request(stack);
    let reply = stack.transmit(&request);
    if !reply.is_ok() {
        return reply.fails_with("TRANSMIT", &[0x6a]);
    }
    answered(stack)
}

fn tbd_at_end(stack: &mut Stack) -> Outcome {
    stack.open(3).ok("OPEN")?;
    let request = arp_request(stack);
    memory::write(DATA, &request);
    let tbd = SegOff::new((DATA >> 4) as u16, 0xfff8);
    let mut bytes = [0; 8];
    bytes[..2].copy_from_slice(&60u16.to_le_bytes());
    bytes[2..6].copy_from_slice(&SegOff::to(DATA).to_u32().to_le_bytes());
    memory::write(tbd.linear(), &bytes);
    let mut block = Block::new(20);
    block.put8(3, 1).put_pointer(8, tbd);
    stack.call_with(op::UNDI_TRANSMIT, &mut block, &CallOptions::default()).ok("TRANSMIT")?;
    answered(stack)
}

fn many(stack: &mut Stack) -> Outcome {
    stack.open(3).ok("OPEN")?;
    memory::fill(DATA, 1514, 0);
    memory::write(DATA, &frame(stack, BROADCAST, EXPERIMENTAL));
    for number in 0..10_000u32 {
        let reply = stack.transmit_data(0, 1, if number % 16 == 0 { 1514 } else { 60 });
        ensure!(reply.is_ok(), "frame {number}: AX={:x} status={:x}", reply.ax, reply.status);
    }
    // The network behind the card may still be at it, and lose what is more than it holds.
    for _ in 0..5 {
        pause(18);
        stack.drain();
        if whole_frame(stack).is_ok() {
            return Ok(());
        }
    }
    whole_frame(stack)
}
