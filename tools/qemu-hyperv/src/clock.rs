//! The partition's reference time: real, or counted in instructions.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Where the time comes from. Times are in 100 ns units since the plugin was loaded.
pub enum Clock {
    /// The host's monotonic clock.
    Real(std::time::Instant),
    /// 2^shift ns per instruction, as `-icount shift=N` counts: runs repeat.
    Instructions {
        /// The shift.
        shift: u8,
    },
}

impl Clock {
    /// A clock that begins now; `icount` is the shift if QEMU runs with `-icount`.
    pub fn new(icount: Option<u8>) -> Self {
        match icount {
            Some(shift) => Self::Instructions { shift },
            None => Self::Real(std::time::Instant::now()),
        }
    }

    /// The time when the first vCPU has executed `instructions`.
    pub fn read(&self, instructions: u64) -> u64 {
        match self {
            // 2^64 units of 100 ns are 58,000 years.
            Self::Real(start) => (start.elapsed().as_nanos() / 100) as u64,
            Self::Instructions { shift } => (u128::from(instructions) << shift).div_euclid(100) as u64,
        }
    }

    /// Whether QEMU counts instructions, and so allows device accesses between blocks only.
    pub fn counts_instructions(&self) -> bool {
        matches!(self, Self::Instructions { .. })
    }
}

/// The current time, shared with those who only stamp what they write.
#[derive(Clone, Debug, Default)]
pub struct Instant(Arc<AtomicU64>);

impl Instant {
    /// Moves the time, in 100 ns units.
    pub fn set(&self, ticks: u64) {
        self.0.store(ticks, Ordering::Relaxed);
    }

    /// The time since the plugin was loaded.
    pub fn get(&self) -> Duration {
        Duration::from_nanos(self.0.load(Ordering::Relaxed).saturating_mul(100))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instructions_make_time_by_the_shift() {
        let clock = Clock::new(Some(7));
        assert_eq!(clock.read(0), 0);
        assert_eq!(clock.read(1_000_000), 1_280_000, "128 ns each");
        assert!(clock.counts_instructions());
        assert_eq!(Clock::new(Some(0)).read(250), 2, "rounded down to whole units");
    }

    #[test]
    fn real_time_moves_on() {
        let clock = Clock::new(None);
        let first = clock.read(0);
        std::thread::sleep(Duration::from_millis(2));
        assert!(clock.read(0) >= first + 20_000);
    }
}
