//! What was measured, and what follows from it.

use super::mark::Counts;
use super::plan::{Item, MB, Section, Task};
use super::run::NULL_CALLS;

/// A number of a table, and which way is better.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Figure {
    /// Its name.
    pub name: &'static str,
    /// Its value.
    pub value: f64,
    /// The value of the one that it is compared with, if there is one.
    pub rival: Option<f64>,
}

impl Figure {
    /// How many times the rival's.
    pub fn ratio(&self) -> Option<f64> {
        self.rival.filter(|rival| *rival != 0.0).map(|rival| self.value / rival)
    }
}

/// All measurements.
pub struct Results {
    /// The plan.
    pub sections: Vec<Section>,
    counts: Vec<(Item, Counts)>,
}

/// Whether the plan compares: the short one doesn't.
pub fn has_rival(sections: &[Section]) -> bool {
    sections.len() > 1
}

impl Results {
    /// Puts the counts to their plan.
    pub fn new(sections: Vec<Section>, counts: Vec<(Item, Counts)>) -> Self {
        Self { sections, counts }
    }

    /// What was counted for an item.
    pub fn counts(&self, item: &Item) -> Option<Counts> {
        self.counts.iter().find(|(other, _)| other == item).map(|(_, counts)| *counts)
    }

    /// The figures of an item.
    pub fn figures(&self, item: &Item) -> Vec<Figure> {
        let Some(counts) = self.counts(item) else { return Vec::new() };
        let rival = self.counts(&item.rival());
        let rival_figures = rival.map(|rival| plain(&item.task, &rival));
        plain(&item.task, &counts)
            .into_iter()
            .enumerate()
            .map(|(index, (name, value))| Figure { name, value, rival: rival_figures.as_ref().map(|all| all[index].1) })
            .collect()
    }
}

/// The figures of a task without a comparison.
fn plain(task: &Task, counts: &Counts) -> Vec<(&'static str, f64)> {
    let per = |count: u64, of: u64| if of == 0 { 0.0 } else { count as f64 / of as f64 };
    match *task {
        Task::Boot | Task::PowerOn => vec![
            ("instructions/1e6", counts.instructions as f64 / 1e6),
            ("virtual ms", counts.seconds() * 1e3),
            ("exits", counts.exits as f64),
            ("hypercalls", counts.hypercalls as f64),
        ],
        Task::Download(_, bytes) => vec![
            ("instr/byte", per(counts.instructions, bytes)),
            ("instr/packet", per(counts.instructions, counts.received_frames)),
            ("hypercalls/rx", per(counts.hypercalls, counts.received_frames)),
            ("MSRs/rx", per(counts.msr_accesses, counts.received_frames)),
            ("exits/tx", per(counts.exits, counts.sent_frames)),
            ("MB/s virtual", bytes as f64 / MB as f64 / counts.seconds().max(1e-9)),
        ],
        Task::NullCall => vec![
            ("instructions", per(counts.instructions, NULL_CALLS.into())),
            ("exits", per(counts.exits, NULL_CALLS.into())),
        ],
    }
}
