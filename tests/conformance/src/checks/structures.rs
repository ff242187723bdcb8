//! 01 and 02: PXENV+, !PXE, the state at the entry, and INT 1Ah.

use super::Check;
use crate::machine::memory::{byte_sum, read_array, read_u8, read_u16, read_u32};
use crate::machine::thunk::{self, Orders, SegOff};
use crate::machine::{free_base_memory, ticks};
use crate::pxe::Stack;
use crate::report::{Outcome, ensure};

/// The checks.
pub const CHECKS: &[Check] = &[
    Check::new("01.1", "PXENV+ is 2Ch bytes, version 2.1, with a good checksum", pxenv),
    Check::new("01.2", "!PXE is 58h bytes with a good checksum", bang_pxe),
    Check::new("01.3", "PXENV+ points to the same !PXE as the stack", same_bang_pxe),
    Check::new("01.4", "both structures are aligned to 32 bytes", aligned),
    Check::new("01.5", "both lie at or above the free base memory", above_free_memory),
    Check::new("01.6", "there is one pair only below A0000h", one_pair),
    Check::new("01.7", "UNDI segments cover all that is held, to its end", segments),
    Check::new("01.8", "entry points exist, no callout is set", entry_points),
    Check::new("01.9", "entry registers - AX=0, EDX is PXENV+'s address", entry_registers),
    Check::new("01.10", "entry flags - IF=1, DF, TF, NT, AC clear; real mode", entry_flags),
    Check::new("01.11", "entry stack - 1.5 KB free, return into the stack's memory", entry_stack),
    Check::new("02.1", "INT 1Ah AX=5650h answers 564Eh, ES:BX, EDX, CF=0", int1a),
    Check::new("02.2", "INT 1Ah keeps other registers and flags", int1a_keeps),
    Check::new("02.3", "INT 1Ah passes other functions on", int1a_chains),
];

/// `PXENV+` with a good checksum at an address.
pub fn is_pxenv(at: u32) -> bool {
    read_u8(at) == b'P' && read_array(at) == *b"PXENV+" && byte_sum(at, u32::from(read_u8(at + 8))) == 0
}

/// `!PXE` with a good checksum at an address.
pub fn is_bang_pxe(at: u32) -> bool {
    read_u8(at) == b'!' && read_array(at) == *b"!PXE" && byte_sum(at, u32::from(read_u8(at + 4))) == 0
}

fn pxenv(stack: &mut Stack) -> Outcome {
    let at = stack.pxenv;
    ensure!(read_array(at) == *b"PXENV+", "no signature at {at:x}");
    ensure!(read_u8(at + 8) == 0x2c, "length {:x}", read_u8(at + 8));
    ensure!(read_u16(at + 6) == 0x201, "version {:x}", read_u16(at + 6));
    ensure!(is_pxenv(at), "the bytes add up to {:x}", byte_sum(at, 0x2c));
    Ok(())
}

fn bang_pxe(stack: &mut Stack) -> Outcome {
    let at = stack.bang_pxe;
    ensure!(read_array(at) == *b"!PXE", "no signature at {at:x}");
    ensure!(read_u8(at + 4) == 0x58, "length {:x}", read_u8(at + 4));
    ensure!(read_u8(at + 6) == 0, "revision {:x}", read_u8(at + 6));
    ensure!(is_bang_pxe(at), "the bytes add up to {:x}", byte_sum(at, 0x58));
    Ok(())
}

fn same_bang_pxe(stack: &mut Stack) -> Outcome {
    let pointer = SegOff::from_u32(read_u32(stack.pxenv + 0x28));
    ensure!(pointer.linear() == stack.bang_pxe, "PXEPtr {:x}, on the stack {:x}", pointer.linear(), stack.bang_pxe);
    Ok(())
}

fn aligned(stack: &mut Stack) -> Outcome {
    let (pxenv, bang_pxe) = (stack.pxenv, stack.bang_pxe);
    ensure!(pxenv % 32 == 0 && bang_pxe % 32 == 0, "PXENV+ at {pxenv:x}, !PXE at {bang_pxe:x}");
    Ok(())
}

fn above_free_memory(stack: &mut Stack) -> Outcome {
    let free = u32::from(free_base_memory()) * 1024;
    for at in [stack.pxenv, stack.bang_pxe] {
        ensure!((free..0xa0000).contains(&at), "a structure at {at:x}, free memory ends at {free:x}");
    }
    Ok(())
}

fn one_pair(stack: &mut Stack) -> Outcome {
    for at in (0x10000..0xa0000 - 0x60).step_by(2) {
        // This program's own image has the signatures in its code.
        ensure!(at == stack.pxenv || !is_pxenv(at), "another PXENV+ at {at:x}");
        ensure!(at == stack.bang_pxe || !is_bang_pxe(at), "another !PXE at {at:x}");
    }
    Ok(())
}

fn segments(stack: &mut Stack) -> Outcome {
    let free = u32::from(free_base_memory()) * 1024;
    let at = stack.bang_pxe;
    ensure!(read_u8(at + 0x1d) >= 4, "{} descriptors", read_u8(at + 0x1d));
    let range = |field: u32| {
        let start = u32::from(read_u16(at + field)) << 4;
        (start, start + u32::from(read_u16(at + field + 6)))
    };
    let (data, code) = (range(0x28), range(0x30));
    ensure!(data.1 > data.0 && code.1 > code.0, "data {data:x?} code {code:x?}");
    ensure!(data.0.min(code.0) >= free, "data {data:x?} code {code:x?}, free memory ends at {free:x}");
    let end = data.1.max(code.1);
    for field in [stack.pxenv, stack.bang_pxe, stack.entry_point(crate::pxe::Entry::Stack).linear()] {
        ensure!((free..end).contains(&field), "something at {field:x} is outside of {free:x}-{end:x}");
    }
    let from_pxenv = [0x20, 0x24].map(|field| u32::from(read_u16(stack.pxenv + field)) << 4);
    ensure!(from_pxenv == [data.0, code.0], "PXENV+ says data, code {from_pxenv:x?}, !PXE {:x}, {:x}", data.0, code.0);
    Ok(())
}

fn entry_points(stack: &mut Stack) -> Outcome {
    ensure!(read_u16(stack.bang_pxe + 0x12) != 0, "EntryPointSP has no segment");
    ensure!(read_u16(stack.pxenv + 0x0c) != 0, "RMEntry has no segment");
    let callout = read_u32(stack.bang_pxe + 0x18);
    ensure!(callout == 0xffff_ffff, "StatusCallout is {callout:x}");
    Ok(())
}

fn entry_registers(stack: &mut Stack) -> Outcome {
    let entry = &stack.entry;
    ensure!(entry.eax as u16 == 0, "AX={:x}", entry.eax as u16);
    ensure!(entry.edx == stack.pxenv, "EDX={:x}, PXENV+ is at {:x}", entry.edx, stack.pxenv);
    Ok(())
}

fn entry_flags(stack: &mut Stack) -> Outcome {
    // IF set; TF, DF, NT, AC clear.
    let flags = stack.entry.eflags & 0x4_4700;
    ensure!(flags == 0x200, "EFLAGS={:x}", stack.entry.eflags);
    ensure!(stack.entry.cr0 & 0x8000_0001 == 0, "CR0={:x}", stack.entry.cr0);
    Ok(())
}

fn entry_stack(stack: &mut Stack) -> Outcome {
    let entry = &stack.entry;
    let free = u32::from(free_base_memory()) * 1024;
    ensure!(entry.esp >= 1536 && entry.esp < 0x10000, "ESP={:x}", entry.esp);
    let back = entry.return_address.linear();
    ensure!((free..0xa0000).contains(&back), "RETF would go to {back:x}");
    Ok(())
}

fn ask_1a(ax: u16) -> (Orders, thunk::Return) {
    let mut orders = Orders::interrupt(0x1a);
    orders.registers.eax = 0xaaaa_0000 | u32::from(ax);
    orders.registers.ebx = 0x1122_3344;
    orders.registers.ecx = 0x5566_7788;
    orders.registers.edx = 0x99aa_bbcc;
    orders.registers.esi = 0x0102_0304;
    orders.registers.edi = 0x0506_0708;
    orders.registers.ebp = 0x090a_0b0c;
    orders.registers.ds = 0x1111;
    orders.registers.fs = 0x2222;
    orders.registers.gs = 0x3333;
    // CF set: the answer must clear it.
    orders.registers.eflags |= 1;
    (orders, thunk::call(&orders))
}

fn int1a(stack: &mut Stack) -> Outcome {
    let (_, back) = ask_1a(0x5650);
    let found = SegOff::new(back.registers.es, back.registers.ebx as u16).linear();
    ensure!(back.registers.eax as u16 == 0x564e, "AX={:x}", back.registers.eax as u16);
    ensure!(back.registers.eflags & 1 == 0, "CF is set");
    ensure!(found == stack.pxenv, "ES:BX is {found:x}, PXENV+ at {:x}", stack.pxenv);
    ensure!(back.registers.edx == stack.pxenv, "EDX={:x}", back.registers.edx);
    Ok(())
}

fn int1a_keeps(_: &mut Stack) -> Outcome {
    let (orders, back) = ask_1a(0x5650);
    let (before, after) = (orders.registers, back.registers);
    let kept = |which: thunk::Registers| (which.ecx, which.esi, which.edi, which.ebp, which.ds, which.fs, which.gs);
    ensure!(kept(before) == kept(after), "{:x?} became {:x?}", kept(before), kept(after));
    ensure!(after.eflags & 0x700 == before.eflags & 0x700, "EFLAGS {:x} became {:x}", before.eflags, after.eflags);
    ensure!(after.esp == before.esp, "SP moved by {}", after.esp.wrapping_sub(before.esp) as i32);
    Ok(())
}

fn int1a_chains(_: &mut Stack) -> Outcome {
    let (_, back) = ask_1a(0);
    let told = back.registers.ecx << 16 | back.registers.edx & 0xffff;
    let ticks = ticks();
    ensure!(ticks.wrapping_sub(told) < 3, "AH=00h said {told:x}, the BIOS data area {ticks:x}");
    let (_, back) = ask_1a(0x564f);
    ensure!(back.registers.eax as u16 != 0x564e, "AX=564Fh was answered");
    Ok(())
}
