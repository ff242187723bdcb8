//! Boots in QEMU, end to end. One file per subject; each test is a function that starts machines and says what it saw.

mod bench_guard;
mod boot_entries;
mod boot_hooks;
mod budgets;
mod chains;
mod clients;
mod conformance;
mod damaged;
mod disks;
mod entries;
mod exception;
mod handover;
mod host_faults;
mod http;
mod installer;
mod ipxe_lkrn;
mod iscsi;
mod linux;
mod media;
mod memory;
mod network_faults;
mod other_machines;
pub mod owner;
mod probed;
mod published;
mod real_dhcp;
mod real_lease;
mod real_menu;
mod real_tftp;
mod restart;
mod syslinux;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Result, bail, ensure};
use netserver::Event;

use crate::lab::Lab;
use crate::lab::disk;
use crate::lab::drives::Drive;
use crate::lab::machine::{HyperV, Machine};
use crate::lab::network::Network;
use crate::lab::session::{Echo, Report, Session};

/// One boot.
pub struct BootTest {
    /// Its name, for `--filter`.
    pub name: &'static str,
    /// What it shows.
    pub about: &'static str,
    /// Does it.
    pub run: fn(&Bench) -> Result<()>,
}

/// All boot tests, those that take longest first.
pub fn all() -> Vec<&'static BootTest> {
    let longest_first = [
        entries::TESTS,
        conformance::TESTS,
        owner::TESTS,
        linux::TESTS,
        handover::TESTS,
        disks::TESTS,
        iscsi::TESTS,
        restart::TESTS,
        bench_guard::TESTS,
        network_faults::TESTS,
        host_faults::TESTS,
        http::TESTS,
        real_lease::TESTS,
        real_dhcp::TESTS,
        real_menu::TESTS,
        real_tftp::TESTS,
        installer::TESTS,
        ipxe_lkrn::TESTS,
        memory::TESTS,
        chains::TESTS,
        published::TESTS,
        syslinux::TESTS,
        clients::TESTS,
        media::TESTS,
        budgets::TESTS,
        exception::TESTS,
        damaged::TESTS,
        other_machines::TESTS,
        boot_entries::TESTS,
        boot_hooks::TESTS,
    ];
    longest_first.into_iter().flatten().collect()
}

/// Time for a boot that meets no fault (policy): some seconds on an idle machine, with room for two at once on a slow one.
const BOOT: Duration = Duration::from_secs(90);

/// What a test works with: the lab, and a directory of its own for what its servers serve.
pub struct Bench {
    /// QEMU, plugin, ROM and boot programs.
    pub lab: Lab,
    files: tempfile::TempDir,
}

impl Bench {
    /// Makes the directory.
    ///
    /// # Errors
    /// When the directory for temporary files can't be written.
    pub fn new(lab: &Lab) -> Result<Self> {
        Ok(Self { lab: lab.clone(), files: tempfile::Builder::new().prefix("hvpxe-test-").tempdir()? })
    }

    /// The directory that the servers serve.
    fn files(&self) -> &Path {
        self.files.path()
    }

    /// Adds a file for the servers.
    fn add_file(&self, name: &str, content: &[u8]) -> Result<PathBuf> {
        let path = self.files.path().join(name);
        fs::write(&path, content)?;
        Ok(path)
    }

    /// Our own server, with these switches.
    fn server(&self, switches: &[(&str, &str)]) -> Network {
        Network::Server {
            files: self.files().to_owned(),
            switches: switches.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect(),
        }
    }

    /// QEMU's user network.
    fn slirp(&self, bootfile: &str, http_port: Option<u16>) -> Network {
        Network::Slirp { files: self.files().to_owned(), bootfile: bootfile.to_owned(), http_port }
    }

    /// A Hyper-V machine that boots our ROM.
    fn machine(&self, network: Network) -> Machine {
        Machine {
            memory_mib: 128,
            rom: Some(self.lab.rom.clone()),
            other_roms: Vec::new(),
            kernel: None,
            acpi_table: None,
            drives: Vec::new(),
            other_nic: None,
            settings: Vec::new(),
            rom_place: 0,
            restarts: false,
            kvm_from: None,
            hyperv: Some(HyperV {
                plugin: self.lab.plugin.clone(),
                switches: Vec::new(),
                log_level: "error".to_owned(),
                pcap: None,
            }),
            network,
            display: None,
        }
    }

    /// The same with a second boot device, and with switches of the Hyper-V host.
    fn machine_with_disk(&self, network: Network, switches: &[&str]) -> Result<Machine> {
        let mut machine = self.machine(network);
        machine.drives = vec![Drive::Disk(self.second_disk()?)];
        if let Some(hyperv) = &mut machine.hyperv {
            hyperv.switches = switches.iter().map(|switch| (*switch).to_owned()).collect();
        }
        Ok(machine)
    }

    /// The image of a disk or floppy that says when it is booted.
    fn second_disk(&self) -> Result<PathBuf> {
        let path = self.files.path().join("disk.img");
        disk::write(&path)?;
        Ok(path)
    }

    /// Starts a machine without a keyboard.
    fn start(&self, machine: &Machine) -> Result<Session> {
        Session::start(&self.lab.qemu, machine, Echo::Off, Stdio::null())
    }

    /// Starts a machine that [`Session::type_text`] can type on.
    fn start_with_keyboard(&self, machine: &Machine) -> Result<Session> {
        Session::start(&self.lab.qemu, machine, Echo::Off, Stdio::piped())
    }

    /// Boots a machine whose network boot must fail: with these texts on the console, and then on to the disk.
    fn falls_through(&self, machine: &Machine, texts: &[&str], limit: Duration) -> Result<Report> {
        let mut session = self.start(machine)?;
        session.expect(disk::DISK_TEXT, limit)?;
        let report = finish(session)?;
        for text in texts {
            let (console, log) = (&report.console, &report.log);
            ensure!(console.contains(text), "no `{text}` on the console:\n{console}\nThe ROM's log:\n{log}");
        }
        Ok(report)
    }
}

/// Ends a machine and judges what every boot is judged by: nobody broke a rule, and nothing in the core died.
fn finish(session: Session) -> Result<Report> {
    finish_but(session, |_| false)
}

/// The same, with violations that are none here.
fn finish_but(session: Session, is_allowed: impl Fn(&str) -> bool) -> Result<Report> {
    let report = session.finish()?;
    let violations = report.violations.as_deref().unwrap_or_default();
    let violations: Vec<&str> = violations.lines().filter(|violation| !is_allowed(violation)).collect();
    if !violations.is_empty() {
        bail!("the guest broke rules of the Hyper-V interface:\n{}", violations.join("\n"));
    }
    for event in &report.events {
        if let Event::Violation(what) = event {
            bail!("the guest broke a network protocol: {what}");
        }
    }
    Ok(report)
}

/// Bytes that look like no other: each 4 KiB differs from the next, so that a block in the wrong place is noticed.
fn noise(len: usize, seed: u64) -> Vec<u8> {
    // SplitMix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014).
    let mut state = seed;
    let mut bytes = Vec::with_capacity(len + 8);
    while bytes.len() < len {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bytes.extend((word ^ (word >> 31)).to_le_bytes());
    }
    bytes.truncate(len);
    bytes
}

/// Whether guest RAM holds these bytes in one piece.
fn ram_holds(ram: &[u8], content: &[u8]) -> bool {
    let Some(start) = content.get(..16) else { return false };
    let mut at = 0;
    while let Some(found) = find(&ram[at..], start) {
        if ram[at + found..].starts_with(content) {
            return true;
        }
        at += found + 1;
    }
    false
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    let first = *needle.first()?;
    let mut at = 0;
    while let Some(found) = haystack[at..].iter().position(|byte| *byte == first) {
        if haystack[at + found..].starts_with(needle) {
            return Some(at + found);
        }
        at += found + 1;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique() {
        let mut names: Vec<_> = all().iter().map(|test| test.name).collect();
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count);
    }

    #[test]
    fn content_is_found_whole_or_not_at_all() {
        let content = noise(10_000, 1);
        let mut ram = vec![content[0]; 5_000];
        ram.extend(&content[..9_999]);
        ram.push(!content[9_999]);
        assert!(!ram_holds(&ram, &content), "the last byte differs");
        ram.extend(&content);
        assert!(ram_holds(&ram, &content));
        assert_ne!(noise(64, 1), noise(64, 2));
    }
}
