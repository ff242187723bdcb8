//! BIOS services, called from long mode.

use core::sync::atomic::{AtomicU64, Ordering};

use super::memory;
use super::resident::{self, BiosRegisters, Resident, TEXT_SIZE, VECTOR_PRINT};
use crate::arch::cpu;

/// INT 13h, disks.
pub const DISK: u8 = 0x13;
/// INT 15h, system services.
pub const SYSTEM: u8 = 0x15;
/// INT 16h, keyboard.
pub const KEYBOARD: u8 = 0x16;

/// Carry flag in [`BiosRegisters::flags`].
pub const CARRY: u16 = 1 << 0;
/// Zero flag in [`BiosRegisters::flags`].
pub const ZERO: u16 = 1 << 6;

// asm/bios_call.s; its address is an offset in the resident segment.
unsafe extern "C" {
    static bios_call_resident: u8;
}

/// Calls BIOS interrupt `vector` with `registers` and returns the registers as the BIOS left them.
///
/// The BIOS runs in real mode with interrupts on, on the resident stack. How long it takes is the BIOS's affair.
pub fn call(vector: u8, registers: BiosRegisters) -> BiosRegisters {
    Resident::update(|exchange| exchange.bios = BiosRegisters { vector: vector.into(), ..registers });
    enter();
    Resident::read(|exchange| exchange.bios)
}

/// Cycles of the time-stamp counter between two interrupt windows, at least (policy: 1 to 4 ms at 1 to 4 GHz, well under
/// the 55 ms of the BIOS's timer tick).
const WINDOW_CYCLES: u64 = 1 << 22;

static LAST_WINDOW: AtomicU64 = AtomicU64::new(0);

/// Lets pending hardware interrupts run (timer, keyboard), unless that was done a moment ago: two mode changes are dear.
pub fn interrupt_window() {
    let now = cpu::time_stamp();
    if now.wrapping_sub(LAST_WINDOW.load(Ordering::Relaxed)) < WINDOW_CYCLES {
        core::hint::spin_loop();
        return;
    }
    LAST_WINDOW.store(now, Ordering::Relaxed);
    Resident::update(|exchange| exchange.bios.vector = 0);
    enter();
}

/// Writes text to the screen by INT 10h; `\n` becomes a carriage return and a line feed.
pub fn print(text: &str) {
    let mut piece = heapless::Vec::<u8, TEXT_SIZE>::new();
    for byte in text.bytes() {
        // Room for this character, its carriage return and the terminating zero.
        if piece.len() + 3 > TEXT_SIZE {
            print_piece(&mut piece);
        }
        if byte == b'\n' {
            let _ = piece.push(b'\r');
        }
        let _ = piece.push(byte);
    }
    print_piece(&mut piece);
}

fn print_piece(piece: &mut heapless::Vec<u8, TEXT_SIZE>) {
    let _ = piece.push(0);
    memory::write_text(piece);
    Resident::update(|exchange| exchange.bios.vector = VECTOR_PRINT);
    enter();
    piece.clear();
}

fn enter() {
    let address = resident::linear((&raw const bios_call_resident).addr() as u16) as usize;
    // SAFETY: asm/bios_call.s is at that address of the resident block, which is mapped one to one. It takes no arguments
    // and keeps the registers that the System V convention wants kept; real mode leaves the core's block alone.
    unsafe {
        let call: extern "C" fn() = core::mem::transmute(address);
        call();
    }
}
