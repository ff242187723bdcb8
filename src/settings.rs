//! The settings of the image: where each is in the table that the image carries (asm/rom_header.s, `rom_settings`), and
//! their text form, `quiet=on key-wait=3`. The tools have the same names for them (tools/romtool/src/settings.rs), and some
//! more, which matter before the core runs.

use crate::log;
use crate::text::{Printable, decimal};

/// Length of the table in bytes.
pub const SIZE: usize = 16;

/// The table: its version, its length, then the values, each in one byte or in a little-endian word.
pub type Table = [u8; SIZE];

/// A setting; the number is its place in the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Setting {
    /// Boot at all.
    Enabled = 2,
    /// The screen is for errors, menus and prompts only.
    Quiet = 3,
    /// The log goes to COM1, too.
    SerialLog = 4,
    /// Seconds to wait for a key before a boot.
    KeyWait = 8,
    /// VLAN id of all frames; 0 for none. A word.
    Vlan = 10,
}

/// The names in texts, and the largest value; 1 means that the value is a word, `off` or `on`.
const NAMES: [(&[u8], Setting, u16); 5] = [
    (b"enabled", Setting::Enabled, 1),
    (b"quiet", Setting::Quiet, 1),
    (b"serial-log", Setting::SerialLog, 1),
    (b"key-wait", Setting::KeyWait, 60),
    (b"vlan", Setting::Vlan, 4094),
];

/// Looks a setting up.
#[must_use]
pub fn value(table: &Table, setting: Setting) -> u16 {
    let at = setting as usize;
    let high = if setting == Setting::Vlan { table[at + 1] } else { 0 };
    u16::from_le_bytes([table[at], high])
}

/// Changes settings by a text: words `name=value` with white space between. What else is in it goes to the log.
pub fn change(table: &mut Table, text: &[u8]) {
    for word in text.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty()) {
        match assignment(word) {
            Some((setting, value)) => {
                let [low, high] = value.to_le_bytes();
                table[setting as usize] = low;
                if setting == Setting::Vlan {
                    table[setting as usize + 1] = high;
                }
            }
            None => log::line(format_args!("settings: `{}` is none", Printable(word))),
        }
    }
}

fn assignment(word: &[u8]) -> Option<(Setting, u16)> {
    NAMES.iter().find_map(|&(name, setting, max)| {
        let value = match (word.strip_prefix(name)?.strip_prefix(b"=")?, max) {
            (b"off", 1) => 0,
            (b"on", 1) => 1,
            (_, 1) => return None,
            (digits, _) => decimal(digits).and_then(|value| u16::try_from(value).ok())?,
        };
        (value <= max).then_some((setting, value))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As `configure` writes it: nothing on but `enabled` and `pnp`.
    const DEFAULT: Table = [2, 16, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0];

    #[test]
    fn words_change_their_settings_alone() {
        let mut table = DEFAULT;
        change(&mut table, b" quiet=on\n\tenabled=off");
        assert_eq!(table, [2, 16, 0, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        change(&mut table, b"serial-log=on quiet=off key-wait=60 vlan=4094");
        assert_eq!(table, [2, 16, 0, 0, 1, 0, 1, 0, 60, 0, 0xfe, 0x0f, 0, 0, 0, 0]);
        assert_eq!(value(&table, Setting::SerialLog), 1);
        assert_eq!(value(&table, Setting::Enabled), 0);
        assert_eq!(value(&table, Setting::Vlan), 4094);
    }

    #[test]
    fn what_is_no_setting_changes_nothing() {
        let mut table = DEFAULT;
        change(
            &mut table,
            b"quiet quiet= quiet=ON quiet=onn =on colour=on \xff\0 quiet-=on vlan=4095 key-wait=on vlan=",
        );
        change(&mut table, b"");
        assert_eq!(table, DEFAULT);
    }
}
