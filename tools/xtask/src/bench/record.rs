//! The guard: counts of the short benchmark may not grow without somebody saying so.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};

use super::results::Results;
use crate::workspace::Workspace;

/// By how much a count may grow, in percent (policy): a compiler's choices are within it.
const MOST_GROWTH: u64 = 5;
/// How to accept new counts.
const HOW: &str = "If that is meant, run `cargo xtask bench --short --record` and commit the file with the reason.";

/// Counts by what was measured.
type Record = BTreeMap<String, BTreeMap<String, u64>>;

fn path(workspace: &Workspace) -> PathBuf {
    workspace.root.join("tests/bench/short.json")
}

fn of(results: &Results) -> Record {
    let mut record = Record::new();
    for item in results.sections.iter().flat_map(|section| &section.items) {
        let Some(counts) = results.counts(item) else { continue };
        let table = [
            ("instructions", counts.instructions),
            ("msr_accesses", counts.msr_accesses),
            ("hypercalls", counts.hypercalls),
            ("sent_frames", counts.sent_frames),
            ("received_frames", counts.received_frames),
        ];
        let name = format!("{}: {}", item.contestant.name(), item.words());
        record.insert(name, table.map(|(key, count)| (key.to_owned(), count)).into());
    }
    record
}

/// Writes the counts down.
///
/// # Errors
/// When the file can't be written.
pub fn write(workspace: &Workspace, results: &Results) -> Result<()> {
    let path = path(workspace);
    fs::create_dir_all(path.parent().context("the record has a directory")?)?;
    fs::write(&path, serde_json::to_string_pretty(&of(results))? + "\n")
        .with_context(|| format!("can't write {}", path.display()))?;
    println!("Recorded in {}.", path.display());
    Ok(())
}

/// Compares with what is recorded.
///
/// # Errors
/// When a count has grown, or there is no record.
pub fn compare(workspace: &Workspace, results: &Results) -> Result<()> {
    let path = path(workspace);
    let text = fs::read_to_string(&path).with_context(|| format!("no record at {}. {HOW}", path.display()))?;
    let recorded: Record = serde_json::from_str(&text).with_context(|| format!("not a record: {}", path.display()))?;
    match growth(&recorded, &of(results)) {
        grown if grown.is_empty() => Ok(()),
        grown => bail!("more than what is recorded:\n{}\n{HOW}", grown.join("\n")),
    }
}

/// What has grown too much, or is missing on either side.
fn growth(recorded: &Record, measured: &Record) -> Vec<String> {
    let mut grown = Vec::new();
    for (name, counts) in measured {
        let Some(old) = recorded.get(name) else {
            grown.push(format!("  {name}: not recorded"));
            continue;
        };
        for (key, &now) in counts {
            let then = old.get(key).copied().unwrap_or(0);
            if now * 100 > then * (100 + MOST_GROWTH) {
                grown.push(format!("  {name}: {key} {then} -> {now}"));
            }
        }
    }
    let missing = recorded.keys().filter(|name| !measured.contains_key(*name));
    grown.extend(missing.map(|name| format!("  {name}: recorded, but not measured any more")));
    grown
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(name: &str, instructions: u64) -> Record {
        [(name.to_owned(), [("instructions".to_owned(), instructions)].into())].into()
    }

    #[test]
    fn five_percent_are_let_through_and_no_more() {
        assert!(growth(&record("a", 1000), &record("a", 1050)).is_empty());
        assert!(growth(&record("a", 1000), &record("a", 10)).is_empty());
        let grown = growth(&record("a", 1000), &record("a", 1051));
        assert_eq!(grown, ["  a: instructions 1000 -> 1051"]);
        assert_eq!(growth(&record("a", 0), &record("a", 1)).len(), 1, "from none to one is growth");
    }

    #[test]
    fn a_record_of_something_else_is_no_record() {
        assert_eq!(growth(&record("a", 1), &record("b", 1)).len(), 2);
    }
}
