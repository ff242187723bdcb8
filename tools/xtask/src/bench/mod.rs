//! `cargo xtask bench`: hvpxe beside iPXE, in units that don't depend on the computer.

mod args;
mod bars;
mod contestant;
pub mod guards;
mod mark;
mod memory;
mod plan;
pub mod profile;
mod record;
mod report;
mod results;
mod run;
mod summary;
mod symbols;
mod table;

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use anyhow::{Context, Result, bail, ensure};

pub use self::args::BenchArgs;
use self::memory::{Footprint, Holder};
use self::plan::{Item, Section};
use self::report::{Report, Software};
use self::results::Results;
use self::run::Bench;
use crate::build;
use crate::interrupt;
use crate::lab::Lab;
use crate::progress::Step;
use crate::setup::packages::{self, Extent};
use crate::workspace::Workspace;

/// Virtual time: an instruction takes 2^7 ns, which is a slow processor. Waiting is cheap to simulate at this pace.
const SHIFT: u8 = 7;

/// Builds what is needed, measures, and writes the report.
///
/// # Errors
/// When there is no QEMU, something can't be built, a contestant doesn't get to the end of a measurement, or a count of the
/// short benchmark has grown. There is no table then, and no report of an earlier run.
pub fn run(workspace: &Workspace, args: &BenchArgs) -> Result<()> {
    if let (Some(json), Some(svg)) = (&args.from, &args.svg) {
        let text = fs::read_to_string(json).with_context(|| format!("can't read {}", json.display()))?;
        let report = Report::parse(&text).with_context(|| json.display().to_string())?;
        return write(svg, &bars::svg(&report)?);
    }
    let [json, svg] = ["bench.json", "bench.svg"].map(|name| workspace.root.join("dist").join(name));
    if !args.short && args.row.is_none() {
        for path in [&json, &svg] {
            remove(path)?;
        }
    }
    // Before anything is built: this is what a machine may not have.
    packages::ensure(workspace, Extent::Boot).context("the benchmark needs QEMU and Debian's boot programs")?;
    let lab = Lab::prepare(workspace, &build::all(workspace)?)?;
    let meter = fs::read(build::meter(workspace)?)?;
    let jobs = args.jobs.unwrap_or_else(|| thread::available_parallelism().map_or(1, usize::from)).max(1);
    if args.short {
        let results = measure_visibly(&lab, &meter, plan::short(SHIFT), Rivals::LeftOut, jobs)?;
        print!("{}", table::text(&results));
        return if args.record { record::write(workspace, &results) } else { record::compare(workspace, &results) };
    }
    let sections = plan::whole(&args.choice());
    ensure!(!sections.is_empty(), "there is nothing of that which these contestants are measured in");
    if let Some(text) = &args.row {
        let sections = plan::rows(sections, text);
        ensure!(!sections.is_empty(), "no row contains {text:?}");
        print!("{}", table::text(&measure_visibly(&lab, &meter, sections, Rivals::LeftOut, jobs)?));
        return Ok(());
    }
    let results = measure_visibly(&lab, &meter, sections, Rivals::Measured, jobs)?;
    // What a contestant takes of memory doesn't depend on the wire.
    let choice = args.choice();
    let holders = if choice.cells.is_some() { Vec::new() } else { Holder::of(&choice.contestants) };
    let footprints = memory_visibly(&lab, &holders, args.shift)?;
    println!("{}{}{}", table::text(&results), summary::text(&results), table::memory(&footprints));
    let report = Report::new(Software::of(workspace, &lab)?, env::args().skip(2).collect(), footprints, &results);
    write(&json, &report.json()?)?;
    match bars::svg(&report) {
        Ok(picture) => [Some(&svg), args.svg.as_ref()].into_iter().flatten().try_for_each(|path| write(path, &picture)),
        Err(error) if args.svg.is_some() => Err(error),
        Err(_) => Ok(()),
    }
}

fn remove(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("can't remove {}", path.display()))
        }
        _ => Ok(()),
    }
}

fn write(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).with_context(|| format!("can't write {}", path.display()))?;
    println!("{}", path.display());
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
fn memory_visibly(lab: &Lab, holders: &[Holder], shift: u8) -> Result<Vec<Footprint>> {
    if holders.is_empty() {
        return Ok(Vec::new());
    }
    let step = Step::start("Looking at memory");
    let footprints = memory::measure(lab, holders, shift, |what| step.detail(what))?;
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
                    let outcome = bench.attempt(item);
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
