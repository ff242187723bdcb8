//! 18: callers in V86 mode, as under EMM386 and Windows 9x. A stack that can't change the mode must still return with a
//! status, and what needs no more than memory it can answer.

use super::Check;
use super::tftp::still_reads;
use crate::machine::arena::DATA;
use crate::machine::memory::{self, read_u32};
use crate::machine::thunk::{self, INTERRUPTS_OFF, INTERRUPTS_ON, Orders, Return, SegOff};
use crate::pxe::call::Watch;
use crate::pxe::network::CACHED_LEN;
use crate::pxe::{Block, CallOptions, Entry, Reply, Stack, op};
use crate::report::{Outcome, ensure, fail};

/// The checks.
pub const CHECKS: &[Check] = &[
    Check::new("18.1", "V86 mode - every function returns by the stack entry, all registers kept", every_function),
    Check::new("18.2", "V86 mode - likewise by the register entry and by offset 0", other_entries),
    Check::new("18.3", "V86 mode - GET_CACHED_INFO answers as in real mode", cached_info),
    Check::new("18.4", "V86 mode - what tells or closes nothing new answers as in real mode", queries),
    Check::new("18.5", "V86 mode - what needs the card fails", card_calls),
    Check::new("18.6", "V86 mode - a null block, and blocks at the end of a segment", bad_blocks),
    Check::new("18.7", "V86 mode - IF, DF, AC and NT stay", flags),
    Check::new("18.8", "V86 mode - INT 1Ah AX=5650h is answered", installation_check),
    Check::new("18.9", "V86 mode - afterwards the stack still works in real mode", still_works),
];

/// Functions that end something when a stack can do them.
const FINAL: [u16; 5] = [op::STOP_UNDI, op::UNLOAD_STACK, op::RESTART_TFTP, 0x72, 0x74];

/// A call from V86 mode by the stack entry.
fn from_v86() -> CallOptions {
    CallOptions { v86: true, ..CallOptions::default() }
}

/// Ends the check when a call didn't come back.
fn came_back(function: u16, back: &Return) -> Outcome {
    let Return { trap, trap_at, trap_code, .. } = back;
    if *trap == 0 {
        return Ok(());
    }
    let SegOff { segment, offset } = trap_at;
    fail!("function {function:x}: exception {} at {segment:x}:{offset:x}, code {trap_code:02x?}", trap & 0xff)
}

/// Ends the check when a call didn't come back, or without a status.
fn returned(function: u16, reply: &Reply) -> Outcome {
    came_back(function, &reply.back)?;
    let Reply { ax, status, .. } = *reply;
    ensure!(status != Block::UNTOUCHED, "function {function:x}: no status");
    ensure!(ax <= 1 && (ax == 0) == (status == 0), "function {function:x}: AX={ax:x}, status {status:x}");
    Ok(())
}

/// Makes a call, which must return with everything as it was.
fn call(
    stack: &mut Stack,
    function: u16,
    block: &mut Block,
    options: &CallOptions,
) -> Result<Reply, crate::report::Trouble> {
    let watch = core::mem::take(&mut stack.watch);
    let reply = stack.call_with(function, block, options);
    let Watch { registers, flags, system, surroundings, .. } = core::mem::replace(&mut stack.watch, watch);
    returned(function, &reply)?;
    if let Some(seen) = registers.or(flags).or(system).or(surroundings) {
        fail!("{seen}");
    }
    Ok(reply)
}

fn all_return(stack: &mut Stack, entry: Entry) -> Outcome {
    for (function, len) in op::KNOWN.into_iter().filter(|(function, _)| !FINAL.contains(function)) {
        call(stack, function, &mut Block::new(len), &CallOptions { entry, ..from_v86() })?;
    }
    Ok(())
}

fn every_function(stack: &mut Stack) -> Outcome {
    all_return(stack, Entry::Stack)
}

fn other_entries(stack: &mut Stack) -> Outcome {
    all_return(stack, Entry::Register)?;
    all_return(stack, Entry::CodeStart)
}

/// The same call from both modes: all of the block, and AX.
fn answers_alike(stack: &mut Stack, function: u16, block: &Block) -> Outcome {
    let (mut in_real, mut in_v86) = (block.clone(), block.clone());
    let expected = stack.call(function, &mut in_real);
    let reply = call(stack, function, &mut in_v86, &from_v86())?;
    ensure!(
        reply.ax == expected.ax && in_v86.bytes() == in_real.bytes(),
        "function {function:x}: AX={:x}, {:02x?}",
        reply.ax,
        in_v86.bytes()
    );
    Ok(())
}

fn cached_info(stack: &mut Stack) -> Outcome {
    for kind in [1, 2, 3, 0, 4, 0xffff] {
        for (size, buffer) in [
            (0, SegOff::default()),
            (0, SegOff::to(DATA)),
            (4096, SegOff::default()),
            (4096, SegOff::to(DATA)),
            (CACHED_LEN, SegOff::to(DATA)),
            (36, SegOff::to(DATA)),
            (1, SegOff::to(DATA)),
            (36, SegOff::new(0x5000, 0xfff0)),
        ] {
            for len in [10, 12] {
                let mut block = Block::new(len);
                block.put16(2, kind).put16(4, size).put_pointer(6, buffer);
                if len > 10 {
                    block.put16(0x0a, 0x9b9b);
                }
                memory::fill(DATA, 4096, 0x3c);
                stack.call(op::GET_CACHED_INFO, &mut block.clone());
                let expected = memory::checksum(DATA, 4096);
                memory::fill(DATA, 4096, 0x3c);
                call(stack, op::GET_CACHED_INFO, &mut block.clone(), &from_v86())?;
                ensure!(memory::checksum(DATA, 4096) == expected, "type {kind:x}, {size} bytes: the copy differs");
                answers_alike(stack, op::GET_CACHED_INFO, &block)?;
            }
        }
    }
    Ok(())
}

fn queries(stack: &mut Stack) -> Outcome {
    stack.simple(op::UNDI_CLOSE);
    stack.simple(op::TFTP_CLOSE);
    stack.simple(op::UDP_CLOSE);
    for (function, len) in [
        (op::UNDI_GET_INFORMATION, 50),
        (op::UNDI_GET_IFACE_INFO, 42),
        (op::UNDI_GET_NIC_TYPE, 17),
        (op::UNDI_GET_STATE_EDK2, 3),
        (op::UNDI_STARTUP, 2),
        (op::UNDI_CLOSE, 2),
        (op::TFTP_CLOSE, 2),
        (op::UDP_CLOSE, 2),
        (op::STOP_BASE, 2),
    ] {
        answers_alike(stack, function, &Block::new(len))?;
    }
    Ok(())
}

fn card_calls(stack: &mut Stack) -> Outcome {
    for (function, len) in [
        (op::UNDI_INITIALIZE, 14),
        (op::UNDI_OPEN, 136),
        (op::UNDI_TRANSMIT, 20),
        (op::UNDI_ISR, 16),
        (op::TFTP_OPEN, 142),
        (op::UDP_OPEN, 6),
        (op::UDP_WRITE, 20),
    ] {
        let reply = call(stack, function, &mut Block::new(len), &from_v86())?;
        ensure!(reply.ax == 1, "function {function:x} succeeded");
    }
    Ok(())
}

fn bad_blocks(stack: &mut Stack) -> Outcome {
    let vector = read_u32(0);
    let orders = stack.orders(op::UNDI_GET_INFORMATION, &CallOptions { block_at: SegOff::default(), ..from_v86() });
    let back = thunk::call(&orders);
    came_back(op::UNDI_GET_INFORMATION, &back)?;
    ensure!(back.registers.eax as u16 == 1, "null block: AX={:x}", back.registers.eax as u16);
    ensure!(read_u32(0) == vector, "interrupt vector 0 was overwritten");
    let segment = (DATA >> 4) as u16;
    for (offset, ax) in [(0x1_0000 - 50, 0), (0x1_0000 - 49, 1), (0xfffe, 1), (0xffff, 1)] {
        memory::fill(DATA, 64, 0x3c);
        let block_at = SegOff::new(segment, offset as u16);
        let orders = stack.orders(op::UNDI_GET_INFORMATION, &CallOptions { block_at, ..from_v86() });
        let back = thunk::call(&orders);
        came_back(op::UNDI_GET_INFORMATION, &back)?;
        ensure!(back.registers.eax as u16 == ax, "block at {offset:x}: AX={:x}", back.registers.eax as u16);
        ensure!(memory::find_other(DATA, 64, 0x3c).is_none(), "block at {offset:x}: it wrapped");
    }
    Ok(())
}

fn flags(stack: &mut Stack) -> Outcome {
    for eflags in [INTERRUPTS_ON, INTERRUPTS_OFF, 1 << 10 | 2, 1 << 18 | 2, 1 << 14 | 2] {
        for entry in [Entry::Stack, Entry::Register] {
            let options = CallOptions { entry, eflags, ..from_v86() };
            for function in [op::UNDI_GET_INFORMATION, op::UNDI_OPEN] {
                let reply = call(stack, function, &mut Block::new(136), &options)?;
                let after = reply.back.registers.eflags;
                ensure!((after ^ eflags) & 0x4_4600 == 0, "function {function:x}: {eflags:x} became {after:x}");
            }
        }
    }
    Ok(())
}

fn installation_check(stack: &mut Stack) -> Outcome {
    let mut orders = Orders::interrupt(0x1a);
    orders.registers.eax = 0x5650;
    orders.v86 = true;
    let back = thunk::call(&orders);
    came_back(0x5650, &back)?;
    let found = SegOff::new(back.registers.es, back.registers.ebx as u16).linear();
    ensure!(back.registers.eax as u16 == 0x564e, "AX={:x}", back.registers.eax as u16);
    ensure!(found == stack.pxenv, "ES:BX is {found:x}, PXENV+ at {:x}", stack.pxenv);
    ensure!(back.registers.eflags & 1 == 0, "CF is set");
    Ok(())
}

fn still_works(stack: &mut Stack) -> Outcome {
    still_reads(stack)
}
