//! Makes the checks one after the other. Each comes to an end, whatever the stack does; and none is blamed for what
//! another did to the stack: what can't be judged any more is left for a fresh machine, and counted.

use conformance::options::Number;

use super::Check;
use super::tftp::still_reads;
use crate::machine::{cpu, watchdog};
use crate::pxe::Stack;
use crate::report::{Count, Trouble, line, text, trouble};

/// Seconds that a check may take (policy: three calls that all time out take iPXE 50).
const LONGEST_CHECK: u32 = 100;

/// What became of the stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It is as good as it was.
    Sound,
    /// It was left in the middle of a call, or reads no file any more.
    Lost,
}

/// Makes the checks behind one, or all, until the stack is lost.
pub fn run<'a>(
    checks: impl Iterator<Item = &'a Check> + Clone,
    after: Option<Number>,
    stack: &mut Stack,
    count: &mut Count,
) -> Fate {
    let position = checks.clone().position(|check| after.is_some() && Number::parse(check.id) == after);
    let mut checks = checks.skip(position.map_or(0, |position| position + 1));
    while let Some(check) = checks.next() {
        // For the harness alone: what was under way, should the machine stop here.
        cpu::debug(&text(format_args!("TRY {} {}\n", check.id, check.name)));
        if judge(check, stack, count) == Fate::Lost {
            let rest = checks.count();
            if rest > 0 {
                line(&text(format_args!("conformance: the stack is lost, {rest} checks not reached")));
            }
            return Fate::Lost;
        }
    }
    Fate::Sound
}

fn judge(check: &Check, stack: &mut Stack, count: &mut Count) -> Fate {
    let Some(outcome) = watchdog::within(LONGEST_CHECK, || (check.run)(stack)) else {
        let function = stack.function;
        let why = trouble(
            Trouble::Failed,
            format_args!("no end in {LONGEST_CHECK} s; the last call was function {function:x}"),
        );
        count.add(check.id, check.name, &Err(why));
        return Fate::Lost;
    };
    count.add(check.id, check.name, &outcome);
    match outcome {
        Err(Trouble::Failed) => health(stack),
        Ok(()) | Err(Trouble::Skipped) => Fate::Sound,
    }
}

/// Whether the stack is still one.
fn health(stack: &mut Stack) -> Fate {
    match watchdog::within(LONGEST_CHECK, || still_reads(stack)) {
        Some(Ok(())) => Fate::Sound,
        _ => Fate::Lost,
    }
}
