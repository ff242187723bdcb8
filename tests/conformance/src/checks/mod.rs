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
mod runner;
mod structures;
mod tftp;
mod transmit;
mod udp;
mod undi;
mod unload;
mod v86;
mod watchdog;

use conformance::options::Options;

use crate::pxe::Stack;
use crate::pxe::network::Network;
use crate::report::{Count, Outcome};

use self::runner::Fate;

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
const GROUPS: [&[Check]; 14] = [
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
    unload::CHECKS,
];

/// Runs what the options ask for, and the ending.
pub fn run(options: &Options) {
    let mut stack = Stack::new();
    let mut count = Count::default();
    stack.network = Network::learn(&mut stack);
    let fate = runner::run(chosen(options), options.after, &mut stack, &mut count);
    // The last of all checks stops the stack.
    if fate == Fate::Lost || options.has_all_checks() {
        return unload::leave(&mut stack, &mut count);
    }
    faults::run(&mut stack, &mut count, options.server);
    if options.fuzz_calls > 0 {
        fuzz::run(&mut stack, &mut count, options);
    }
    unload::run(&mut stack, &mut count, options);
}

/// The checks that the options ask for.
fn chosen(options: &Options) -> impl Iterator<Item = &'static Check> + Clone {
    let groups = match options {
        _ if options.has_all_checks() => &GROUPS[..],
        Options { watchdog: true, .. } => &[watchdog::CHECKS],
        Options { entry_only: true, .. } => &[entry::CHECKS],
        _ => &[],
    };
    groups.iter().copied().flatten()
}
