//! The settings of the image, of which the resident block has a copy, and what QEMU's user changes in them.

use super::resident::Resident;
use super::{fw_cfg, memory};
use crate::arch::serial;
use crate::settings::{Setting, change, value};

/// BDA, port addresses of COM1 to COM4; 0: there is none.
const BDA_COM1: u32 = 0x400;

/// Collects the settings and opens what they ask for, at the start of a boot attempt.
pub fn apply() {
    if let Some(text) = fw_cfg::settings() {
        let mut table = Resident::read(|exchange| exchange.settings);
        change(&mut table, &text);
        Resident::update(|exchange| exchange.settings = table);
    }
    let com1 = memory::read_low(BDA_COM1) as u16;
    if is_on(Setting::SerialLog) && com1 != 0 {
        serial::open(com1);
    }
}

/// Looks a setting up.
pub fn get(setting: Setting) -> u16 {
    Resident::read(|exchange| value(&exchange.settings, setting))
}

/// Looks a setting up that is on or off.
pub fn is_on(setting: Setting) -> bool {
    get(setting) != 0
}
