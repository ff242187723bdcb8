//! The machine under the checks: memory, ports, real mode, time.

pub mod arena;
pub mod entry;
pub mod thunk;
pub mod watchdog;

pub use crate::{cpu, memory};

use self::memory::{read_u16, read_u32};
use self::thunk::SegOff;

/// BIOS data area: kilobytes of base memory that are free (0040:0013).
pub const BDA_FREE_BASE_MEMORY: u32 = 0x413;
/// BIOS data area: timer ticks since midnight, 18.2 a second (0040:006C).
pub const BDA_TICKS: u32 = 0x46c;

/// An interrupt vector.
pub fn vector(number: u8) -> SegOff {
    SegOff::from_u32(read_u32(u32::from(number) * 4))
}

/// Sets an interrupt vector.
pub fn set_vector(number: u8, to: SegOff) {
    memory::write_u32(u32::from(number) * 4, to.to_u32());
}

/// Free base memory in KiB.
pub fn free_base_memory() -> u16 {
    read_u16(BDA_FREE_BASE_MEMORY)
}

/// Timer ticks (55 ms each) since midnight.
pub fn ticks() -> u32 {
    read_u32(BDA_TICKS)
}

/// Tries something until it succeeds, with the BIOS's interrupts let in, for at most so many timer ticks.
pub fn within<T>(limit: u32, mut attempt: impl FnMut() -> Option<T>) -> Option<T> {
    let start = ticks();
    loop {
        if let Some(done) = attempt() {
            return Some(done);
        }
        // At midnight the count starts again; the wait then ends early, once a day.
        if ticks().wrapping_sub(start) > limit {
            return None;
        }
        thunk::let_interrupts_in();
    }
}

/// Lets time pass.
pub fn pause(limit: u32) {
    let _: Option<()> = within(limit, || None);
}
