//! Time as the core counts it. No wait counts the rounds of a loop.

/// Time on the partition reference counter, in units of 100 ns (TLFS, `HV_X64_MSR_TIME_REF_COUNT`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ticks100ns(pub u64);

impl Ticks100ns {
    /// Ticks in a millisecond.
    pub const PER_MILLISECOND: u64 = 10_000;

    /// The moment `milliseconds` after this one.
    #[must_use]
    #[inline(never)] // one copy for all callers
    pub const fn plus_millis(self, milliseconds: u64) -> Self {
        Self(self.0.saturating_add(milliseconds.saturating_mul(Self::PER_MILLISECOND)))
    }

    /// Whole milliseconds since `earlier`; 0 when that lies ahead.
    #[must_use]
    pub const fn millis_since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0) / Self::PER_MILLISECOND
    }
}

#[cfg(test)]
mod tests {
    use super::Ticks100ns;

    #[test]
    fn deadlines_saturate_instead_of_wrapping() {
        assert_eq!(Ticks100ns(u64::MAX - 1).plus_millis(1), Ticks100ns(u64::MAX));
        assert_eq!(Ticks100ns(5).millis_since(Ticks100ns(50_000)), 0);
        assert_eq!(Ticks100ns(50_000).millis_since(Ticks100ns(10_000)), 4);
    }
}
