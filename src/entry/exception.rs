//! Exceptions in long mode: the core says where it died, and the machine goes on without it.

use core::ptr;

use super::hooks;
use super::resident::{self, Resident};
use crate::log;

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
#[derive(Debug)]
#[repr(C)]
pub struct Frame {
    /// rax rbx rcx rdx rsi rdi rbp r8-r15.
    registers: [u64; 15],
    vector: u64,
    error_code: u64,
    rip: u64,
    cs: u64,
    rflags: u64,
    rsp: u64,
    ss: u64,
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

/// Logs an exception and gives the address in the resident block at which the machine goes on.
#[unsafe(no_mangle)]
extern "C" fn core_exception(frame: *const Frame) -> u64 {
    // SAFETY: asm/exception.s passes the frame that it just pushed, in this layout; we run below it on the same stack.
    let frame = unsafe { &*frame };
    log::line(format_args!(
        "the core died: exception {} (error code {:#x}) at {:#x}, stack {:#x}",
        frame.vector, frame.error_code, frame.rip, frame.rsp
    ));
    let [rax, rbx, rcx, rdx, rsi, rdi, rbp, ..] = frame.registers;
    log::line(format_args!("rax {rax:x} rbx {rbx:x} rcx {rcx:x} rdx {rdx:x} rsi {rsi:x} rdi {rdi:x} rbp {rbp:x}"));
    let keep = u16::from(hooks::installed());
    Resident::update(|exchange| {
        exchange.result = resident::RESULT_FAILED;
        exchange.ax = match exchange.function {
            function if function == resident::Function::Api as u16 => 1,
            _ => keep,
        };
    });
    resident::core_done_address()
}
