//! 19: parameters that no friend would pass. Every call must return, touch nothing that it was not given, and leave a stack
//! that still works.

use super::Check;
use super::tftp::still_reads;
use crate::machine::arena::{DATA, GUARD, GUARD_LEN, STRUCTURES};
use crate::machine::memory;
use crate::machine::thunk::{INTERRUPTS_OFF, SegOff};
use crate::pxe::frames::arp_request;
use crate::pxe::{Block, CallOptions, Entry, Stack, op};
use crate::report::{Outcome, ensure};

/// The checks.
pub const CHECKS: &[Check] = &[
    Check::new("19.1", "a block at 0000:0000", null_block),
    Check::new("19.2", "a block that would wrap its segment", wrapping_block),
    Check::new("19.3", "a block in ROM", rom_block),
    Check::new("19.4", "GET_CACHED_INFO to a buffer that would wrap", cached_wrap),
    Check::new("19.5", "TRANSMIT with a null TBD, and with null data", null_tbd),
    Check::new("19.6", "TRANSMIT with lengths that overflow 16 bits", overflowing_tbd),
    Check::new("19.7", "UDP_WRITE of 0 and FFFFh bytes, null buffer", udp_lengths),
    Check::new("19.8", "TFTP_OPEN and READ_FILE of a name without end", endless_name),
    Check::new("19.9", "TFTP_READ to a buffer that would wrap", tftp_wrap),
    Check::new("19.10", "READ_FILE to the end of the address space", read_file_wrap),
    Check::new("19.11", "UNDI_OPEN with FFFFh multicast addresses", many_addresses),
];

const GUARD_BYTE: u8 = 0x3c;
/// The last offsets of the data region's segment; the guard region lies behind it.
const AT_END: SegOff = SegOff::new((DATA >> 4) as u16, 0xfff0);

/// The interrupt table, and behind it the BIOS's data, which change by themselves.
const VECTORS: usize = 0x400;
const BIOS_DATA: usize = 0x100;

/// Does it, then sees that the interrupt table and the guard region are as before, and that a file can be read.
fn guarded(stack: &mut Stack, hostile: impl FnOnce(&mut Stack) -> Outcome) -> Outcome {
    memory::fill(GUARD, GUARD_LEN, GUARD_BYTE);
    let before: [u8; VECTORS + BIOS_DATA] = memory::read_array(0);
    let outcome = hostile(stack);
    let touched = (0..VECTORS).find(|at| memory::read_u8(*at as u32) != before[*at]);
    if touched.is_some() {
        // Most likely both are gone; other checks need a BIOS.
        memory::write(0, &before);
    }
    outcome?;
    ensure!(touched.is_none(), "the interrupt table was changed at {:x}", touched.unwrap_or(0));
    let touched = memory::find_other(GUARD, GUARD_LEN, GUARD_BYTE);
    ensure!(touched.is_none(), "wrote {:x} bytes past the segment's end", touched.unwrap_or(0) - GUARD);
    still_reads(stack)
}

fn null_block(stack: &mut Stack) -> Outcome {
    memory::fill(GUARD, GUARD_LEN, GUARD_BYTE);
    let vectors: [u8; 0x400] = memory::read_array(0);
    let mut answers = [0; 3];
    for (answer, function) in answers.iter_mut().zip([op::UNDI_STARTUP, op::UNDI_GET_INFORMATION, op::UDP_READ]) {
        *answer = stack.call_raw(function, SegOff::default(), Entry::Stack, INTERRUPTS_OFF);
        // The parameters name this memory, so a stack may write there.
        memory::write(0, &vectors);
    }
    ensure!(answers.iter().all(|ax| *ax <= 1), "AX={answers:x?}");
    still_reads(stack)
}

fn wrapping_block(stack: &mut Stack) -> Outcome {
    guarded(stack, |stack| {
        for function in [op::UNDI_GET_INFORMATION, op::UNDI_OPEN, op::TFTP_OPEN, op::UDP_READ, op::UNDI_ISR] {
            memory::fill(DATA, 0x100, 0);
            memory::fill(AT_END.linear(), 16, 0);
            let ax = stack.call_raw(function, SegOff::new(AT_END.segment, 0xfffc), Entry::Stack, INTERRUPTS_OFF);
            ensure!(ax <= 1, "function {function:x}: AX={ax:x}");
        }
        Ok(())
    })
}

fn rom_block(stack: &mut Stack) -> Outcome {
    guarded(stack, |stack| {
        // Functions that only write: what the ROM holds there must not be taken for a pointer.
        for function in [op::UNDI_GET_INFORMATION, op::UNDI_GET_IFACE_INFO, op::UNDI_GET_STATISTICS] {
            let ax = stack.call_raw(function, SegOff::new(0xf000, 0x8000), Entry::Stack, INTERRUPTS_OFF);
            ensure!(ax <= 1, "function {function:x}: AX={ax:x}");
        }
        Ok(())
    })
}

fn cached_wrap(stack: &mut Stack) -> Outcome {
    guarded(stack, |stack| {
        for size in [1260, 0xffff] {
            let mut block = Block::new(12);
            block.put16(2, 2).put16(4, size).put_pointer(6, AT_END);
            stack.call(op::GET_CACHED_INFO, &mut block);
        }
        Ok(())
    })
}

fn null_tbd(stack: &mut Stack) -> Outcome {
    guarded(stack, |stack| {
        let mut block = Block::new(20);
        stack.call(op::UNDI_TRANSMIT, &mut block);
        memory::fill(STRUCTURES, 72, 0);
        stack.transmit_tbd(0, 1, SegOff::default());
        // Sixty bytes at 0000:0000: the interrupt table is as good a frame as any.
        memory::write(STRUCTURES, &[60]);
        stack.transmit_tbd(0, 1, SegOff::default());
        Ok(())
    })
}

fn overflowing_tbd(stack: &mut Stack) -> Outcome {
    guarded(stack, |stack| {
        let request = arp_request(stack);
        memory::write(DATA, &request);
        // 60 + 8 * FFFFh, and 8 times 2000h, which is 0 in 16 bits.
        for (immediate, len) in [(60u16, 0xffffu16), (0, 0x2000), (0x8000, 0x1000)] {
            let mut tbd = [0; 72];
            tbd[..2].copy_from_slice(&immediate.to_le_bytes());
            tbd[2..6].copy_from_slice(&SegOff::to(DATA).to_u32().to_le_bytes());
            tbd[6] = 8;
            for block in tbd[8..].chunks_exact_mut(8) {
                block[0] = 1;
                block[2..4].copy_from_slice(&len.to_le_bytes());
                block[4..].copy_from_slice(&SegOff::to(DATA).to_u32().to_le_bytes());
            }
            memory::write(STRUCTURES, &tbd);
            let reply = stack.transmit_tbd(0, 1, SegOff::default());
            ensure!(!reply.is_ok(), "{immediate:x} and 8 times {len:x} bytes were taken");
        }
        Ok(())
    })
}

fn udp_lengths(stack: &mut Stack) -> Outcome {
    guarded(stack, |stack| {
        stack.udp_open().ok("UDP_OPEN")?;
        for (len, buffer) in
            [(0, SegOff::default()), (0, SegOff::to(DATA)), (0xffff, SegOff::to(DATA)), (0xffff, AT_END)]
        {
            let mut block = Block::new(20);
            block.put(2, &stack.network.server).put_port(0x0a, 0xc353).put_port(0x0c, 9);
            block.put16(0x0e, len).put_pointer(0x10, buffer);
            stack.call(op::UDP_WRITE, &mut block);
            let mut block = Block::new(20);
            block.put16(0x0e, len).put_pointer(0x10, buffer);
            stack.call(op::UDP_READ, &mut block);
        }
        stack.simple(op::UDP_CLOSE).ok("UDP_CLOSE")
    })
}

fn endless_name(stack: &mut Stack) -> Outcome {
    guarded(stack, |stack| {
        let mut block = Block::new(142);
        block.bytes_mut()[0x0a..0x8a].fill(b'A');
        block.put(2, &stack.network.server).put_port(0x8a, 69).put16(0x8c, 512);
        let reply = stack.call(op::TFTP_OPEN, &mut block);
        ensure!(!reply.is_ok(), "TFTP_OPEN succeeded");
        let mut block = Block::new(158);
        block.bytes_mut()[2..0x82].fill(b'A');
        block.put32(0x82, 0x1000).put32(0x86, DATA).put(0x8a, &stack.network.server);
        let reply = stack.call(op::TFTP_READ_FILE, &mut block);
        ensure!(!reply.is_ok(), "READ_FILE succeeded");
        Ok(())
    })
}

fn tftp_wrap(stack: &mut Stack) -> Outcome {
    guarded(stack, |stack| {
        stack.tftp_open(conformance::files::ODD.name, 69, 512).0.ok("OPEN")?;
        let mut block = Block::new(10);
        block.put_pointer(6, AT_END);
        stack.call(op::TFTP_READ, &mut block);
        stack.simple(op::TFTP_CLOSE).ok("CLOSE")
    })
}

fn read_file_wrap(stack: &mut Stack) -> Outcome {
    guarded(stack, |stack| {
        let (reply, _) = stack.tftp_read_file(conformance::files::ODD.name, 0xffff_f000, 0xffff_ffff);
        ensure!(!reply.is_ok(), "READ_FILE succeeded");
        Ok(())
    })
}

fn many_addresses(stack: &mut Stack) -> Outcome {
    guarded(stack, |stack| {
        stack.simple(op::UNDI_CLOSE).ok("CLOSE")?;
        let mut block = Block::new(136);
        block.put16(4, 3).put16(6, 0xffff);
        let at_end = SegOff::new(AT_END.segment, 0u16.wrapping_sub(136));
        let options = CallOptions { block_at: at_end, ..CallOptions::default() };
        let reply = stack.call_with(op::UNDI_OPEN, &mut block, &options);
        if !reply.is_ok() {
            reply.fails_with("OPEN", &[0x6c])?;
        }
        stack.open(3).ok("OPEN")
    })
}
