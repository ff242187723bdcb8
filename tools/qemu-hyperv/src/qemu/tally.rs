//! A number that one block of translated code adds its length to.

use super::ffi;

/// The scoreboard entry of a block.
#[derive(Clone, Copy)]
pub struct Tally(ffi::ScoreU64);

// SAFETY: the pointer names a scoreboard that is never freed; each vCPU's element is written by that vCPU's translated code
// only, and a sum read meanwhile may miss what others are just adding.
unsafe impl Send for Tally {}

impl Tally {
    /// A tally of nothing.
    pub fn new() -> Self {
        // SAFETY: no preconditions; QEMU returns a scoreboard that grows with the number of vCPUs.
        let score = unsafe { ffi::qemu_plugin_scoreboard_new(size_of::<u64>()) };
        Self(ffi::ScoreU64 { score, offset: 0 })
    }

    pub(super) fn entry(self) -> ffi::ScoreU64 {
        self.0
    }

    /// Instructions of all vCPUs.
    pub fn sum(self, vcpus: u32) -> u64 {
        // SAFETY: the scoreboard is never freed, and QEMU has so many vCPUs.
        (0..vcpus).map(|vcpu| unsafe { ffi::qemu_plugin_u64_get(self.0, vcpu) }).sum()
    }
}
