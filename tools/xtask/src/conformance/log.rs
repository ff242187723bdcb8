//! What one run of the program wrote.

use conformance::options::Number;

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

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// With its last line.
    Finished,
    /// With its last line, before all checks were made.
    StackLost,
    /// Without one.
    Stopped,
}

/// A check's number, name and verdict.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Its number.
    pub number: Number,
    /// What must hold.
    pub name: String,
    /// What it came to.
    pub verdict: Verdict,
}

/// The log of one run.
#[derive(Clone, Debug, Default)]
pub struct Log {
    text: String,
}

impl Log {
    /// What the program says when it gives a stack up with checks left.
    pub const LOST: &str = "conformance: the stack is lost";

    /// From what was on port 0xE9.
    pub fn new(text: &str) -> Self {
        Self { text: format!("{text}\n") }
    }

    /// Adds a check of the harness: its number and name, and why it failed.
    pub fn add(&mut self, check: &str, failure: Option<&str>) {
        let line = match failure.map(|why| why.lines().next().unwrap_or_default()) {
            None => format!("PASS {check}\n"),
            Some(why) => format!("FAIL {check}: {why}\n"),
        };
        self.text.push_str(&line);
    }

    /// Adds a check of the harness that can't be made.
    pub fn add_skipped(&mut self, check: &str, why: &str) {
        self.text.push_str(&format!("SKIP {check}: {why}\n"));
    }

    /// How the run ended.
    pub fn ended(&self) -> Ended {
        let has = |wanted: fn(&str) -> bool| self.text.lines().any(wanted);
        if !has(|line| line.starts_with("conformance: ") && line.ends_with(" skipped")) {
            Ended::Stopped
        } else if has(|line| line.starts_with(Self::LOST)) {
            Ended::StackLost
        } else {
            Ended::Finished
        }
    }

    /// All verdicts. A check in which the machine stopped has failed.
    pub fn verdicts(&self) -> Vec<Line> {
        let mut lines: Vec<Line> = self.text.lines().filter_map(parse).collect();
        if let (Ended::Stopped, Some((number, name))) = (self.ended(), self.last_try())
            && !lines.iter().any(|line| line.number == number)
        {
            let verdict = Verdict::Failed("the machine stopped in it".to_owned());
            lines.push(Line { number, name: name.to_owned(), verdict });
        }
        lines
    }

    /// The last line of any kind.
    pub fn last_line(&self) -> &str {
        self.text.lines().rfind(|line| !line.trim().is_empty()).unwrap_or_default()
    }

    /// Behind which check a fresh machine has to go on.
    pub fn go_on_after(&self) -> Option<Number> {
        match self.ended() {
            Ended::Finished => None,
            Ended::StackLost | Ended::Stopped => self.last_try().map(|(number, _)| number),
        }
    }

    /// The check that was begun last.
    fn last_try(&self) -> Option<(Number, &str)> {
        self.text.lines().rev().find_map(|line| numbered(line.strip_prefix("TRY ")?))
    }
}

/// `03.2 name`, in its parts.
fn numbered(text: &str) -> Option<(Number, &str)> {
    let (number, name) = text.split_once(' ')?;
    Some((Number::parse(number)?, name))
}

/// A line `PASS 03.2 name`, `FAIL 03.2 name: why`, `SKIP 03.2 name: why`. Names have no colon.
fn parse(line: &str) -> Option<Line> {
    let (word, rest) = line.trim_end().split_once(' ')?;
    let (number, rest) = numbered(rest)?;
    let (name, verdict) = match word {
        "PASS" => (rest, Verdict::Passed),
        "FAIL" | "SKIP" => {
            let (name, why) = rest.split_once(": ")?;
            let verdict = if word == "FAIL" { Verdict::Failed } else { Verdict::Skipped };
            (name, verdict(why.to_owned()))
        }
        _ => return None,
    };
    Some(Line { number, name: name.to_owned(), verdict })
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEGIN: &str = "noise\nconformance: start\nTRY 01.10 a thing\nPASS 01.10 a thing\nTRY 01.2 another\n";

    const LAST: Option<Number> = Some(Number { group: 1, number: 2 });

    #[test]
    fn a_machine_that_stops_fails_its_check_and_goes_on_behind_it() {
        let log = Log::new(BEGIN);
        assert_eq!(log.ended(), Ended::Stopped);
        assert_eq!(log.go_on_after(), LAST);
        let lines = log.verdicts();
        assert_eq!((lines.len(), Some(lines[1].number)), (2, LAST));
        assert!(matches!(&lines[1].verdict, Verdict::Failed(why) if why.contains("stopped")));
    }

    #[test]
    fn a_machine_that_stops_behind_a_verdict_keeps_it() {
        let log = Log::new(&format!("{BEGIN}FAIL 01.2 another: AX=1: no\n"));
        assert_eq!(log.go_on_after(), LAST);
        assert_eq!(log.verdicts()[1].verdict, Verdict::Failed("AX=1: no".to_owned()));
    }

    #[test]
    fn a_lost_stack_goes_on_behind_the_last_check() {
        let rest = "FAIL 01.2 another: why\nconformance: the stack is lost, 3 checks not reached\n\
                    conformance: 1 passed, 1 failed, 0 skipped";
        let log = Log::new(&format!("{BEGIN}{rest}"));
        assert_eq!((log.ended(), log.go_on_after()), (Ended::StackLost, LAST));
        assert_eq!(log.verdicts().len(), 2);
    }

    #[test]
    fn a_run_that_ends_needs_no_other() {
        let mut log = Log::new(&format!("{BEGIN}SKIP 01.2 another: why\nconformance: 1 passed, 0 failed, 1 skipped"));
        log.add("13.1 on", Some("it did not\nnoise"));
        assert_eq!((log.ended(), log.go_on_after()), (Ended::Finished, None));
        assert_eq!(log.verdicts()[1].verdict, Verdict::Skipped("why".to_owned()));
        assert_eq!(log.verdicts()[2].verdict, Verdict::Failed("it did not".to_owned()));
    }
}
