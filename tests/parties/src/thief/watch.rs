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
    /// The first register that was not put back.
    wrong: Option<Text>,
}

impl Watch {
    /// Looks for the first time.
    pub fn new(hv: Bare) -> Self {
        Self { hv, found: hv.owner_msrs(), wrong: None }
    }

    /// Somebody else than the stack changed the registers: these are what must be put back from now on.
    pub fn note_found(&mut self) {
        self.found = self.hv.owner_msrs();
    }

    /// Compares the registers after a call. The hypercall page and the guest OS id may stay with the stack while it has a
    /// connection, since sending needs them.
    pub fn after_call(&mut self, call: &str) -> Outcome {
        let now = self.hv.owner_msrs();
        for ((msr, found), now) in OWNER_MSRS.into_iter().zip(self.found).zip(now) {
            let must_stay = !matches!(msr, HV_X64_MSR_GUEST_OS_ID | HV_X64_MSR_HYPERCALL);
            if must_stay && found != now && self.wrong.is_none() {
                self.wrong = Some(text(format_args!("{call}: MSR {msr:x} was {found:x}, and is {now:x}")));
            }
        }
        self.found = now;
        Ok(())
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
        if vector(QUESTION_VECTOR).linear() == 0 {
            skip!("no BIOS that answers questions");
        }
        let ask = || thunk::call(&Orders::interrupt(QUESTION_VECTOR)).registers;
        let before = ask();
        ensure!(!untouched || before.eax as u16 == 1, "the BIOS finds its SynIC changed");
        if before.ebx as u16 == 0 {
            skip!("this BIOS has no handler");
        }
        let runs = machine::within(HANDLER_TICKS, || (ask().ebx as u16 != before.ebx as u16).then_some(()));
        ensure!(runs.is_some(), "no interrupt gets to the handler any more");
        Ok(())
    }
}
