//! What the program said, and the table made of it.

use std::collections::BTreeMap;
use std::fmt::Write;

use conformance::options::Number;

use super::Part;
use super::log::{Ended, Line, Log, Verdict};
use super::stack::Stack;

/// The row for a run that did not come to its end.
pub const THE_END: Number = Number { group: 99, number: 0 };

/// A row: its number as numbers, for the order, and the part of the run.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    number: Number,
    part: String,
}

impl Key {
    /// Everything but the checks themselves is there once for each part.
    fn new(number: Number, part: Part) -> Self {
        let part = if part == Part::Checks { String::new() } else { part.name().to_owned() };
        Self { number, part }
    }

    fn id(&self) -> String {
        let part = if self.part.is_empty() { String::new() } else { format!(" {}", self.part) };
        format!("{:02}.{}{part}", self.number.group, self.number.number)
    }
}

/// Verdicts of all stacks.
#[derive(Debug, Default)]
pub struct Results {
    rows: BTreeMap<Key, (String, BTreeMap<Stack, Verdict>)>,
    /// How many machines it took.
    machines: BTreeMap<Stack, u32>,
}

impl Results {
    /// Adds one run of a part. What failed in one of its runs has failed.
    pub fn add(&mut self, stack: Stack, part: Part, log: &Log) {
        *self.machines.entry(stack).or_default() += 1;
        for Line { number, name, verdict } in log.verdicts() {
            self.add_verdict(Key::new(number, part), name, stack, verdict);
        }
        if log.ended() == Ended::Stopped && log.go_on_after().is_none() {
            let why = format!("the program did not end; last: {}", log.last_line());
            self.add_end(stack, part, why);
        }
    }

    /// Adds why there was no run.
    pub fn add_no_run(&mut self, stack: Stack, part: Part, error: &anyhow::Error) {
        self.add_end(stack, part, format!("{error:#}"));
    }

    fn add_end(&mut self, stack: Stack, part: Part, why: String) {
        let key = Key { number: THE_END, part: part.name().to_owned() };
        self.add_verdict(key, "the run comes to its end".to_owned(), stack, Verdict::Failed(why));
    }

    fn add_verdict(&mut self, key: Key, name: String, stack: Stack, verdict: Verdict) {
        let row = self.rows.entry(key).or_default();
        row.0 = name;
        let slot = row.1.entry(stack).or_insert_with(|| verdict.clone());
        if !matches!(slot, Verdict::Failed(_)) {
            *slot = verdict;
        }
    }

    /// How many machines a stack took.
    pub fn machines(&self, stack: Stack) -> u32 {
        self.machines.get(&stack).copied().unwrap_or_default()
    }

    /// Whether there is a verdict on a stack under this number.
    pub fn has(&self, stack: Stack, number: Number) -> bool {
        self.rows.iter().any(|(key, (_, verdicts))| key.number == number && verdicts.contains_key(&stack))
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
        let machines = stacks.iter().map(|stack| self.machines(*stack).to_string());
        let machines: Vec<String> = machines.collect();
        row("machines", machines.iter().map(String::as_str).collect(), "");
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
        let log = Log::new(
            "noise\nconformance: start\nPASS 01.10 a thing\nFAIL 01.2 another: AX=1: no\nSKIP 03.1 third: why\n\
             conformance: 1 passed, 1 failed, 1 skipped\n",
        );
        let mut results = Results::default();
        results.add(Stack::Hvpxe, Part::Checks, &log);
        assert_eq!(results.failures(Stack::Hvpxe), 1);
        assert_eq!(results.failures(Stack::IpxeE1000), 0);
        let table = results.table(&Stack::ALL);
        let rows: Vec<&str> = table.lines().collect();
        assert!(rows[1].starts_with("01.2 ") && rows[1].contains("FAIL") && rows[1].ends_with("another"), "{table}");
        assert!(rows[2].starts_with("01.10 ") && rows[2].contains("pass"), "{table}");
        assert!(table.contains("AX=1: no"), "{table}");
    }

    #[test]
    fn a_run_that_stops_before_its_first_check_is_a_failure() {
        let mut results = Results::default();
        results.add(Stack::Hvpxe, Part::Fuzz, &Log::new("conformance: start\nPASS 01.1 a thing\n"));
        assert_eq!(results.failures(Stack::Hvpxe), 1);
    }

    #[test]
    fn what_failed_on_one_machine_has_failed() {
        let mut results = Results::default();
        for log in ["PASS 03.14 all", "FAIL 03.14 all: EBX", "PASS 03.14 all"] {
            let log = Log::new(&format!("{log}\nconformance: 1 passed, 0 failed, 0 skipped"));
            results.add(Stack::IpxeE1000, Part::Checks, &log);
        }
        assert_eq!(results.failures(Stack::IpxeE1000), 1);
    }
}
