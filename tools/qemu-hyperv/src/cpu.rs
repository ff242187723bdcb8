//! The registers that the traps need, and the modes of the processor that they tell.

/// A register of the guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reg {
    /// RAX.
    Rax,
    /// RBX.
    Rbx,
    /// RCX.
    Rcx,
    /// RDX.
    Rdx,
    /// RSI.
    Rsi,
    /// RDI.
    Rdi,
    /// R8; 0 outside 64-bit code.
    R8,
    /// Control register 0.
    Cr0,
    /// Extended feature enable register.
    Efer,
    /// Flags.
    Eflags,
    /// Selector of the code segment.
    Cs,
}

impl Reg {
    /// Number of registers in [`Reg::ALL`].
    pub const COUNT: usize = 11;

    /// Every register, in the order of the enum.
    pub const ALL: [Self; Self::COUNT] = [
        Self::Rax,
        Self::Rbx,
        Self::Rcx,
        Self::Rdx,
        Self::Rsi,
        Self::Rdi,
        Self::R8,
        Self::Cr0,
        Self::Efer,
        Self::Eflags,
        Self::Cs,
    ];

    /// QEMU's name for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Rax => "rax",
            Self::Rbx => "rbx",
            Self::Rcx => "rcx",
            Self::Rdx => "rdx",
            Self::Rsi => "rsi",
            Self::Rdi => "rdi",
            Self::R8 => "r8",
            Self::Cr0 => "cr0",
            Self::Efer => "efer",
            Self::Eflags => "eflags",
            Self::Cs => "cs",
        }
    }
}

/// Access to the registers of one vCPU.
pub trait Cpu {
    /// The value of a register, zero-extended.
    fn get(&mut self, reg: Reg) -> u64;

    /// Sets a general register. Outside 64-bit code the upper half becomes zero, as after a 32-bit operation.
    fn set(&mut self, reg: Reg, value: u64);

    /// Two 32-bit registers as one number, as RDMSR and the 32-bit hypercall convention pair them.
    fn get_pair(&mut self, high: Reg, low: Reg) -> u64 {
        self.get(high) << 32 | self.get(low) & 0xffff_ffff
    }

    /// Sets two registers to the halves of a number.
    fn set_pair(&mut self, high: Reg, low: Reg, value: u64) {
        self.set(high, value >> 32);
        self.set(low, value & 0xffff_ffff);
    }

    /// Whether protection is on (CR0.PE).
    fn protected(&mut self) -> bool {
        self.get(Reg::Cr0) & 1 != 0
    }

    /// Whether long mode is active (EFER.LMA).
    fn long_mode(&mut self) -> bool {
        self.get(Reg::Efer) & 1 << 10 != 0
    }

    /// Current privilege level: 0 in real mode, 3 in virtual-8086 mode.
    fn privilege_level(&mut self) -> u8 {
        const VM: u64 = 1 << 17;
        if !self.protected() {
            0
        } else if self.get(Reg::Eflags) & VM != 0 {
            3
        } else {
            (self.get(Reg::Cs) & 3) as u8
        }
    }
}

#[cfg(test)]
pub mod fake {
    //! Registers in an array.

    use super::{Cpu, Reg};

    /// A vCPU for tests.
    #[derive(Default)]
    pub struct FakeCpu(pub [u64; Reg::COUNT]);

    impl FakeCpu {
        /// In 64-bit code at privilege level 0, other registers as given.
        pub fn long_mode(regs: &[(Reg, u64)]) -> Self {
            let mut cpu = Self::default();
            cpu.0[Reg::Cr0 as usize] = 0x8000_0011;
            cpu.0[Reg::Efer as usize] = 0x500;
            for &(reg, value) in regs {
                cpu.0[reg as usize] = value;
            }
            cpu
        }
    }

    impl Cpu for FakeCpu {
        fn get(&mut self, reg: Reg) -> u64 {
            self.0[reg as usize]
        }

        fn set(&mut self, reg: Reg, value: u64) {
            self.0[reg as usize] = value;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::fake::FakeCpu;
    use super::*;

    #[test]
    fn registers_are_listed_in_the_order_of_their_discriminants() {
        for (index, reg) in Reg::ALL.into_iter().enumerate() {
            assert_eq!(reg as usize, index);
        }
    }

    #[test]
    fn privilege_is_that_of_the_mode_and_the_code_selector() {
        let mut cpu = FakeCpu::default();
        cpu.0[Reg::Cs as usize] = 0xf003;
        assert_eq!(cpu.privilege_level(), 0, "a real-mode segment is no selector");
        cpu.0[Reg::Cr0 as usize] = 1;
        assert_eq!(cpu.privilege_level(), 3);
        cpu.0[Reg::Cs as usize] = 8;
        assert_eq!(cpu.privilege_level(), 0);
        cpu.0[Reg::Eflags as usize] = 1 << 17;
        assert_eq!(cpu.privilege_level(), 3, "virtual-8086 mode");
    }
}
