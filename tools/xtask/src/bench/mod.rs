//! `cargo xtask bench`: hvpxe beside iPXE, in units that don't depend on the computer.

mod bars;
mod contestant;
mod json;
mod mark;
mod memory;
mod plan;
pub mod profile;
mod record;
mod results;
mod run;
mod symbols;
mod table;

use std::collections::BTreeMap;
use std::fs;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use anyhow::{Context, Result, bail, ensure};
use clap::Args;

use self::contestant::Contestant;
use self::memory::{Footprint, Holder};
use self::plan::{Item, Section};
use self::results::Results;
use self::run::Bench;
use crate::build;
use crate::interrupt;
use crate::lab::Lab;
use crate::progress::Step;
use crate::workspace::Workspace;

/// Virtual time: an instruction takes 2^7 ns, which is a slow processor. Waiting is cheap to simulate at this pace.
const SHIFT: u8 = 7;
/// Sizes of the files in MB, unless told otherwise.
const SIZES: [u64; 3] = [1, 20, 100];

/// Who competes, and in what.
#[derive(Args)]
pub struct BenchArgs {
    /// A contestant; may be repeated. Default: all. iPXE's own measurement, to which ratios are given, is always made.
    #[arg(long, value_name = "NAME", value_parser = contestant)]
    contestant: Vec<Contestant>,

    /// Size of the downloads in MB; may be repeated. Default: 1, 20 and 100. Latency and growth are measured with 1, loss with 10.
    #[arg(long, value_name = "MB", value_parser = clap::value_parser!(u64).range(1..=200))]
    size: Vec<u64>,

    /// Only the rows that contain this text, such as "hvpxe: TFTP 100 MB" or "lost"; without what they are compared with.
    #[arg(long, value_name = "TEXT")]
    row: Option<String>,

    /// Only what the guard of the tests measures, against what is recorded. Ends with an error when a count has grown by more
    /// than 5 %.
    #[arg(long, conflicts_with_all = ["contestant", "size", "row"])]
    short: bool,

    /// With --short: write the counts down as the new record.
    #[arg(long, requires = "short")]
    record: bool,

    /// Virtual time: an instruction takes 2^SHIFT ns.
    #[arg(long, default_value_t = SHIFT, value_parser = clap::value_parser!(u8).range(0..=10), conflicts_with = "short")]
    shift: u8,

    /// Machines at the same time. Default: one for each processor. The numbers don't depend on it.
    #[arg(long, value_name = "N")]
    jobs: Option<usize>,
}

fn contestant(name: &str) -> Result<Contestant, String> {
    Contestant::ALL.into_iter().find(|contestant| contestant.name() == name).ok_or_else(|| {
        let names: Vec<_> = Contestant::ALL.iter().map(|contestant| contestant.name()).collect();
        format!("no such contestant; there are {}", names.join(", "))
    })
}

/// Builds what is needed, measures, and writes the report.
///
/// # Errors
/// When something can't be built, a contestant doesn't get to the end of a measurement, or a count of the short
/// benchmark has grown. There is no table then.
pub fn run(workspace: &Workspace, args: &BenchArgs) -> Result<()> {
    let lab = Lab::prepare(workspace, &build::all(workspace)?)?;
    let meter = fs::read(build::meter(workspace)?)?;
    let jobs = args.jobs.unwrap_or_else(|| thread::available_parallelism().map_or(1, usize::from)).max(1);
    if args.short {
        let results = measure_visibly(&lab, &meter, plan::short(SHIFT), Rivals::LeftOut, jobs)?;
        print!("{}", table::text(&results));
        return if args.record { record::write(workspace, &results) } else { record::compare(workspace, &results) };
    }
    let contestants = if args.contestant.is_empty() { Contestant::ALL.to_vec() } else { args.contestant.clone() };
    let sizes = if args.size.is_empty() { SIZES.to_vec() } else { args.size.clone() };
    let sections = plan::whole(&contestants, &sizes, args.shift);
    if let Some(text) = &args.row {
        let sections = plan::rows(sections, text);
        ensure!(!sections.is_empty(), "no row contains {text:?}");
        print!("{}", table::text(&measure_visibly(&lab, &meter, sections, Rivals::LeftOut, jobs)?));
        return Ok(());
    }
    let results = measure_visibly(&lab, &meter, sections, Rivals::Measured, jobs)?;
    let footprints = memory_visibly(&lab, &contestants, args.shift)?;
    println!("{}{}", table::text(&results), table::memory(&footprints));
    for (name, text) in [("bench.json", json::text(&results)?), ("bench.svg", bars::svg(&results))] {
        let path = workspace.root.join("dist").join(name);
        fs::write(&path, text).with_context(|| format!("can't write {}", path.display()))?;
        println!("{}", path.display());
    }
    Ok(())
}

/// For the tests: runs the short benchmark, and compares it with what is recorded.
///
/// # Errors
/// When it can't be run, or a count has grown.
pub fn guard(lab: &Lab) -> Result<()> {
    let workspace = Workspace::find()?;
    let meter = fs::read(build::meter(&workspace)?)?;
    record::compare(&workspace, &measure(lab, &meter, plan::short(SHIFT), Rivals::LeftOut, 1, |_| ())?)
}

/// For the tests: what our ROMs take of the machine's memory is within the project's targets.
///
/// # Errors
/// What is more.
pub fn memory_guard(lab: &Lab) -> Result<()> {
    memory::guard(lab, SHIFT)
}

/// For the tests: makes the same measurement twice, on a wire that loses frames; every count must be the same.
///
/// # Errors
/// When one differs, or a run fails.
pub fn repeats(lab: &Lab) -> Result<()> {
    let meter = fs::read(build::meter(&Workspace::find()?)?)?;
    let (bench, item) = (Bench::new(lab, &meter), plan::lossy_download(SHIFT));
    let (first, second) = (bench.measure(&item)?, bench.measure(&item)?);
    ensure!(first == second, "two runs differ:\n{first:?}\n{second:?}");
    Ok(())
}

/// As [`measure`], with a word on what is being done.
fn measure_visibly(lab: &Lab, meter: &[u8], sections: Vec<Section>, rivals: Rivals, jobs: usize) -> Result<Results> {
    let step = Step::start("Measuring");
    let results = measure(lab, meter, sections, rivals, jobs, |what| step.detail(what))?;
    step.done("done");
    Ok(results)
}

/// Whether the runs are made that the plan's are compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rivals {
    Measured,
    LeftOut,
}

/// As [`memory::measure`], with a word on what is being done.
fn memory_visibly(lab: &Lab, contestants: &[Contestant], shift: u8) -> Result<Vec<Footprint>> {
    let step = Step::start("Looking at memory");
    let footprints = memory::measure(lab, &Holder::of(contestants), shift, |what| step.detail(what))?;
    step.done("done");
    Ok(footprints)
}

/// Makes all runs of the plan, and those of the rivals.
fn measure(
    lab: &Lab,
    meter: &[u8],
    sections: Vec<Section>,
    rivals: Rivals,
    jobs: usize,
    tell: impl Fn(String) + Sync,
) -> Result<Results> {
    let bench = Bench::new(lab, meter);
    let mut items: Vec<Item> = Vec::new();
    for item in sections.iter().flat_map(|section| &section.items) {
        let needed = [Some(item.clone()), Some(item.rival()).filter(|_| rivals == Rivals::Measured)];
        for item in needed.into_iter().flatten() {
            if !items.contains(&item) {
                items.push(item);
            }
        }
    }
    let (next, stopped) = (AtomicUsize::new(0), AtomicBool::new(false));
    let outcomes = Mutex::new(BTreeMap::new());
    thread::scope(|scope| {
        for _ in 0..jobs.min(items.len()) {
            scope.spawn(|| {
                while !stopped.load(Ordering::SeqCst) {
                    let number = next.fetch_add(1, Ordering::SeqCst);
                    let Some(item) = items.get(number) else { return };
                    tell(format!("{}/{} {}: {}", number + 1, items.len(), item.contestant.name(), item.words()));
                    let outcome = bench.measure(item);
                    if outcome.is_err() {
                        stopped.store(true, Ordering::SeqCst);
                    }
                    outcomes.lock().expect("no thread panics with it").insert(number, outcome);
                }
            });
        }
    });
    if interrupt::requested() {
        bail!("interrupted");
    }
    let outcomes = outcomes.into_inner().expect("no thread has panicked");
    let mut counts = Vec::new();
    for (number, outcome) in outcomes {
        counts.push((items[number].clone(), outcome?));
    }
    ensure!(counts.len() == items.len(), "not every measurement was made");
    Ok(Results::new(sections, counts))
}
