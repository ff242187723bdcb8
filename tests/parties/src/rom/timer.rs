//! The thief that strikes from the timer interrupt, wherever somebody lets interrupts in.

use hvpxe::wire::hv::{HV_X64_MSR_HYPERCALL, HypercallMsr};
use parties::bare::{Bare, OWNER_MSRS};
use parties::options::Rom;
use parties::say::say;
use parties::theft::Thief;

use super::entry::{Call, Function};

/// INT 1Ch: the BIOS calls it at every tick of its clock.
const TICK_VECTOR: u8 = 0x1c;
const WHO: &str = "thief";

/// The thief.
pub struct TimerThief {
    hv: Bare,
    thief: Thief,
    ticks: u8,
    waited: u8,
    left: u8,
    /// What a BIOS left in the hypercall register at POST, and what the thief did. Neither is worth stealing from.
    known_hypercalls: [u64; 2],
}

impl TimerThief {
    /// Hooks the timer.
    pub fn install(call: &Call, options: &Rom) -> Self {
        let hv = call.machine();
        call.hook(TICK_VECTOR, Function::Timer);
        say(WHO, format_args!("PASS: waits for somebody who uses VMBus"));
        let Rom { theft, ticks, thefts, .. } = *options;
        let thief = Thief::new(hv, theft);
        let mut thief = Self { hv, thief, ticks, waited: 0, left: thefts, known_hypercalls: [0; 2] };
        thief.known_hypercalls[0] = thief.hypercall();
        thief
    }

    /// A tick: strikes when somebody else has had a hypercall page for long enough.
    pub fn tick(&mut self) {
        let hypercall = self.hypercall();
        let in_use = hypercall & HypercallMsr::ENABLE.bits() != 0 && !self.known_hypercalls.contains(&hypercall);
        self.waited = if in_use { self.waited.saturating_add(1) } else { 0 };
        if self.left == 0 || self.waited < self.ticks {
            return;
        }
        self.left -= 1;
        self.waited = 0;
        match self.thief.strike() {
            Ok(()) => say(WHO, format_args!("PASS: stolen; {} thefts are left", self.left)),
            Err(error) => say(WHO, format_args!("FAIL: could not steal: {error:?}")),
        }
        self.known_hypercalls[1] = self.hypercall();
    }

    fn hypercall(&self) -> u64 {
        let registers = self.hv.owner_msrs();
        OWNER_MSRS.iter().zip(registers).find(|(msr, _)| **msr == HV_X64_MSR_HYPERCALL).map_or(0, |(_, value)| value)
    }
}
