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
    /// The serial port that the log goes to as well: 1 to 4 for COM1 to COM4; 0 for none.
    SerialLog = 4,
    /// Seconds to wait for a key before a boot.
    KeyWait = 8,
    /// Seconds to wait for the link.
    LinkWait = 9,
    /// VLAN id of all frames; 0 for none. A word.
    Vlan = 10,
    /// Seconds to look for a DHCP server. A word.
    DhcpWait = 12,
    /// Make BIOS drives of the synthetic disks, where nobody serves them.
    Disks = 14,
    /// What to do with an owner of VMBus: share it with him or else take it; leave it to him; share it, or else leave
    /// it.
    VmbusOwner = 15,
}

/// What may stand behind a name.
enum Values {
    /// One of these words, by its number.
    Words(&'static [&'static [u8]]),
    /// A number from the first to the second.
    Numbers(u16, u16),
}

/// Off or on.
const SWITCH: Values = Values::Words(&[b"off", b"on"]);

/// The names in texts.
const NAMES: [(&[u8], Setting, Values); 9] = [
    (b"enabled", Setting::Enabled, SWITCH),
    (b"quiet", Setting::Quiet, SWITCH),
    (b"serial-log", Setting::SerialLog, Values::Words(&[b"off", b"com1", b"com2", b"com3", b"com4"])),
    (b"key-wait", Setting::KeyWait, Values::Numbers(0, 60)),
    (b"link-wait", Setting::LinkWait, Values::Numbers(0, 120)),
    (b"vlan", Setting::Vlan, Values::Numbers(0, 4094)),
    (b"dhcp-wait", Setting::DhcpWait, Values::Numbers(1, 600)),
    (b"disks", Setting::Disks, SWITCH),
    (b"vmbus-owner", Setting::VmbusOwner, Values::Words(&[b"take", b"decline", b"attach"])),
];

impl Setting {
    const fn is_word(self) -> bool {
        matches!(self, Self::Vlan | Self::DhcpWait)
    }
}

impl Values {
    fn parse(&self, text: &[u8]) -> Option<u16> {
        match self {
            Self::Words(words) => words.iter().position(|&word| word == text).map(|index| index as u16),
            Self::Numbers(min, max) => decimal(text)
                .and_then(|number| u16::try_from(number).ok())
                .filter(|number| (min..=max).contains(&number)),
        }
    }
}

/// Looks a setting up.
#[must_use]
pub fn value(table: &Table, setting: Setting) -> u16 {
    let at = setting as usize;
    let high = if setting.is_word() { table[at + 1] } else { 0 };
    u16::from_le_bytes([table[at], high])
}

/// Changes settings by a text: words `name=value` with white space between. What else is in it goes to the log.
pub fn change(table: &mut Table, text: &[u8]) {
    for word in text.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty()) {
        match assignment(word) {
            Some((setting, value)) => {
                let [low, high] = value.to_le_bytes();
                table[setting as usize] = low;
                if setting.is_word() {
                    table[setting as usize + 1] = high;
                }
            }
            None => log::line(format_args!("settings: `{}` is none", Printable(word))),
        }
    }
}

fn assignment(word: &[u8]) -> Option<(Setting, u16)> {
    NAMES.iter().find_map(|(name, setting, values)| {
        let value = values.parse(word.strip_prefix(*name)?.strip_prefix(b"=")?)?;
        Some((*setting, value))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As `configure` writes it: nothing on but `enabled` and `pnp`; ten seconds for the link, a minute for DHCP.
    const DEFAULT: Table = [3, 16, 1, 0, 0, 0, 1, 0, 0, 10, 0, 0, 60, 0, 0, 0];

    #[test]
    fn words_change_their_settings_alone() {
        let mut table = DEFAULT;
        change(&mut table, b" quiet=on\n\tenabled=off");
        assert_eq!(table, [3, 16, 0, 1, 0, 0, 1, 0, 0, 10, 0, 0, 60, 0, 0, 0]);
        change(&mut table, b"serial-log=com4 quiet=off key-wait=60 vlan=4094");
        change(&mut table, b"link-wait=0 dhcp-wait=600");
        assert_eq!(table, [3, 16, 0, 0, 4, 0, 1, 0, 60, 0, 0xfe, 0x0f, 0x58, 0x02, 0, 0]);
        assert_eq!(value(&table, Setting::SerialLog), 4);
        assert_eq!(value(&table, Setting::LinkWait), 0);
        assert_eq!(value(&table, Setting::DhcpWait), 600);
        assert_eq!(value(&table, Setting::Enabled), 0);
        assert_eq!(value(&table, Setting::Vlan), 4094);
        change(&mut table, b"disks=on vmbus-owner=decline");
        assert_eq!((value(&table, Setting::Disks), value(&table, Setting::VmbusOwner)), (1, 1));
        change(&mut table, b"vmbus-owner=attach");
        assert_eq!(value(&table, Setting::VmbusOwner), 2);
        change(&mut table, b"disks=off vmbus-owner=take");
        assert_eq!(table[14..], [0, 0]);
    }

    #[test]
    fn what_is_no_setting_changes_nothing() {
        let mut table = DEFAULT;
        change(
            &mut table,
            b"quiet quiet= quiet=ON quiet=onn =on colour=on \xff\0 quiet-=on vlan=4095 key-wait=on vlan=",
        );
        change(&mut table, b"serial-log=com5 serial-log=on serial-log=com link-wait=121 dhcp-wait=0 dhcp-wait=601");
        change(&mut table, b"vmbus-owner=on disks=1 disks=take");
        change(&mut table, b"");
        assert_eq!(table, DEFAULT);
    }
}
