//! Which QEMU to use: the machine's own where it is new enough, else the private one.

use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::str::FromStr;

use anyhow::{Context, Result, bail};

use super::apt::find_in_path;
use crate::process::capture;

/// The first QEMU with plugin API 7, which writes registers and memory.
pub const OLDEST: Version = Version { major: 11, minor: 1 };

/// Shared libraries of the private packages.
const LIBRARIES: &str = "usr/lib/x86_64-linux-gnu";

/// A QEMU version, as far as it matters here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    /// Year's number.
    pub major: u32,
    /// Release within the year.
    pub minor: u32,
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

impl FromStr for Version {
    type Err = anyhow::Error;

    /// Reads the first line of `qemu-system-x86_64 --version`: `QEMU emulator version 11.1.3 (Debian ...)`.
    fn from_str(text: &str) -> Result<Self> {
        let number = text.split_whitespace().skip_while(|word| *word != "version").nth(1);
        let number = number.with_context(|| format!("no version in `{}`", text.trim()))?;
        let mut parts = number.split('.').map(str::parse::<u32>);
        match (parts.next(), parts.next()) {
            (Some(Ok(major)), Some(Ok(minor))) => Ok(Self { major, minor }),
            _ => bail!("`{number}` is no QEMU version"),
        }
    }
}

/// A QEMU that can run the lab.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Qemu {
    /// In `PATH`.
    Machine(PathBuf),
    /// Unpacked below this root.
    Private(PathBuf),
}

impl Qemu {
    /// The machine's own, when it is new enough and takes plugins; else why not.
    pub fn of_machine() -> Result<Self, String> {
        let path = find_in_path("qemu-system-x86_64").ok_or("the machine has no qemu-system-x86_64")?;
        let ask = |argument: &str| -> Result<String, String> {
            let output = capture(Command::new(&path).arg(argument)).map_err(|error| format!("{error:#}"))?;
            Ok(String::from_utf8_lossy(&output.stdout).into_owned())
        };
        let version: Version = ask("--version")?.parse().map_err(|error| format!("{error:#}"))?;
        if version < OLDEST {
            return Err(format!("the machine's QEMU is {version}, and plugins need {OLDEST}"));
        }
        if !ask("--help")?.lines().any(|line| line.starts_with("-plugin")) {
            return Err(format!("the machine's QEMU {version} was built without plugins"));
        }
        Ok(Self::Machine(path))
    }

    /// The private one, once its packages are unpacked.
    pub fn of_packages(root: &Path) -> Option<Self> {
        root.join("usr/bin/qemu-system-x86_64").is_file().then(|| Self::Private(root.to_owned()))
    }

    /// The command that starts it, still without a machine.
    pub fn command(&self) -> Command {
        match self {
            Self::Machine(path) => Command::new(path),
            Self::Private(root) => {
                let mut command = private_program(root, "usr/bin/qemu-system-x86_64");
                for firmware in ["usr/share/qemu", "usr/share/seabios", "usr/lib/ipxe/qemu"] {
                    command.arg("-L").arg(root.join(firmware));
                }
                command.env("QEMU_MODULE_DIR", root.join(LIBRARIES).join("qemu"));
                command
            }
        }
    }

    /// What it says about its version.
    ///
    /// # Errors
    /// When it doesn't run, or says something else.
    pub fn version(&self) -> Result<Version> {
        let output = capture(self.command().arg("--version"))?;
        String::from_utf8_lossy(&output.stdout).parse()
    }
}

/// A program of the private packages, started by their own loader with their own libraries: the machine's may be older.
pub fn private_program(root: &Path, program: &str) -> Command {
    let mut command = Command::new(root.join(LIBRARIES).join("ld-linux-x86-64.so.2"));
    let mut libraries = OsString::from(root.join(LIBRARIES));
    libraries.push(":");
    libraries.push(root.join("usr/lib"));
    command.arg("--library-path").arg(libraries).arg(root.join(program));
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_and_compared() {
        let debian: Version = "QEMU emulator version 7.2.17 (Debian 1:7.2+dfsg-7)\nCopyright".parse().unwrap();
        assert_eq!(debian, Version { major: 7, minor: 2 });
        assert!(debian < OLDEST);
        let candidate: Version = "QEMU emulator version 11.1.0".parse().unwrap();
        assert!(candidate >= OLDEST);
        assert!("QEMU emulator version 12.0".parse::<Version>().unwrap() >= OLDEST);
    }

    #[test]
    fn other_texts_are_no_version() {
        for text in ["", "version", "version x.y", "QEMU 11.1", "version 11"] {
            assert!(text.parse::<Version>().is_err(), "{text}");
        }
    }
}
