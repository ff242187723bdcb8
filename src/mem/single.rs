//! The one home of global state. The core runs on one CPU, on one stack, with interrupts off.
#![allow(unsafe_code, reason = "statics must be Sync; the core has one thread")]

use core::cell::{RefCell, RefMut};

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
