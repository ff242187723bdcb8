//! A block of guest code under translation, and what is hooked into it.

use std::ffi::c_void;

use super::callbacks;
use super::ffi;
use super::pace::Pace;
use super::tally::Tally;
use crate::insn::{MAX_LEN, Trap};

/// What is called before an instruction of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hook {
    /// CPUID, RDMSR or WRMSR.
    Trap {
        /// Which of them.
        trap: Trap,
        /// Whether the block ends with it, so that the next block must look for its late answer.
        ends_block: bool,
    },
    /// The no-op of a hypercall page.
    Hypercall {
        /// Its guest-physical address: QEMU shares a block among all virtual addresses at which a page is mapped.
        gpa: u64,
    },
    /// The instruction follows a trap whose answer is given late.
    AfterTrap,
    /// A mark is at the instruction.
    Mark {
        /// Its virtual address.
        address: u64,
    },
}

/// A block inside its translation callback.
pub struct Block<'a>(&'a mut ffi::Tb);

impl<'a> Block<'a> {
    /// # Safety
    /// `tb` is the argument of the translation callback that is running, and the value does not outlive it.
    pub(super) unsafe fn current(tb: *mut ffi::Tb) -> Self {
        // SAFETY: by the contract, `tb` is live and only this callback uses it; the type has no size.
        Self(unsafe { &mut *tb })
    }

    /// Number of instructions.
    pub fn len(&self) -> usize {
        // SAFETY: the block is live (`current`).
        unsafe { ffi::qemu_plugin_tb_n_insns(self.0) }
    }

    /// Virtual address of an instruction: for x86, the CS base plus the instruction pointer.
    pub fn address(&mut self, index: usize) -> u64 {
        let insn = self.insn(index);
        // SAFETY: the instruction belongs to the live block.
        unsafe { ffi::qemu_plugin_insn_vaddr(insn) }
    }

    /// Guest-physical address of an instruction.
    pub fn physical_address(&mut self, index: usize) -> Option<u64> {
        let address = self.address(index);
        let mut gpa = 0;
        // SAFETY: inside a translation callback the vCPU that wants to run the block is the current one, by whose page tables
        // this goes; it writes one u64.
        unsafe { ffi::qemu_plugin_translate_vaddr(address, &raw mut gpa) }.then_some(gpa)
    }

    /// Copies the bytes of an instruction and gives their number.
    pub fn bytes(&mut self, index: usize, into: &mut [u8; MAX_LEN]) -> usize {
        let insn = self.insn(index);
        // SAFETY: the instruction belongs to the live block; QEMU writes at most `len` bytes.
        unsafe { ffi::qemu_plugin_insn_data(insn, into.as_mut_ptr().cast(), into.len()) }
    }

    /// Calls the engine before an instruction.
    pub fn hook(&mut self, index: usize, hook: Hook) {
        let insn = self.insn(index);
        let (callback, userdata) = callbacks::for_hook(hook);
        // SAFETY: the instruction belongs to the live block; the callback is a function of this library, which QEMU never unloads,
        // and its userdata is a number.
        unsafe { ffi::qemu_plugin_register_vcpu_insn_exec_cb(insn, callback, ffi::CB_RW_REGS, userdata) }
    }

    /// Counts the block's instructions and calls the engine when the pace says so.
    pub fn count(&mut self, pace: Pace) {
        let len = self.len() as u64;
        // SAFETY: the block is live, the scoreboard is never freed, the callback as in `hook`. The comparison comes after
        // the addition because QEMU emits what is registered in order.
        unsafe {
            ffi::qemu_plugin_register_vcpu_tb_exec_inline_per_vcpu(self.0, ffi::INLINE_ADD_U64, pace.entry(), len);
            ffi::qemu_plugin_register_vcpu_tb_exec_cond_cb(
                self.0,
                callbacks::BLOCK_DUE,
                ffi::CB_RW_REGS,
                ffi::COND_GE,
                pace.entry(),
                pace.interval(),
                std::ptr::null_mut::<c_void>(),
            );
        }
    }

    /// Adds the block's instructions to a tally whenever it runs.
    pub fn add_to(&mut self, tally: Tally) {
        let len = self.len() as u64;
        // SAFETY: the block is live and the scoreboard is never freed.
        unsafe {
            ffi::qemu_plugin_register_vcpu_tb_exec_inline_per_vcpu(self.0, ffi::INLINE_ADD_U64, tally.entry(), len);
        }
    }

    /// Calls the engine whenever the block runs, as the first code after a reset.
    pub fn watch_reset(&mut self) {
        // SAFETY: the block is live, the callback as in `hook`.
        unsafe {
            ffi::qemu_plugin_register_vcpu_tb_exec_cb(
                self.0,
                callbacks::RESET_VECTOR,
                ffi::CB_RW_REGS,
                std::ptr::null_mut::<c_void>(),
            );
        }
    }

    fn insn(&mut self, index: usize) -> *mut ffi::Insn {
        assert!(index < self.len(), "instruction {index} of a block of {}", self.len());
        // SAFETY: the block is live and the index was checked.
        unsafe { ffi::qemu_plugin_tb_get_insn(self.0, index) }
    }
}
