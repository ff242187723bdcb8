//! The thief that strikes from an interrupt: the timer's, wherever somebody lets interrupts in, or one that the harness's boot
//! sector calls.

use hvpxe::wire::hv::{HV_X64_MSR_HYPERCALL, HypercallMsr};
use parties::bare::{Bare, OWNER_MSRS};
use parties::options::{Rom, STRIKE_VECTOR, Trigger};
use parties::say::say;
use parties::theft::Thief;

use super::entry::{Call, Function, Next, Register};

/// INT 1Ch: the BIOS calls it at every tick of its clock.
const TICK_VECTOR: u8 = 0x1c;
const WHO: &str = "thief";

/// The thief.
pub struct RomThief {
    hv: Bare,
    thief: Thief,
    trigger: Trigger,
    /// Somebody has called: from then on VMBus is taken to be in use.
    called: bool,
    /// Ticks or calls from one theft to the next, and how many there were.
    distance: u8,
    waited: u8,
    left: u8,
    /// What a BIOS left in the hypercall register at POST, and what the thief did. Neither is worth stealing from.
    known_hypercalls: [u64; 2],
}

impl RomThief {
    /// Hooks the timer, or what calls it.
    pub fn install(call: &Call, options: &Rom) -> Self {
        let hv = call.machine();
        let Rom { theft, ticks, thefts, trigger, .. } = *options;
        match trigger {
            Trigger::Timer => call.hook(TICK_VECTOR, Function::Timer),
            Trigger::Calls | Trigger::TimerOnceCalled => call.hook(STRIKE_VECTOR, Function::Question),
        }
        say(WHO, format_args!("PASS: waits for somebody who uses VMBus"));
        let thief = Thief::new(hv, theft);
        let (called, waited, known_hypercalls) = (false, 0, [0; 2]);
        let mut thief = Self { hv, thief, trigger, called, distance: ticks, waited, left: thefts, known_hypercalls };
        thief.known_hypercalls[0] = thief.hypercall();
        thief
    }

    /// A tick: strikes when VMBus has been in use for long enough. Unless we were called, the sign for that is somebody else's
    /// hypercall page.
    pub fn tick(&mut self) {
        let hypercall = self.hypercall();
        let is_of_another = hypercall & HypercallMsr::ENABLE.bits() != 0 && !self.known_hypercalls.contains(&hypercall);
        let in_use = self.called || is_of_another;
        self.waited = if in_use { self.waited.saturating_add(1) } else { 0 };
        self.strike_if_due();
    }

    /// A call: strikes when it is the one, or has the timer do so from now on. Says how many thefts are left.
    pub fn called(&mut self, call: &mut Call) -> Next {
        match self.trigger {
            Trigger::Timer => {}
            Trigger::Calls => {
                self.waited = self.waited.saturating_add(1);
                self.strike_if_due();
            }
            Trigger::TimerOnceCalled if self.called => {}
            Trigger::TimerOnceCalled => call.hook(TICK_VECTOR, Function::Timer),
        }
        self.called = true;
        call.set(Register::Ax, self.left.into());
        Next::Done
    }

    fn strike_if_due(&mut self) {
        if self.left == 0 || self.waited < self.distance {
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
