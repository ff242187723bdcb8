//! `cargo xtask matrix`: who else owns VMBus, how the machine boots, and on which host: every cell must boot its disk.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use clap::Args;

use crate::boot_tests::Bench;
use crate::boot_tests::owner::cell::{self, Cell, HostKind, Party, Way};
use crate::boot_tests::owner::{plan, run};
use crate::build;
use crate::interrupt;
use crate::lab::Lab;
use crate::lab::party::Programs;
use crate::progress::Step;
use crate::workspace::Workspace;

/// Most cells at once, unless told otherwise (policy): each keeps one core busy.
const MOST_JOBS: usize = 4;

/// Which cells.
#[derive(Args)]
pub struct MatrixArgs {
    /// Only this party; may be repeated.
    #[arg(long, value_enum, value_name = "NAME")]
    party: Vec<Party>,

    /// Only this way to boot; may be repeated.
    #[arg(long, value_enum, value_name = "NAME")]
    way: Vec<Way>,

    /// Only this host; may be repeated.
    #[arg(long, value_enum, value_name = "NAME")]
    host: Vec<HostKind>,

    /// Every combination, not only those that are worth their time: some hours.
    #[arg(long)]
    all: bool,

    /// Show the cells, and run none.
    #[arg(long)]
    list: bool,

    /// How many machines run at once; as many as there are cores unless given, 4 at most.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=16))]
    jobs: Option<u8>,

    /// Another option ROM than the one built here.
    #[arg(long, value_name = "FILE")]
    rom: Option<PathBuf>,

    /// Show each machine's console and log after it.
    #[arg(long)]
    console: bool,
}

/// How a cell ended.
struct Row {
    cell: Cell,
    /// Why it failed.
    fault: Option<String>,
    elapsed: Duration,
}

/// Runs the cells.
///
/// # Errors
/// When one fails, or what they need can't be brought or built.
pub fn run(workspace: &Workspace, args: &MatrixArgs) -> Result<()> {
    let cells = args.cells();
    ensure!(!cells.is_empty(), "no such cell is planned; --all has every combination");
    if args.list {
        cells.iter().for_each(|cell| println!("{cell}"));
        println!("{} cells", cells.len());
        return Ok(());
    }
    let mut lab = Lab::prepare_for_tests(workspace, &build::all(workspace)?)?;
    if let Some(rom) = &args.rom {
        lab.disk_rom = std::path::absolute(rom).with_context(|| rom.display().to_string())?;
    }
    let programs = Programs::build(workspace)?;
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let jobs = args.jobs.map_or(cores.min(MOST_JOBS), usize::from);
    let start = Instant::now();
    let step = Step::start(format!("{} cells, {jobs} at once", cells.len()));
    let queue: Mutex<VecDeque<Cell>> = Mutex::new(cells.into());
    let rows = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..jobs {
            scope.spawn(|| {
                loop {
                    let next = queue.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
                    let Some(cell) = next.filter(|_| !interrupt::requested()) else { break };
                    let row = run_cell(&lab, &programs, cell, args.console);
                    step.say(&format!("  {}", row.line()));
                    rows.lock().unwrap_or_else(PoisonError::into_inner).push(row);
                }
            });
        }
    });
    step.done("ended");
    ensure!(!interrupt::requested(), "interrupted");
    let rows = rows.into_inner().unwrap_or_else(PoisonError::into_inner);
    print!("{}", table(&rows));
    let failed = rows.iter().filter(|row| row.fault.is_some()).count();
    println!("\n{} passed, {failed} failed, in {:.0} s", rows.len() - failed, start.elapsed().as_secs_f64());
    if failed > 0 { bail!("{failed} cells fail") } else { Ok(()) }
}

impl MatrixArgs {
    fn cells(&self) -> Vec<Cell> {
        let named = |cell: &Cell| {
            (self.party.is_empty() || self.party.contains(&cell.party))
                && (self.way.is_empty() || self.way.contains(&cell.way))
                && (self.host.is_empty() || self.host.contains(&cell.host))
        };
        // Who names all three wants that very cell.
        let exact = !self.party.is_empty() && !self.way.is_empty() && !self.host.is_empty();
        let cells = if self.all || exact { plan::every() } else { plan::worthwhile() };
        cells.into_iter().filter(named).collect()
    }
}

fn run_cell(lab: &Lab, programs: &Programs, cell: Cell, console: bool) -> Row {
    let start = Instant::now();
    let fault = Bench::new(lab).and_then(|bench| run::run(&bench, programs, &cell, console)).err();
    Row { cell, fault: fault.map(|error| format!("{error:#}")), elapsed: start.elapsed() }
}

impl Row {
    fn line(&self) -> String {
        let word = if self.fault.is_none() { "passed" } else { "FAILED" };
        let why = self.fault.as_ref().and_then(|fault| fault.lines().next());
        let why = why.map(|why| format!("  {why}")).unwrap_or_default();
        format!("{word:8}{:46}{:6.1} s{why}", self.cell.to_string(), self.elapsed.as_secs_f64())
    }
}

/// A line for each party and way, a column for each host; behind it the reasons.
fn table(rows: &[Row]) -> String {
    let hosts: Vec<HostKind> =
        HostKind::ALL.into_iter().filter(|host| rows.iter().any(|row| row.cell.host == *host)).collect();
    let mut text = format!("\n{:32}", "");
    for host in &hosts {
        text.push_str(&format!("{:14}", cell::name(host)));
    }
    text.push('\n');
    for (party, way) in Party::ALL.into_iter().flat_map(|party| Way::ALL.map(|way| (party, way))) {
        let here: Vec<&Row> = rows.iter().filter(|row| row.cell.party == party && row.cell.way == way).collect();
        if here.is_empty() {
            continue;
        }
        let mut line = format!("{:12}{:20}", cell::name(&party), cell::name(&way));
        for host in &hosts {
            let row = here.iter().find(|row| row.cell.host == *host);
            line.push_str(&format!("{:14}", row.map_or("-", |row| if row.fault.is_none() { "pass" } else { "FAIL" })));
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    for row in rows {
        if let Some(fault) = &row.fault {
            text.push_str(&format!("\n======== {} ========\n{fault}\n", row.cell));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_has_the_hosts_that_ran_and_the_reasons() {
        let row = |way, host, fault: Option<&str>| Row {
            cell: Cell { party: Party::Naive, way, host },
            fault: fault.map(ToOwned::to_owned),
            elapsed: Duration::ZERO,
        };
        let text = table(&[
            row(Way::Fails, HostKind::Recent, None),
            row(Way::Fails, HostKind::Slow, Some("the disk does not boot")),
            row(Way::Chain, HostKind::Slow, None),
        ]);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[1].split_whitespace().collect::<Vec<_>>(), ["recent", "slow"]);
        assert_eq!(lines[2].split_whitespace().collect::<Vec<_>>(), ["naive", "fails", "pass", "FAIL"]);
        assert_eq!(lines[3].split_whitespace().collect::<Vec<_>>(), ["naive", "chain", "-", "pass"]);
        assert!(text.contains("the disk does not boot"));
    }
}
