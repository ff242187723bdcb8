//! The boot program on a machine.

use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use conformance::files::{self, ServedFile};
use conformance::options::Options;

use super::log::{Ended, Log};
use super::results::Results;
use super::stack::Stack;
use super::{ENDING, FUZZ_CALLS, Part};
use crate::build;
use crate::interrupt;
use crate::lab::Lab;
use crate::lab::disk::{self, DISK_TEXT};
use crate::lab::session::{Echo, Session};
use crate::workspace::Workspace;

/// The boot program's name on the server.
pub const BOOT_FILE: &str = "conformance.0";
/// Time from the program's last line to the next boot device (policy).
const NEXT_DEVICE: Duration = Duration::from_secs(30);
/// The program's first and last lines.
const STARTED: &str = "conformance: start";
const FINISHED: &str = " skipped";

/// The boot program, built.
pub struct Program(Vec<u8>);

impl Program {
    /// Builds it.
    ///
    /// # Errors
    /// When a compiler says no.
    pub fn build(workspace: &Workspace) -> Result<Self> {
        let path = build::conformance(workspace)?;
        Ok(Self(fs::read(&path).with_context(|| path.display().to_string())?))
    }

    /// Runs these parts on our ROM.
    ///
    /// # Errors
    /// When it fails a check; the error has the reasons.
    pub fn judge_ours(&self, lab: &Lab, parts: &[Part]) -> Result<()> {
        let mut results = Results::default();
        for part in parts {
            self.run(lab, Stack::Hvpxe, *part, part.options(FUZZ_CALLS, 1), Echo::Off, &mut results);
        }
        match results.failures(Stack::Hvpxe) {
            0 => Ok(()),
            count => bail!("{count} checks failed:\n{}", results.reasons(&[Stack::Hvpxe])),
        }
    }

    /// Runs a part on a stack. Where a check leaves no stack behind, a fresh machine goes on with the next one.
    pub fn run(&self, lab: &Lab, stack: Stack, part: Part, mut options: Options, echo: Echo, results: &mut Results) {
        while !interrupt::requested() {
            let log = match self.boot(lab, stack, part, &options, echo) {
                Ok(log) => log,
                Err(error) => return results.add_no_run(stack, part, &error),
            };
            results.add(stack, part, &log);
            match log.go_on_after() {
                None => return,
                last => options.after = last,
            }
        }
    }

    /// Boots it once, and adds to its log what it can't see itself.
    fn boot(&self, lab: &Lab, stack: Stack, part: Part, options: &Options, echo: Echo) -> Result<Log> {
        let files = tempfile::Builder::new().prefix("hvpxe-conformance-").tempdir()?;
        serve(files.path(), &patched(&self.0, options)?)?;
        let restarted = Options { skip_checks: true, ..Options::default() };
        fs::write(files.path().join(files::RESTARTED), patched(&self.0, &restarted)?)?;
        let disk = files.path().join("disk.img");
        disk::write(&disk)?;
        let mut machine = stack.machine(lab, files.path(), BOOT_FILE, disk);
        if let Some(network) = part.network(files.path()) {
            machine.network = network;
        }
        let mut session = Session::start(&lab.qemu, &machine, echo, Stdio::null())?;
        session.expect_times(STARTED, if part == Part::Restart { 2 } else { 1 }, ENDING)?;
        let ended = session.expect(FINISHED, part.limit(stack));
        let lost = session.expect(Log::LOST, Duration::ZERO).is_ok();
        // Of a machine whose stack is lost no more is asked.
        let went_on = if lost { Ok(()) } else { ended.and_then(|()| session.expect(DISK_TEXT, NEXT_DEVICE)) };
        let report = session.finish()?;
        let mut log = Log::new(&report.log);
        // As one more check: what the program can't see any more.
        if log.ended() == Ended::Finished {
            let went_on = went_on.err().map(|error| error.to_string());
            log.add("13.1 the next boot device is tried", went_on.as_deref());
        }
        const RULES: &str = "21.1 no rule of the Hyper-V interface was broken";
        match &report.violations {
            Some(violations) => log.add(RULES, violations.lines().next()),
            None => log.add_skipped(RULES, "this stack's card is none of Hyper-V's"),
        }
        Ok(log)
    }
}

/// The program with options.
fn patched(program: &[u8], options: &Options) -> Result<Vec<u8>> {
    let mut bytes = program.to_vec();
    ensure!(runtime::options::patch(&mut bytes, &options.to_bytes()), "the program has no options");
    Ok(bytes)
}

/// Writes what the TFTP server serves.
fn serve(dir: &Path, program: &[u8]) -> Result<()> {
    fs::write(dir.join(BOOT_FILE), program)?;
    for ServedFile { name, len } in files::ALL {
        let content: Vec<u8> = (0..len).map(files::byte_at).collect();
        fs::write(dir.join(name), content)?;
    }
    Ok(())
}
