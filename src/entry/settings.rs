//! The settings of the image, of which the resident block has a copy (asm/rom_header.s, `rom_settings`).

use static_assertions::const_assert;

use super::memory;
use super::resident::{Resident, SETTINGS_SIZE};
use crate::arch::serial;

/// Offsets in the table: a byte each, 0 off, 1 on.
const QUIET: usize = 3;
const SERIAL_LOG: usize = 4;
const_assert!(SERIAL_LOG < SETTINGS_SIZE);

/// BDA, port addresses of COM1 to COM4; 0: there is none.
const BDA_COM1: u32 = 0x400;

/// True when the screen is for errors, menus and prompts only.
pub fn quiet() -> bool {
    is_on(QUIET)
}

/// Opens what the settings ask for, at the start of a boot attempt.
pub fn apply() {
    let com1 = memory::read_low(BDA_COM1) as u16;
    if is_on(SERIAL_LOG) && com1 != 0 {
        serial::open(com1);
    }
}

fn is_on(setting: usize) -> bool {
    Resident::read(|exchange| exchange.settings[setting]) != 0
}
