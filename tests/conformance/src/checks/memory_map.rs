//! 15: what the BIOS says about memory while the stack is there.

use super::Check;
use crate::machine::arena::DATA;
use crate::machine::free_base_memory;
use crate::machine::memory::{self, read_array, read_u32};
use crate::machine::thunk::{self, Orders, SegOff};
use crate::pxe::Stack;
use crate::report::{Outcome, Trouble, ensure, fail};

/// The checks.
pub const CHECKS: &[Check] = &[
    Check::new("15.1", "INT 12h gives the BIOS data area's word, less than 640", int12),
    Check::new("15.2", "E820 answers 20-byte callers to the end with CF=0", for_20),
    Check::new("15.3", "E820 answers 24-byte callers with the same map", for_24),
    Check::new("15.4", "E820 keeps ES:DI, ESI, EBP and the bytes behind the entry", keeps),
    Check::new("15.5", "E820 has no empty range and no overlap", sane),
    Check::new("15.6", "E820 has no RAM between free base memory and A0000h", hidden),
    Check::new("15.7", "E820, E801h and 88h agree", agree),
];

/// Most ranges that are looked at (policy).
const MOST: usize = 40;
/// `SMAP`.
const SIGNATURE: u32 = 0x534d_4150;

/// A range of the map.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Range {
    /// First byte.
    pub start: u64,
    /// Bytes.
    pub len: u64,
    /// 1: RAM.
    pub kind: u32,
}

/// A whole map.
pub type Map = heapless::Vec<Range, MOST>;

fn e820(ebx: u32, size: u32) -> (Orders, thunk::Return) {
    let mut orders = Orders::interrupt(0x15);
    let to = SegOff::to(DATA + 8);
    orders.registers = thunk::Registers {
        eax: 0xe820,
        ebx,
        ecx: size,
        edx: SIGNATURE,
        esi: 0x1234_5678,
        edi: u32::from(to.offset),
        ebp: 0x8765_4321,
        es: to.segment,
        ..orders.registers
    };
    (orders, thunk::call(&orders))
}

/// Reads the map as a caller with a buffer of that size does.
pub fn read_map(size: u32) -> Result<Map, Trouble> {
    let mut map = Map::new();
    let mut ebx = 0;
    loop {
        memory::fill(DATA, 64, 0);
        let (_, back) = e820(ebx, size);
        let registers = back.registers;
        ensure!(registers.eflags & 1 == 0, "CF=1 behind {} ranges", map.len());
        ensure!(registers.eax == SIGNATURE, "EAX={:x}", registers.eax);
        ensure!((20..=size).contains(&registers.ecx), "ECX={} for a buffer of {size}", registers.ecx);
        let double = |at| u64::from_le_bytes(read_array(DATA + 8 + at));
        let range = Range { start: double(0), len: double(8), kind: read_u32(DATA + 8 + 16) };
        if map.push(range).is_err() {
            fail!("no end behind {MOST} ranges");
        }
        ebx = registers.ebx;
        if ebx == 0 {
            return Ok(map);
        }
    }
}

fn int12(_: &mut Stack) -> Outcome {
    let said = thunk::call(&Orders::interrupt(0x12)).registers.eax as u16;
    ensure!(said == free_base_memory() && said < 640, "INT 12h {said}, the word {}", free_base_memory());
    Ok(())
}

fn for_20(_: &mut Stack) -> Outcome {
    read_map(20).map(drop)
}

fn for_24(_: &mut Stack) -> Outcome {
    let (short, long) = (read_map(20)?, read_map(24)?);
    let differs = short.iter().zip(&long).position(|(short, long)| short != long);
    ensure!(short.len() == long.len() && differs.is_none(), "{} and {} ranges", short.len(), long.len());
    Ok(())
}

fn keeps(_: &mut Stack) -> Outcome {
    let mut ebx = 0;
    for _ in 0..MOST {
        memory::fill(DATA, 64, 0x3c);
        let (orders, back) = e820(ebx, 20);
        let kept = |which: &thunk::Registers| (which.es, which.edi, which.esi, which.ebp, which.ds);
        let (before, after) = (kept(&orders.registers), kept(&back.registers));
        ensure!(before == after, "{before:x?} became {after:x?}");
        ensure!(memory::find_other(DATA, 8, 0x3c).is_none(), "wrote before the entry");
        ensure!(memory::find_other(DATA + 28, 32, 0x3c).is_none(), "wrote behind 20 bytes");
        ensure!(back.registers.eflags & 0x200 != 0, "IF is clear on return");
        ebx = back.registers.ebx;
        if ebx == 0 {
            return Ok(());
        }
    }
    fail!("no end behind {MOST} ranges")
}

fn sane(_: &mut Stack) -> Outcome {
    let map = read_map(20)?;
    for (index, range) in map.iter().enumerate() {
        ensure!(range.len > 0, "range {index} at {:x} is empty", range.start);
        for other in &map[index + 1..] {
            let apart = range.start + range.len <= other.start || other.start + other.len <= range.start;
            ensure!(apart, "{:x}+{:x} and {:x}+{:x}", range.start, range.len, other.start, other.len);
        }
    }
    Ok(())
}

fn hidden(_: &mut Stack) -> Outcome {
    let free = u64::from(free_base_memory()) * 1024;
    for range in read_map(20)?.iter().filter(|range| range.kind == 1) {
        let outside = range.start + range.len <= free || range.start >= 0xa0000;
        ensure!(outside, "RAM {:x}+{:x}, free memory ends at {free:x}", range.start, range.len);
    }
    Ok(())
}

fn agree(_: &mut Stack) -> Outcome {
    let map = read_map(20)?;
    let above = map.iter().find(|range| range.kind == 1 && range.start == 0x10_0000);
    let Some(above) = above else { fail!("E820 has no RAM at 1 MiB") };
    let ask = |ax| {
        let mut orders = Orders::interrupt(0x15);
        orders.registers.eax = ax;
        thunk::call(&orders).registers
    };
    let e801 = ask(0xe801);
    ensure!(e801.eflags & 1 == 0, "E801h: CF=1");
    let (low, high) = (u64::from(e801.eax as u16) * 1024, u64::from(e801.ebx as u16) * 0x10000);
    ensure!(low <= 15 << 20 && low <= above.len, "E801h AX={:x}", e801.eax as u16);
    ensure!(high == 0 || high <= above.len - (15 << 20), "E801h BX={:x}, E820 {:x}", e801.ebx as u16, above.len);
    let ah88 = u64::from(ask(0x8800).eax as u16) * 1024;
    ensure!(ah88 <= above.len, "AH=88h {ah88:x}, E820 {:x}", above.len);
    Ok(())
}
