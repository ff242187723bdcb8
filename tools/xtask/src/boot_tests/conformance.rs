//! The conformance boot program on our ROM. `cargo xtask conformance` shows other stacks beside it.

use anyhow::Result;

use super::{Bench, BootTest};
use crate::conformance::{Part, Program};
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
