//! What was measured, and what follows from it.

use super::mark::Counts;
use super::plan::{Item, MB, Section, Task};
use super::run::NULL_CALLS;

/// A number of a table, and which way is better.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Figure {
    /// Its name.
    pub name: &'static str,
    /// Its value; `None`: it can't be counted there.
    pub value: Option<f64>,
    /// The value of the one that it is compared with, if there is one.
    pub rival: Option<f64>,
}

impl Figure {
    /// How many times the rival's.
    pub fn ratio(&self) -> Option<f64> {
        self.rival.filter(|rival| *rival != 0.0).and_then(|rival| Some(self.value? / rival))
    }
}

/// All measurements.
pub struct Results {
    /// The plan.
    pub sections: Vec<Section>,
    counts: Vec<(Item, Option<Counts>)>,
}

impl Results {
    /// Puts the counts to their plan; none for an item that died.
    pub fn new(sections: Vec<Section>, counts: Vec<(Item, Option<Counts>)>) -> Self {
        Self { sections, counts }
    }

    /// What was counted for an item.
    pub fn counts(&self, item: &Item) -> Option<Counts> {
        self.outcome(item).flatten()
    }

    /// Whether it was tried, and died.
    pub fn died(&self, item: &Item) -> bool {
        self.outcome(item) == Some(None)
    }

    fn outcome(&self, item: &Item) -> Option<Option<Counts>> {
        self.counts.iter().find(|(other, _)| other == item).map(|(_, counts)| *counts)
    }

    /// The figures of an item.
    pub fn figures(&self, item: &Item) -> Vec<Figure> {
        let Some(outcome) = self.outcome(item) else { return Vec::new() };
        let Some(counts) = outcome else {
            let names = plain(item, &Counts::default()).into_iter();
            return names.map(|(name, _)| Figure { name, value: None, rival: None }).collect();
        };
        let rival = self.counts(&item.rival());
        let rival_figures = rival.map(|rival| plain(&item.rival(), &rival));
        plain(item, &counts)
            .into_iter()
            .enumerate()
            .map(|(index, (name, value))| Figure {
                name,
                value,
                rival: rival_figures.as_ref().and_then(|all| all[index].1),
            })
            .collect()
    }
}

/// The figures of an item without a comparison.
fn plain(item: &Item, counts: &Counts) -> Vec<(&'static str, Option<f64>)> {
    let per = |count: u64, of: u64| if of == 0 { 0.0 } else { count as f64 / of as f64 };
    let seen = |value: f64| item.contestant.stack.is_synthetic().then_some(value);
    match item.task {
        Task::Boot | Task::PowerOn => vec![
            ("instructions/1e6", Some(counts.instructions as f64 / 1e6)),
            ("virtual ms", Some(counts.seconds() * 1e3)),
            ("exits", seen(counts.exits as f64)),
            ("hypercalls", seen(counts.hypercalls as f64)),
        ],
        Task::Download(_, bytes) => vec![
            ("instr/byte", Some(per(counts.instructions, bytes))),
            ("instr/packet", Some(per(counts.instructions, counts.received_frames))),
            ("hypercalls/rx", Some(per(counts.hypercalls, counts.received_frames))),
            ("MSRs/rx", Some(per(counts.msr_accesses, counts.received_frames))),
            ("exits/tx", Some(per(counts.exits, counts.sent_frames))),
            ("MB/s virtual", Some(bytes as f64 / MB as f64 / counts.seconds().max(1e-9))),
        ],
        Task::NullCall | Task::ModeChange => vec![
            ("instructions", Some(per(counts.instructions, NULL_CALLS.into()))),
            ("exits", Some(per(counts.exits, NULL_CALLS.into()))),
        ],
    }
}
