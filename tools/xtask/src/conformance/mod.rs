//! `cargo xtask conformance`: the conformance boot program on several PXE stacks, side by side.

mod results;
mod stack;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use conformance::files::{self, ServedFile};
use conformance::options::{Ending, Options, ServerFault};

use self::results::Results;
use self::stack::Stack;
use crate::build;
use crate::interrupt;
use crate::lab::Lab;
use crate::lab::disk::{self, DISK_TEXT};
use crate::lab::network::{Network, SERVER};
use crate::lab::session::{Echo, Report, Session};
use crate::progress::Step;
use crate::workspace::Workspace;

/// The boot program's name on the server.
const BOOT_FILE: &str = "conformance.0";
/// Time for all checks (policy): ours needs a quarter of a minute on an idle machine.
const CHECKS: Duration = Duration::from_secs(200);
/// Time for all checks on another stack (policy): one that times out in a dozen of them takes minutes.
const CHECKS_ELSEWHERE: Duration = Duration::from_secs(900);
/// Time for an ending alone (policy).
const ENDING: Duration = Duration::from_secs(90);
/// Random calls of a run, unless told otherwise.
const FUZZ_CALLS: u32 = 10_000;
/// Time for them (policy).
const FUZZ: Duration = Duration::from_secs(400);
/// Time from the program's last line to the next boot device (policy).
const NEXT_DEVICE: Duration = Duration::from_secs(30);
/// The program's first and last lines.
const STARTED: &str = "conformance: start";
const FINISHED: &str = " skipped";

/// Which stacks, and how thoroughly.
#[derive(Args)]
pub struct ConformanceArgs {
    /// A stack; may be repeated. Default: all.
    #[arg(long, value_enum, value_name = "NAME")]
    stack: Vec<Stack>,

    /// Another option ROM for the stack hvpxe.
    #[arg(long, value_name = "FILE")]
    rom: Option<PathBuf>,

    /// Only this part: `checks`, `fuzz`, an order of unloading (`syslinux`, `ipxe`, `grub`, `specification`), `restart`,
    /// or a fault of the TFTP server (`no-options`, `silent`, `stops`; on hvpxe, which loads the program by HTTP).
    #[arg(long, value_name = "PART")]
    only: Option<Part>,

    /// Random calls that the fuzz part makes. It runs on hvpxe, and elsewhere with --only fuzz.
    #[arg(long, default_value_t = FUZZ_CALLS, value_name = "N")]
    fuzz_calls: u32,

    /// What the random numbers start from.
    #[arg(long, default_value_t = 1, value_name = "N")]
    seed: u32,

    /// Show the machine's console while it runs.
    #[arg(long)]
    console: bool,
}

/// One run of the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// All checks, then the return to the stack.
    Checks,
    /// Random calls, then the return.
    Fuzz,
    /// An order of unloading, then the next boot device.
    Unload(Ending),
    /// Another program by `RESTART_TFTP`, then its return.
    Restart,
    /// What a stack does when the TFTP server does something else, then the return.
    Server(ServerFault),
}

impl Part {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::Checks,
        Self::Unload(Ending::Syslinux),
        Self::Unload(Ending::Ipxe),
        Self::Unload(Ending::Grub),
        Self::Unload(Ending::Specification),
        Self::Restart,
        Self::Server(ServerFault::NoOptions),
        Self::Server(ServerFault::Silent),
        Self::Server(ServerFault::Stops),
        Self::Fuzz,
    ];

    /// Its name on the command line and in the table.
    pub fn name(self) -> &'static str {
        match self {
            Self::Checks => "checks",
            Self::Fuzz => "fuzz",
            Self::Unload(ending) => ending.name(),
            Self::Restart => Ending::Restart.name(),
            Self::Server(ServerFault::None) => "server",
            Self::Server(ServerFault::NoOptions) => "no-options",
            Self::Server(ServerFault::Silent) => "silent",
            Self::Server(ServerFault::Stops) => "stops",
        }
    }

    fn options(self, fuzz_calls: u32, fuzz_seed: u32) -> Options {
        let plain = Options { skip_checks: true, ..Options::default() };
        match self {
            Self::Checks => Options::default(),
            Self::Fuzz => Options { fuzz_calls, fuzz_seed, ..plain },
            Self::Unload(ending) => Options { ending, ..plain },
            Self::Restart => Options { ending: Ending::Restart, ..plain },
            Self::Server(server) => Options { server, ..plain },
        }
    }

    /// Whether other stacks are asked, too: they take random pointers at their word, and write there; and they can't load
    /// the program without a TFTP server that works.
    fn suits_all(self) -> bool {
        !matches!(self, Self::Fuzz | Self::Server(_))
    }

    /// The network, where it is not the usual one.
    fn network(self, files: &Path) -> Option<Network> {
        let stops = format!("silent-after {}", ServerFault::BLOCKS);
        let fault = match self {
            Self::Server(ServerFault::NoOptions) => "no-options",
            Self::Server(ServerFault::Silent) => "silent",
            Self::Server(ServerFault::Stops) => &stops,
            _ => return None,
        };
        let boot_file = format!("http://{SERVER}/{BOOT_FILE}");
        let switches = [("boot-file", boot_file.as_str()), ("tftp.fault", fault)];
        let switches = switches.map(|(key, value)| (key.to_owned(), value.to_owned())).to_vec();
        Some(Network::Server { files: files.to_owned(), switches })
    }

    fn limit(self, stack: Stack) -> Duration {
        match self {
            Self::Checks if stack == Stack::Hvpxe => CHECKS,
            Self::Checks => CHECKS_ELSEWHERE,
            Self::Fuzz => FUZZ,
            Self::Server(_) => CHECKS,
            Self::Unload(_) | Self::Restart => ENDING,
        }
    }
}

impl std::str::FromStr for Part {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let known = || Self::ALL.map(Self::name).join(", ");
        Self::ALL.into_iter().find(|part| part.name() == text).ok_or_else(|| format!("parts are {}", known()))
    }
}

/// Runs the program, and shows the table.
///
/// # Errors
/// When something can't be built or started, or our ROM fails a check.
pub fn run(workspace: &Workspace, args: &ConformanceArgs) -> Result<()> {
    let mut lab = Lab::prepare(workspace, &build::all(workspace)?)?;
    if let Some(rom) = &args.rom {
        lab.rom = std::path::absolute(rom).with_context(|| rom.display().to_string())?;
    }
    let program = Program::build(workspace)?;
    let stacks = if args.stack.is_empty() { Stack::ALL.to_vec() } else { args.stack.clone() };
    let mut results = Results::default();
    for stack in &stacks {
        for part in args.parts(*stack) {
            let step = Step::start(format!("{}: {}", stack.name(), part.name()));
            let options = part.options(args.fuzz_calls, args.seed);
            let echo = if args.console { Echo::Plain } else { Echo::Off };
            results.add_run(*stack, part, program.boot(&lab, *stack, part, &options, echo));
            step.done("ended");
            ensure!(!interrupt::requested(), "interrupted");
        }
    }
    print!("{}", results.table(&stacks));
    match results.failures(Stack::Hvpxe) {
        0 => Ok(()),
        count => bail!("hvpxe fails {count} checks"),
    }
}

impl ConformanceArgs {
    fn parts(&self, stack: Stack) -> Vec<Part> {
        match self.only {
            Some(part) => vec![part],
            None => Part::ALL.into_iter().filter(|part| stack == Stack::Hvpxe || part.suits_all()).collect(),
        }
    }
}

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
            let options = part.options(FUZZ_CALLS, 1);
            results.add_run(Stack::Hvpxe, *part, self.boot(lab, Stack::Hvpxe, *part, &options, Echo::Off));
        }
        match results.failures(Stack::Hvpxe) {
            0 => Ok(()),
            count => bail!("{count} checks failed:\n{}", results.reasons(&[Stack::Hvpxe])),
        }
    }

    /// Boots it on a stack, and adds to its log what it can't see itself.
    fn boot(&self, lab: &Lab, stack: Stack, part: Part, options: &Options, echo: Echo) -> Result<Report> {
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
        let went_on = ended.and_then(|()| session.expect(DISK_TEXT, NEXT_DEVICE));
        let mut report = session.finish()?;
        // As one more check: what the program can't see any more.
        let (word, why) = match went_on {
            Ok(()) => ("PASS", String::new()),
            Err(error) => ("FAIL", format!(": {}", error.to_string().lines().next().unwrap_or_default())),
        };
        report.log.push_str(&format!("\n{word} 13.1 the next boot device is tried{why}\n"));
        if let Some(violations) = &report.violations {
            let first = violations.lines().next().map(|line| format!(": {line}"));
            let word = if first.is_none() { "PASS" } else { "FAIL" };
            let rest = first.unwrap_or_default();
            report.log.push_str(&format!("{word} 21.1 no rule of the Hyper-V interface was broken{rest}\n"));
        }
        Ok(report)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_found_by_name() {
        for part in Part::ALL {
            assert_eq!(part.name().parse(), Ok(part));
        }
        assert!("nothing".parse::<Part>().is_err());
    }
}
