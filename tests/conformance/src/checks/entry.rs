//! 03: the ways into the stack, and what a call must leave as it was.

use super::Check;
use crate::machine::arena::{DATA, TEST_STACK};
use crate::machine::cpu::{self, FpuState};
use crate::machine::memory::{self, read_u8};
use crate::machine::thunk::{INTERRUPTS_OFF, INTERRUPTS_ON, SegOff};
use crate::pxe::{Block, CallOptions, Entry, Stack, op};
use crate::report::{Outcome, ensure, skip};

/// The checks.
pub const CHECKS: &[Check] = &[
    Check::new("03.1", "the stack entry ignores BX and ES:DI", stack_entry),
    Check::new("03.2", "the register entry ignores the stack", register_entry),
    Check::new("03.3", "offset 0 of the UNDI code segment is an entry", code_start),
    Check::new("03.4", "interrupts stay off when they were", interrupts_off),
    Check::new("03.5", "DF, AC and NT may be set, and stay", odd_flags),
    Check::new("03.6", "a stack that ends at 0000:03D2 is enough", tiny_stack),
    Check::new("03.7", "a call needs at most 128 bytes of stack", stack_use),
    Check::new("03.8", "a block on the caller's stack works", block_on_stack),
    Check::new("03.9", "a block at the end of a segment works", block_at_end),
    Check::new("03.10", "A20 is left as it was", a20),
    Check::new("03.11", "limits of 64 KiB stay", limits_stay),
    Check::new("03.12", "limits of 4 GiB (big real mode) stay", big_limits_stay),
    Check::new("03.13", "FPU and SSE registers stay", fpu),
];

/// GET_INFORMATION tells our address whatever the state is: a call whose answer can be judged.
fn information(stack: &mut Stack, what: &str, options: &CallOptions) -> Outcome {
    let mut block = Block::new(50);
    stack.call_with(op::UNDI_GET_INFORMATION, &mut block, options).ok(what)?;
    ensure!(block.bytes()[0x0c..0x12] == stack.network.mac, "{what}: address {:x?}", &block.bytes()[0x0c..0x12]);
    Ok(())
}

fn stack_entry(stack: &mut Stack) -> Outcome {
    information(stack, "call", &CallOptions::default())
}

fn register_entry(stack: &mut Stack) -> Outcome {
    information(stack, "call", &CallOptions { entry: Entry::Register, decoy: true, ..CallOptions::default() })
}

fn code_start(stack: &mut Stack) -> Outcome {
    let at = stack.entry_point(Entry::CodeStart);
    // JMP short, JMP near, or the first instruction of the entry itself.
    let jump = matches!(read_u8(at.linear()), 0xeb | 0xe9) || at == stack.entry_point(Entry::Register);
    ensure!(jump, "no jump at {:x}:0, but {:x}", at.segment, read_u8(at.linear()));
    information(stack, "call", &CallOptions { entry: Entry::CodeStart, ..CallOptions::default() })
}

fn interrupts_off(stack: &mut Stack) -> Outcome {
    for entry in [Entry::Stack, Entry::Register] {
        let options = CallOptions { entry, eflags: INTERRUPTS_OFF, ..CallOptions::default() };
        let mut block = Block::new(50);
        let reply = stack.call_with(op::UNDI_GET_INFORMATION, &mut block, &options);
        reply.ok("call")?;
        ensure!(reply.back.registers.eflags & 0x200 == 0, "IF is set on return");
    }
    Ok(())
}

fn odd_flags(stack: &mut Stack) -> Outcome {
    for (flag, name) in [(1 << 10, "DF"), (1 << 18, "AC"), (1 << 14, "NT")] {
        for entry in [Entry::Stack, Entry::Register] {
            let options = CallOptions { entry, eflags: INTERRUPTS_OFF | flag, ..CallOptions::default() };
            let mut block = Block::new(50);
            let reply = stack.call_with(op::UNDI_GET_INFORMATION, &mut block, &options);
            reply.ok(name)?;
            ensure!(block.bytes()[0x0c..0x12] == stack.network.mac, "{name}: wrong answer");
            ensure!(reply.back.registers.eflags & flag != 0, "{name} is clear on return");
        }
    }
    Ok(())
}

fn tiny_stack(stack: &mut Stack) -> Outcome {
    // 498 bytes below it, interrupt vectors are in use: those up to 77h.
    const LIVE: u32 = 0x1e0;
    memory::copy_within(0, DATA, 0x400);
    let options = CallOptions { stack: Some(SegOff::new(0, 0x3d2)), eflags: INTERRUPTS_OFF, ..CallOptions::default() };
    let outcome = information(stack, "call", &options);
    let lowest = (0..0x400).find(|at| read_u8(*at) != read_u8(DATA + at));
    memory::copy_within(DATA, 0, 0x400);
    outcome?;
    ensure!(
        lowest.is_none_or(|at| at >= LIVE),
        "the interrupt table was overwritten from {:x} on",
        lowest.unwrap_or(0)
    );
    Ok(())
}

fn stack_use(stack: &mut Stack) -> Outcome {
    // Policy: the tightest caller that is known has 498 bytes.
    const MOST: u32 = 128;
    const SIZE: u32 = 0x1000;
    memory::fill(TEST_STACK, SIZE, 0xa5);
    let options = CallOptions {
        stack: Some(SegOff::new((TEST_STACK >> 4) as u16, SIZE as u16)),
        eflags: INTERRUPTS_OFF,
        ..CallOptions::default()
    };
    information(stack, "call", &options)?;
    let lowest = memory::find_other(TEST_STACK, SIZE, 0xa5).unwrap_or(TEST_STACK + SIZE);
    // Arguments, return address, and the flags of this program's own thunk take 14 bytes.
    let used = TEST_STACK + SIZE - lowest;
    ensure!(used <= MOST + 14, "it used {} bytes", used - 14);
    Ok(())
}

fn block_on_stack(stack: &mut Stack) -> Outcome {
    let options = CallOptions {
        stack: Some(SegOff::new((TEST_STACK >> 4) as u16, 0x800)),
        block_at: SegOff::new((TEST_STACK >> 4) as u16, 0x801),
        ..CallOptions::default()
    };
    information(stack, "call", &options)
}

fn block_at_end(stack: &mut Stack) -> Outcome {
    let last = SegOff::new((DATA >> 4) as u16, 0u16.wrapping_sub(50));
    information(stack, "call", &CallOptions { block_at: last, ..CallOptions::default() })
}

/// Whether address line 20 works: whether 1 MiB and 0 are different memory.
fn a20_is_on() -> bool {
    let (low, high) = (0x500, 0x10_0500);
    let old = read_u8(low);
    if read_u8(high) != old {
        return true;
    }
    memory::write(low, &[!old]);
    let differs = read_u8(high) == old;
    memory::write(low, &[old]);
    differs
}

/// Fast A20 (port 92h bit 1); bit 0 would reset the machine.
fn set_a20(on: bool) {
    let value = cpu::in_u8(0x92) & !3;
    cpu::out_u8(0x92, value | if on { 2 } else { 0 });
}

fn a20(stack: &mut Stack) -> Outcome {
    let found = a20_is_on();
    set_a20(false);
    if a20_is_on() {
        skip!("port 92h does not switch A20");
    }
    let outcome = information(stack, "A20 off", &CallOptions { eflags: INTERRUPTS_OFF, ..CallOptions::default() });
    let stayed_off = !a20_is_on();
    set_a20(true);
    let with_a20 = information(stack, "A20 on", &CallOptions::default());
    let stayed_on = a20_is_on();
    set_a20(found);
    outcome?;
    with_a20?;
    ensure!(stayed_off, "A20 was off and is on after a call");
    ensure!(stayed_on, "A20 was on and is off after a call");
    Ok(())
}

/// Bits of the segment registers whose limit is 64 KiB after a call.
fn limited(stack: &mut Stack, big: bool) -> u8 {
    let options = CallOptions { big, probe: true, eflags: INTERRUPTS_OFF, ..CallOptions::default() };
    stack.call_with(op::UNDI_GET_INFORMATION, &mut Block::new(50), &options).back.limited
}

/// Whether this CPU enforces segment limits at all; QEMU's emulation doesn't.
fn limits_are_enforced() -> bool {
    let mut orders = crate::machine::thunk::Orders::far_call(nothing());
    orders.probe = true;
    crate::machine::thunk::call(&orders).limited == 0xf
}

/// A RETF in memory.
fn nothing() -> SegOff {
    memory::write(crate::machine::arena::STRUCTURES, &[0xcb]);
    SegOff::to(crate::machine::arena::STRUCTURES)
}

fn limits_stay(stack: &mut Stack) -> Outcome {
    if !limits_are_enforced() {
        skip!("this CPU does not enforce segment limits");
    }
    let limited = limited(stack, false);
    ensure!(limited == 0xf, "limits of DS, ES, FS, GS at 64 KiB: {limited:04b}");
    Ok(())
}

fn big_limits_stay(stack: &mut Stack) -> Outcome {
    if !limits_are_enforced() {
        skip!("this CPU does not enforce segment limits");
    }
    let limited = limited(stack, true);
    ensure!(limited == 0, "limits of DS, ES, FS, GS at 64 KiB: {limited:04b}");
    Ok(())
}

fn fpu(stack: &mut Stack) -> Outcome {
    let found = FpuState::save();
    let mut marked = FpuState::save();
    // ST0-ST7 from 20h, XMM0-XMM7 from A0h; XMM8-XMM15 don't exist in real mode.
    for (at, byte) in marked.0.iter_mut().enumerate().skip(0x20).take(0x100) {
        if at >= 0xa0 || at % 16 < 8 {
            *byte = at as u8 ^ 0x5a;
        }
    }
    marked.load();
    let before = FpuState::save();
    let outcome = information(stack, "call", &CallOptions { eflags: INTERRUPTS_ON, ..CallOptions::default() });
    let after = FpuState::save();
    found.load();
    outcome?;
    let changed = (0x20..0x120).find(|at| before.0[*at] != after.0[*at]);
    ensure!(changed.is_none(), "the FXSAVE image changed from {:x} on", changed.unwrap_or(0));
    Ok(())
}
