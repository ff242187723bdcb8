//! `cargo xtask conformance`: the conformance boot program on several PXE stacks, side by side.

mod log;
mod program;
mod results;
mod stack;

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use conformance::options::{Ending, Options, ServerFault};

use self::program::BOOT_FILE;
pub use self::program::Program;
pub use self::results::{Results, THE_END};
pub use self::stack::Stack;
use crate::build;
use crate::interrupt;
use crate::lab::Lab;
use crate::lab::network::{Network, SERVER};
use crate::lab::session::Echo;
use crate::progress::Step;
use crate::workspace::Workspace;

/// Time for all checks (policy): ours needs a quarter of a minute on an idle machine.
const CHECKS: Duration = Duration::from_secs(200);
/// Time for all checks on another stack (policy): one that times out in a dozen of them takes minutes, and the program
/// gives up one that never ends.
const CHECKS_ELSEWHERE: Duration = Duration::from_secs(400);
/// Time for an ending alone (policy).
const ENDING: Duration = Duration::from_secs(90);
/// Random calls of a run, unless told otherwise.
const FUZZ_CALLS: u32 = 10_000;
/// Time for them (policy).
const FUZZ: Duration = Duration::from_secs(400);

/// Which stacks, and how thoroughly.
#[derive(Args)]
pub struct ConformanceArgs {
    /// A stack; may be repeated. Default: all.
    #[arg(long, value_enum, value_name = "NAME")]
    stack: Vec<Stack>,

    /// Another option ROM for the stack hvpxe.
    #[arg(long, value_name = "FILE")]
    rom: Option<PathBuf>,

    /// Only this part: `checks`, `watchdog`, `fuzz`, an order of unloading (`syslinux`, `ipxe`, `grub`, `specification`), `restart`,
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
    /// All checks, then the next boot device.
    Checks,
    /// The program's own watchdog, then the return.
    Watchdog,
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
    pub const ALL: [Self; 11] = [
        Self::Checks,
        Self::Watchdog,
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
            Self::Watchdog => "watchdog",
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
            Self::Watchdog => Options { watchdog: true, ..Options::default() },
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

    /// Time for it.
    fn limit(self, stack: Stack) -> Duration {
        match self {
            Self::Checks if stack == Stack::Hvpxe => CHECKS,
            Self::Checks => CHECKS_ELSEWHERE,
            Self::Fuzz => FUZZ,
            Self::Server(_) => CHECKS,
            Self::Unload(_) | Self::Restart | Self::Watchdog => ENDING,
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
            program.run(&lab, *stack, part, options, echo, &mut results);
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
