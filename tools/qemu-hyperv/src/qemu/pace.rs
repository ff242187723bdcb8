//! Instruction counting and polling by one number per vCPU.
//!
//! Every block adds its instruction count to the vCPU's number and calls back when it has reached the polling interval: one
//! addition and one comparison in translated code. A trap that has work left for the next block adds [`DUE`], which
//! makes that block call back whatever the count.

use super::ffi;

/// Bit that makes the next block call back.
const DUE: u64 = 1 << 62;

/// The scoreboard entry, and how often a vCPU calls back.
#[derive(Clone, Copy)]
pub struct Pace {
    entry: ffi::ScoreU64,
    interval: u64,
}

// SAFETY: the pointer names a scoreboard that is never freed; QEMU's accessors index it by vCPU, and each vCPU's element is
// only used from that vCPU's callbacks and, when the machine has stopped, at exit.
unsafe impl Send for Pace {}
// SAFETY: as for Send.
unsafe impl Sync for Pace {}

impl Pace {
    /// A pace of `interval` instructions between callbacks. Call once, at installation.
    pub fn new(interval: u64) -> Self {
        // SAFETY: no preconditions; QEMU returns a scoreboard that grows with the number of vCPUs.
        let score = unsafe { ffi::qemu_plugin_scoreboard_new(size_of::<u64>()) };
        Self { entry: ffi::ScoreU64 { score, offset: 0 }, interval: interval.min(DUE) }
    }

    pub(super) fn entry(self) -> ffi::ScoreU64 {
        self.entry
    }

    pub(super) fn interval(self) -> u64 {
        self.interval
    }

    /// Makes the vCPU's next block call back.
    pub fn request_callback(self, vcpu: u32) {
        let value = self.get(vcpu);
        self.set(vcpu, value | DUE);
    }

    /// Instructions since the last [`Pace::take`], without resetting them.
    pub fn elapsed(self, vcpu: u32) -> u64 {
        self.get(vcpu) & !DUE
    }

    /// Instructions since the last call; starts the next interval.
    pub fn take(self, vcpu: u32) -> u64 {
        let value = self.get(vcpu);
        self.set(vcpu, 0);
        value & !DUE
    }

    fn get(self, vcpu: u32) -> u64 {
        // SAFETY: the scoreboard is never freed and `vcpu` came from QEMU, so the element exists.
        unsafe { ffi::qemu_plugin_u64_get(self.entry, vcpu) }
    }

    fn set(self, vcpu: u32, value: u64) {
        // SAFETY: as in `get`.
        unsafe { ffi::qemu_plugin_u64_set(self.entry, vcpu, value) }
    }
}
