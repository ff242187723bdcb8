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
    /// What it left in the hypercall register.
    own_hypercall: u64,
}

impl TimerThief {
    /// Hooks the timer.
    pub fn install(call: &Call, options: &Rom) -> Self {
        let hv = call.machine();
        call.hook(TICK_VECTOR, Function::Timer);
        say(WHO, format_args!("PASS: waits for somebody who uses VMBus"));
        let Rom { theft, ticks, thefts, .. } = *options;
        Self { hv, thief: Thief::new(hv, theft), ticks, waited: 0, left: thefts, own_hypercall: 0 }
    }

    /// A tick: strikes when somebody else has had a hypercall page for long enough.
    pub fn tick(&mut self) {
        let hypercall = self.hypercall();
        let in_use = hypercall & HypercallMsr::ENABLE.bits() != 0 && hypercall != self.own_hypercall;
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
        self.own_hypercall = self.hypercall();
    }

    fn hypercall(&self) -> u64 {
        let registers = self.hv.owner_msrs();
        OWNER_MSRS.iter().zip(registers).find(|(msr, _)| **msr == HV_X64_MSR_HYPERCALL).map_or(0, |(_, value)| value)
    }
}
