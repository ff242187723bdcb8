//! The settings that an image carries, and how they look in it.
//!
//! They are one small table in the ROM (asm/rom_header.s, `rom_settings`), also in the other media, which hold the ROM
//! whole. A byte for its version, one for its length, then one byte a setting: 0 off, 1 on.

use std::fmt;

use anyhow::{Context, Result, bail, ensure};

/// Version of the table.
const VERSION: u8 = 1;
/// Length of the table in bytes, with version and length; what is not used yet is zero.
pub const SIZE: usize = 8;

/// Settings of an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Boot at all. Off: the option ROM makes no boot entry, and the other media say that they are switched off.
    pub enabled: bool,
    /// Show nothing on the screen but errors, menus and prompts.
    pub quiet: bool,
    /// Write the log, which always goes to port 0xE9, to the serial port COM1 too (115200 baud, 8N1).
    pub serial_log: bool,
    /// Take memory as on a BIOS without PMM, also where there is one. For tests.
    pub without_pmm: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self { enabled: true, quiet: false, serial_log: false, without_pmm: false }
    }
}

/// A setting as `configure` knows it.
pub struct Key {
    /// Its name on the command line.
    pub name: &'static str,
    /// What it does.
    pub about: &'static str,
    get: fn(&mut Settings) -> &mut bool,
}

/// All settings, in the order of their bytes in the table.
pub const KEYS: [Key; 4] = [
    Key {
        name: "enabled",
        about: "boot at all; off: no boot entry, and other media say that they are switched off",
        get: |settings| &mut settings.enabled,
    },
    Key {
        name: "quiet",
        about: "show nothing on the screen but errors, menus and prompts",
        get: |settings| &mut settings.quiet,
    },
    Key {
        name: "serial-log",
        about: "write the log to the serial port COM1, too (115200 baud, 8N1)",
        get: |settings| &mut settings.serial_log,
    },
    Key {
        name: "without-pmm",
        about: "take memory as on a BIOS without PMM, also where there is one",
        get: |settings| &mut settings.without_pmm,
    },
];

impl Settings {
    /// Changes one setting: `key=value`, the value `on` or `off`.
    ///
    /// # Errors
    /// If there is no such key or value; the error lists those that there are.
    pub fn set(&mut self, assignment: &str) -> Result<()> {
        let (name, value) = assignment.split_once('=').with_context(|| format!("`{assignment}` is not key=value"))?;
        let Some(key) = KEYS.iter().find(|key| key.name == name) else {
            let names: Vec<_> = KEYS.iter().map(|key| key.name).collect();
            bail!("no setting `{name}`; there are {}", names.join(", "));
        };
        *(key.get)(self) = match value {
            "on" => true,
            "off" => false,
            _ => bail!("{name} is `on` or `off`, not `{value}`"),
        };
        Ok(())
    }

    /// Reads the table.
    ///
    /// # Errors
    /// If it is of another version, or holds something else than on and off.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let (&[version, length], values) = bytes.split_first_chunk().context("the settings are cut off")?;
        ensure!(version == VERSION, "the settings are of version {version}; this program knows {VERSION}");
        ensure!(usize::from(length) == SIZE && bytes.len() == SIZE, "the settings have {length} bytes, not {SIZE}");
        let mut settings = Self::default();
        for (key, &value) in KEYS.iter().zip(values) {
            ensure!(value <= 1, "the setting {} is {value:#x}, neither on nor off", key.name);
            *(key.get)(&mut settings) = value == 1;
        }
        ensure!(values[KEYS.len()..].iter().all(|&byte| byte == 0), "unused bytes of the settings are not zero");
        Ok(settings)
    }

    /// The table.
    #[must_use]
    pub fn to_bytes(mut self) -> [u8; SIZE] {
        let mut bytes = [0; SIZE];
        bytes[..2].copy_from_slice(&[VERSION, SIZE as u8]);
        for (key, byte) in KEYS.iter().zip(&mut bytes[2..]) {
            *byte = u8::from(*(key.get)(&mut self));
        }
        bytes
    }
}

impl fmt::Display for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut settings = *self;
        for (index, key) in KEYS.iter().enumerate() {
            let space = if index == 0 { "" } else { " " };
            let value = if *(key.get)(&mut settings) { "on" } else { "off" };
            write!(f, "{space}{}={value}", key.name)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bytes_are_those_of_the_assembly() {
        // asm/rom_header.s: version, length, enabled, quiet, serial-log, without-pmm.
        assert_eq!(Settings::default().to_bytes(), [1, 8, 1, 0, 0, 0, 0, 0]);
        let settings = Settings { without_pmm: true, ..Settings::default() };
        assert_eq!(settings.to_bytes(), [1, 8, 1, 0, 0, 1, 0, 0]);
        assert_eq!(Settings::from_bytes(&[1, 8, 0, 1, 1, 0, 0, 0]).unwrap().to_string(), {
            "enabled=off quiet=on serial-log=on without-pmm=off"
        });
    }

    #[test]
    fn unknown_keys_values_and_versions_are_refused() {
        let mut settings = Settings::default();
        assert!(settings.set("colour=on").unwrap_err().to_string().contains("enabled, quiet"));
        assert!(settings.set("quiet=perhaps").is_err());
        assert!(settings.set("quiet").is_err());
        assert_eq!(settings, Settings::default());
        assert!(Settings::from_bytes(&[2, 8, 1, 0, 0, 0, 0, 0]).is_err());
        assert!(Settings::from_bytes(&[1, 8, 1, 7, 0, 0, 0, 0]).is_err());
        assert!(Settings::from_bytes(&[1, 8, 1, 0, 0, 0, 0, 1]).is_err());
        assert!(Settings::from_bytes(&[1]).is_err());
    }
}
