//! 20: random calls. Seeded, so that a run can be repeated.

use conformance::files::{MISSING, ODD};
use conformance::options::Options;

use super::tftp::still_reads;
use crate::machine::arena::{DATA, END, EXTENDED, GUARD, GUARD_LEN, STRUCTURES};
use crate::machine::entry::image;
use crate::machine::thunk::{INTERRUPTS_OFF, SegOff};
use crate::machine::{free_base_memory, memory, thunk, ticks};
use crate::pxe::{Block, CallOptions, Stack, op};
use crate::report::{Count, Outcome, ensure, fail, line, text};

/// How often memory is compared, in calls (policy).
const LOOK_EVERY: u32 = 64;
/// Calls that may take more than a second before calls that can are left out (policy): nobody answers them any more.
const SLOW_CALLS: u32 = 8;
/// Timer ticks, roughly.
const TICKS_PER_SECOND: u32 = 18;

/// A generator of random numbers (Marsaglia, Xorshift RNGs, 2003).
struct Random(u32);

impl Random {
    fn next(&mut self) -> u32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 17;
        self.0 ^= self.0 << 5;
        self.0
    }

    fn below(&mut self, limit: u32) -> u32 {
        self.next() % limit
    }

    fn one_in(&mut self, n: u32) -> bool {
        self.below(n) == 0
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len() as u32) as usize]
    }
}

/// Makes the calls, and counts three checks.
pub fn run(stack: &mut Stack, count: &mut Count, options: &Options) {
    let mut fuzz = Fuzz { random: Random(options.fuzz_seed.max(1)), slow: 0, vectors: memory::read_array(0) };
    memory::fill(GUARD, GUARD_LEN, 0x3c);
    count.add("20.1", "random calls return, and leave other memory alone", &fuzz.calls(stack, options.fuzz_calls));
    count.add("20.2", "all opcodes in a row, twice, with an empty block", &fuzz.sweep(stack));
    count.add("20.3", "a file is read afterwards", &recovered(stack));
}

struct Fuzz {
    random: Random,
    slow: u32,
    vectors: [u8; 0x400],
}

/// Memory that no call names, as checksums.
struct Untouched {
    guard: u32,
    image: u32,
    above: u32,
}

impl Untouched {
    fn now() -> Self {
        let code = image();
        let above = u32::from(free_base_memory()) * 1024 - END;
        Self {
            guard: memory::checksum(GUARD, GUARD_LEN),
            image: memory::checksum(code.start, code.end - code.start),
            above: memory::checksum(END, above),
        }
    }
}

impl Untouched {
    /// What is no longer as it was.
    fn changed(&self) -> Option<&'static str> {
        let now = Self::now();
        [
            (now.guard != self.guard, "memory behind the data segment"),
            (now.image != self.image, "the program itself"),
            (now.above != self.above, "free memory above the program"),
        ]
        .into_iter()
        .find_map(|(changed, what)| changed.then_some(what))
    }
}

/// Functions that end the stack, start another program, or wait for a person: not in a row of random calls.
fn is_left_out(function: u16) -> bool {
    matches!(function, op::STOP_UNDI | op::UNLOAD_STACK | op::RESTART_TFTP | 0xe5 | 0xe7)
}

impl Fuzz {
    fn calls(&mut self, stack: &mut Stack, count: u32) -> Outcome {
        let before = Untouched::now();
        for number in 0..count {
            let (function, mut block) = self.make(stack);
            // Interrupts off: the interrupt table may be named as a buffer, and is put back before the next one.
            let options = CallOptions { eflags: INTERRUPTS_OFF, ..CallOptions::default() };
            let start = ticks();
            let reply = stack.call_with(function, &mut block, &options);
            memory::write(0, &self.vectors);
            self.slow += u32::from(ticks().wrapping_sub(start) > TICKS_PER_SECOND);
            ensure!(reply.ax <= 1, "call {number}, function {function:x}: AX={:x}", reply.ax);
            if number % LOOK_EVERY == 0 {
                thunk::let_interrupts_in();
                if let Some(what) = before.changed() {
                    fail!("{what} changed before call {number}, function {function:x}");
                }
            }
            if number % 1000 == 999 {
                line(&text(format_args!("conformance: {} random calls", number + 1)));
            }
        }
        ensure!(before.changed().is_none(), "{} changed in the last calls", before.changed().unwrap_or_default());
        Ok(())
    }

    fn sweep(&mut self, stack: &mut Stack) -> Outcome {
        let before = Untouched::now();
        for function in (0..=0xff).chain(0..=0xff).filter(|function| !is_left_out(*function)) {
            let mut block = Block::new(158);
            block.bytes_mut().fill(0);
            let options = CallOptions { eflags: INTERRUPTS_OFF, ..CallOptions::default() };
            let reply = stack.call_with(function, &mut block, &options);
            memory::write(0, &self.vectors);
            ensure!(reply.ax <= 1, "function {function:x}: AX={:x}", reply.ax);
        }
        ensure!(before.changed().is_none(), "{} changed", before.changed().unwrap_or_default());
        Ok(())
    }

    /// A buffer: sound, null, wrapping, in ROM, past 1 MiB, or in the stack's own memory. What lies behind each of them is
    /// named by the call, so a stack may write there; what it writes must not hurt.
    fn pointer(&mut self, stack: &Stack) -> SegOff {
        let random = &mut self.random;
        let data = (DATA >> 4) as u16;
        match random.below(10) {
            0 => SegOff::default(),
            1 => SegOff::new(data, 0xffff - random.below(64) as u16),
            2 => SegOff::new(0xf000, random.next() as u16),
            3 => SegOff::new(0xc800, random.next() as u16),
            4 => SegOff::new(0xffff, 0xffff - random.below(16) as u16),
            5 => SegOff::to(stack.pxenv + random.below(0x2000)),
            6 => SegOff::to(stack.bang_pxe + random.below(0x58)),
            _ => SegOff::new(data, random.below(0x8000) as u16),
        }
    }

    fn len(&mut self) -> u16 {
        let random = &mut self.random;
        match random.below(6) {
            0 => 0,
            1 => 0xffff,
            2 => 1514 + random.below(3) as u16,
            3 => random.next() as u16,
            _ => random.below(1500) as u16,
        }
    }

    fn server(&mut self, stack: &Stack) -> [u8; 4] {
        if self.random.one_in(64) {
            return self.random.pick(&[[0; 4], [255; 4], [224, 0, 0, 1], [127, 0, 0, 1], stack.network.own]);
        }
        stack.network.server
    }

    fn name(&mut self, block: &mut Block, at: usize) {
        let name: &[u8] = match self.random.below(4) {
            0 => ODD.name.as_bytes(),
            1 => MISSING.as_bytes(),
            2 => b"",
            _ => &[b'x'; 128],
        };
        block.bytes_mut()[at..at + 128].fill(0);
        block.put(at, name);
    }

    fn make(&mut self, stack: &Stack) -> (u16, Block) {
        if self.random.one_in(16) {
            return self.unknown();
        }
        let (function, size) = loop {
            let (function, size) = self.random.pick(&op::KNOWN);
            let waits = matches!(function, op::TFTP_OPEN..=op::TFTP_GET_FSIZE | op::UDP_WRITE);
            if !is_left_out(function) && !(waits && self.slow >= SLOW_CALLS) {
                break (function, size);
            }
        };
        let mut block = Block::new(size);
        for byte in &mut block.bytes_mut()[2..] {
            *byte = self.random.next() as u8;
        }
        self.fields(stack, function, &mut block);
        (function, block)
    }

    fn unknown(&mut self) -> (u16, Block) {
        let function = self.random.next() as u16;
        let function = if function < 0x100 { function | 0x100 } else { function };
        let mut block = Block::new(158);
        for byte in &mut block.bytes_mut()[2..] {
            *byte = self.random.next() as u8;
        }
        (function, block)
    }

    /// Fields whose value decides what memory is meant, or how long the call takes.
    fn fields(&mut self, stack: &Stack, function: u16, block: &mut Block) {
        match function {
            op::UNDI_TRANSMIT => {
                let tbd = self.tbd(stack);
                let protocol = self.random.below(6) as u8;
                let destination = self.pointer(stack);
                block.put8(2, protocol).put_pointer(4, destination).put_pointer(8, tbd);
            }
            op::UNDI_ISR => {
                block.put16(2, self.random.below(8) as u16);
            }
            op::UNDI_OPEN | op::UNDI_SET_PACKET_FILTER => {
                // Mostly one that lets answers in.
                let filter = self.random.pick(&[3, 3, 3, 4, 7, 7, 7, 15]);
                block.put8(if function == op::UNDI_OPEN { 4 } else { 2 }, filter);
            }
            op::UNDI_SET_STATION_ADDRESS if !self.random.one_in(8) => {
                block.put(2, &stack.network.mac);
            }
            op::GET_CACHED_INFO => {
                let (kind, len, pointer) = (self.random.below(5) as u16, self.len(), self.pointer(stack));
                block.put16(2, kind).put16(4, len).put_pointer(6, pointer);
            }
            op::TFTP_OPEN | op::TFTP_GET_FSIZE => {
                let server = self.server(stack);
                block.put(2, &server).put32(6, 0).put_port(0x8a, 69);
                self.name(block, 0x0a);
            }
            op::TFTP_READ => {
                let pointer = self.pointer(stack);
                block.put_pointer(6, pointer);
            }
            op::TFTP_READ_FILE => {
                let server = self.server(stack);
                let to = self.random.pick(&[DATA, EXTENDED, 0, 0xffff_f000, 0xf_0000, 0xfee0_0000]);
                // At 0 no further than the interrupt table, which is put back.
                let capacities: &[u32] = if to == 0 { &[0, 1, 600] } else { &[0, 1, 600, 0x8000, 0xffff_ffff] };
                let capacity = self.random.pick(capacities);
                block.put32(0x82, capacity).put32(0x86, to).put(0x8a, &server).put32(0x8e, 0).put32(0x92, 0);
                self.name(block, 2);
            }
            op::UDP_OPEN => {
                block.put(2, &stack.network.own);
            }
            op::UDP_READ => {
                let (len, pointer) = (self.len(), self.pointer(stack));
                block.put16(0x0e, len).put_pointer(0x10, pointer);
            }
            op::UDP_WRITE => {
                let (server, len, pointer) = (self.server(stack), self.len(), self.pointer(stack));
                block.put(2, &server).put32(6, 0).put_port(0x0c, 9).put16(0x0e, len).put_pointer(0x10, pointer);
            }
            op::FILE_OPEN | op::FILE_READ => {
                let pointer = self.pointer(stack);
                block.put_pointer(if function == op::FILE_OPEN { 4 } else { 6 }, pointer);
            }
            _ => {}
        }
    }

    fn tbd(&mut self, stack: &Stack) -> SegOff {
        if self.random.one_in(8) {
            return self.pointer(stack);
        }
        let mut tbd = [0; 72];
        let (immediate, xmit, blocks) = (self.len(), self.pointer(stack), self.random.below(12) as u16);
        tbd[..2].copy_from_slice(&immediate.to_le_bytes());
        tbd[2..6].copy_from_slice(&xmit.to_u32().to_le_bytes());
        tbd[6..8].copy_from_slice(&blocks.to_le_bytes());
        for block in tbd[8..].chunks_exact_mut(8) {
            let (len, at) = (self.len(), self.pointer(stack));
            block[0] = self.random.below(3) as u8;
            block[2..4].copy_from_slice(&len.to_le_bytes());
            block[4..].copy_from_slice(&at.to_u32().to_le_bytes());
        }
        memory::write(STRUCTURES, &tbd);
        SegOff::to(STRUCTURES)
    }
}

/// Puts address and life cycle in order, as a client would that starts afresh, and reads a file.
fn recovered(stack: &mut Stack) -> Outcome {
    stack.simple(op::TFTP_CLOSE);
    stack.simple(op::UDP_CLOSE);
    stack.simple(op::UNDI_CLOSE).ok("CLOSE")?;
    stack.simple(op::UNDI_STARTUP).ok("STARTUP")?;
    stack.call(op::UNDI_INITIALIZE, &mut Block::new(14)).ok("INITIALIZE")?;
    let mut station = Block::new(18);
    station.put(2, &stack.network.mac);
    stack.call(op::UNDI_SET_STATION_ADDRESS, &mut station).ok("SET_STATION_ADDRESS")?;
    still_reads(stack)
}
