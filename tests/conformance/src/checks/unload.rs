//! 11, 12 and 13: letting the stack go, in the orders of known boot programs; and the program's end.

use conformance::files::RESTARTED;
use conformance::options::{Ending, Options};

use super::memory_map::read_map;
use super::undi::echoes;
use super::{Check, loader};
use crate::machine::arena;
use crate::machine::entry::hooks;
use crate::machine::memory::{self, read_u16};
use crate::machine::thunk::{self, Orders, SegOff};
use crate::machine::{BDA_FREE_BASE_MEMORY, free_base_memory, pause, set_vector, ticks, vector};
use crate::pxe::{Block, Stack, op};
use crate::report::{Count, Outcome, Text, ensure, skip};

/// The last of the checks: it ends the stack.
pub const CHECKS: &[Check] =
    &[Check::new("11.11", "SHUTDOWN, CLEANUP, STOP_UNDI, START_UNDI, OPEN - frames pass again", restart)];

/// Byte that the freed memory is filled with: INT3, should anybody still run there.
const FILL: u8 = 0xcc;
/// `PXENV_STATUS_KEEP_UNDI`.
const KEEP_UNDI: u16 = 4;
/// `PXENV_STATUS_UNDI_INVALID_STATE`.
const INVALID_STATE: u16 = 0x6a;

/// Judges what was seen in all calls, unloads, and ends the program where it does not return.
pub fn run(stack: &mut Stack, count: &mut Count, options: &Options) {
    if options.ending == Ending::Restart {
        // The program that is started has the last line; here only a failure comes back.
        let outcome = stack.tftp_restart(RESTARTED).ok("RESTART_TFTP");
        count.add("11.12", "RESTART_TFTP starts another program", &outcome);
        return;
    }
    judge_calls(stack, count);
    if options.ending == Ending::Return {
        count.finish("conformance");
        // A boot program that returns may have used all free memory; ours goes on in its own image only.
        memory::fill(arena::START, u32::from(free_base_memory()) * 1024 - arena::START, FILL);
        return;
    }
    let held = Held::by(stack);
    let (rom_id, pci_address) = (loader::rom_id(stack), stack.pci_address());
    count.add("14.1", "the UNDI ROM ID has a good checksum and is in the ROM's header", &loader::id_is_good(rom_id));
    count.add("11.1", "the memory that is held ends at the EBDA", &held.ends_at_ebda());
    count.add("11.2", "every call of the order succeeds", &unload(stack, options.ending, &held));
    count.add("11.3", "UNLOAD_STACK may be called again", &unload_again(stack));
    count.add("11.4", "the hooks work after UNLOAD_STACK", &hooks_work(stack));
    if options.ending != Ending::Grub {
        // By itself in one order, so that the others show a STOP_UNDI that was never refused.
        if options.ending == Ending::Specification {
            count.add(
                "12.1",
                "STOP_UNDI with INT 1Ah hooked above - status 04",
                &keeps_when_hooked(stack, &held, 0x1a),
            );
            count.add(
                "12.2",
                "STOP_UNDI with INT 15h hooked above - status 04",
                &keeps_when_hooked(stack, &held, 0x15),
            );
        }
        let stopped = stack.simple(op::STOP_UNDI);
        let (id, name) = match options.ending {
            Ending::Specification => ("12.3", "STOP_UNDI succeeds once nobody is hooked above any more"),
            _ => ("11.5", "STOP_UNDI succeeds when nobody hooked above"),
        };
        count.add(id, name, &stopped.ok("STOP_UNDI"));
        if stopped.is_ok() {
            count.add("11.6", "no interrupt vector leads into the freed memory", &held.is_unhooked());
            count.add("11.7", "INT 1Ah AX=5650h is no longer answered", &no_longer_answered());
            count.add("11.8", "calls after STOP_UNDI - status 6A", &calls_fail(stack));
            held.overwrite();
            count.add("11.9", "freed memory overwritten - memory map good", &map_is_good());
            let loads = loader::loads(stack, rom_id, pci_address);
            count.add("14.2", "the UNDI loader brings the stack back, and it lives and ends", &loads);
        }
    }
    count.add("11.10", "timer, keyboard and disk services go on", &machine_goes_on());
    count.finish("conformance");
    next_device();
}

/// Judges what was seen in all calls.
fn judge_calls(stack: &mut Stack, count: &mut Count) {
    let watch = core::mem::take(&mut stack.watch);
    for (id, name, found) in [
        ("03.14", "all calls - registers and segments kept", watch.registers),
        ("03.15", "all calls - flags kept", watch.flags),
        ("03.16", "all calls - GDTR, IDTR, CR0, EFER kept", watch.system),
        ("03.17", "all calls - AX=0 with status 0, else AX=1", watch.agreement),
        ("03.18", "all calls - nothing written around the block", watch.surroundings),
    ] {
        count.add(id, name, &nothing_seen(found));
    }
}

/// The end of a program whose stack is stopped, or lost: no call any more, and nowhere to return to.
pub fn leave(stack: &mut Stack, count: &mut Count) {
    judge_calls(stack, count);
    count.finish("conformance");
    next_device();
}

/// INT 18h; never returns.
fn next_device() {
    thunk::call(&Orders::interrupt(0x18));
}

fn nothing_seen(found: Option<Text>) -> Outcome {
    ensure!(found.is_none(), "{}", found.unwrap_or_default());
    Ok(())
}

/// Base memory that the stack holds.
struct Held {
    /// First byte.
    start: u32,
    /// First byte that must stay after UNLOAD_STACK.
    undi: u32,
    /// First byte past it.
    end: u32,
}

impl Held {
    fn by(stack: &Stack) -> Self {
        let range = |field: u32| {
            let start = u32::from(read_u16(stack.bang_pxe + field)) << 4;
            (start, start + u32::from(read_u16(stack.bang_pxe + field + 6)))
        };
        let (data, code) = (range(0x28), range(0x30));
        let start = u32::from(free_base_memory()) * 1024;
        Self { start, undi: data.0.min(code.0) & !0x3ff, end: data.1.max(code.1).next_multiple_of(1024) }
    }

    fn ends_at_ebda(&self) -> Outcome {
        let ebda = u32::from(read_u16(0x40e)) << 4;
        let expected = if ebda == 0 { 0xa0000 } else { ebda & !0x3ff };
        ensure!(self.end == expected, "held to {:x}, EBDA at {expected:x}", self.end);
        Ok(())
    }

    fn contains(&self, pointer: SegOff) -> bool {
        (self.start..self.end).contains(&pointer.linear())
    }

    fn is_unhooked(&self) -> Outcome {
        let hooked = (0..=0xff).find(|number| self.contains(vector(*number)));
        ensure!(hooked.is_none(), "INT {:x} leads there", hooked.unwrap_or(0));
        Ok(())
    }

    /// What a client does that takes the memory back.
    fn overwrite(&self) {
        memory::fill(self.start, self.end - self.start, FILL);
        memory::write_u16(BDA_FREE_BASE_MEMORY, (self.end / 1024) as u16);
    }

    /// What iPXE does between UNLOAD_STACK and STOP_UNDI: takes back what lies below UNDI's segments.
    fn overwrite_base_code(&self) {
        if self.start < self.undi {
            memory::fill(self.start, self.undi - self.start, 0);
            memory::write_u16(BDA_FREE_BASE_MEMORY, (self.undi / 1024) as u16);
        }
    }
}

fn call(stack: &mut Stack, function: u16) -> Outcome {
    let size = op::KNOWN.iter().find(|(known, _)| *known == function).map_or(2, |(_, size)| *size);
    let name = crate::report::text(format_args!("function {function:x}"));
    stack.call(function, &mut Block::new(size)).ok(&name)
}

fn unload(stack: &mut Stack, ending: Ending, held: &Held) -> Outcome {
    let order: &[u16] = match ending {
        Ending::Return | Ending::Restart => &[],
        Ending::Syslinux => &[op::UDP_CLOSE, op::UNDI_SHUTDOWN, op::UNLOAD_STACK],
        Ending::Ipxe => &[op::UNDI_SHUTDOWN, op::UNLOAD_STACK],
        Ending::Grub => &[op::UNDI_CLOSE, op::UNDI_SHUTDOWN, op::UNLOAD_STACK],
        Ending::Specification => &[
            op::TFTP_CLOSE,
            op::UDP_CLOSE,
            op::UNDI_CLOSE,
            op::UNDI_SHUTDOWN,
            op::UNDI_CLEANUP,
            op::STOP_BASE,
            op::UNLOAD_STACK,
        ],
    };
    order.iter().try_for_each(|function| call(stack, *function))?;
    if ending == Ending::Ipxe {
        held.overwrite_base_code();
        call(stack, op::UNDI_SHUTDOWN)?;
        call(stack, op::UNDI_CLEANUP)?;
    }
    Ok(())
}

fn unload_again(stack: &mut Stack) -> Outcome {
    call(stack, op::UNLOAD_STACK)?;
    call(stack, op::UNLOAD_STACK)
}

fn installation_check() -> thunk::Registers {
    let mut orders = Orders::interrupt(0x1a);
    orders.registers.eax = 0x5650;
    thunk::call(&orders).registers
}

fn hooks_work(stack: &mut Stack) -> Outcome {
    let found = installation_check();
    ensure!(found.eax as u16 == 0x564e, "INT 1Ah AX=5650h: AX={:x}", found.eax as u16);
    let at = SegOff::new(found.es, found.ebx as u16).linear();
    ensure!(super::structures::is_pxenv(at), "PXENV+ is not good");
    ensure!(super::structures::is_bang_pxe(stack.bang_pxe), "!PXE is not good");
    map_is_good()
}

fn map_is_good() -> Outcome {
    let free = u64::from(free_base_memory()) * 1024;
    for size in [20, 24] {
        for range in read_map(size)?.iter().filter(|range| range.kind == 1) {
            let outside = range.start + range.len <= free || range.start >= 0xa0000;
            ensure!(outside, "RAM {:x}+{:x}, free memory ends at {free:x}", range.start, range.len);
        }
    }
    Ok(())
}

fn keeps_when_hooked(stack: &mut Stack, held: &Held, number: u8) -> Outcome {
    let theirs = vector(number);
    if !held.contains(theirs) {
        skip!("the stack has no hook there");
    }
    let (hook, next) = hooks::of(number);
    memory::write_u32(next, theirs.to_u32());
    set_vector(number, SegOff::new(0, hook));
    let reply = stack.simple(op::STOP_UNDI);
    let ours_stayed = vector(number) == SegOff::new(0, hook);
    set_vector(number, theirs);
    ensure!(ours_stayed, "our vector was overwritten");
    reply.fails_with("STOP_UNDI", &[KEEP_UNDI])?;
    let found = installation_check();
    ensure!(number != 0x1a || found.eax as u16 == 0x564e, "INT 1Ah no longer answers");
    map_is_good()
}

fn no_longer_answered() -> Outcome {
    let found = installation_check();
    ensure!(found.eax as u16 != 0x564e, "AX=564Eh");
    Ok(())
}

fn calls_fail(stack: &mut Stack) -> Outcome {
    for function in [op::UNDI_OPEN, op::UDP_OPEN, op::UNDI_TRANSMIT] {
        let size = op::KNOWN.iter().find(|(known, _)| *known == function).map_or(2, |(_, size)| *size);
        let reply = stack.call(function, &mut Block::new(size));
        ensure!(reply.ax == 1 && reply.status != 0, "{function:x}: AX={:x} status={:x}", reply.ax, reply.status);
        ensure!(reply.status == INVALID_STATE, "{function:x}: status={:x}", reply.status);
    }
    Ok(())
}

fn machine_goes_on() -> Outcome {
    let start = ticks();
    // Policy: so many windows for interrupts take far longer than a tick on any machine.
    let passes = (0..10_000_000u32).any(|_| {
        thunk::let_interrupts_in();
        ticks() != start
    });
    ensure!(passes, "the timer stands still");
    pause(3);
    let mut keyboard = Orders::interrupt(0x16);
    keyboard.registers.eax = 0x0200;
    let shift = thunk::call(&keyboard).registers.eax as u8;
    ensure!(shift == memory::read_u8(0x417), "INT 16h AH=02h: {shift:x}");
    let mut disk = Orders::interrupt(0x13);
    disk.registers.eax = 0x0100;
    disk.registers.edx = 0x80;
    thunk::call(&disk);
    Ok(())
}

/// Whether the stack can be stopped and started again in one go, as iPXE does with a stack that it takes over.
fn restart(stack: &mut Stack) -> Outcome {
    let pci_address = stack.pci_address();
    for function in [op::UNDI_SHUTDOWN, op::UNDI_CLEANUP, op::STOP_UNDI] {
        call(stack, function)?;
    }
    stack.start_undi(pci_address).ok("START_UNDI")?;
    call(stack, op::UNDI_STARTUP)?;
    call(stack, op::UNDI_INITIALIZE)?;
    stack.open(3).ok("OPEN")?;
    let answered = installation_check();
    ensure!(answered.eax as u16 == 0x564e, "INT 1Ah no longer answers");
    // UNDI alone was started: the base code may have lost its address.
    echoes(stack)?;
    stack.simple(op::UNDI_CLOSE).ok("CLOSE")
}
