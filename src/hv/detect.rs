//! Is there a Hyper-V interface, and does it have what VMBus needs?

use super::Hypervisor;
use crate::error::Error;
use crate::wire::hv::{
    CPUID_HYPERVISOR_PRESENT, HV_X64_MSR_VP_INDEX, HYPERVISOR_CPUID_FEATURES, HYPERVISOR_CPUID_INTERFACE,
    HYPERVISOR_CPUID_LEAF_RANGE, HYPERVISOR_CPUID_RECOMMENDATIONS, HYPERVISOR_INTERFACE_HV1, HYPERVISOR_MIN_LEAF,
    MiscFeatures, Privileges, Recommendations, SintMsr,
};

/// Vector of SINT2 where the host has no polling bit (policy): that of IRQ 13, whose BIOS handler does no harm. iPXE
/// does the same.
const HARMLESS_VECTOR: u64 = 0x75;

/// What the hypervisor offers, as far as it changes what we do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Features {
    privileges: Privileges,
    misc: MiscFeatures,
    recommendations: Recommendations,
}

impl Features {
    /// Which virtual processor we run on, as the host counts. The SynIC registers are its own, so messages must go to it.
    #[must_use]
    pub fn vp_index<H: Hypervisor>(self, hv: &H) -> u32 {
        // The boot processor is number 0 wherever the host doesn't say.
        if self.privileges.contains(Privileges::VP_INDEX) { hv.read_msr(HV_X64_MSR_VP_INDEX) as u32 } else { 0 }
    }

    /// The value of SINT2 with which messages arrive while we poll for them.
    ///
    /// Never masked: real hosts hold messages for a masked source back, or lose them (facts 4.3).
    #[must_use]
    pub fn polled_sint(self) -> SintMsr {
        let vector = SintMsr::from_bits_retain(HARMLESS_VECTOR);
        if self.misc.contains(MiscFeatures::SINT_POLLING) {
            vector | SintMsr::POLLING
        } else if self.recommendations.contains(Recommendations::DEPRECATE_AUTO_EOI) {
            vector
        } else {
            vector | SintMsr::AUTO_EOI
        }
    }
}

/// Looks for the interface and for the MSRs of hypercalls and SynIC.
///
/// The privileges to post and to signal (EBX 4 and 5) are not asked for: OpenVMM on KVM leaves them clear though both
/// calls work. A host without VMBus refuses the first post.
///
/// # Errors
/// [`Error::NotHyperV`] without the interface, [`Error::NoVmbus`] without the MSRs.
pub fn detect<H: Hypervisor>(hv: &H) -> Result<Features, Error> {
    if hv.cpuid(1).ecx & CPUID_HYPERVISOR_PRESENT == 0
        || hv.cpuid(HYPERVISOR_CPUID_LEAF_RANGE).eax < HYPERVISOR_MIN_LEAF
        || hv.cpuid(HYPERVISOR_CPUID_INTERFACE).eax != HYPERVISOR_INTERFACE_HV1
    {
        return Err(Error::NotHyperV);
    }
    let features = hv.cpuid(HYPERVISOR_CPUID_FEATURES);
    let privileges = Privileges::from_bits_retain(features.eax);
    if !privileges.contains(Privileges::SYNIC.union(Privileges::HYPERCALL)) {
        return Err(Error::NoVmbus);
    }
    Ok(Features {
        privileges,
        misc: MiscFeatures::from_bits_retain(features.edx),
        recommendations: Recommendations::from_bits_retain(hv.cpuid(HYPERVISOR_CPUID_RECOMMENDATIONS).eax),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_polling_bit_is_used_where_there_is_one_and_auto_eoi_only_where_it_is_welcome() {
        let privileges = Privileges::empty();
        let sint = |misc, recommendations| Features { privileges, misc, recommendations }.polled_sint();
        let none = (MiscFeatures::empty(), Recommendations::empty());
        assert_eq!(sint(MiscFeatures::SINT_POLLING, none.1).bits(), 0x4_0075);
        assert_eq!(sint(none.0, none.1).bits(), 0x2_0075);
        assert_eq!(sint(none.0, Recommendations::DEPRECATE_AUTO_EOI).bits(), 0x75);
    }
}
