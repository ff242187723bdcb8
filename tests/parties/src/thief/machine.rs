//! The machine as the boot program has it: page tables one to one, and memory that nobody else uses.

#![allow(unsafe_code, reason = "the pool")]

use parties::bare::Bare;

/// Pages for the host, in the middle of what a machine of 128 MiB has; below is what boot programs load, above the BIOS.
const POOL: u32 = 48 << 20;
/// Their number: 2 MiB, as much as a pool can have.
const POOL_PAGES: usize = 512;

/// The machine.
pub fn hypervisor() -> Bare {
    // SAFETY: ../runtime/asm/start.s maps 0-4 GiB one to one; a boot program owns the memory that the BIOS's map calls free.
    unsafe { Bare::with_pool(core::ptr::with_exposed_provenance_mut(POOL as usize), POOL.into(), POOL_PAGES) }
}
