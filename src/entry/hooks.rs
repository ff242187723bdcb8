//! Our handlers in the real-mode interrupt table.

use super::memory;
use super::resident::{self, Resident};

const INT_15: u32 = 0x15 * 4;
const INT_1A: u32 = 0x1a * 4;

/// True while a vector of ours stands in the table or is chained to.
pub fn installed() -> bool {
    Resident::read(|exchange| exchange.old_int1a) != 0
}

/// Puts INT 1Ah and INT 15h in place and says what INT 15h hides. Does nothing when they are.
pub fn install() {
    if installed() {
        return;
    }
    let hidden = [[resident::linear(0), 0xa_0000], memory::hidden_block()];
    Resident::update(|exchange| {
        exchange.hidden = hidden;
        exchange.old_int15 = memory::read_low(INT_15);
        exchange.old_int1a = memory::read_low(INT_1A);
    });
    memory::write_low(INT_15, resident::int15_vector());
    memory::write_low(INT_1A, resident::int1a_vector());
}

/// Takes both out. False when somebody hooked above us: nothing changes then.
pub fn remove() -> bool {
    if !installed() {
        return true;
    }
    if memory::read_low(INT_15) != resident::int15_vector() || memory::read_low(INT_1A) != resident::int1a_vector() {
        return false;
    }
    let (old_int15, old_int1a) = Resident::read(|exchange| (exchange.old_int15, exchange.old_int1a));
    memory::write_low(INT_15, old_int15);
    memory::write_low(INT_1A, old_int1a);
    Resident::update(|exchange| {
        exchange.old_int15 = 0;
        exchange.old_int1a = 0;
        exchange.hidden = [[0; 2]; 2];
    });
    true
}
