//! The lines that the harness reads.

use core::fmt::Write;
use core::sync::atomic::AtomicU8;
use core::sync::atomic::Ordering::Relaxed;

use crate::machine::{cpu, thunk};

/// A line of text; what doesn't fit is lost.
pub type Text = heapless::String<LINE>;

/// Why a check did not pass. The reason waits in [`REASON`]: carried along in every result, it would double the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// The stack did something else.
    Failed,
    /// The check can't be made here.
    Skipped,
}

/// What a check came to.
pub type Outcome = Result<(), Trouble>;

/// Longest line and longest reason; what doesn't fit is lost (policy).
const LINE: usize = 160;

/// The last reason, ASCIIZ.
static REASON: [AtomicU8; LINE] = [const { AtomicU8::new(0) }; LINE];

/// Formats; what doesn't fit is lost.
pub fn text(arguments: core::fmt::Arguments<'_>) -> Text {
    let mut text = Text::new();
    let _ = text.write_fmt(arguments);
    text
}

/// Keeps a reason.
#[cold]
#[inline(never)]
pub fn trouble(kind: Trouble, arguments: core::fmt::Arguments<'_>) -> Trouble {
    let text = text(arguments);
    for (slot, byte) in REASON.iter().zip(text.bytes().chain(core::iter::once(0))) {
        slot.store(byte, Relaxed);
    }
    kind
}

/// The last reason.
fn reason() -> Text {
    REASON.iter().map(|slot| char::from(slot.load(Relaxed))).take_while(|character| *character != '\0').collect()
}

/// Ends a check: it failed.
#[macro_export]
macro_rules! fail {
    ($($arguments:tt)*) => {
        return Err($crate::report::trouble($crate::report::Trouble::Failed, format_args!($($arguments)*)))
    };
}

/// Ends a check: it can't be made here.
#[macro_export]
macro_rules! skip {
    ($($arguments:tt)*) => {
        return Err($crate::report::trouble($crate::report::Trouble::Skipped, format_args!($($arguments)*)))
    };
}

/// Ends a check unless a condition holds.
#[macro_export]
macro_rules! ensure {
    ($condition:expr, $($arguments:tt)*) => {
        if !$condition {
            $crate::report::fail!($($arguments)*);
        }
    };
}

pub use crate::{ensure, fail, skip};

/// Writes a line to the screen and to port 0xE9.
pub fn line(line: &str) {
    cpu::debug(line);
    cpu::debug("\n");
    thunk::print(line);
    thunk::print("\r\n");
}

/// How many checks came to what.
#[derive(Clone, Copy, Debug, Default)]
pub struct Count {
    passed: u32,
    failed: u32,
    skipped: u32,
}

impl Count {
    /// Counts a check and writes its line.
    pub fn add(&mut self, id: &str, name: &str, outcome: &Outcome) {
        let said = match outcome {
            Ok(()) => {
                self.passed += 1;
                text(format_args!("PASS {id} {name}"))
            }
            Err(Trouble::Failed) => {
                self.failed += 1;
                text(format_args!("FAIL {id} {name}: {}", reason()))
            }
            Err(Trouble::Skipped) => {
                self.skipped += 1;
                text(format_args!("SKIP {id} {name}: {}", reason()))
            }
        };
        line(&said);
    }

    /// Writes the last line.
    pub fn finish(&self, program: &str) {
        let Self { passed, failed, skipped } = self;
        line(&text(format_args!("{program}: {passed} passed, {failed} failed, {skipped} skipped")));
    }
}
