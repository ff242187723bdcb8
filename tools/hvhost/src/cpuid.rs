//! The hypervisor's CPUID leaves (TLFS "Feature and Interface Discovery").

use crate::config::Config;

/// The four registers of a CPUID answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CpuidRegs {
    /// Register of the same name.
    pub eax: u32,
    /// Register of the same name.
    pub ebx: u32,
    /// Register of the same name.
    pub ecx: u32,
    /// Register of the same name.
    pub edx: u32,
}

/// Highest hypervisor leaf.
const MAX_LEAF: u32 = 0x4000_000a;
/// Leaf 1 ECX: a hypervisor is present.
const HYPERVISOR_PRESENT: u32 = 1 << 31;

/// The answer to leaf `leaf`, given what the processor itself would say.
#[must_use]
pub(crate) fn cpuid(config: &Config, leaf: u32, native: CpuidRegs) -> CpuidRegs {
    let regs = |eax, ebx, ecx, edx| CpuidRegs { eax, ebx, ecx, edx };
    match leaf {
        1 => CpuidRegs { ecx: native.ecx | HYPERVISOR_PRESENT, ..native },
        0x4000_0000 => regs(MAX_LEAF, 0x7263_694d, 0x666f_736f, 0x7648_2074), // "Microsoft Hv"
        0x4000_0001 => regs(0x3123_7648, 0, 0, 0),                            // "Hv#1"
        0x4000_0002 => regs(20348, 10 << 16, 0, 0),                           // build of Windows Server 2022
        0x4000_0003 => regs(config.privileges_low, config.privileges_high, 0, config.features),
        0x4000_0004 => regs(config.recommendations, u32::MAX, 0, 0), // never ask for the long-spin hypercall
        0x4000_0005 => regs(64, 64, 0, 0),
        0x4000_0006 => regs(1 << 3, 0, 0, 0), // second-level address translation
        0x4000_0007..=MAX_LEAF => CpuidRegs::default(),
        _ => native,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interface_is_hv1_and_leaf_1_says_so() {
        let config = Config::default();
        let native = CpuidRegs { eax: 1, ebx: 2, ecx: 4, edx: 8 };
        assert_eq!(cpuid(&config, 1, native), CpuidRegs { ecx: 0x8000_0004, ..native });
        assert_eq!(cpuid(&config, 0x4000_0001, native).eax.to_le_bytes(), *b"Hv#1");
        let vendor = cpuid(&config, 0x4000_0000, native);
        assert_eq!([vendor.ebx, vendor.ecx, vendor.edx].map(u32::to_le_bytes).concat(), b"Microsoft Hv");
        assert_eq!(cpuid(&config, 0x8000_0001, native), native);
    }
}
