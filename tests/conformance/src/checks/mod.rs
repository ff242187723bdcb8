//! The checks, by subject. Numbers follow the project's check-list; those that spoil something for others come last.

mod cached_info;
mod entry;
mod faults;
mod file_extension;
mod fuzz;
mod hostile;
mod isr;
mod loader;
mod memory_map;
mod opcodes;
mod structures;
mod tftp;
mod transmit;
mod udp;
mod undi;
mod unload;
mod v86;

use conformance::options::Options;

use crate::pxe::Stack;
use crate::pxe::network::Network;
use crate::report::{Count, Outcome};

/// One check.
pub struct Check {
    /// `03.2`: group and number.
    pub id: &'static str,
    /// What must hold.
    pub name: &'static str,
    /// Looks.
    pub run: fn(&mut Stack) -> Outcome,
}

impl Check {
    const fn new(id: &'static str, name: &'static str, run: fn(&mut Stack) -> Outcome) -> Self {
        Self { id, name, run }
    }
}

/// Groups in the order in which they run.
const GROUPS: [&[Check]; 13] = [
    structures::CHECKS,
    entry::CHECKS,
    opcodes::CHECKS,
    cached_info::CHECKS,
    memory_map::CHECKS,
    tftp::CHECKS,
    file_extension::CHECKS,
    udp::CHECKS,
    undi::CHECKS,
    transmit::CHECKS,
    isr::CHECKS,
    hostile::CHECKS,
    v86::CHECKS,
];

/// Runs what the options ask for, and the ending.
pub fn run(options: &Options) {
    let mut stack = Stack::new();
    let mut count = Count::default();
    stack.network = Network::learn(&mut stack);
    if !options.skip_checks {
        let groups = if options.entry_only { &[entry::CHECKS][..] } else { &GROUPS };
        for check in groups.iter().copied().flatten() {
            count.add(check.id, check.name, &(check.run)(&mut stack));
        }
    }
    faults::run(&mut stack, &mut count, options.server);
    if options.fuzz_calls > 0 {
        fuzz::run(&mut stack, &mut count, options);
    }
    unload::run(&mut stack, &mut count, options);
}
