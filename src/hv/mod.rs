//! The hypervisor: detection, MSRs, hypercalls, SynIC and the clock (TLFS).
//!
//! [`Hypervisor`] is the seam: in the ROM it executes the instructions, in tests it calls the host model.

mod clock;
mod detect;
mod hypercall;
mod partition;
mod synic;

pub use clock::Clock;
pub use detect::{Features, detect};
pub use partition::{Owner, Partition, Sharing};
pub use synic::Message;

use crate::mem::{Gpa, SharedMem};
use crate::time::Ticks100ns;

/// What CPUID returns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CpuidResult {
    /// Register of the same name.
    pub eax: u32,
    /// Register of the same name.
    pub ebx: u32,
    /// Register of the same name.
    pub ecx: u32,
    /// Register of the same name.
    pub edx: u32,
}

/// A handle on the hypervisor under us. Cheap to clone; all clones mean the same machine.
pub trait Hypervisor: Clone {
    /// Memory that the host may read and write.
    type Pages: SharedMem;

    /// Executes CPUID.
    fn cpuid(&self, leaf: u32) -> CpuidResult;

    /// Reads an MSR. The caller has seen the privilege bit for it: an MSR that isn't there faults.
    fn read_msr(&self, msr: u32) -> u64;

    /// Writes an MSR; as [`read_msr`](Self::read_msr).
    fn write_msr(&self, msr: u32, value: u64);

    /// Calls the hypercall page (64-bit convention) and returns the result value. The page must be enabled, at the
    /// address that [`read_msr`](Self::read_msr) of `HV_X64_MSR_HYPERCALL` gives.
    fn hypercall(&self, page: &Self::Pages, control: u64, input: u64, output: u64) -> u64;

    /// Takes `count` contiguous, zeroed 4 KiB pages from the pool; `None` when it is exhausted.
    ///
    /// Pages are dropped back into the pool only by [`free_pages`](Self::free_pages), never by going out of scope:
    /// what the host may still write must not be reused.
    fn alloc_pages(&self, count: usize) -> Option<Self::Pages>;

    /// Gives pages back, when the host has confirmed that it let go of them.
    fn free_pages(&self, pages: Self::Pages);

    /// A page that somebody else owns and an MSR names: a hypercall or message page. Not to be freed. `None` when it is
    /// out of reach.
    fn map(&self, gpa: Gpa) -> Option<Self::Pages>;

    /// Reference time.
    fn now(&self) -> Ticks100ns;

    /// A free-running cycle counter (the TSC). Reading it costs no exit; its rate is unknown, 1 to 5 GHz on real machines:
    /// good for doing something not too often, not for telling the time.
    fn cycles(&self) -> u64;

    /// Called in every wait loop. May let the BIOS run its interrupts.
    fn relax(&self);
}
