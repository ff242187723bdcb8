//! BIOS services, called from long mode.

use super::resident::{self, BiosRegisters, Resident};

/// INT 10h, video.
pub const VIDEO: u8 = 0x10;
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

/// Lets pending hardware interrupts run (timer, keyboard).
pub fn interrupt_window() {
    Resident::update(|exchange| exchange.bios.vector = 0);
    enter();
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
