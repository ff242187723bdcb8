//! What the tests hold the benchmark, and by it the ROM, to.

use std::fs;

use anyhow::{Result, bail, ensure};

use super::contestant::{Contestant, Program, Stack};
use super::plan::{Item, Setting, Task};
use super::run::Bench;
use super::{Rivals, SHIFT, measure, memory, plan, record};
use crate::build;
use crate::lab::Lab;
use crate::workspace::Workspace;

fn meter() -> Result<Vec<u8>> {
    Ok(fs::read(build::meter(&Workspace::find()?)?)?)
}

/// Runs the short benchmark, and compares it with what is recorded.
///
/// # Errors
/// When it can't be run, or a count has grown.
pub fn counts(lab: &Lab) -> Result<()> {
    let results = measure(lab, &meter()?, plan::short(SHIFT), Rivals::LeftOut, 1, |_| ())?;
    record::compare(&Workspace::find()?, &results)
}

/// What our ROMs take of the machine's memory is within the project's targets.
///
/// # Errors
/// What is more.
pub fn memory(lab: &Lab) -> Result<()> {
    memory::guard(lab, SHIFT)
}

/// Makes the same measurement twice, on a wire that loses frames; every count must be the same.
///
/// # Errors
/// When one differs, or a run fails.
pub fn repeats(lab: &Lab) -> Result<()> {
    let meter = meter()?;
    let (bench, item) = (Bench::new(lab, &meter), plan::lossy_download(SHIFT));
    let (first, second) = (bench.measure(&item)?, bench.measure(&item)?);
    ensure!(first == second, "two runs differ:\n{first:?}\n{second:?}");
    Ok(())
}

/// Contestants that can't boot: each must be an error that names it, and not a number.
///
/// # Errors
/// When one was measured, or the error says something else.
pub fn refuses(lab: &Lab) -> Result<()> {
    let meter = meter()?;
    let bench = Bench::new(lab, &meter);
    for (stack, key, value) in [(Stack::Hvpxe, "dhcp.fault", "silent"), (Stack::Ipxe, "tftp.fault", "error 1")] {
        let contestant = Contestant { stack, program: Program::Itself };
        let setting = Setting { switches: vec![(key.to_owned(), value.to_owned())], ..Setting::plain(SHIFT) };
        match bench.measure(&Item { contestant, task: Task::Boot, setting }) {
            Ok(counts) => bail!("{} was measured without a boot: {counts:?}", contestant.name()),
            Err(error) => {
                let error = format!("{error:#}");
                let is_clear = error.contains(&contestant.name()) && error.contains("came first");
                ensure!(is_clear, "the error doesn't say what happened: {error}");
            }
        }
    }
    Ok(())
}
