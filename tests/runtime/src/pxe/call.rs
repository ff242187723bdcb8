//! Calls to the stack. Whatever the check is about, every call is watched: registers, flags, descriptor tables, control
//! registers, the agreement of AX and status, and the bytes around the parameter block.

use super::Block;
use super::network::Network;
use crate::machine::arena::{BLOCK, BLOCK_REGION};
use crate::machine::entry::{self, EntryState};
use crate::machine::memory::{self, read_u16, read_u32};
use crate::machine::thunk::{self, INTERRUPTS_ON, Orders, Registers, Return, SegOff};
use crate::report::{Outcome, Text, fail, text};

/// EFLAGS bits that a call must keep: TF, IF, DF, IOPL, NT, AC.
const KEPT_FLAGS: u32 = 1 << 8 | 1 << 9 | 1 << 10 | 3 << 12 | 1 << 14 | 1 << 18;
/// Where ordinary blocks lie; neither aligned nor at the start of a segment.
const BLOCK_AT: SegOff = SegOff::new((BLOCK >> 4) as u16, (BLOCK_REGION / 2 + 3) as u16);
/// What surrounds them.
const PATTERN: u8 = 0xa5;

/// How the stack is entered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entry {
    /// !PXE EntryPointSP: everything on the stack.
    Stack,
    /// PXENV+ RMEntry: opcode in BX, block at ES:DI.
    Register,
    /// Offset 0 of the UNDI code segment, registers as for RMEntry.
    CodeStart,
}

/// The circumstances of a call.
#[derive(Clone, Copy, Debug)]
pub struct CallOptions {
    /// Entry.
    pub entry: Entry,
    /// EFLAGS.
    pub eflags: u32,
    /// SS:SP before the arguments are pushed.
    pub stack: Option<SegOff>,
    /// Where the block lies.
    pub block_at: SegOff,
    /// Pass function and block in the other entry's way too, but wrong.
    pub decoy: bool,
    /// Segment limits of 4 GiB.
    pub big: bool,
    /// See which limits are 64 KiB on return.
    pub probe: bool,
    /// From V86 mode.
    pub v86: bool,
}

impl Default for CallOptions {
    fn default() -> Self {
        Self {
            entry: Entry::Stack,
            eflags: INTERRUPTS_ON,
            stack: None,
            block_at: BLOCK_AT,
            decoy: false,
            big: false,
            probe: false,
            v86: false,
        }
    }
}

/// What a call returned besides its block.
#[derive(Clone, Copy, Debug)]
pub struct Reply {
    /// AX.
    pub ax: u16,
    /// Status word.
    pub status: u16,
    /// All else.
    pub back: Return,
}

impl Reply {
    /// Success by both signs.
    pub fn is_ok(&self) -> bool {
        self.ax == 0 && self.status == 0
    }

    /// Ends the check unless the call succeeded.
    pub fn ok(&self, what: &str) -> Outcome {
        if self.is_ok() {
            return Ok(());
        }
        fail!("{what}: AX={:x} status={:02x}", self.ax, self.status)
    }

    /// Ends the check unless the call failed with one of these status codes.
    pub fn fails_with(&self, what: &str, codes: &[u16]) -> Outcome {
        if self.ax == 1 && codes.contains(&self.status) {
            return Ok(());
        }
        fail!("{what}: AX={:x} status={:02x}", self.ax, self.status)
    }
}

/// The first thing that went wrong in any call.
#[derive(Debug, Default)]
pub struct Watch {
    /// Registers or segment registers.
    pub registers: Option<Text>,
    /// Flags.
    pub flags: Option<Text>,
    /// GDTR, IDTR, CR0, CR4, EFER.
    pub system: Option<Text>,
    /// AX against status.
    pub agreement: Option<Text>,
    /// Bytes around the block.
    pub surroundings: Option<Text>,
}

/// The stack under test.
pub struct Stack {
    /// The boot program's entry.
    pub entry: EntryState,
    /// Linear address of PXENV+.
    pub pxenv: u32,
    /// Linear address of !PXE.
    pub bang_pxe: u32,
    /// The entry points, as the structures named them before the stack was stopped: SP, RM, code segment's offset 0.
    entries: [SegOff; 3],
    /// What a call costs in trust.
    pub watch: Watch,
    /// Addresses, from the cached packets.
    pub network: Network,
    /// Calls made.
    pub calls: u32,
    /// The function of the last one.
    pub function: u16,
}

impl Stack {
    /// The stack that started us.
    pub fn new() -> Self {
        let entry = entry::state();
        let pxenv = SegOff::new(entry.es, entry.ebx as u16).linear();
        let bang_pxe = entry.bang_pxe.linear();
        let (watch, network) = (Watch::default(), Network::default());
        let mut stack =
            Self { entry, pxenv, bang_pxe, entries: Default::default(), watch, network, calls: 0, function: 0 };
        stack.found_at(pxenv, bang_pxe);
        stack
    }

    /// The structures are (now) here: takes the entry points from them.
    pub fn found_at(&mut self, pxenv: u32, bang_pxe: u32) {
        (self.pxenv, self.bang_pxe) = (pxenv, bang_pxe);
        self.entries = [
            SegOff::from_u32(read_u32(bang_pxe + 0x10)),
            SegOff::from_u32(read_u32(pxenv + 0x0a)),
            SegOff::new(read_u16(pxenv + 0x24), 0),
        ];
    }

    /// The entry point that a way of calling uses.
    pub fn entry_point(&self, entry: Entry) -> SegOff {
        self.entries[match entry {
            Entry::Stack => 0,
            Entry::Register => 1,
            Entry::CodeStart => 2,
        }]
    }

    /// An ordinary call.
    pub fn call(&mut self, function: u16, block: &mut Block) -> Reply {
        self.call_with(function, block, &CallOptions::default())
    }

    /// An ordinary call of a function that has the status only.
    pub fn simple(&mut self, function: u16) -> Reply {
        self.call(function, &mut Block::new(2))
    }

    /// A call under special circumstances.
    pub fn call_with(&mut self, function: u16, block: &mut Block, options: &CallOptions) -> Reply {
        let ordinary = options.block_at == BLOCK_AT;
        if ordinary {
            memory::fill(BLOCK, BLOCK_REGION, PATTERN);
        }
        let at = options.block_at.linear();
        block.store(at);
        let orders = self.orders(function, options);
        self.function = function;
        let back = thunk::call(&orders);
        block.load(at);
        let reply = Reply { ax: back.registers.eax as u16, status: block.status(), back };
        self.calls += 1;
        if back.trap != 0 {
            return reply; // what ended it is for the check to say
        }
        self.judge(function, &orders, &reply);
        if ordinary {
            self.judge_surroundings(function, at, block.bytes().len() as u32);
        }
        reply
    }

    /// A call with any pointer as the block, which may be none; nothing is written or read there.
    pub fn call_raw(&mut self, function: u16, block_at: SegOff, entry: Entry, eflags: u32) -> u16 {
        (self.calls, self.function) = (self.calls + 1, function);
        let orders = self.orders(function, &CallOptions { entry, block_at, eflags, ..CallOptions::default() });
        thunk::call(&orders).registers.eax as u16
    }

    /// What a call is made with.
    pub fn orders(&self, function: u16, options: &CallOptions) -> Orders {
        let mut orders = Orders::far_call(self.entry_point(options.entry));
        let marks = Registers {
            eax: 0xaaaa_a1a1,
            ebx: 0xbbbb_b2b2,
            ecx: 0xcccc_c3c3,
            edx: 0xdddd_d4d4,
            esi: 0x5555_5656,
            edi: 0x6666_6767,
            ebp: 0x7777_7878,
            eflags: options.eflags,
            ds: 0x4d4d,
            es: 0x4e4e,
            fs: 0x4f4f,
            gs: 0x4a4a,
            ..orders.registers
        };
        orders.registers = marks;
        if let Some(stack) = options.stack {
            orders.registers.ss = stack.segment;
            orders.registers.esp = u32::from(stack.offset);
        }
        let at = options.block_at;
        let on_stack = options.entry == Entry::Stack;
        if on_stack {
            orders.arguments = 3;
            orders.argument = [function, at.offset, at.segment, 0];
        } else {
            orders.registers.ebx = 0xbbbb_0000 | u32::from(function);
            orders.registers.edi = 0x6666_0000 | u32::from(at.offset);
            orders.registers.es = at.segment;
        }
        if options.decoy && !on_stack {
            // An entry that looked at the stack would take this for TFTP_CLOSE with a block in the middle of nowhere.
            orders.arguments = 3;
            orders.argument = [super::op::TFTP_CLOSE, 0x10, 0x4780, 0];
        }
        orders.big = options.big;
        orders.probe = options.probe;
        orders.v86 = options.v86;
        orders
    }

    fn judge(&mut self, function: u16, orders: &Orders, reply: &Reply) {
        let (before, after) = (&orders.registers, &reply.back.registers);
        let kept = |which: &Registers| {
            let Registers { ebx, ecx, edx, esi, edi, ebp, .. } = *which;
            ([which.eax >> 16, ebx, ecx, edx, esi, edi, ebp], [which.ds, which.es, which.fs, which.gs, which.ss])
        };
        let esp = before.esp - 2 * u32::from(orders.arguments);
        if kept(before) != kept(after) || after.esp != esp {
            note(&mut self.watch.registers, || {
                text(format_args!(
                    "function {function:x}: {:x?} became {:x?}, ESP {:x}",
                    kept(before),
                    kept(after),
                    after.esp
                ))
            });
        }
        let changed = (before.eflags ^ after.eflags) & KEPT_FLAGS;
        if changed != 0 {
            note(&mut self.watch.flags, || text(format_args!("function {function:x} changed EFLAGS bits {changed:x}")));
        }
        let (gdtr, idtr) = thunk::tables();
        let back = &reply.back;
        if (back.gdtr, back.idtr) != (gdtr, idtr) || back.cr0 != self.entry.cr0 || back.efer & 0x500 != 0 {
            note(&mut self.watch.system, || {
                text(format_args!(
                    "function {function:x}: GDTR {:x?} IDTR {:x?} CR0 {:x}",
                    back.gdtr, back.idtr, back.cr0
                ))
            });
        }
        if reply.ax > 1 || (reply.ax == 0) != (reply.status == 0) {
            note(&mut self.watch.agreement, || {
                text(format_args!("function {function:x}: AX={:x} status={:x}", reply.ax, reply.status))
            });
        }
    }

    fn judge_surroundings(&mut self, function: u16, at: u32, len: u32) {
        let after = at + len;
        let changed = memory::find_other(BLOCK, at - BLOCK, PATTERN)
            .or_else(|| memory::find_other(after, BLOCK + BLOCK_REGION - after, PATTERN));
        if let Some(address) = changed {
            note(&mut self.watch.surroundings, || {
                let distance = i64::from(address) - i64::from(at);
                text(format_args!("function {function:x} wrote at offset {distance} of a block of {len} bytes"))
            });
        }
    }
}

fn note(slot: &mut Option<Text>, what: impl FnOnce() -> Text) {
    if slot.is_none() {
        *slot = Some(what());
    }
}
