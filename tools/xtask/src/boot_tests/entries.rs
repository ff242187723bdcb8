//! The ways into the API on a machine without a network: the UNDI loader puts the API in place, and the conformance program
//! makes its checks of the entry points. Once in QEMU's emulation, and once where segment limits are enforced: under KVM. That
//! only goes on from where the emulation has come to: a KVM without hardware below it runs BIOS and unpacking for minutes.

use std::fs::{self, File};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use conformance::options::Options;

use super::{BOOT, Bench, BootTest};
use crate::build;
use crate::interrupt;
use crate::lab::drives::Drive;
use crate::lab::lan::Unable;
use crate::lab::machine::Machine;
use crate::lab::session::Session;
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

/// Time for the checks under KVM (policy): seconds where KVM emulates each instruction.
const KVM: Duration = Duration::from_secs(60);
/// What the boot sector waits for.
const KEY: &str = "\r";
/// When to type it again (policy).
const AGAIN: Duration = Duration::from_secs(2);
/// In the first line of the conformance program.
const STARTED: &str = "conformance";
/// Length of the disk, that of a floppy (tests/probe/asm/undi.s reads 128 KiB behind its sector).
const DISK_LEN: usize = 1_474_560;
/// In the last line of the conformance program. It has nowhere to return to, so the very last letters may stay in the BIOS.
const ENDED: &str = " failed, ";
/// The checks that KVM is for.
const LIMITS: [&str; 2] = ["03.11", "03.12"];

fn undi_loader(bench: &Bench) -> Result<()> {
    let mut session = ready(bench, &machine(bench)?)?;
    session.type_text(KEY)?;
    session.expect(ENDED, BOOT)?;
    judge(&session.finish()?.log).map(drop)
}

fn segment_limits(bench: &Bench) -> Result<()> {
    File::options()
        .read(true)
        .write(true)
        .open("/dev/kvm")
        .map_err(|error| Unable::new(format!("needs KVM, but /dev/kvm does not open: {error}")))?;
    let machine = machine(bench)?;
    let state = bench.files().join("state");
    let mut session = ready(bench, &machine)?;
    session.save(&state, BOOT)?;
    session.finish()?;

    let mut session = bench.start_with_keyboard(&Machine { kvm_from: Some(state), ..machine })?;
    let ended = go_on(&mut session);
    let log = session.finish()?.log;
    let passed = judge(&log)?;
    match ended {
        Err(error) if passed.is_empty() => bail!(Unable::new(format!("KVM here does not go on from TCG: {error:#}"))),
        ended => ended?,
    }
    if !LIMITS.iter().all(|id| passed.iter().any(|passed| passed == id)) {
        bail!(Unable::new("KVM here does not enforce segment limits".to_owned()));
    }
    Ok(())
}

/// Starts the program in a machine that KVM goes on with. A key is lost while the state is being loaded: so more than one.
fn go_on(session: &mut Session) -> Result<()> {
    let deadline = Instant::now() + KVM;
    loop {
        session.type_text(KEY)?;
        let left = deadline.saturating_duration_since(Instant::now());
        match session.expect(STARTED, AGAIN.min(left)) {
            Err(error) if left.is_zero() || interrupt::requested() => return Err(error),
            Err(_) => {}
            Ok(()) => return session.expect(ENDED, left),
        }
    }
}

/// A machine that waits for [`KEY`] to start the conformance program.
fn ready(bench: &Bench, machine: &Machine) -> Result<Session> {
    let mut session = bench.start_with_keyboard(machine)?;
    session.expect("PRESS A KEY", BOOT)?;
    Ok(session)
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
