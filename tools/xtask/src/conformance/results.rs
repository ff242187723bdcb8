//! What the program said, and the table made of it.

use std::collections::BTreeMap;
use std::fmt::Write;

use anyhow::Result;

use super::Part;
use super::stack::Stack;
use crate::lab::session::Report;

/// What a check came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// As it should be.
    Passed,
    /// What was seen instead.
    Failed(String),
    /// Why it wasn't made.
    Skipped(String),
}

/// A row: its number as numbers, for the order, and the part of the run.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    group: u32,
    number: u32,
    part: String,
}

impl Key {
    fn id(&self) -> String {
        let part = if self.part.is_empty() { String::new() } else { format!(" {}", self.part) };
        format!("{:02}.{}{part}", self.group, self.number)
    }
}

/// Verdicts of all stacks.
#[derive(Debug, Default)]
pub struct Results {
    rows: BTreeMap<Key, (String, BTreeMap<Stack, Verdict>)>,
}

/// Number, name and verdict of a line `PASS 03.2 name`, `FAIL 03.2 name: why`, `SKIP 03.2 name: why`. Names have no
/// colon.
fn parse(line: &str) -> Option<(u32, u32, &str, Verdict)> {
    let (word, rest) = line.trim_end().split_once(' ')?;
    let (id, rest) = rest.split_once(' ')?;
    let (group, number) = id.split_once('.')?;
    let (name, verdict) = match word {
        "PASS" => (rest, Verdict::Passed),
        "FAIL" | "SKIP" => {
            let (name, why) = rest.split_once(": ")?;
            let verdict = if word == "FAIL" { Verdict::Failed } else { Verdict::Skipped };
            (name, verdict(why.to_owned()))
        }
        _ => return None,
    };
    Some((group.parse().ok()?, number.parse().ok()?, name, verdict))
}

impl Results {
    /// Adds what one run wrote. A run without a last line has not ended, and that is a failure.
    fn add(&mut self, stack: Stack, part: &str, log: &str) {
        for (group, number, name, verdict) in log.lines().filter_map(parse) {
            // Everything but the checks themselves is there once for each part.
            let part = if part == "checks" { String::new() } else { part.to_owned() };
            let row = self.rows.entry(Key { group, number, part }).or_default();
            name.clone_into(&mut row.0);
            row.1.insert(stack, verdict);
        }
        let ended = log.lines().any(|line| line.starts_with("conformance: ") && line.ends_with(" skipped"));
        if !ended {
            let last = log.lines().rfind(|line| !line.trim().is_empty()).unwrap_or_default();
            self.add_verdict(stack, part, Verdict::Failed(format!("the program did not end; last: {last}")));
        }
    }

    /// Adds a run, or why there was none.
    pub fn add_run(&mut self, stack: Stack, part: Part, report: Result<Report>) {
        match report {
            Ok(report) => self.add(stack, part.name(), &report.log),
            Err(error) => self.add_verdict(stack, part.name(), Verdict::Failed(format!("{error:#}"))),
        }
    }

    /// Adds the fate of a whole run.
    fn add_verdict(&mut self, stack: Stack, part: &str, verdict: Verdict) {
        let row = self.rows.entry(Key { group: 99, number: 0, part: part.to_owned() }).or_default();
        "the run comes to its end".clone_into(&mut row.0);
        row.1.insert(stack, verdict);
    }

    /// How many checks a stack fails.
    pub fn failures(&self, stack: Stack) -> usize {
        self.verdicts(stack).filter(|verdict| matches!(verdict, Verdict::Failed(_))).count()
    }

    fn verdicts(&self, stack: Stack) -> impl Iterator<Item = &Verdict> {
        self.rows.values().filter_map(move |(_, verdicts)| verdicts.get(&stack))
    }

    /// All rows side by side, the counts, and behind them the reasons.
    pub fn table(&self, stacks: &[Stack]) -> String {
        let mut table = String::new();
        let columns = |cells: Vec<&str>| cells.into_iter().map(|cell| format!("{cell:<13}")).collect::<String>();
        let mut row = |id: &str, cells: Vec<&str>, name: &str| {
            // Writing to a String can't fail.
            let _ = writeln!(table, "{id:<22}{}{name}", columns(cells));
        };
        row("", stacks.iter().map(|stack| stack.name()).collect(), "");
        for (key, (name, verdicts)) in &self.rows {
            let id = key.id();
            let cells = stacks.iter().map(|stack| match verdicts.get(stack) {
                None => "-",
                Some(Verdict::Passed) => "pass",
                Some(Verdict::Failed(_)) => "FAIL",
                Some(Verdict::Skipped(_)) => "skipped",
            });
            row(&id, cells.collect(), name);
        }
        for (title, wanted) in [("passed", 0), ("failed", 1), ("skipped", 2)] {
            let count = |stack| {
                let class = |verdict: &Verdict| match verdict {
                    Verdict::Passed => 0,
                    Verdict::Failed(_) => 1,
                    Verdict::Skipped(_) => 2,
                };
                self.verdicts(stack).filter(|verdict| class(verdict) == wanted).count().to_string()
            };
            let counts: Vec<String> = stacks.iter().map(|stack| count(*stack)).collect();
            row(title, counts.iter().map(String::as_str).collect(), "");
        }
        format!("{table}\n{}", self.reasons(stacks))
    }

    /// Why checks failed or were skipped.
    pub fn reasons(&self, stacks: &[Stack]) -> String {
        let mut reasons = String::new();
        for (key, (_, verdicts)) in &self.rows {
            for stack in stacks {
                if let Some(Verdict::Failed(why) | Verdict::Skipped(why)) = verdicts.get(stack) {
                    let _ = writeln!(reasons, "{:<22}{:<13}{why}", key.id(), stack.name());
                }
            }
        }
        reasons
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_become_rows() {
        let log = "noise\nconformance: start\nPASS 01.10 a thing\nFAIL 01.2 another: AX=1: no\nSKIP 03.1 third: why\n\
                   conformance: 1 passed, 1 failed, 1 skipped\n";
        let mut results = Results::default();
        results.add(Stack::Hvpxe, "checks", log);
        assert_eq!(results.failures(Stack::Hvpxe), 1);
        assert_eq!(results.failures(Stack::IpxeE1000), 0);
        let table = results.table(&Stack::ALL);
        let rows: Vec<&str> = table.lines().collect();
        assert!(rows[1].starts_with("01.2 ") && rows[1].contains("FAIL") && rows[1].ends_with("another"), "{table}");
        assert!(rows[2].starts_with("01.10 ") && rows[2].contains("pass"), "{table}");
        assert!(table.contains("AX=1: no"), "{table}");
    }

    #[test]
    fn a_run_that_stops_in_the_middle_is_a_failure() {
        let mut results = Results::default();
        results.add(Stack::Hvpxe, "fuzz", "conformance: start\nPASS 01.1 a thing\n");
        assert_eq!(results.failures(Stack::Hvpxe), 1);
    }
}
