//! Exceptions in long mode: the core says where it died, and the machine goes on without it.

use core::fmt::{self, Write};
use core::ptr;
use core::sync::atomic::{AtomicBool, Ordering};

use super::resident::{self, Resident};
use super::{Rom, hooks, owner};
use crate::machine::Machine;

const VECTORS: usize = 32;
/// Length of a stub in asm/exception.s.
const STUB_SIZE: u64 = 16;
/// Code segment selector of the resident GDT (asm/resident.s, `CODE64`).
const CODE64: u64 = 0x08;
/// Present, DPL 0, 64-bit interrupt gate (Intel SDM volume 3, "64-Bit Mode IDT").
const INTERRUPT_GATE: u64 = 0x8e00;

unsafe extern "C" {
    static exception_stubs: u8;
    static mut core_idt: [[u64; 2]; VECTORS];
}

/// What asm/exception.s pushes.
#[repr(C)]
pub struct Frame {
    /// rax rbx rcx rdx rsi rdi rbp r8-r15.
    registers: [u64; 15],
    vector: u64,
    error_code: u64,
    rip: u64,
    _cs: u64,
    _rflags: u64,
    rsp: u64,
    _ss: u64,
}

/// Fills the interrupt descriptor table.
pub fn install() {
    for vector in 0..VECTORS {
        let handler = (&raw const exception_stubs).addr() as u64 + vector as u64 * STUB_SIZE;
        let gate =
            [(handler & 0xffff) | CODE64 << 16 | INTERRUPT_GATE << 32 | (handler >> 16 & 0xffff) << 48, handler >> 32];
        // SAFETY: the table is asm/exception.s's, has 32 entries, and nobody else writes it; no reference is made.
        unsafe { ptr::write_volatile((&raw mut core_idt).cast::<[u64; 2]>().add(vector), gate) };
    }
}

/// Names of [`Frame::registers`].
const REGISTERS: [&str; 15] =
    ["rax", "rbx", "rcx", "rdx", "rsi", "rdi", "rbp", "r8 ", "r9 ", "r10", "r11", "r12", "r13", "r14", "r15"];

/// Set by the first exception: nothing in the core can be relied on from then on.
static DEAD: AtomicBool = AtomicBool::new(false);

/// Whether there was an exception. Nothing but [`refuse`] may be called then.
pub fn core_is_dead() -> bool {
    DEAD.load(Ordering::Relaxed)
}

/// Leaves the answer of a dead core in the exchange area: an API call fails, a block that interrupts lead into stays, and a
/// BIOS whose drives nobody serves any more is started anew.
pub fn refuse() {
    const BOOT: u16 = resident::Function::Boot as u16;
    const NBP_RETURNED: u16 = resident::Function::NbpReturned as u16;
    let keep = u16::from(hooks::installed());
    let function = Resident::read(|exchange| exchange.function);
    let result = match function {
        BOOT | NBP_RETURNED if owner::has_taken_drives() => owner::start_anew(),
        _ => resident::RESULT_FAILED,
    };
    Resident::update(|exchange| {
        exchange.result = result;
        exchange.ax = match exchange.function {
            function if function == resident::Function::Api as u16 => 1,
            _ => keep,
        };
    });
}

/// Shows an exception and gives the address in the resident block at which the machine goes on.
#[unsafe(no_mangle)]
extern "C" fn core_exception(frame: *const Frame) -> u64 {
    // SAFETY: asm/exception.s passes the frame that it just pushed, in this layout; we run below it on the same stack.
    let frame = unsafe { &*frame };
    // One in here is not shown.
    if !DEAD.swap(true, Ordering::Relaxed) {
        let Frame { registers, vector, error_code, rip, rsp, .. } = frame;
        say(format_args!("\nhvpxe: internal error: exception {vector} ({error_code:x}) at {rip:016x}"));
        say(format_args!("\n  rsp {rsp:016x}"));
        for (names, values) in REGISTERS.chunks(3).zip(registers.chunks(3)) {
            say(format_args!("\n"));
            for (name, value) in names.iter().zip(values) {
                say(format_args!("  {name} {value:016x}"));
            }
        }
        say(format_args!("\n"));
    }
    refuse();
    resident::core_done_address()
}

/// Writes to the screen and the log; at most 80 characters.
fn say(arguments: fmt::Arguments<'_>) {
    let mut text = heapless::String::<80>::new();
    // A cut text is still worth having.
    let _ = text.write_fmt(arguments);
    Rom(()).print(&text);
}
