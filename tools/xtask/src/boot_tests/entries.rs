//! The ways into the API on a machine without a network: the UNDI loader puts the API in place, and the conformance program
//! makes its checks of the entry points. Once in QEMU's emulation, and once where segment limits are enforced: under KVM.

use std::fs::{self, File};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use conformance::options::Options;

use super::{BOOT, Bench, BootTest};
use crate::build;
use crate::lab::drives::Drive;
use crate::lab::lan::Unable;
use crate::lab::machine::Machine;
use crate::workspace::Workspace;

/// The tests of this file.
pub const TESTS: &[BootTest] = &[
    BootTest {
        name: "segment-limits",
        about: "the entry points under KVM, where segment limits are enforced",
        run: segment_limits,
    },
    BootTest { name: "undi-loader", about: "the entry points as the UNDI loader leaves them", run: undi_loader },
];

/// Time under KVM (policy): where a hypervisor runs KVM itself, the BIOS alone may take minutes.
const KVM: Duration = Duration::from_secs(90);
/// Length of the disk, that of a floppy (tests/probe/asm/undi.s reads 128 KiB behind its sector).
const DISK_LEN: usize = 1_474_560;
/// In the last line of the conformance program. It has nowhere to return to, so the very last letters may stay in the BIOS.
const ENDED: &str = " failed, ";
/// The checks that KVM is for.
const LIMITS: [&str; 2] = ["03.11", "03.12"];

fn undi_loader(bench: &Bench) -> Result<()> {
    let mut session = bench.start(&machine(bench)?)?;
    session.expect(ENDED, BOOT)?;
    judge(&session.finish()?.log).map(drop)
}

fn segment_limits(bench: &Bench) -> Result<()> {
    File::options()
        .read(true)
        .write(true)
        .open("/dev/kvm")
        .map_err(|error| Unable::new(format!("needs KVM, but /dev/kvm does not open: {error}")))?;
    let deadline = Instant::now() + KVM;
    let mut session = bench.start(&Machine { kvm: true, ..machine(bench)? })?;
    let ended = session.expect(ENDED, deadline.saturating_duration_since(Instant::now()));
    let log = session.finish()?.log;
    let passed = judge(&log)?;
    if let Err(error) = ended {
        let why = error.to_string();
        let last = log.lines().last().unwrap_or("nothing from the ROM");
        bail!(Unable::new(format!(
            "KVM here does not get that far: {} ({last})",
            why.lines().next().unwrap_or_default()
        )));
    }
    if !LIMITS.iter().all(|id| passed.iter().any(|passed| passed == id)) {
        bail!(Unable::new("KVM here does not enforce segment limits".to_owned()));
    }
    Ok(())
}

/// An ordinary PC, whose disk comes after the ROM has found no network.
fn machine(bench: &Bench) -> Result<Machine> {
    let workspace = Workspace::find()?;
    let mut image = fs::read(build::undi_sector(&workspace)?)?;
    let mut program = fs::read(build::conformance(&workspace)?)?;
    let options = Options { entry_only: true, ..Options::default() };
    ensure!(runtime::options::patch(&mut program, &options.to_bytes()), "the program has no options");
    image.extend(program);
    image.resize(DISK_LEN, 0);
    let mut machine = bench.machine(bench.slirp("", None));
    machine.memory_mib = 32;
    machine.hyperv = None;
    machine.drives = vec![Drive::Disk(bench.add_file("undi.img", &image)?)];
    Ok(machine)
}

/// The checks that passed.
///
/// # Errors
/// Those that failed, or when there was none at all.
fn judge(log: &str) -> Result<Vec<String>> {
    let failed: Vec<&str> = log.lines().filter(|line| line.starts_with("FAIL ")).collect();
    ensure!(failed.is_empty(), "{}", failed.join("\n"));
    log.lines()
        .filter_map(|line| line.strip_prefix("PASS "))
        .map(|line| line.split(' ').next().map(str::to_owned).context("a check without a number"))
        .collect()
}
