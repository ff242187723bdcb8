//! The reference counter, read seldom: each reading is an exit. In between, the time-stamp counter tells the time.
//!
//! Its rate is measured from one reading to the next and holds for a bounded number of cycles only. So nothing is
//! assumed about it: a machine that was saved and goes on elsewhere has a wrong idea of the time for seconds at most.

use crate::time::Ticks100ns;

/// Cycles for which the first reading stands (policy: 0.4 to 2 ms on real machines; no wait of ours is shorter than tens
/// of milliseconds).
const FIRST_CYCLES: u64 = 1 << 21;

/// By how much, as a power of two, a reading stands longer than the one before: the longer the interval, the better is
/// the rate known.
const GROWTH: u32 = 3;

/// Cycles for which a reading stands at most (policy: 1.7 to 8.6 s on real machines).
const MOST_CYCLES: u64 = 1 << 33;

/// Cycles between two readings that say nothing about the rate, because the counter was probably set.
const TOO_MANY_CYCLES: u64 = 1 << 36;

/// Fastest rate, in units of 100 ns per 2^32 cycles (policy: 256 MHz; slower processors have no long mode). It bounds the
/// leap when cycles were not counted, in a machine that stood still.
const MOST_RATE: u64 = (10_000_000 << 32) / (1 << 28);

/// Reference time.
#[derive(Debug)]
pub struct Clock {
    /// Time-stamp counter just before the last reading.
    cycles: u64,
    /// The reference counter's value then; 0 before the first reading.
    reference: u64,
    /// What we made of it: never less than what was said before, wherever the reference counter goes.
    ticks: u64,
    /// Units of 100 ns per 2^32 cycles; 0 while unknown.
    rate: u64,
    /// Cycles for which the last reading stands.
    good_for: u64,
}

impl Clock {
    /// A clock without a reading.
    #[must_use]
    pub const fn new() -> Self {
        Self { cycles: 0, reference: 0, ticks: 0, rate: 0, good_for: 0 }
    }

    /// The time when the time-stamp counter is at `cycles`. `read` reads the reference counter, where that is needed.
    pub fn now(&mut self, cycles: u64, read: impl FnOnce() -> u64) -> Ticks100ns {
        let elapsed = cycles.wrapping_sub(self.cycles);
        // Set back, the counter makes the difference large.
        let estimate = (elapsed.min(self.good_for) * self.rate) >> 32;
        if elapsed < self.good_for {
            return Ticks100ns(self.ticks.wrapping_add(estimate));
        }
        let reference = read();
        let moved = reference.wrapping_sub(self.reference);
        if self.reference != 0 && elapsed < TOO_MANY_CYCLES {
            self.rate = ((moved.min(u64::from(u32::MAX)) << 32) / elapsed).min(MOST_RATE);
            self.good_for = (self.good_for << GROWTH).min(MOST_CYCLES);
        } else {
            self.good_for = FIRST_CYCLES;
        }
        self.cycles = cycles;
        self.reference = reference;
        // As a signed number: set back, the reference counter has moved by less than nothing.
        let moved = moved.cast_signed().max(estimate.cast_signed()).cast_unsigned();
        self.ticks = self.ticks.wrapping_add(moved);
        Ticks100ns(self.ticks)
    }
}

impl Default for Clock {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A machine whose time-stamp counter runs at 2.5 GHz: 250 cycles per unit of 100 ns.
    struct Machine {
        clock: Clock,
        cycles: u64,
        reference: u64,
        readings: u32,
    }

    impl Machine {
        const CYCLES_PER_TICK: u64 = 250;

        fn new() -> Self {
            Self { clock: Clock::new(), cycles: 777_777_777_777, reference: 5_000_000, readings: 0 }
        }

        fn pass(&mut self, ticks: u64) {
            self.cycles = self.cycles.wrapping_add(ticks * Self::CYCLES_PER_TICK);
            self.reference = self.reference.wrapping_add(ticks);
        }

        fn now(&mut self) -> u64 {
            let (readings, reference) = (&mut self.readings, self.reference);
            let read = || {
                *readings += 1;
                reference
            };
            self.clock.now(self.cycles, read).0
        }
    }

    const SECOND: u64 = 10_000_000;

    #[test]
    fn a_minute_of_polling_takes_few_readings_and_loses_no_time() {
        let mut machine = Machine::new();
        let begin = machine.now();
        for step in 1..=600_000 {
            machine.pass(1000);
            let passed = machine.now() - begin;
            // Before the rate is known, the time stands still for 2^21 cycles.
            let slow = 8_389 + 1000;
            assert!(passed <= step * 1000 + 1 && passed + slow >= step * 1000, "{passed} after {step} steps");
        }
        assert!(machine.readings < 30, "{} readings in a minute", machine.readings);
    }

    #[test]
    fn whatever_the_counters_do_time_goes_on_and_not_back() {
        type Disturbance = fn(&mut Machine);
        let disturbances: [Disturbance; 5] = [
            |machine| machine.cycles = 0,
            |machine| machine.cycles = machine.cycles.wrapping_add(1 << 34),
            |machine| machine.reference = 1,
            |machine| machine.reference += 400 * SECOND,
            |machine| machine.cycles = u64::MAX - (1 << 20),
        ];
        for (number, disturb) in disturbances.into_iter().enumerate() {
            let mut machine = Machine::new();
            for _ in 0..200_000 {
                machine.pass(1000);
                machine.now();
            }
            disturb(&mut machine);
            // What the clock says right after it is up to the reference counter; from there on ten seconds are about ten.
            let begin = machine.now();
            let mut last = begin;
            for _ in 0..400_000 {
                machine.pass(1000);
                let now = machine.now();
                assert!(now >= last, "back from {last} to {now} by disturbance {number}");
                last = now;
            }
            let passed = (last - begin) / SECOND;
            assert!((35..40 + 435).contains(&passed), "{passed} s instead of 40 by disturbance {number}");
        }
    }

    #[test]
    fn a_machine_that_is_seldom_called_reads_each_time() {
        let mut machine = Machine::new();
        let begin = machine.now();
        for step in 1..=20 {
            machine.pass(100 * SECOND);
            assert_eq!(machine.now() - begin, step * 100 * SECOND);
        }
    }
}
