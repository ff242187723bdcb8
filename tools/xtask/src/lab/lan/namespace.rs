//! A network namespace: its own interfaces, addresses and ports, seen by nobody else on the machine.
//!
//! It has no name. A process that sleeps holds it, and when that process and the servers in it have ended, the kernel
//! takes it away with all its interfaces, also when we were killed ourselves.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use crate::process::{OwnedChild, capture, ending_with_us};

/// How long a process may take to start in its namespace (policy).
const START: Duration = Duration::from_secs(10);
/// Interval between two looks (policy).
const LOOK: Duration = Duration::from_millis(5);

/// A namespace. It ends when this value goes.
pub struct Namespace {
    holder: OwnedChild,
}

impl Namespace {
    /// Makes an empty namespace.
    ///
    /// # Errors
    /// When the system doesn't allow it.
    pub fn create() -> Result<Self> {
        let mut hold = ending_with_us("unshare");
        hold.args(["--net", "sleep", "infinity"]).stdin(Stdio::null()).stdout(Stdio::null());
        let mut namespace = Self { holder: OwnedChild::spawn(&mut hold)? };
        let ours = fs::read_link("/proc/self/ns/net")?;
        let deadline = Instant::now() + START;
        // The process has a namespace from its first moment: ours, until `unshare` has done its work.
        while fs::read_link(namespace.path()).is_ok_and(|of_holder| of_holder == ours) {
            ensure!(namespace.holder.0.try_wait()?.is_none(), "`unshare --net` can't make a network namespace");
            ensure!(Instant::now() < deadline, "`unshare --net` made no network namespace in time");
            thread::sleep(LOOK);
        }
        namespace.ip("link set lo up")?;
        Ok(namespace)
    }

    /// The process that other namespaces know this one by.
    pub fn pid(&self) -> u32 {
        self.holder.0.id()
    }

    /// The namespace as a file.
    pub fn path(&self) -> PathBuf {
        format!("/proc/{}/ns/net", self.pid()).into()
    }

    /// Runs `ip` with these words inside.
    ///
    /// # Errors
    /// When it says no.
    pub fn ip(&self, words: &str) -> Result<()> {
        let mut command = Command::new("ip");
        command.args(words.split_whitespace());
        capture(&mut within(&self.path(), &command)).map(drop)
    }
}

/// The same command inside a namespace. `nsenter` becomes the program, so its process id stays the one that we know.
/// Standard streams have to be set on the result.
pub fn within(namespace: &Path, command: &Command) -> Command {
    let mut enter = ending_with_us("nsenter");
    let mut place = OsString::from("--net=");
    place.push(namespace);
    enter.arg(place).arg("--").arg(command.get_program()).args(command.get_args());
    for (key, value) in command.get_envs() {
        match value {
            Some(value) => enter.env(key, value),
            None => enter.env_remove(key),
        };
    }
    if let Some(dir) = command.get_current_dir() {
        enter.current_dir(dir);
    }
    enter
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_keeps_its_words_and_its_environment() {
        let mut command = Command::new("dnsmasq");
        command.args(["--port=0", "--log-dhcp"]).env("LC_ALL", "C");
        let entered = within(Path::new("/proc/77/ns/net"), &command);
        let words: Vec<_> = entered.get_args().map(|word| word.to_str().unwrap()).collect();
        assert!(words.ends_with(&["nsenter", "--net=/proc/77/ns/net", "--", "dnsmasq", "--port=0", "--log-dhcp"]));
        assert_eq!(entered.get_envs().count(), 1);
    }
}
