//! The one home of global state. The core runs on one CPU, on one stack, with interrupts off.
#![allow(unsafe_code, reason = "statics must be Sync; the core has one thread")]

use core::cell::{Cell, RefCell, RefMut, UnsafeCell};

/// A global that is borrowed at run time.
#[derive(Debug)]
pub struct Single<T>(RefCell<T>);

// SAFETY: the core never runs twice at a time: asm/pxe_entry.s refuses a second caller by `api_busy`, other CPUs never
// enter it, and interrupts are off in long mode. So no two threads reach the cell; RefCell guards against re-borrowing.
unsafe impl<T> Sync for Single<T> {}

impl<T> Single<T> {
    /// Wraps a value.
    pub const fn new(value: T) -> Self {
        Self(RefCell::new(value))
    }

    /// Borrows the value until the guard is dropped. A second borrow meanwhile is a bug of ours and panics.
    pub fn borrow(&self) -> RefMut<'_, T> {
        self.0.borrow_mut()
    }
}

/// A global that is lent once, for good.
#[derive(Debug)]
pub struct Once<T> {
    is_lent: Cell<bool>,
    value: UnsafeCell<T>,
}

// SAFETY: as for `Single`, no two threads reach the cells.
unsafe impl<T> Sync for Once<T> {}

impl<T> Once<T> {
    /// Wraps a value.
    pub const fn new(value: T) -> Self {
        Self { is_lent: Cell::new(false), value: UnsafeCell::new(value) }
    }

    /// Lends the value, the first time.
    #[allow(clippy::mut_from_ref, reason = "there is never a second reference")]
    pub fn take(&'static self) -> Option<&'static mut T> {
        if self.is_lent.replace(true) {
            return None;
        }
        // SAFETY: the value lives for good, nothing else points to it, and `is_lent` lets nobody come here again.
        Some(unsafe { &mut *self.value.get() })
    }
}

#[cfg(test)]
mod tests {
    use super::Once;

    #[test]
    fn a_value_is_lent_once() {
        let once: &Once<u32> = Box::leak(Box::new(Once::new(7)));
        assert_eq!(once.take(), Some(&mut 7));
        assert_eq!(once.take(), None);
    }
}
