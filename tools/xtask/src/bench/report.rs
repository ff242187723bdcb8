//! The report as data: everything that was measured, how, and of which versions. Kept as JSON.

use std::collections::BTreeMap;
use std::process::Command;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use super::mark::Counts;
use super::memory::Footprint;
use super::results::Results;
use crate::lab::Lab;
use crate::process::capture;
use crate::setup::packages;
use crate::workspace::Workspace;

/// Debian's packages that contestants, the machine's BIOS and the emulator come from.
const PACKAGES: [&str; 6] = ["ipxe", "ipxe-qemu", "pxelinux", "qemu-system-x86", "seabios", "syslinux-common"];

/// What was measured with what.
#[derive(Debug, Serialize, Deserialize)]
pub struct Software {
    /// Our version.
    pub hvpxe: String,
    /// Our commit, with `-dirty` for files that differ from it; `None`: these sources are in no repository.
    pub commit: Option<String>,
    /// QEMU's version.
    pub qemu: String,
    /// Versions of Debian's packages.
    pub packages: BTreeMap<String, String>,
}

impl Software {
    /// Of this workspace and lab.
    ///
    /// # Errors
    /// When QEMU or the lab doesn't say.
    pub fn of(workspace: &Workspace, lab: &Lab) -> Result<Self> {
        let mut git = Command::new("git");
        git.arg("-C").arg(&workspace.root).args(["describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]);
        let commit = capture(&mut git).ok().map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
        let mut versions = packages::versions(workspace)?;
        versions.retain(|name, _| PACKAGES.contains(&name.as_str()));
        Ok(Self {
            hvpxe: env!("CARGO_PKG_VERSION").to_owned(),
            commit,
            qemu: lab.qemu.version()?.to_string(),
            packages: versions,
        })
    }
}

/// One measurement.
#[derive(Debug, Serialize, Deserialize)]
pub struct Measurement {
    /// The table that it is in.
    pub section: String,
    /// Who.
    pub contestant: String,
    /// What, without the circumstances.
    pub task: String,
    /// What is not as usual, in words.
    pub circumstances: String,
    /// Virtual time: an instruction takes 2^shift ns.
    pub shift: u8,
    /// One way.
    pub latency_ms: u32,
    /// Of the frames, each way.
    pub loss_percent: f64,
    /// Synthetic NICs.
    pub nics: u32,
    /// Devices offered on VMBus that nobody has a driver for.
    pub spare_offers: u32,
    /// Switches of the network server that are not as usual.
    pub server_switches: BTreeMap<String, String>,
    /// Raw counts; `null`: the contestant died.
    pub counts: Option<Counts>,
    /// Figures; `null`: they can't be counted there.
    pub figures: BTreeMap<String, Option<f64>>,
    /// Figures by those of the contestant that it is compared with.
    pub ratios: BTreeMap<String, f64>,
}

/// All of it.
#[derive(Debug, Serialize, Deserialize)]
pub struct Report {
    /// What was measured with what.
    pub software: Software,
    /// The arguments of the command.
    pub arguments: Vec<String>,
    /// What the contestants take of the machine's memory.
    pub memory: Vec<Footprint>,
    /// The rows of the tables.
    pub measurements: Vec<Measurement>,
}

impl Report {
    /// Puts it together.
    pub fn new(software: Software, arguments: Vec<String>, memory: Vec<Footprint>, results: &Results) -> Self {
        let mut measurements = Vec::new();
        for section in &results.sections {
            for item in &section.items {
                let (figures, setting) = (results.figures(item), &item.setting);
                let ratio = |figure: &super::results::Figure| Some((figure.name.to_owned(), figure.ratio()?));
                measurements.push(Measurement {
                    section: section.title.to_owned(),
                    contestant: item.contestant.name(),
                    task: item.task.words(),
                    circumstances: setting.words(),
                    shift: setting.shift,
                    latency_ms: setting.latency_ms,
                    loss_percent: f64::from(setting.loss_permille) / 10.0,
                    nics: setting.nics,
                    spare_offers: setting.spare_offers,
                    server_switches: setting.server_switches().into_iter().collect(),
                    counts: results.counts(item),
                    figures: figures.iter().map(|figure| (figure.name.to_owned(), figure.value)).collect(),
                    ratios: figures.iter().filter_map(ratio).collect(),
                });
            }
        }
        Self { software, arguments, memory, measurements }
    }

    /// As JSON.
    ///
    /// # Errors
    /// When a number has no form in JSON.
    pub fn json(&self) -> Result<String> {
        Ok(serde_json::to_string_pretty(self)? + "\n")
    }

    /// Reads it again.
    ///
    /// # Errors
    /// When this is no such report.
    pub fn parse(json: &str) -> Result<Self> {
        serde_json::from_str(json).context("not a report of the benchmark")
    }
}
