//! What the lab says: its log, the violations and the counters.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;
use std::str::FromStr;

use anyhow::{Context, Result};
use hvhost::{Counters, Host};
use serde_json::{Map, Value, json};

use crate::args::Args;

/// How much is logged; each level includes those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Nothing.
    Off,
    /// Violations.
    Error,
    /// What happens on VMBus and its devices.
    Info,
    /// Each hypercall, MSR write and interrupt.
    Debug,
    /// Each CPUID and MSR read as well.
    Trace,
}

impl FromStr for Level {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        match text {
            "off" => Ok(Self::Off),
            "error" => Ok(Self::Error),
            "info" => Ok(Self::Info),
            "debug" => Ok(Self::Debug),
            "trace" => Ok(Self::Trace),
            _ => Err(()),
        }
    }
}

/// Where it all goes.
pub struct Report {
    level: Level,
    log: Box<dyn Write + Send>,
    violations: Option<File>,
    /// Violations of the host model that were already reported.
    reported: usize,
    /// Violations that the plugin itself found.
    faults: u64,
}

impl Report {
    /// Opens the files of the arguments.
    ///
    /// # Errors
    /// When one can't be opened.
    pub fn new(args: &Args) -> Result<Self> {
        let log: Box<dyn Write + Send> = match &args.log_file {
            Some(path) => Box::new(File::create(path).with_context(|| format!("creating {}", path.display()))?),
            None => Box::new(io::stderr()),
        };
        let violations = args.violations.as_deref().map(append).transpose()?;
        Ok(Self { level: args.log_level, log, violations, reported: 0, faults: 0 })
    }

    /// Whether lines of `level` are wanted.
    pub fn wants(&self, level: Level) -> bool {
        level <= self.level
    }

    /// Logs a line at `at`, reference time in 100 ns units.
    pub fn line(&mut self, level: Level, at: u64, text: fmt::Arguments<'_>) {
        if self.wants(level) {
            self.write_log(format_args!("{} {text}", Stamp(at)));
        }
    }

    /// Reports what the host model does not see: what a real processor answers with an exception, or nonsense on the network.
    pub fn fault(&mut self, at: u64, why: &str) {
        self.faults += 1;
        self.violation(format_args!("{} {why}", Stamp(at)));
        self.line(Level::Error, at, format_args!("violation: {why}"));
    }

    /// Takes over what the host model has logged and found since the last call.
    pub fn drain(&mut self, host: &mut Host) {
        let log_lines = host.take_log();
        if self.wants(Level::Info) {
            // The host model's log has a line for each violation too.
            for line in &log_lines {
                self.write_log(format_args!("{line}"));
            }
        }
        let violations = host.violations();
        while let Some(violation) = violations.get(self.reported) {
            self.reported += 1;
            self.violation(format_args!("{violation}"));
            if self.level == Level::Error {
                self.write_log(format_args!("violation: {violation}"));
            }
        }
    }

    /// Number of violations so far.
    pub fn violation_count(&self) -> u64 {
        self.reported as u64 + self.faults
    }

    /// A full disk or closed terminal must not change what the guest sees: errors of the outputs are dropped.
    fn write_log(&mut self, text: fmt::Arguments<'_>) {
        let _ = self.log.write_all(format!("hyperv: {text}\n").as_bytes());
    }

    fn violation(&mut self, text: fmt::Arguments<'_>) {
        if let Some(file) = &mut self.violations {
            let _ = file.write_all(format!("{text}\n").as_bytes());
        }
    }
}

fn append(path: &Path) -> Result<File> {
    OpenOptions::new().create(true).append(true).open(path).with_context(|| format!("opening {}", path.display()))
}

/// A time in seconds, in the host model's own format.
struct Stamp(u64);

impl fmt::Display for Stamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let micros = self.0 / 10;
        write!(f, "[{:>4}.{:06}]", micros / 1_000_000, micros % 1_000_000)
    }
}

/// The counters as a JSON object; MSRs, call codes and message types are keys.
pub fn counters_json(counters: &Counters, instructions: &[u64], now: u64, violations: u64) -> Value {
    fn table<K: Copy>(map: &std::collections::BTreeMap<K, u64>, key: impl Fn(K) -> String) -> Value {
        Value::Object(map.iter().map(|(&k, &count)| (key(k), count.into())).collect::<Map<_, _>>())
    }
    json!({
        "instructions": instructions,
        "time_100ns": now,
        "violations": violations,
        "exits": counters.exits(),
        "cpuid": counters.cpuid,
        "msr_reads": table(&counters.msr_reads, |msr| format!("{msr:#x}")),
        "msr_writes": table(&counters.msr_writes, |msr| format!("{msr:#x}")),
        "hypercalls": table(&counters.hypercalls, |code| format!("{code:#x}")),
        "posts": counters.posts,
        "signals": counters.signals,
        "interrupts": counters.interrupts,
        "vmbus_from_guest": table(&counters.vmbus_from_guest, |kind| kind.to_string()),
        "vmbus_to_guest": table(&counters.vmbus_to_guest, |kind| kind.to_string()),
        "tx_frames": counters.tx_frames,
        "tx_bytes": counters.tx_bytes,
        "rx_frames": counters.rx_frames,
        "rx_bytes": counters.rx_bytes,
        "rx_packets": counters.rx_packets,
        "rx_filtered": counters.rx_filtered,
        "restores": counters.restores,
        "disk_requests": counters.disk_requests,
        "disk_reads": counters.disk_reads,
        "disk_read_bytes": counters.disk_read_bytes,
        "disk_writes": counters.disk_writes,
        "disk_written_bytes": counters.disk_written_bytes,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use hvhost::{Config, MsrRead};

    #[test]
    fn each_violation_is_appended_once_and_at_once() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("violations");
        std::fs::write(&path, "from an earlier run\n").unwrap();
        let log = dir.path().join("log");
        let args = [format!("violations={}", path.display()), format!("log={}", log.display()), "log=error".to_owned()];
        let mut report = Report::new(&Args::parse(&args, 1).unwrap()).unwrap();
        let mut host = Host::new(Config::default(), Vec::new());
        assert_eq!(host.rdmsr(0, 0x4000_01f0), MsrRead::GeneralProtection);
        report.drain(&mut host);
        report.drain(&mut host);
        report.fault(15_000_000, "hypercall in real mode");
        let text = std::fs::read_to_string(&path).unwrap();
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines.len(), 3, "{text}");
        assert_eq!(lines[0], "from an earlier run");
        assert!(lines[1].contains("0x400001f0"), "{text}");
        assert_eq!(lines[2], "[   1.500000] hypercall in real mode");
        assert_eq!(report.violation_count(), 2);
        let logged = std::fs::read_to_string(&log).unwrap();
        assert_eq!(logged.lines().filter(|line| line.starts_with("hyperv: ")).count(), 2, "{logged}");
    }

    #[test]
    fn counters_are_keyed_by_what_was_counted() {
        let mut counters = Counters { posts: 3, ..Counters::default() };
        counters.msr_reads.insert(0x4000_0020, 5);
        counters.hypercalls.insert(0x5c, 3);
        let json = counters_json(&counters, &[1000, 20], 7, 1);
        assert_eq!(json["msr_reads"]["0x40000020"], 5);
        assert_eq!(json["hypercalls"]["0x5c"], 3);
        assert_eq!(json["exits"], 8);
        assert_eq!(json["instructions"], json!([1000, 20]));
    }
}
