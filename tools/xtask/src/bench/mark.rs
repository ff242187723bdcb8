//! What the plugin counted at one moment, and what lies between two of them.

use std::collections::BTreeMap;
use std::ops::Sub;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

/// The mark at which nothing was counted yet.
pub const POWER_ON: &str = "power-on";

/// One line of the plugin's marks.
#[derive(Clone, Debug, Deserialize)]
pub struct Mark {
    /// Its name.
    #[serde(rename = "mark")]
    pub name: String,
    instructions: Vec<u64>,
    time_100ns: u64,
    exits: u64,
    msr_reads: BTreeMap<String, u64>,
    msr_writes: BTreeMap<String, u64>,
    hypercalls: BTreeMap<String, u64>,
    tx_frames: u64,
    tx_bytes: u64,
    rx_frames: u64,
    rx_bytes: u64,
}

/// Counts, since the machine was started or between two marks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Guest instructions.
    pub instructions: u64,
    /// Virtual time in units of 100 ns.
    pub time_100ns: u64,
    /// CPUID, MSR accesses and hypercalls.
    pub exits: u64,
    /// RDMSR and WRMSR of the hypervisor's registers.
    pub msr_accesses: u64,
    /// Hypercalls.
    pub hypercalls: u64,
    /// Frames that the guest sent.
    pub sent_frames: u64,
    /// Their bytes.
    pub sent_bytes: u64,
    /// Frames that it was given.
    pub received_frames: u64,
    /// Their bytes.
    pub received_bytes: u64,
}

impl Counts {
    /// Virtual time in seconds.
    pub fn seconds(&self) -> f64 {
        self.time_100ns as f64 / 1e7
    }
}

impl Sub for Counts {
    type Output = Self;

    /// Later minus earlier: counts never fall.
    fn sub(self, earlier: Self) -> Self {
        Self {
            instructions: self.instructions - earlier.instructions,
            time_100ns: self.time_100ns - earlier.time_100ns,
            exits: self.exits - earlier.exits,
            msr_accesses: self.msr_accesses - earlier.msr_accesses,
            hypercalls: self.hypercalls - earlier.hypercalls,
            sent_frames: self.sent_frames - earlier.sent_frames,
            sent_bytes: self.sent_bytes - earlier.sent_bytes,
            received_frames: self.received_frames - earlier.received_frames,
            received_bytes: self.received_bytes - earlier.received_bytes,
        }
    }
}

impl Mark {
    /// The counts at this moment.
    pub fn counts(&self) -> Counts {
        let sum = |table: &BTreeMap<String, u64>| table.values().sum::<u64>();
        Counts {
            instructions: self.instructions.iter().sum(),
            time_100ns: self.time_100ns,
            exits: self.exits,
            msr_accesses: sum(&self.msr_reads) + sum(&self.msr_writes),
            hypercalls: sum(&self.hypercalls),
            sent_frames: self.tx_frames,
            sent_bytes: self.tx_bytes,
            received_frames: self.rx_frames,
            received_bytes: self.rx_bytes,
        }
    }
}

/// All marks of a run.
#[derive(Clone, Debug)]
pub struct Marks(Vec<Mark>);

impl Marks {
    /// Reads the plugin's file; the last line must be whole.
    ///
    /// # Errors
    /// When a line is not a mark.
    pub fn parse(text: &str) -> Result<Self> {
        let parse = |line: &str| serde_json::from_str(line).with_context(|| format!("not a mark: {line}"));
        Ok(Self(text.lines().map(parse).collect::<Result<_>>()?))
    }

    /// The counts at the first mark of that name; nothing at [`POWER_ON`].
    ///
    /// # Errors
    /// When there is none.
    fn at(&self, name: &str) -> Result<Counts> {
        if name == POWER_ON {
            return Ok(Counts::default());
        }
        self.0.iter().find(|mark| mark.name == name).map(Mark::counts).with_context(|| format!("no mark `{name}`"))
    }

    /// What lies between the first marks of these names.
    ///
    /// # Errors
    /// When one of them is not there, or they come in another order.
    pub fn between(&self, start: &str, end: &str) -> Result<Counts> {
        let (start_counts, end_counts) = (self.at(start)?, self.at(end)?);
        if end_counts.instructions < start_counts.instructions {
            anyhow::bail!("the mark `{end}` comes before `{start}`");
        }
        Ok(end_counts - start_counts)
    }
}

/// Whether the plugin's file has a whole line for that mark.
pub fn is_there(text: &str, name: &str) -> bool {
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    whole.lines().any(|line| serde_json::from_str::<Mark>(line).is_ok_and(|mark| mark.name == name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(name: &str, count: u64) -> String {
        format!(
            r#"{{"mark":"{name}","instructions":[{count}],"time_100ns":{count},"exits":{count},
            "msr_reads":{{"0x40000020":{count}}},"msr_writes":{{}},"hypercalls":{{"0x5d":1,"0x5c":2}},
            "tx_frames":1,"tx_bytes":2,"rx_frames":3,"rx_bytes":{count}}}"#
        )
        .replace('\n', "")
    }

    #[test]
    fn counts_lie_between_the_first_marks_of_a_name() {
        let text = format!("{}\n{}\n{}\n", line("a", 10), line("b", 25), line("b", 99));
        let between = Marks::parse(&text).unwrap().between("a", "b").unwrap();
        assert_eq!((between.instructions, between.msr_accesses, between.hypercalls), (15, 15, 0));
        let error = Marks::parse(&text).unwrap().between("b", "a").unwrap_err();
        assert!(error.to_string().contains("before"), "{error}");
        assert!(Marks::parse(&text).unwrap().between("a", "c").is_err());
    }

    #[test]
    fn half_a_line_is_no_mark_yet() {
        let text = format!("{}\n{}", line("a", 1), line("b", 2));
        assert!(is_there(&text, "a"));
        assert!(!is_there(&text, "b"));
        assert!(is_there(&format!("{text}\n"), "b"));
    }
}
