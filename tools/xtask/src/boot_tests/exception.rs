//! A bug in the core: it says where it died, the call fails, and the machine boots on without it.

use anyhow::{Context, Result, ensure};
use romtool::elf;
use runtime::options;

use super::{BOOT, Bench, BootTest, disk, finish};
use crate::build;
use crate::workspace::Workspace;

/// The tests of this file.
pub const TESTS: &[BootTest] = &[BootTest {
    name: "exception",
    about: "an undefined instruction in the core: registers on the screen, calls fail, the disk boots",
    run: exception,
}];

/// A function that `UNDI_OPEN` calls, as its symbol names it.
const VICTIM: &str = "multicast_list";
/// What the program (tests/saboteur) says for a call that failed as it must: `PXENV_EXIT_FAILURE`,
/// `PXENV_STATUS_FAILURE`.
const FAILED: &str = "saboteur: AX=1 status=1";

/// How tests/saboteur finds the victim in memory: some of its bytes that are nowhere else in the core, and how far behind its
/// start they are.
fn victim(elf: &[u8]) -> Result<[u8; options::LEN]> {
    const PATTERN: usize = options::LEN - 2;
    let core = elf::Parts::read(elf)?.core;
    let place = elf::function(elf, VICTIM)?;
    let code = core.get(place).context("it is not in the core")?;
    let is_unique = |pattern: &&[u8]| core.windows(PATTERN).filter(|window| window == pattern).count() == 1;
    let pattern = code.windows(PATTERN).find(is_unique).context("the core is full of its like")?;
    let distance = code.windows(PATTERN).position(|window| window == pattern).map_or(0, |at| at as u16);
    let mut options = [0; options::LEN];
    options[..PATTERN].copy_from_slice(pattern);
    options[PATTERN..].copy_from_slice(&distance.to_le_bytes());
    Ok(options)
}

fn exception(bench: &Bench) -> Result<()> {
    let victim = victim(&std::fs::read(&bench.lab.net.elf)?)?;
    let mut program = std::fs::read(build::saboteur(&Workspace::find()?)?)?;
    ensure!(options::patch(&mut program, &victim), "the program has no options");
    bench.add_file("saboteur.0", &program)?;
    let mut machine = bench.machine_with_disk(bench.slirp("saboteur.0", None), &[])?;
    machine.memory_mib = 32;

    let mut session = bench.start(&machine)?;
    session.expect(disk::DISK_TEXT, BOOT)?;
    let report = finish(session)?;
    let console = &report.console;
    ensure!(!console.contains("saboteur: 0 places"), "the code was not found:\n{console}");
    ensure!(console.matches(FAILED).count() == 2, "both calls must fail:\n{console}");
    for text in [console, &report.log] {
        let said: Vec<&str> = text.lines().filter(|line| line.contains("internal error: exception 6 ")).collect();
        ensure!(said.len() == 1, "{} exceptions were shown:\n{text}", said.len());
        let registers = text.split_once("internal error").map(|(_, behind)| behind).context("no registers")?;
        ensure!(["rsp ", "rax ", "r15 "].iter().all(|name| registers.contains(name)), "no registers:\n{text}");
    }
    Ok(())
}
