//! The settings of the image, of which the resident block has a copy, and what QEMU's user changes in them.

use super::resident::Resident;
use super::{fw_cfg, memory};
use crate::arch::serial;
use crate::settings::{Setting, change, value};

/// BDA, port addresses of COM1 to COM4, a word each; 0: there is none.
const BDA_SERIAL_PORTS: u32 = 0x400;

/// Collects the settings and opens what they ask for, at the start of a boot attempt.
pub fn apply() {
    if let Some(text) = fw_cfg::settings() {
        let mut table = Resident::read(|exchange| exchange.settings);
        change(&mut table, &text);
        Resident::update(|exchange| exchange.settings = table);
    }
    if let index @ 1..=4 = get(Setting::SerialLog) {
        let port = memory::read_low(BDA_SERIAL_PORTS + 2 * u32::from(index - 1)) as u16;
        if port != 0 {
            serial::open(port);
        }
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
