//! What the assembly calls, the registers of the interrupted program, and the interrupt vectors.

#![allow(unsafe_code, reason = "the assembly's entry and symbols")]

use core::panic::PanicInfo;

use hvpxe::mem::PAGE_SIZE;
use parties::bare::Bare;
use runtime::{memory, options};

/// Why the assembly calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Function {
    /// The ROM's init.
    Init,
    /// INT 13h.
    Disk,
    /// INT 1Ch: a tick of the clock.
    Timer,
    /// The SynIC's interrupt.
    Interrupt,
    /// Whoever wants to know how the party is, or tells a thief to strike.
    Question,
}

impl Function {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 5] = [Self::Init, Self::Disk, Self::Timer, Self::Interrupt, Self::Question];
}

/// What becomes of an interrupt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Next {
    /// Back to the interrupted program.
    Done = 0,
    /// On to whoever had the vector before.
    Chain = 1,
}

/// Registers in the frame that the assembly pushed, by their offsets.
#[derive(Clone, Copy, Debug)]
#[repr(u32)]
pub enum Register {
    /// ES.
    Es = 4,
    /// DS.
    Ds = 6,
    /// DI.
    Di = 8,
    /// SI.
    Si = 12,
    /// BX.
    Bx = 24,
    /// DX.
    Dx = 28,
    /// CX.
    Cx = 32,
    /// AX.
    Ax = 36,
    /// FLAGS, as the interrupted program will have them.
    Flags = 44,
}

/// A call of the assembly.
pub struct Call {
    function: Function,
    frame: u32,
    options: u32,
    block: u32,
}

mod raw {
    unsafe extern "C" {
        // rom.ld
        pub static mut pool_start: u8;
        pub static pool_end: u8;
        pub static CORE: u8;
        // asm/low.s: offsets in the segment below 1 MiB
        pub static low_options: u8;
        pub static low_old_vectors: u8;
        pub static low_record: u8;
        pub static int13_entry: u8;
        pub static timer_entry: u8;
        pub static sint_entry: u8;
        pub static question_entry: u8;
    }
}

/// Called by the assembly in 64-bit mode, with interrupts off: the function's number, and the linear addresses of the frame,
/// of the options and of the block.
#[unsafe(no_mangle)]
extern "sysv64" fn party_main(function: u32, frame: u32, options: u32, block: u32) -> u32 {
    match Function::ALL.get(function as usize) {
        Some(&function) => super::serve(&mut Call { function, frame, options, block }) as u32,
        None => Next::Chain as u32,
    }
}

/// The ROM is built with panic=immediate-abort, so nothing calls this.
#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    // SAFETY: raises #UD and nothing else.
    unsafe { core::arch::asm!("ud2", options(noreturn)) }
}

impl Call {
    /// What it is.
    pub const fn function(&self) -> Function {
        self.function
    }

    /// What the harness asks for.
    pub fn options(&self) -> [u8; options::LEN] {
        memory::read_array(self.options)
    }

    /// The machine, with the rest of the block as pool. For the first call.
    pub fn machine(&self) -> Bare {
        let start = &raw mut raw::pool_start;
        let physical = u64::from(self.block) + (start.addr() - (&raw const raw::CORE).addr()) as u64;
        let pages = ((&raw const raw::pool_end).addr() - start.addr()) / PAGE_SIZE;
        // SAFETY: rom.ld gives the range to nobody else, and the page tables of asm/low.s map it for good.
        unsafe { Bare::with_pool(start, physical, pages) }
    }

    /// A register of the interrupted program.
    pub fn get(&self, register: Register) -> u16 {
        memory::read_u16(self.frame + register as u32)
    }

    /// Changes it.
    pub fn set(&mut self, register: Register, value: u16) {
        memory::write_u16(self.frame + register as u32, value);
    }

    /// Linear address of the room for a record.
    pub fn record_area(&self) -> u32 {
        self.low_base() + (&raw const raw::low_record).addr() as u32
    }

    /// Linear address of the segment below 1 MiB.
    fn low_base(&self) -> u32 {
        self.options - (&raw const raw::low_options).addr() as u32
    }

    /// Puts the entry of a function in an interrupt vector, and remembers what was there.
    pub fn hook(&self, vector: u8, function: Function) {
        let entry = match function {
            Function::Timer => &raw const raw::timer_entry,
            Function::Interrupt => &raw const raw::sint_entry,
            Function::Question => &raw const raw::question_entry,
            Function::Disk | Function::Init => &raw const raw::int13_entry,
        };
        let base = self.low_base();
        let slot = u32::from(vector) * 4;
        let old = base + (&raw const raw::low_old_vectors).addr() as u32 + 4 * function as u32;
        memory::copy_within(slot, old, 4);
        memory::write_u32(slot, base >> 4 << 16 | entry.addr() as u32);
    }
}
