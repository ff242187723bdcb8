//! The settings that an image carries, and how they look in it.
//!
//! They are one small table in the ROM (asm/rom_header.s, `rom_settings`), also in the other media, which hold the ROM
//! whole. A byte for its version, one for its length, then the values, each in one byte or in a little-endian word.

use std::fmt;

use anyhow::{Context, Result, bail, ensure};

/// Version of the table.
const VERSION: u8 = 3;
/// Length of the table in bytes, with version and length; what is not used yet is zero.
pub const SIZE: usize = 16;

/// Values of the setting `hook`, in the order of their numbers in the table.
const HOOKS: [&str; 3] = ["int19", "int18", "off"];

/// Values of the setting `serial-log`, likewise.
const SERIAL_PORTS: [&str; 5] = ["off", "com1", "com2", "com3", "com4"];

/// Values of the setting `vmbus-owner`, likewise.
const OWNER_POLICIES: [&str; 3] = ["take", "decline", "attach"];

/// What a setting can be.
#[derive(Clone, Copy)]
enum Kind {
    /// `off` or `on`: 0 or 1.
    Switch,
    /// One of some words, by its number.
    Choice(&'static [&'static str]),
    /// A number from the first to the second.
    Number(u16, u16),
}

/// A setting as `configure` knows it.
pub struct Key {
    /// Its name on the command line.
    pub name: &'static str,
    /// What it does.
    pub about: &'static str,
    kind: Kind,
    /// Offset in the table.
    at: usize,
    /// In a fresh image.
    default: u16,
}

/// All settings.
pub const KEYS: [Key; 12] = [
    Key {
        name: "enabled",
        about: "boot at all; off: no boot entry, and other media say that they are switched off",
        kind: Kind::Switch,
        at: 2,
        default: 1,
    },
    Key {
        name: "quiet",
        about: "show nothing on the screen but errors, menus and prompts",
        kind: Kind::Switch,
        at: 3,
        default: 0,
    },
    Key {
        name: "serial-log",
        about: "write the log to this serial port, too (115200 baud, 8N1)",
        kind: Kind::Choice(&SERIAL_PORTS),
        at: 4,
        default: 0,
    },
    Key {
        name: "without-pmm",
        about: "take memory as on a BIOS without PMM, also where there is one",
        kind: Kind::Switch,
        at: 5,
        default: 0,
    },
    Key {
        name: "pnp",
        about: "be a plug-and-play ROM with boot entries; off: as on a BIOS that knows none, see hook",
        kind: Kind::Switch,
        at: 6,
        default: 1,
    },
    Key {
        name: "hook",
        about: "on a BIOS without boot entries: int19 boots the network first, int18 last, off not at all",
        kind: Kind::Choice(&HOOKS),
        at: 7,
        default: 0,
    },
    Key {
        name: "key-wait",
        about: "seconds to wait for a key before a network boot: Esc skips it, a digit picks the card",
        kind: Kind::Number(0, 60),
        at: 8,
        default: 0,
    },
    Key {
        name: "link-wait",
        about: "seconds to wait for the network card's link",
        kind: Kind::Number(0, 120),
        at: 9,
        default: 10,
    },
    Key {
        name: "dhcp-wait",
        about: "seconds to look for a DHCP server; it is asked 4 seconds apart at first, then less often",
        kind: Kind::Number(1, 600),
        at: 12,
        default: 60,
    },
    Key {
        name: "vlan",
        about: "VLAN tag (IEEE 802.1Q) of all frames; 0 for none",
        kind: Kind::Number(0, 4094),
        at: 10,
        default: 0,
    },
    Key {
        name: "disks",
        about: "serve synthetic SCSI disks as BIOS drives, and boot the first after the network (hvpxe.rom can not)",
        kind: Kind::Switch,
        at: 14,
        default: 0,
    },
    Key {
        name: "vmbus-owner",
        about: "when a BIOS uses VMBus: share it, else take it and its disks; decline to boot; attach: share, else decline",
        kind: Kind::Choice(&OWNER_POLICIES),
        at: 15,
        default: 0,
    },
];

/// Settings of an image: one value for each of [`KEYS`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings([u16; KEYS.len()]);

impl Default for Settings {
    fn default() -> Self {
        Self(std::array::from_fn(|index| KEYS[index].default))
    }
}

impl Kind {
    const fn max(self) -> u16 {
        match self {
            Self::Switch => 1,
            Self::Choice(words) => words.len() as u16 - 1,
            Self::Number(_, max) => max,
        }
    }

    const fn min(self) -> u16 {
        match self {
            Self::Switch | Self::Choice(_) => 0,
            Self::Number(min, _) => min,
        }
    }

    fn allows(self, value: u16) -> bool {
        (self.min()..=self.max()).contains(&value)
    }

    fn parse(self, text: &str) -> Option<u16> {
        match self {
            Self::Switch => ["off", "on"].iter().position(|&word| word == text).map(|index| index as u16),
            Self::Choice(words) => words.iter().position(|&word| word == text).map(|index| index as u16),
            Self::Number(..) => text.parse().ok().filter(|&number| self.allows(number)),
        }
    }

    /// What a person may write.
    fn values(self) -> String {
        match self {
            Self::Switch => "`on` or `off`".to_owned(),
            Self::Choice(words) => format!("one of {}", words.join(", ")),
            Self::Number(min, max) => format!("a number from {min} to {max}"),
        }
    }

    fn show(self, value: u16) -> String {
        match self {
            Self::Switch => if value == 1 { "on" } else { "off" }.to_owned(),
            Self::Choice(words) => words[usize::from(value)].to_owned(),
            Self::Number(..) => value.to_string(),
        }
    }
}

impl Key {
    /// What a person may write behind the name.
    #[must_use]
    pub fn values(&self) -> String {
        self.kind.values()
    }

    fn is_word(&self) -> bool {
        self.kind.max() > u8::MAX.into()
    }
}

impl Settings {
    /// Changes one setting: `key=value`.
    ///
    /// # Errors
    /// If there is no such key or value; the error lists those that there are.
    pub fn set(&mut self, assignment: &str) -> Result<()> {
        let (name, value) = assignment.split_once('=').with_context(|| format!("`{assignment}` is not key=value"))?;
        let Some(index) = KEYS.iter().position(|key| key.name == name) else {
            bail!("no setting `{name}`; there are {}", KEYS.map(|key| key.name).join(", "));
        };
        let kind = KEYS[index].kind;
        self.0[index] = kind.parse(value).with_context(|| format!("{name} is {}, not `{value}`", kind.values()))?;
        Ok(())
    }

    /// The value of a setting, by its name in [`KEYS`].
    ///
    /// # Panics
    /// If there is no such setting.
    #[must_use]
    pub fn get(&self, name: &str) -> u16 {
        self.0[KEYS.iter().position(|key| key.name == name).expect("a name of KEYS")]
    }

    /// Reads the table.
    ///
    /// # Errors
    /// If it is of another version, or holds a value that a setting can't have.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let (&[version, length], _) = bytes.split_first_chunk().context("the settings are cut off")?;
        ensure!(version == VERSION, "the settings are of version {version}; this program knows {VERSION}");
        ensure!(usize::from(length) == SIZE && bytes.len() == SIZE, "the settings have {length} bytes, not {SIZE}");
        let mut settings = Self::default();
        for (key, value) in KEYS.iter().zip(&mut settings.0) {
            let high = if key.is_word() { bytes[key.at + 1] } else { 0 };
            *value = u16::from_le_bytes([bytes[key.at], high]);
            ensure!(key.kind.allows(*value), "the setting {} is {value:#x}, not {}", key.name, key.kind.values());
        }
        ensure!(settings.to_bytes() == bytes, "unused bytes of the settings are not zero");
        Ok(settings)
    }

    /// The table.
    #[must_use]
    pub fn to_bytes(self) -> [u8; SIZE] {
        let mut bytes = [0; SIZE];
        bytes[..2].copy_from_slice(&[VERSION, SIZE as u8]);
        for (key, value) in KEYS.iter().zip(self.0) {
            let [low, high] = value.to_le_bytes();
            bytes[key.at] = low;
            if key.is_word() {
                bytes[key.at + 1] = high;
            }
        }
        bytes
    }
}

impl fmt::Display for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (key, &value)) in KEYS.iter().zip(&self.0).enumerate() {
            let space = if index == 0 { "" } else { " " };
            write!(f, "{space}{}={}", key.name, key.kind.show(value))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// asm/rom_header.s: version, length, enabled, quiet, serial-log, without-pmm, pnp, hook, key-wait, link-wait, vlan,
    /// dhcp-wait, disks, vmbus-owner.
    const DEFAULT: [u8; SIZE] = [3, 16, 1, 0, 0, 0, 1, 0, 0, 10, 0, 0, 60, 0, 0, 0];

    #[test]
    fn the_bytes_are_those_of_the_assembly() {
        assert_eq!(Settings::default().to_bytes(), DEFAULT);
        let mut settings = Settings::default();
        for assignment in [
            "without-pmm=on",
            "pnp=off",
            "hook=int18",
            "key-wait=5",
            "vlan=4094",
            "link-wait=0",
            "dhcp-wait=600",
            "serial-log=com2",
            "disks=on",
            "vmbus-owner=decline",
        ] {
            settings.set(assignment).unwrap();
        }
        let bytes = settings.to_bytes();
        assert_eq!(bytes, [3, 16, 1, 0, 2, 1, 0, 1, 5, 0, 0xfe, 0x0f, 0x58, 0x02, 1, 1]);
        assert_eq!(Settings::from_bytes(&bytes).unwrap(), settings);
        assert_eq!(
            settings.to_string(),
            "enabled=on quiet=off serial-log=com2 without-pmm=on pnp=off hook=int18 key-wait=5 link-wait=0 dhcp-wait=600 \
             vlan=4094 disks=on vmbus-owner=decline"
        );
        assert_eq!(settings.get("vlan"), 4094);
        settings.set("vmbus-owner=attach").unwrap();
        assert_eq!(settings.to_bytes()[15], 2);
        assert!(settings.to_string().ends_with("vmbus-owner=attach"));
    }

    #[test]
    fn unknown_keys_values_and_versions_are_refused() {
        let mut settings = Settings::default();
        assert!(settings.set("colour=on").unwrap_err().to_string().contains("enabled, quiet"));
        assert!(settings.set("hook=int13").unwrap_err().to_string().contains("int19, int18, off"));
        for assignment in
            ["quiet=perhaps", "quiet", "vlan=4095", "key-wait=-1", "dhcp-wait=0", "serial-log=on", "serial-log=com5"]
        {
            assert!(settings.set(assignment).is_err(), "{assignment}");
        }
        assert_eq!(settings, Settings::default());
        for (at, value) in [(0, 1), (1, 8), (3, 7), (7, 3), (12, 0), (14, 2), (15, 3)] {
            let mut bytes = DEFAULT;
            bytes[at] = value;
            assert!(Settings::from_bytes(&bytes).is_err(), "byte {at}");
        }
        assert!(Settings::from_bytes(&[2]).is_err());
    }
}
