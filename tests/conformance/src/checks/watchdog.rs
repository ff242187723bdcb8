//! 00: the watchdog that ends other checks, tried on loops of our own. Only where the harness asks for it.

use super::Check;
use crate::machine::arena::STRUCTURES;
use crate::machine::thunk::{self, INTERRUPTS_OFF, Orders, SegOff};
use crate::machine::{memory, watchdog};
use crate::pxe::Stack;
use crate::report::{Outcome, ensure};

/// The checks.
pub const CHECKS: &[Check] = &[
    Check::new("00.1", "the watchdog ends a loop in real mode, interrupts off", in_real_mode),
    Check::new("00.2", "the watchdog ends a loop in V86 mode", in_v86_mode),
    Check::new("00.3", "the watchdog ends a loop in 64-bit mode", in_long_mode),
    Check::new("00.4", "the watchdog lets go what ends in time", in_time),
];

/// Seconds to the bite.
const PATIENCE: u32 = 2;

fn is_bitten<T>(run: impl FnOnce() -> T) -> Outcome {
    ensure!(watchdog::within(PATIENCE, run).is_none(), "it came to an end");
    Ok(())
}

/// JMP to itself, as a far call's target.
fn forever() -> Orders {
    memory::write(STRUCTURES, &[0xeb, 0xfe]);
    let mut orders = Orders::far_call(SegOff::to(STRUCTURES));
    orders.registers.eflags = INTERRUPTS_OFF;
    orders
}

fn in_real_mode(_: &mut Stack) -> Outcome {
    is_bitten(|| thunk::call(&forever()))
}

fn in_v86_mode(_: &mut Stack) -> Outcome {
    let mut orders = forever();
    orders.v86 = true;
    is_bitten(|| thunk::call(&orders))
}

fn in_long_mode(_: &mut Stack) -> Outcome {
    is_bitten(|| {
        loop {
            core::hint::spin_loop();
        }
    })
}

fn in_time(_: &mut Stack) -> Outcome {
    ensure!(watchdog::within(PATIENCE, || 5) == Some(5), "it did not give what it was for");
    // Past the time: nothing may come any more.
    crate::machine::pause(3 * PATIENCE * 18 / 2);
    Ok(())
}
