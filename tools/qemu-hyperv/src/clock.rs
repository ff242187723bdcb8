//! The partition's reference time: real, or that of QEMU's virtual clock.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::device::DeviceBus;

/// Where the time comes from. Times are in 100 ns units since the plugin was loaded.
pub enum Clock {
    /// The host's monotonic clock.
    Real(std::time::Instant),
    /// QEMU's virtual clock under `-icount`: runs repeat.
    Virtual(VirtualClock),
}

impl Clock {
    /// A clock that begins now; `icount` is the shift if QEMU runs with `-icount`.
    pub fn new(icount: Option<u8>) -> Self {
        match icount {
            Some(shift) => Self::Virtual(VirtualClock { shift, ..VirtualClock::default() }),
            None => Self::Real(std::time::Instant::now()),
        }
    }

    /// The time when the first vCPU has executed `instructions`.
    pub fn read(&self, instructions: u64) -> u64 {
        let nanos = match self {
            Self::Real(start) => start.elapsed().as_nanos(),
            Self::Virtual(clock) => clock.nanos(instructions),
        };
        // 2^64 units of 100 ns are 58,000 years.
        (nanos / 100) as u64
    }

    /// The virtual clock, if that is what counts. QEMU then allows device accesses between blocks only.
    pub fn as_virtual(&mut self) -> Option<&mut VirtualClock> {
        match self {
            Self::Real(_) => None,
            Self::Virtual(clock) => Some(clock),
        }
    }
}

/// QEMU's virtual clock, followed from the plugin: 2^shift ns per instruction, plus the time that QEMU skips while the guest
/// is halted.
///
/// The skipped time is learned from the HPET, the only clock of the machine that runs on the virtual clock and can be read as
/// memory. Reading any clock is allowed between blocks only, so the time is corrected there and goes by instructions
/// in the meantime.
#[derive(Debug, Default)]
pub struct VirtualClock {
    shift: u8,
    /// Time of the last correction, in ns, and the instructions executed by then.
    corrected: (u128, u64),
    /// The HPET's counter at the last correction.
    counter: u64,
}

/// Registers of the HPET, from its fixed place on a PC (IA-PC HPET specification 1.0a, "Register Model").
const HPET_CONFIG: u64 = 0xfed0_0010;
const HPET_COUNTER_LOW: u64 = 0xfed0_00f0;
const HPET_COUNTER_HIGH: u64 = 0xfed0_00f4;
/// The counter runs.
const HPET_ENABLE: u32 = 1;
/// QEMU's HPET counts in units of 10 ns.
const HPET_NANOS: u128 = 10;

impl VirtualClock {
    fn nanos(&self, instructions: u64) -> u128 {
        let (nanos, executed) = self.corrected;
        nanos + (u128::from(instructions.saturating_sub(executed)) << self.shift)
    }

    /// Corrects the time by what the HPET says after `instructions`.
    pub fn correct(&mut self, instructions: u64, hpet: HpetReading) {
        let nanos = match hpet.counter.checked_sub(self.counter) {
            Some(moved) if moved > 0 && hpet.running => self.corrected.0 + u128::from(moved) * HPET_NANOS,
            // Stopped or set by the guest: it says nothing about the time that has passed.
            _ => self.nanos(instructions),
        };
        self.corrected = (nanos, instructions);
        self.counter = hpet.counter;
    }
}

/// What the HPET says at one moment.
#[derive(Clone, Copy, Debug)]
pub struct HpetReading {
    running: bool,
    counter: u64,
}

impl HpetReading {
    /// Reads the HPET, and starts it if it stands still: a running counter is what guests find on most machines.
    /// `None` on a machine without one.
    pub fn take(bus: &mut impl DeviceBus) -> Option<Self> {
        let config = bus.read(HPET_CONFIG)?;
        let running = config & HPET_ENABLE != 0;
        if !running {
            bus.write(HPET_CONFIG, config | HPET_ENABLE);
        }
        let (high, low) = (bus.read(HPET_COUNTER_HIGH)?, bus.read(HPET_COUNTER_LOW)?);
        Some(Self { running, counter: u64::from(high) << 32 | u64::from(low) })
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

    #[derive(Default)]
    struct Hpet {
        config: u32,
        counter: u64,
    }

    impl DeviceBus for Hpet {
        fn read(&mut self, gpa: u64) -> Option<u32> {
            match gpa {
                HPET_CONFIG => Some(self.config),
                HPET_COUNTER_LOW => Some(self.counter as u32),
                HPET_COUNTER_HIGH => Some((self.counter >> 32) as u32),
                _ => None,
            }
        }

        fn write(&mut self, gpa: u64, value: u32) {
            assert_eq!(gpa, HPET_CONFIG);
            self.config = value;
        }
    }

    #[test]
    fn instructions_make_time_by_the_shift() {
        let clock = Clock::new(Some(7));
        assert_eq!(clock.read(0), 0);
        assert_eq!(clock.read(1_000_000), 1_280_000, "128 ns each");
        assert_eq!(Clock::new(Some(0)).read(250), 2, "rounded down to whole units");
    }

    #[test]
    fn time_skipped_by_a_halted_guest_is_learned_from_the_hpet() {
        let mut hpet = Hpet { config: 0, counter: 0x1_0000_0000 - 5 };
        let mut clock = Clock::new(Some(3));
        clock.as_virtual().unwrap().correct(1000, HpetReading::take(&mut hpet).unwrap());
        assert_eq!(hpet.config, HPET_ENABLE);
        assert_eq!(clock.read(1000), 80, "a counter that stood still says nothing");
        // 55 ms later, by 100 instructions.
        hpet.counter += 5_500_000;
        clock.as_virtual().unwrap().correct(1100, HpetReading::take(&mut hpet).unwrap());
        assert_eq!(clock.read(1100), 550_080);
        assert_eq!(clock.read(1100 + 25), 550_082);
    }

    #[test]
    fn a_counter_that_the_guest_sets_back_does_not_move_the_time() {
        let mut clock = Clock::new(Some(0));
        for (instructions, counter) in [(0, 1_000_000), (500, 10), (600, 110)] {
            clock.as_virtual().unwrap().correct(instructions, HpetReading { running: true, counter });
        }
        let before = 1_000_000 * 10;
        assert_eq!(clock.read(600), (before + 500 + 1000) / 100);
    }

    #[test]
    fn real_time_moves_on() {
        let clock = Clock::new(None);
        let first = clock.read(0);
        std::thread::sleep(Duration::from_millis(2));
        assert!(clock.read(0) >= first + 20_000);
    }
}
