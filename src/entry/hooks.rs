//! Our handlers in the real-mode interrupt table.

use super::memory;
use super::resident::{self, Hook, MAX_DRIVES, Resident, api_hooks, disk_hooks};

/// True while vectors of ours stand in the table or are chained to.
pub fn installed() -> bool {
    // Both sets hide memory.
    Resident::read(|exchange| exchange.old_int15) != 0
}

/// Puts the API's handlers in place and says what INT 15h hides. Does nothing when they are.
pub fn install() {
    put(&api_hooks());
}

/// Has INT 13h ask us for these drives, for good: a boot program that keeps reading may come to know of nothing else.
pub fn install_drives(drives: [u8; MAX_DRIVES]) {
    Resident::update(|exchange| exchange.drives = drives);
    put(&disk_hooks());
}

fn put(hooks: &[Hook]) {
    // A loader may have put the block elsewhere than at the top of base memory, and hides it in its own way.
    let base = resident::linear(0);
    let base = if base == memory::base_memory_end() { [base, 0xa_0000] } else { [0; 2] };
    let hidden = [base, memory::hidden_block()];
    if !installed() {
        Resident::update(|exchange| exchange.hidden = hidden);
    }
    for hook in hooks.iter().filter(|hook| !hook.is_in_place()) {
        let old = memory::read_low(hook.number * 4);
        Resident::update(|exchange| *(hook.old)(exchange) = old);
        memory::write_low(hook.number * 4, hook.handler);
    }
}

/// Takes the API's handlers out. False when somebody hooked one of them above us, or when INT 13h needs the resident block:
/// nothing changes then.
pub fn remove() -> bool {
    if !installed() {
        return true;
    }
    let serves_drives = Resident::read(|exchange| exchange.old_int13) != 0;
    let hooks = api_hooks();
    if serves_drives || hooks.iter().any(|hook| memory::read_low(hook.number * 4) != hook.handler) {
        return false;
    }
    for hook in hooks {
        let old = Resident::update(|exchange| core::mem::take((hook.old)(exchange)));
        memory::write_low(hook.number * 4, old);
    }
    Resident::update(|exchange| exchange.hidden = [[0; 2]; 2]);
    true
}
