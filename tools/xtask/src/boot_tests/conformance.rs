//! The conformance boot program on our ROM. `cargo xtask conformance` shows other stacks beside it.

use anyhow::{Context, Result, ensure};
use conformance::options::{Number, Options};

use super::{Bench, BootTest};
use crate::conformance::{Part, Program, Results, Stack, THE_END};
use crate::lab::session::Echo;
use crate::workspace::Workspace;

/// The tests of this file.
pub const TESTS: &[BootTest] = &[
    BootTest {
        name: "conformance-fuzz",
        about: "10,000 random PXE calls return, touch nothing else, and a file is read afterwards",
        run: fuzz,
    },
    BootTest { name: "conformance", about: "every check of the conformance boot program", run: checks },
    BootTest {
        name: "conformance-server",
        about: "TFTP servers that know no options, say nothing, or stop",
        run: server,
    },
    BootTest {
        name: "conformance-watchdog",
        about: "the conformance program ends loops in real, V86 and 64-bit mode",
        run: watchdog,
    },
    BootTest {
        name: "conformance-elsewhere",
        about: "on iPXE's e1000 the conformance program outlives the stack, and comes to its end on a second machine",
        run: elsewhere,
    },
    BootTest { name: "conformance-restart", about: "RESTART_TFTP starts another program", run: restart },
    BootTest { name: "conformance-unload", about: "four orders of unloading, and the machine goes on", run: unload },
];

fn run(bench: &Bench, wanted: impl Fn(&Part) -> bool) -> Result<()> {
    let parts: Vec<Part> = Part::ALL.into_iter().filter(wanted).collect();
    Program::build(&Workspace::find()?)?.judge_ours(&bench.lab, &parts)
}

fn checks(bench: &Bench) -> Result<()> {
    run(bench, |part| *part == Part::Checks)
}

fn fuzz(bench: &Bench) -> Result<()> {
    run(bench, |part| *part == Part::Fuzz)
}

fn unload(bench: &Bench) -> Result<()> {
    run(bench, |part| matches!(part, Part::Unload(_)))
}

fn server(bench: &Bench) -> Result<()> {
    run(bench, |part| matches!(part, Part::Server(_)))
}

fn restart(bench: &Bench) -> Result<()> {
    run(bench, |part| *part == Part::Restart)
}

fn watchdog(bench: &Bench) -> Result<()> {
    run(bench, |part| *part == Part::Watchdog)
}

/// Begins with checks that this stack does not live through, so that it is over in a minute.
fn elsewhere(bench: &Bench) -> Result<()> {
    let (stack, program) = (Stack::IpxeE1000, Program::build(&Workspace::find()?)?);
    let options = Options { after: Number::parse("19.5"), ..Options::default() };
    let mut results = Results::default();
    program.run(&bench.lab, stack, Part::Checks, options, Echo::Off, &mut results);
    let reasons = results.reasons(&[stack]);
    ensure!(!results.has(stack, THE_END), "the program did not end:\n{reasons}");
    ensure!(results.machines(stack) >= 2, "the stack was never lost:\n{reasons}");
    for check in ["19.6", "19.11", "18.9", "11.11", "13.1"] {
        let number = Number::parse(check).context("a number")?;
        ensure!(results.has(stack, number), "{check} was not judged:\n{reasons}");
    }
    Ok(())
}
