//! The host's record of what the guest did: violations, counters and a log.

use crate::counters::Counters;
use crate::violations::{Breach, Violation};

/// Violations kept; policy: more than this and the first ones say enough.
const MAX_VIOLATIONS: usize = 1000;
/// Log lines kept until the engine takes them; policy.
const MAX_LOG_LINES: usize = 10_000;

#[derive(Debug, Default)]
pub(crate) struct Report {
    /// Partition reference time, 100 ns units.
    pub now: u64,
    pub violations: Vec<Violation>,
    pub counters: Counters,
    log: Vec<String>,
}

impl Report {
    pub fn breach(&mut self, breach: Breach) {
        self.log(format!("violation: {breach}"));
        if self.violations.len() < MAX_VIOLATIONS {
            self.violations.push(Violation { at: self.now, breach });
        }
    }

    pub fn log(&mut self, line: String) {
        if self.log.len() < MAX_LOG_LINES {
            let micros = self.now / 10;
            self.log.push(format!("[{:>4}.{:06}] {line}", micros / 1_000_000, micros % 1_000_000));
        }
    }

    pub fn take_log(&mut self) -> Vec<String> {
        std::mem::take(&mut self.log)
    }
}
