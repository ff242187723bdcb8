//! The sections of the send buffer: which are free, and which the host still reads.

/// Size of the send buffer in pages (policy): 128 KiB make 21 sections of the usual 6144 bytes.
pub const SEND_PAGES: usize = 32;

/// Least useful section: a frame of 1514 bytes with its RNDIS header, and some room.
const MIN_SECTION: usize = 1600;

/// Which sections are free.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sections {
    size: usize,
    count: u32,
    free: u32,
}

impl Sections {
    /// Divides `buffer` bytes into sections of the host's size; at most 32 are used. `None` when there wouldn't be any.
    #[must_use]
    pub fn new(buffer: usize, size: u32) -> Option<Self> {
        let size = size as usize;
        if size < MIN_SECTION || buffer < size {
            return None;
        }
        let count = (buffer / size).min(32) as u32;
        Some(Self { size, count, free: u32::MAX >> (32 - count) })
    }

    /// A free section, still free.
    #[must_use]
    pub const fn first_free(&self) -> Option<u32> {
        if self.free == 0 { None } else { Some(self.free.trailing_zeros()) }
    }

    /// True when the host has given all of them back.
    #[must_use]
    pub const fn all_free(&self) -> bool {
        self.free.count_ones() == self.count
    }

    /// Where a section starts, in bytes.
    #[must_use]
    pub const fn offset(&self, index: u32) -> usize {
        index as usize * self.size
    }

    /// The host reads the section from now on.
    pub const fn take(&mut self, index: u32) {
        self.free &= !(1 << index);
    }

    /// The host is done with it. False when it was never given it: nothing changes then.
    pub const fn give_back(&mut self, index: u64) -> bool {
        if index >= self.count as u64 || self.free >> index & 1 != 0 {
            return false;
        }
        self.free |= 1 << index;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sections_are_used_once_until_given_back() {
        let mut sections = Sections::new(SEND_PAGES * 4096, 6144).unwrap();
        let mut taken = 0;
        while let Some(index) = sections.first_free() {
            assert!(sections.offset(index) + 6144 <= SEND_PAGES * 4096);
            sections.take(index);
            taken += 1;
        }
        assert_eq!(taken, 21);
        assert!(!sections.all_free());
        assert!(sections.give_back(20));
        assert_eq!(sections.first_free(), Some(20));
    }

    #[test]
    fn a_completion_for_a_section_that_was_not_in_use_changes_nothing() {
        let mut sections = Sections::new(65536, 6144).unwrap();
        let before = sections;
        for index in [0, 9, 10, 31, 32, 64, u64::MAX] {
            assert!(!sections.give_back(index), "section {index}");
        }
        assert_eq!(sections, before);
    }

    #[test]
    fn sizes_that_hold_no_frame_are_refused() {
        assert_eq!(Sections::new(65536, 0), None);
        assert_eq!(Sections::new(65536, 1599), None);
        assert_eq!(Sections::new(65536, 65537), None);
        assert_eq!(Sections::new(1 << 20, 1600).unwrap().count, 32);
    }
}
