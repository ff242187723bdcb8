//! The settings of the image: where each is in the table that the image carries (asm/rom_header.s, `rom_settings`), and
//! their text form, `quiet=on serial-log=off`. The tools have the same names for them (tools/romtool/src/settings.rs).

use crate::log;

/// Length of the table in bytes.
pub const SIZE: usize = 8;

/// The table: its version, its length, then one byte a setting, 0 off and 1 on.
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
}

/// The names in texts.
const NAMES: [(&[u8], Setting); 3] =
    [(b"enabled", Setting::Enabled), (b"quiet", Setting::Quiet), (b"serial-log", Setting::SerialLog)];

/// Looks a setting up.
#[must_use]
pub fn is_on(table: &Table, setting: Setting) -> bool {
    table[setting as usize] != 0
}

/// Changes settings by a text: words `name=on` or `name=off` with white space between. What else is in it goes to the log.
pub fn change(table: &mut Table, text: &[u8]) {
    for word in text.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty()) {
        match assignment(word) {
            Some((setting, on)) => table[setting as usize] = on.into(),
            None => log::line(format_args!("settings: `{}` is none", word.escape_ascii())),
        }
    }
}

fn assignment(word: &[u8]) -> Option<(Setting, bool)> {
    NAMES.iter().find_map(|&(name, setting)| match word.strip_prefix(name)? {
        b"=on" => Some((setting, true)),
        b"=off" => Some((setting, false)),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As `configure` writes it: all off but `enabled`.
    const DEFAULT: Table = [1, 8, 1, 0, 0, 0, 0, 0];

    #[test]
    fn words_change_their_settings_alone() {
        let mut table = DEFAULT;
        change(&mut table, b" quiet=on\n\tenabled=off");
        assert_eq!(table, [1, 8, 0, 1, 0, 0, 0, 0]);
        change(&mut table, b"serial-log=on quiet=off");
        assert_eq!(table, [1, 8, 0, 0, 1, 0, 0, 0]);
        assert!(is_on(&table, Setting::SerialLog) && !is_on(&table, Setting::Enabled));
    }

    #[test]
    fn what_is_no_setting_changes_nothing() {
        let mut table = DEFAULT;
        change(&mut table, b"quiet quiet= quiet=ON quiet=onn =on colour=on \xff\0 quiet-=on");
        change(&mut table, b"");
        assert_eq!(table, DEFAULT);
    }
}
