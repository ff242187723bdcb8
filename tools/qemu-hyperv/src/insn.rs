//! Recognises the instructions that the lab traps.

/// The body of the hypercall page: a no-op that nothing else uses, then a near return.
///
/// A real host puts VMCALL or VMMCALL there, which TCG would refuse. Callers must call the page, never copy it, so they can't
/// tell. (`nopl 0x5c(%eax)`; assemblers use other displacements for padding.)
pub const HYPERCALL_CODE: [u8; 5] = [0x0f, 0x1f, 0x40, 0x5c, 0xc3];

/// Longest x86 instruction.
pub const MAX_LEN: usize = 15;

/// What is done about an instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trap {
    /// CPUID, answered for the leaves of the hypervisor.
    Cpuid,
    /// RDMSR, answered for the MSRs of the hypervisor.
    Rdmsr,
    /// WRMSR, acted on for the MSRs of the hypervisor.
    Wrmsr,
    /// The no-op of [`HYPERCALL_CODE`].
    Hypercall,
}

impl Trap {
    /// The trap for an instruction, given its bytes.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        if bytes == &HYPERCALL_CODE[..4] {
            return Some(Self::Hypercall);
        }
        let prefixes = bytes.iter().take_while(|&&byte| is_prefix(byte)).count();
        match bytes[prefixes..] {
            [0x0f, 0xa2] => Some(Self::Cpuid),
            [0x0f, 0x32] => Some(Self::Rdmsr),
            [0x0f, 0x30] => Some(Self::Wrmsr),
            _ => None,
        }
    }

    /// Whether the instruction itself changes registers, so that an answer can be given only after it.
    pub fn answers_late(self) -> bool {
        matches!(self, Self::Cpuid | Self::Rdmsr)
    }
}

/// Prefixes that leave the meaning of the three instructions alone: operand and address size, segments, repeats, and REX.
///
/// 0x40-0x4f are whole instructions outside 64-bit code, but then no opcode follows them in the same instruction.
fn is_prefix(byte: u8) -> bool {
    matches!(byte, 0x66 | 0x67 | 0x26 | 0x2e | 0x36 | 0x3e | 0x64 | 0x65 | 0xf2 | 0xf3 | 0x40..=0x4f)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_and_prefixed_forms_are_recognised() {
        assert_eq!(Trap::decode(&[0x0f, 0xa2]), Some(Trap::Cpuid));
        assert_eq!(Trap::decode(&[0x66, 0x0f, 0xa2]), Some(Trap::Cpuid));
        assert_eq!(Trap::decode(&[0x0f, 0x32]), Some(Trap::Rdmsr));
        assert_eq!(Trap::decode(&[0x48, 0x0f, 0x30]), Some(Trap::Wrmsr));
        assert_eq!(Trap::decode(&[0x67, 0x66, 0x0f, 0x30]), Some(Trap::Wrmsr));
    }

    #[test]
    fn the_hypercall_page_is_recognised_and_other_long_nops_are_not() {
        assert_eq!(Trap::decode(&HYPERCALL_CODE[..4]), Some(Trap::Hypercall));
        assert_eq!(Trap::decode(&[0x0f, 0x1f, 0x40, 0x00]), None);
        assert_eq!(Trap::decode(&[0x66, 0x0f, 0x1f, 0x40, 0x5c]), None);
    }

    #[test]
    fn other_instructions_and_cut_ones_are_left_alone() {
        for bytes in [&[][..], &[0x0f], &[0x90], &[0x0f, 0x31], &[0x66, 0x66], &[0x0f, 0xa2, 0x90]] {
            assert_eq!(Trap::decode(bytes), None, "{bytes:x?}");
        }
    }
}
