//! `cargo xtask test`: format, lints, unit tests, then boots in QEMU side by side.

use std::collections::VecDeque;
use std::process::Command;
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use clap::Args;

use crate::boot_tests::{self, Bench, BootTest};
use crate::build::{self, cargo};
use crate::interrupt;
use crate::lab::Lab;
use crate::lab::lan::Unable;
use crate::lint;
use crate::process::{describe, last_lines};
use crate::progress::Step;
use crate::workspace::Workspace;

/// Most boots at once (policy): each keeps one core busy, and more than this only makes time-outs likelier.
const MOST_JOBS: usize = 4;
/// Lines shown of a failed check (policy).
const SHOWN_LINES: usize = 60;

/// Which tests, and how many at once.
#[derive(Args)]
pub struct TestArgs {
    /// Only tests whose name contains this, for example `pxelinux`, `dhcp`, or `unit`.
    #[arg(long, value_name = "TEXT")]
    filter: Option<String>,

    /// Show the names of all tests and what they check, and run none.
    #[arg(long)]
    list: bool,

    /// How many machines run at once; as many as there are cores unless given, 4 at most.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=16))]
    jobs: Option<u8>,
}

/// How one test, or one group of unit tests, ended.
#[derive(Debug)]
struct Row {
    name: String,
    outcome: Outcome,
    elapsed: Duration,
}

#[derive(Debug)]
enum Outcome {
    /// This many passed.
    Passed(usize),
    /// This many passed before or beside the ones that did not.
    Failed { passed: usize, failed: usize, why: String },
    /// Not run, although it should have been.
    Skipped { count: usize, why: &'static str },
    /// Not run because this machine or this user can't: no failure, but said aloud.
    Unable(String),
}

/// A check of the sources, before anything boots.
struct Check {
    name: &'static str,
    about: &'static str,
    kind: Kind,
}

enum Kind {
    /// A cargo command with these arguments.
    Cargo(&'static [&'static str]),
    /// `cargo xtask lint` without its cargo commands.
    HouseRules,
}

const CHECKS: [Check; 4] = [
    Check { name: "fmt", about: "rustfmt has nothing to change", kind: Kind::Cargo(&["fmt", "--all", "--check"]) },
    Check { name: "house-rules", about: "the rules of cargo xtask lint", kind: Kind::HouseRules },
    Check {
        name: "clippy",
        about: "no warning of the compiler or of clippy",
        kind: Kind::Cargo(&["clippy", "--quiet", "--workspace", "--all-targets", "--", "-D", "warnings"]),
    },
    Check {
        name: "unit",
        about: "unit and integration tests of the core and the tools",
        kind: Kind::Cargo(&["test", "--workspace", "--no-fail-fast"]),
    },
];

/// Runs the tests.
///
/// # Errors
/// When one fails, or what they need can't be brought or built.
pub fn run(workspace: &Workspace, args: &TestArgs) -> Result<()> {
    let wanted = |name: &str| args.filter.as_deref().is_none_or(|filter| name.contains(filter));
    let checks: Vec<&Check> = CHECKS.iter().filter(|check| wanted(check.name)).collect();
    let boots: Vec<&BootTest> = boot_tests::all().into_iter().filter(|test| wanted(test.name)).collect();
    if args.list {
        for (name, about) in
            checks.iter().map(|check| (check.name, check.about)).chain(boots.iter().map(|test| (test.name, test.about)))
        {
            println!("{name:24} {about}");
        }
        return Ok(());
    }
    ensure!(!checks.is_empty() || !boots.is_empty(), "no test has that in its name; --list shows all");

    let start = Instant::now();
    let mut rows: Vec<Row> = checks.into_iter().map(|check| check.run(workspace)).collect();
    if !boots.is_empty() {
        rows.append(&mut boot(workspace, &boots, args.jobs.map(usize::from)));
    }
    summarise(&rows, start.elapsed())
}

impl Check {
    fn run(&self, workspace: &Workspace) -> Row {
        let step = Step::start(format!("{}: {}", self.name, self.about));
        let start = Instant::now();
        let outcome = match self.kind {
            Kind::Cargo(arguments) => judge_command(cargo(workspace).args(arguments)),
            Kind::HouseRules => match lint::house_rules(workspace) {
                Ok(()) => Outcome::Passed(1),
                Err(error) => Outcome::failed(format!("{error:#}")),
            },
        };
        let row = Row { name: self.name.to_owned(), outcome, elapsed: start.elapsed() };
        step.done(row.word());
        row
    }
}

impl Outcome {
    /// One test, failed.
    fn failed(why: String) -> Self {
        Self::Failed { passed: 0, failed: 1, why }
    }
}

fn judge_command(command: &mut Command) -> Outcome {
    let output = match command.output() {
        Ok(output) => output,
        Err(error) => return Outcome::failed(format!("can't start `{}`: {error}", describe(command))),
    };
    let said = [output.stdout.as_slice(), &output.stderr].map(String::from_utf8_lossy).join("\n");
    match (output.status.success(), count_unit_tests(&said)) {
        (true, None) => Outcome::Passed(1),
        (true, Some((passed, 0))) => Outcome::Passed(passed),
        (false, Some((passed, failed))) if failed > 0 => Outcome::Failed { passed, failed, why: failures(&said) },
        _ => Outcome::failed(last_lines(&said, SHOWN_LINES)),
    }
}

/// What libtest says about failed tests: from each `failures:` to the result below it.
fn failures(said: &str) -> String {
    let mut shown = String::new();
    let mut inside = false;
    for line in said.lines() {
        inside |= line == "failures:";
        if inside {
            shown.push_str(line);
            shown.push('\n');
        }
        inside &= !line.starts_with("test result: ");
    }
    last_lines(&shown, SHOWN_LINES)
}

/// Adds up libtest's lines `test result: ok. 13 passed; 0 failed; ...`; `None` when there is none.
fn count_unit_tests(text: &str) -> Option<(usize, usize)> {
    let mut sum = None;
    for line in text.lines().filter_map(|line| line.trim_start().strip_prefix("test result: ")) {
        let number_before = |word: &str| -> usize {
            let mut words = line.split([' ', ';', '.']).filter(|word| !word.is_empty()).collect::<VecDeque<_>>();
            let mut before = words.pop_front().unwrap_or_default();
            while let Some(next) = words.pop_front() {
                if next == word {
                    return before.parse().unwrap_or(0);
                }
                before = next;
            }
            0
        };
        let (passed, failed) = sum.unwrap_or((0, 0));
        sum = Some((passed + number_before("passed"), failed + number_before("failed")));
    }
    sum
}

/// Runs boot tests, `jobs` at a time.
fn boot(workspace: &Workspace, tests: &[&BootTest], jobs: Option<usize>) -> Vec<Row> {
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let jobs = jobs.unwrap_or(cores.min(MOST_JOBS));
    let lab = match build::all(workspace).and_then(|products| Lab::prepare_for_tests(workspace, &products)) {
        Ok(lab) => lab,
        Err(error) => {
            let failed = Outcome::failed(format!("{error:#}"));
            let skipped = Outcome::Skipped { count: tests.len(), why: "there is nothing to boot" };
            let row = |name: &str, outcome| Row { name: name.to_owned(), outcome, elapsed: Duration::ZERO };
            return vec![row("build", failed), row("boots", skipped)];
        }
    };
    let step = Step::start(format!("{} boots in QEMU, {jobs} at once", tests.len()));
    let queue: Mutex<VecDeque<&BootTest>> = Mutex::new(tests.iter().copied().collect());
    let rows = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..jobs.min(tests.len()) {
            scope.spawn(|| {
                loop {
                    let next = queue.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
                    let Some(test) = next else { break };
                    let row = boot_one(&lab, test);
                    step.say(&format!("  {}", row.line()));
                    rows.lock().unwrap_or_else(PoisonError::into_inner).push(row);
                }
            });
        }
    });
    step.done("ended");
    rows.into_inner().unwrap_or_else(PoisonError::into_inner)
}

fn boot_one(lab: &Lab, test: &BootTest) -> Row {
    let start = Instant::now();
    let outcome = if interrupt::requested() {
        Outcome::Skipped { count: 1, why: "interrupted" }
    } else {
        match Bench::new(lab).and_then(|bench| (test.run)(&bench)) {
            Ok(()) => Outcome::Passed(1),
            Err(error) => match error.downcast::<Unable>() {
                Ok(why) => Outcome::Unable(why.to_string()),
                Err(error) => Outcome::failed(format!("{error:#}")),
            },
        }
    };
    Row { name: test.name.to_owned(), outcome, elapsed: start.elapsed() }
}

impl Row {
    fn word(&self) -> &'static str {
        match &self.outcome {
            Outcome::Passed(_) => "passed",
            Outcome::Failed { .. } => "FAILED",
            Outcome::Skipped { .. } | Outcome::Unable(_) => "skipped",
        }
    }

    fn line(&self) -> String {
        let detail = match &self.outcome {
            Outcome::Passed(1) => String::new(),
            Outcome::Passed(count) => format!("  {count} tests"),
            Outcome::Failed { passed: 0, .. } => String::new(),
            Outcome::Failed { passed, failed, .. } => format!("  {failed} of {} tests", passed + failed),
            Outcome::Skipped { why, .. } => format!("  {why}"),
            Outcome::Unable(why) => format!("  {why}"),
        };
        format!("{:8} {:24} {:6.1} s{detail}", self.word(), self.name, self.elapsed.as_secs_f64())
    }
}

/// Shows what failed and why, the table, and the count.
fn summarise(rows: &[Row], elapsed: Duration) -> Result<()> {
    for row in rows {
        if let Outcome::Failed { why, .. } = &row.outcome {
            println!("\n======== {} ========\n{why}", row.name);
        }
    }
    println!();
    let (mut passed, mut failed, mut skipped, mut unable) = (0, 0, 0, 0);
    for row in rows {
        println!("{}", row.line());
        match &row.outcome {
            Outcome::Passed(count) => passed += count,
            Outcome::Failed { passed: good, failed: bad, .. } => (passed, failed) = (passed + good, failed + bad),
            Outcome::Skipped { count, .. } => skipped += count,
            Outcome::Unable(_) => unable += 1,
        }
    }
    println!("\nin {:.0} s", elapsed.as_secs_f64());
    println!("{passed} passed, {failed} failed, {} skipped", skipped + unable);
    if failed > 0 || skipped > 0 {
        bail!("not everything passed");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libtest_results_are_added_up() {
        let text = "running 3 tests\n\
                    test result: ok. 13 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.22s\n\
                    \n\
                    test result: FAILED. 4 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out\n";
        assert_eq!(count_unit_tests(text), Some((17, 2)));
        assert_eq!(count_unit_tests("error: could not compile"), None);
    }

    #[test]
    fn failures_are_shown_without_the_tests_that_passed() {
        let text = "test a ... ok\n\nfailures:\n\n---- b stdout ----\nleft: 1\n\nfailures:\n    b\n\n\
                    test result: FAILED. 1 passed; 1 failed\ntest c ... ok\n";
        let shown = failures(text);
        assert!(shown.contains("left: 1") && !shown.contains("... ok"), "{shown}");
    }

    #[test]
    fn a_failure_or_a_skipped_test_is_an_error() {
        let row = |outcome| Row { name: "x".to_owned(), outcome, elapsed: Duration::ZERO };
        assert!(summarise(&[row(Outcome::Passed(3))], Duration::ZERO).is_ok());
        let unable = Outcome::Unable("needs root".to_owned());
        assert!(summarise(&[row(Outcome::Passed(3)), row(unable)], Duration::ZERO).is_ok());
        let failed = Outcome::Failed { passed: 1, failed: 1, why: String::new() };
        assert!(summarise(&[row(Outcome::Passed(3)), row(failed)], Duration::ZERO).is_err());
        let skipped = Outcome::Skipped { count: 1, why: "interrupted" };
        assert!(summarise(&[row(skipped)], Duration::ZERO).is_err());
    }
}
