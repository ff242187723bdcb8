//! Ports and the FPU's state.

#![allow(unsafe_code, reason = "instructions that Rust has no word for")]

use core::arch::asm;

/// Bochs's and QEMU's debug console.
const DEBUG_PORT: u16 = 0xe9;

/// Writes a text to the debug console.
pub fn debug(text: &str) {
    text.bytes().for_each(|byte| out_u8(DEBUG_PORT, byte));
}

/// Writes a byte to an I/O port.
pub fn out_u8(port: u16, value: u8) {
    // SAFETY: the ports written here (E9h, 92h, the real-time clock's 70h and 71h) change nothing that Rust relies on.
    unsafe { asm!("out dx, al", in("dx") port, in("al") value, options(nomem, nostack, preserves_flags)) }
}

/// Reads a byte from an I/O port.
pub fn in_u8(port: u16) -> u8 {
    let value;
    // SAFETY: reading the ports used here (92h, 71h) has no effect that Rust relies on.
    unsafe { asm!("in al, dx", in("dx") port, out("al") value, options(nomem, nostack, preserves_flags)) }
    value
}

/// The state of FPU and SSE as FXSAVE stores it.
#[repr(C, align(16))]
pub struct FpuState(pub [u8; 512]);

impl FpuState {
    /// Stores the present state.
    pub fn save() -> Self {
        let mut state = Self([0; 512]);
        // SAFETY: 512 bytes, aligned to 16. CR4.OSFXSR is set for the instruction, and put back: without it the XMM
        // registers would be left out.
        unsafe {
            asm!("mov {old}, cr4", "mov {new}, {old}", "or {new}, 0x200", "mov cr4, {new}", "fxsave [{at}]", "mov cr4, {old}",
                old = out(reg) _, new = out(reg) _, at = in(reg) state.0.as_mut_ptr(), options(nostack));
        }
        state
    }

    /// Loads a state that [`FpuState::save`] stored, changed or not.
    pub fn load(&self) {
        // SAFETY: as in `save`; the compiler uses neither FPU nor SSE registers for this target (soft float). MXCSR comes
        // from a saved state, so no reserved bit is set.
        unsafe {
            asm!("mov {old}, cr4", "mov {new}, {old}", "or {new}, 0x200", "mov cr4, {new}", "fxrstor [{at}]", "mov cr4, {old}",
                old = out(reg) _, new = out(reg) _, at = in(reg) self.0.as_ptr(), options(nostack));
        }
    }
}
