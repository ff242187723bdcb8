//! Our handlers in the real-mode interrupt table.

use super::memory;
use super::resident::{self, Resident, interrupt_hooks};

/// True while vectors of ours stand in the table or are chained to.
pub fn installed() -> bool {
    Resident::read(|exchange| exchange.old_int1a) != 0
}

/// Puts the handlers in place and says what INT 15h hides. Does nothing when they are.
pub fn install() {
    if installed() {
        return;
    }
    // A loader may have put the block elsewhere than at the top of base memory, and hides it in its own way.
    let base = resident::linear(0);
    let base = if base == memory::base_memory_end() { [base, 0xa_0000] } else { [0; 2] };
    let hidden = [base, memory::hidden_block()];
    Resident::update(|exchange| exchange.hidden = hidden);
    for hook in interrupt_hooks() {
        let old = memory::read_low(hook.number * 4);
        Resident::update(|exchange| *(hook.old)(exchange) = old);
        memory::write_low(hook.number * 4, hook.handler);
    }
}

/// Takes them out. False when somebody hooked one of them above us: nothing changes then.
pub fn remove() -> bool {
    if !installed() {
        return true;
    }
    let hooks = interrupt_hooks();
    if hooks.iter().any(|hook| memory::read_low(hook.number * 4) != hook.handler) {
        return false;
    }
    for hook in hooks {
        let old = Resident::update(|exchange| core::mem::take((hook.old)(exchange)));
        memory::write_low(hook.number * 4, old);
    }
    Resident::update(|exchange| exchange.hidden = [[0; 2]; 2]);
    true
}
