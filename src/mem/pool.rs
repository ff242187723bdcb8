//! The bookkeeping of the page pool: which pages are taken. Knows numbers only, no memory.

/// Most pages that a pool can have (policy: 2 MiB, what one page table maps).
pub const MAX_PAGES: usize = 512;

/// A first-fit page allocator over a bitmap.
#[derive(Debug)]
pub struct PagePool {
    taken: [u64; MAX_PAGES / 64],
    pages: usize,
}

impl PagePool {
    /// A pool of `pages` free pages; more than [`MAX_PAGES`] are left out.
    #[must_use]
    pub const fn new(pages: usize) -> Self {
        Self { taken: [0; MAX_PAGES / 64], pages: if pages < MAX_PAGES { pages } else { MAX_PAGES } }
    }

    /// Takes `count` contiguous pages; returns the number of the first, or `None` when no gap is wide enough.
    pub fn take(&mut self, count: usize) -> Option<usize> {
        let mut run = 0;
        for page in 0..self.pages {
            run = if self.is_taken(page) { 0 } else { run + 1 };
            if run == count && count > 0 {
                let first = page + 1 - count;
                (first..=page).for_each(|page| self.taken[page / 64] |= 1 << (page % 64));
                return Some(first);
            }
        }
        None
    }

    /// Gives `count` pages from `first` on back.
    pub fn give_back(&mut self, first: usize, count: usize) {
        for page in first..(first + count).min(self.pages) {
            debug_assert!(self.is_taken(page), "page {page} given back twice");
            self.taken[page / 64] &= !(1 << (page % 64));
        }
    }

    const fn is_taken(&self, page: usize) -> bool {
        self.taken[page / 64] >> (page % 64) & 1 != 0
    }
}

#[cfg(test)]
mod tests {
    use super::PagePool;

    #[test]
    fn takes_the_first_gap_that_is_wide_enough() {
        let mut pool = PagePool::new(100);
        assert_eq!(pool.take(10), Some(0));
        assert_eq!(pool.take(60), Some(10));
        pool.give_back(0, 10);
        assert_eq!(pool.take(11), Some(70));
        assert_eq!(pool.take(10), Some(0));
        assert_eq!(pool.take(20), None);
        assert_eq!(pool.take(19), Some(81));
        assert_eq!(pool.take(1), None);
    }

    #[test]
    fn an_empty_request_is_refused() {
        assert_eq!(PagePool::new(4).take(0), None);
    }
}
