//! Pages of the core's pool, which the host may read and write.
#![allow(unsafe_code, reason = "raw copies to and from memory that another party writes")]

use core::ptr;
use core::sync::atomic::{AtomicU32, Ordering, fence};

use super::{Gpa, PAGE_SIZE, SharedMem};

/// Contiguous pages at a fixed address in the core's block.
///
/// Not `Clone`: who holds the value owns the pages.
#[derive(Debug)]
pub struct PoolPages {
    start: *mut u8,
    count: usize,
    gpa: Gpa,
}

impl PoolPages {
    /// Makes a handle on `count` pages from `start` on.
    ///
    /// # Safety
    /// The pages are mapped writable and executable at `start` for good, are page aligned, lie at `gpa` in guest
    /// physical memory, and no other handle and no Rust object overlaps them.
    #[must_use]
    pub const unsafe fn new(start: *mut u8, count: usize, gpa: Gpa) -> Self {
        Self { start, count, gpa }
    }

    /// Where the CPU finds the pages.
    #[must_use]
    pub const fn address(&self) -> *mut u8 {
        self.start
    }

    fn at(&self, offset: usize, len: usize) -> *mut u8 {
        assert!(offset <= self.len() && len <= self.len() - offset);
        // SAFETY: the assertion keeps the result inside the pages, or one past their end for an empty range.
        unsafe { self.start.add(offset) }
    }

    #[inline(always)] // less than a call of it
    fn word(&self, offset: usize) -> &AtomicU32 {
        assert!(offset.is_multiple_of(4));
        // SAFETY: in bounds by `at`, aligned by the assertion, mapped for good; an atomic may be changed by others.
        unsafe { AtomicU32::from_ptr(self.at(offset, 4).cast()) }
    }
}

impl SharedMem for PoolPages {
    fn gpa(&self) -> Gpa {
        self.gpa
    }

    fn len(&self) -> usize {
        self.count * PAGE_SIZE
    }

    fn read(&self, offset: usize, into: &mut [u8]) {
        let from = self.at(offset, into.len());
        // SAFETY: `from` is in bounds; `into` is Rust memory, which no pages overlap. What the host writes meanwhile
        // makes the bytes arbitrary, not the copy undefined: it is a call of memcpy on memory that Rust has no
        // reference to.
        unsafe { ptr::copy_nonoverlapping(from, into.as_mut_ptr(), into.len()) };
    }

    fn write(&self, offset: usize, from: &[u8]) {
        let into = self.at(offset, from.len());
        // SAFETY: as in `read`.
        unsafe { ptr::copy_nonoverlapping(from.as_ptr(), into, from.len()) };
    }

    fn load(&self, offset: usize) -> u32 {
        self.word(offset).load(Ordering::Acquire)
    }

    fn store(&self, offset: usize, value: u32) {
        self.word(offset).store(value, Ordering::Release);
    }

    fn fence(&self) {
        fence(Ordering::SeqCst);
    }

    fn clear(&self) {
        // SAFETY: the whole of the pages, by the promise made to `new`.
        unsafe { ptr::write_bytes(self.start, 0, self.len()) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[repr(C, align(4096))]
    struct Memory([u8; 2 * PAGE_SIZE]);

    #[test]
    fn copies_and_words_see_the_same_bytes() {
        let memory = Box::leak(Box::new(Memory([0xff; 2 * PAGE_SIZE])));
        // SAFETY: leaked, aligned, and used through the handle alone.
        let pages = unsafe { PoolPages::new(memory.0.as_mut_ptr(), 2, Gpa(0x10_0000)) };
        pages.clear();
        pages.write(PAGE_SIZE - 2, &[1, 2, 3, 4]);
        assert_eq!(pages.load(PAGE_SIZE), 0x0000_0403);
        pages.store(PAGE_SIZE, 0x0807_0605);
        let mut bytes = [0; 6];
        pages.read(PAGE_SIZE - 2, &mut bytes);
        assert_eq!(bytes, [1, 2, 5, 6, 7, 8]);
    }

    #[test]
    #[should_panic(expected = "offset <= self.len()")]
    fn an_access_past_the_end_panics() {
        let memory = Box::leak(Box::new(Memory([0; 2 * PAGE_SIZE])));
        // SAFETY: as above.
        let pages = unsafe { PoolPages::new(memory.0.as_mut_ptr(), 2, Gpa(0)) };
        pages.read(2 * PAGE_SIZE - 1, &mut [0; 2]);
    }
}
