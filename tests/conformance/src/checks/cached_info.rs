//! 05: the cached packets.

use super::Check;
use crate::machine::arena::DATA;
use crate::machine::free_base_memory;
use crate::machine::memory::{self, read_array, read_u8};
use crate::machine::thunk::SegOff;
use crate::pxe::network::CACHED_LEN;
use crate::pxe::{Block, Reply, Stack, op};
use crate::report::{Outcome, ensure};

/// The checks.
pub const CHECKS: &[Check] = &[
    Check::new("05.1", "types 1, 2, 3 give a pointer to 1260 bytes in the stack's memory", pointers),
    Check::new("05.2", "the pointers stay the same", same_pointers),
    Check::new("05.3", "copies of 4096, 1260, 36 and 1 bytes - count and content", copies),
    Check::new("05.4", "size 0 with a buffer is the pointer form", size_zero),
    Check::new("05.5", "BufferLimit is not written", buffer_limit),
    Check::new("05.6", "the ten-byte block of PXE 1.x is enough", short_block),
    Check::new("05.7", "what is written into a packet is what the next call copies", persistent),
    Check::new("05.8", "types 0, 4 and FFFFh fail", bad_types),
    Check::new("05.9", "packet 1 is DHCPDISCOVER, 2 an ACK with our address, 3 names server and file", contents),
    Check::new("05.10", "packet 2 agrees with GET_INFORMATION in type and address", agrees),
    Check::new("05.11", "options start with the magic cookie and end inside", options_end),
];

fn ask(stack: &mut Stack, kind: u16, size: u16, buffer: SegOff) -> (Reply, Block) {
    let mut block = Block::new(12);
    block.put16(2, kind).put16(4, size).put_pointer(6, buffer);
    let reply = stack.call(op::GET_CACHED_INFO, &mut block);
    (reply, block)
}

fn pointer(stack: &mut Stack, kind: u16) -> Result<u32, crate::report::Trouble> {
    let (reply, block) = ask(stack, kind, 0, SegOff::default());
    reply.ok("GET_CACHED_INFO")?;
    ensure!(block.get16(4) == CACHED_LEN, "type {kind}: {} bytes", block.get16(4));
    Ok(block.get_pointer(6).linear())
}

fn pointers(stack: &mut Stack) -> Outcome {
    let free = u32::from(free_base_memory()) * 1024;
    for kind in 1..=3 {
        let at = pointer(stack, kind)?;
        ensure!((free..0xa0000 - 1260).contains(&at), "type {kind} is at {at:x}, free memory ends at {free:x}");
    }
    Ok(())
}

fn same_pointers(stack: &mut Stack) -> Outcome {
    for kind in 1..=3 {
        let first = pointer(stack, kind)?;
        let second = pointer(stack, kind)?;
        ensure!(first == second, "type {kind}: {first:x}, then {second:x}");
    }
    Ok(())
}

fn copies(stack: &mut Stack) -> Outcome {
    for kind in 1..=3 {
        let at = pointer(stack, kind)?;
        for size in [4096, CACHED_LEN, 36, 1] {
            memory::fill(DATA, 4096, 0x3c);
            let (reply, block) = ask(stack, kind, size, SegOff::to(DATA + 5));
            reply.ok("copy")?;
            let expected = size.min(CACHED_LEN);
            ensure!(block.get16(4) == expected, "type {kind}, {size} bytes: returned {}", block.get16(4));
            let wrong = (0..u32::from(expected)).find(|offset| read_u8(DATA + 5 + offset) != read_u8(at + offset));
            ensure!(wrong.is_none(), "type {kind}, {size} bytes: byte {:x} differs", wrong.unwrap_or(0));
            let end = DATA + 5 + u32::from(expected);
            ensure!(memory::find_other(end, 64, 0x3c).is_none(), "type {kind}, {size} bytes: wrote past the end");
        }
    }
    Ok(())
}

fn size_zero(stack: &mut Stack) -> Outcome {
    let expected = pointer(stack, 2)?;
    let (reply, block) = ask(stack, 2, 0, SegOff::new(0x1234, 0x5678));
    reply.ok("size 0")?;
    let at = block.get_pointer(6).linear();
    ensure!(at == expected && block.get16(4) == CACHED_LEN, "pointer {at:x}, {} bytes", block.get16(4));
    Ok(())
}

fn buffer_limit(stack: &mut Stack) -> Outcome {
    for size in [0, 36, CACHED_LEN] {
        let mut block = Block::new(12);
        block.put16(2, 2).put16(4, size).put16(0x0a, 0x9b9b);
        if size > 0 {
            block.put_pointer(6, SegOff::to(DATA));
        }
        stack.call(op::GET_CACHED_INFO, &mut block).ok("call")?;
        ensure!(block.get16(0x0a) == 0x9b9b, "size {size}: BufferLimit became {:x}", block.get16(0x0a));
    }
    Ok(())
}

fn short_block(stack: &mut Stack) -> Outcome {
    let before = stack.watch.surroundings.take();
    let mut block = Block::new(10);
    block.put16(2, 3);
    let reply = stack.call(op::GET_CACHED_INFO, &mut block);
    let found = core::mem::replace(&mut stack.watch.surroundings, before);
    reply.ok("call")?;
    ensure!(found.is_none(), "{}", found.unwrap_or_default());
    Ok(())
}

fn persistent(stack: &mut Stack) -> Outcome {
    for kind in 1..=3 {
        let at = pointer(stack, kind)? + 0x2c;
        let old: [u8; 4] = read_array(at);
        memory::write(at, b"MARK");
        let (reply, _) = ask(stack, kind, CACHED_LEN, SegOff::to(DATA));
        let copied: [u8; 4] = read_array(DATA + 0x2c);
        memory::write(at, &old);
        reply.ok("copy")?;
        ensure!(copied == *b"MARK", "type {kind}: the copy has {copied:x?}");
    }
    Ok(())
}

fn bad_types(stack: &mut Stack) -> Outcome {
    for kind in [0, 4, 0xffff] {
        let (reply, _) = ask(stack, kind, 0, SegOff::default());
        ensure!(reply.ax == 1 && reply.status != 0, "type {kind:x}: AX={:x} status={:x}", reply.ax, reply.status);
    }
    Ok(())
}

/// A DHCP option of a cached packet.
fn option(packet: u32, code: u8) -> Option<(u32, u8)> {
    let mut at = packet + 0xf0;
    while at < packet + u32::from(CACHED_LEN) {
        match read_u8(at) {
            0 => at += 1,
            255 => return None,
            found if found == code => return Some((at + 2, read_u8(at + 1))),
            _ => at += 2 + u32::from(read_u8(at + 1)),
        }
    }
    None
}

fn contents(stack: &mut Stack) -> Outcome {
    let [discover, ack, reply] = [pointer(stack, 1)?, pointer(stack, 2)?, pointer(stack, 3)?];
    let kind = |packet| option(packet, 53).map_or(0, |(at, _)| read_u8(at));
    ensure!(
        read_u8(discover) == 1 && kind(discover) == 1,
        "packet 1: op {} type {}",
        read_u8(discover),
        kind(discover)
    );
    ensure!(read_u8(ack) == 2 && kind(ack) == 5, "packet 2: op {} type {}", read_u8(ack), kind(ack));
    ensure!(read_array(ack + 0x10) != [0; 4], "packet 2 has no yiaddr");
    ensure!(read_u8(reply) == 2, "packet 3: op {}", read_u8(reply));
    ensure!(read_array(reply + 0x14) != [0; 4], "packet 3 has no siaddr");
    let named = read_u8(reply + 0x6c) != 0 || option(reply, 67).is_some();
    ensure!(named, "packet 3 has no boot file name");
    ensure!(read_array(reply + 0x10) == read_array::<4>(ack + 0x10), "packet 3 has another yiaddr than packet 2");
    Ok(())
}

fn agrees(stack: &mut Stack) -> Outcome {
    let at = pointer(stack, 2)?;
    let mut block = Block::new(50);
    stack.call(op::UNDI_GET_INFORMATION, &mut block).ok("GET_INFORMATION")?;
    let (hardware, length) = (u16::from(read_u8(at + 1)), u16::from(read_u8(at + 2)));
    ensure!(
        (block.get16(8), block.get16(0x0a)) == (hardware, length),
        "HwType {:x}, length {:x}",
        block.get16(8),
        block.get16(0x0a)
    );
    let address: [u8; 16] = read_array(at + 0x1c);
    ensure!(block.bytes()[0x0c..0x12] == address[..6], "chaddr {address:x?}");
    Ok(())
}

fn options_end(stack: &mut Stack) -> Outcome {
    for kind in 1..=3 {
        let packet = pointer(stack, kind)?;
        ensure!(read_array(packet + 0xec) == [99, 130, 83, 99], "type {kind} has no magic cookie");
        let mut at = packet + 0xf0;
        let end = packet + u32::from(CACHED_LEN);
        while at < end && read_u8(at) != 255 {
            at += if read_u8(at) == 0 { 1 } else { 2 + u32::from(read_u8(at + 1)) };
        }
        // Padding to the end is as good as option 255: a parser stops.
        ensure!(at <= end, "an option of type {kind} runs past the end");
    }
    Ok(())
}
