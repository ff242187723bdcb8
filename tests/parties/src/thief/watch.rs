//! What must be the same after each call: the registers that say who owns VMBus, and the BIOS's interrupt handler.

use hvpxe::wire::hv::{HV_X64_MSR_GUEST_OS_ID, HV_X64_MSR_HYPERCALL};
use parties::bare::{Bare, OWNER_MSRS};
use parties::options::QUESTION_VECTOR;
use runtime::machine::thunk::{self, Orders};
use runtime::machine::{self, vector};
use runtime::report::{Outcome, Text, ensure, fail, skip, text};

/// Timer ticks that a handler may take (policy).
const HANDLER_TICKS: u32 = 18;

/// The eye on the machine.
pub struct Watch {
    hv: Bare,
    found: [u64; 5],
    /// How often the BIOS has connected, as far as was asked.
    connected: u16,
    /// The first register that was not put back.
    wrong: Option<Text>,
}

impl Watch {
    /// Looks for the first time.
    pub fn new(hv: Bare) -> Self {
        let connected = ask_bios().map_or(0, |bios| bios.connected);
        Self { hv, found: hv.owner_msrs(), connected, wrong: None }
    }

    /// Somebody else than the stack changed the registers: these are what must be put back from now on.
    pub fn note_found(&mut self) {
        self.found = self.hv.owner_msrs();
    }

    /// Compares the registers after a call. The hypercall page and the guest OS id may stay with the stack while it
    /// has a connection, since sending needs them. A BIOS that looks connects again in INT 13h, also when the stack
    /// asks it for its disk in a call; then the registers must be as the BIOS left them.
    pub fn after_call(&mut self, call: &str) -> Outcome {
        let now = self.hv.owner_msrs();
        if now != self.found && self.bios_has_connected() {
            self.found = now;
            return Ok(());
        }
        for ((msr, found), now) in OWNER_MSRS.into_iter().zip(self.found).zip(now) {
            let must_stay = !matches!(msr, HV_X64_MSR_GUEST_OS_ID | HV_X64_MSR_HYPERCALL);
            if must_stay && found != now && self.wrong.is_none() {
                self.wrong = Some(text(format_args!("{call}: MSR {msr:x} was {found:x}, and is {now:x}")));
            }
        }
        self.found = now;
        Ok(())
    }

    /// Whether the BIOS connected since it was last asked, and its registers are as it left them.
    fn bios_has_connected(&mut self) -> bool {
        let Some(bios) = ask_bios() else { return false };
        let before = core::mem::replace(&mut self.connected, bios.connected);
        bios.connected != before && bios.untouched
    }

    /// Whether all registers were put back each time.
    pub fn registers(&self) -> Outcome {
        match &self.wrong {
            None => Ok(()),
            Some(text) => fail!("{text}"),
        }
    }

    /// Asks the BIOS twice: each question sends an interrupt to its handler. `untouched`: nobody stole anything.
    pub fn handler(&self, untouched: bool) -> Outcome {
        let Some(before) = ask_bios() else { skip!("no BIOS that answers questions") };
        ensure!(!untouched || before.untouched, "the BIOS finds its SynIC changed");
        if before.interrupts == 0 {
            skip!("this BIOS has no handler");
        }
        let changed = || ask_bios().is_some_and(|bios| bios.interrupts != before.interrupts);
        let runs = machine::within(HANDLER_TICKS, || changed().then_some(()));
        ensure!(runs.is_some(), "no interrupt gets to the handler any more");
        Ok(())
    }
}

/// What the BIOS answers ([`QUESTION_VECTOR`]).
struct Answer {
    untouched: bool,
    interrupts: u16,
    connected: u16,
}

/// Asks the BIOS; `None`: it is none of ours.
fn ask_bios() -> Option<Answer> {
    if vector(QUESTION_VECTOR).linear() == 0 {
        return None;
    }
    let registers = thunk::call(&Orders::interrupt(QUESTION_VECTOR)).registers;
    let (ax, bx, dx) = (registers.eax as u16, registers.ebx as u16, registers.edx as u16);
    Some(Answer { untouched: ax == 1, interrupts: bx, connected: dx })
}
