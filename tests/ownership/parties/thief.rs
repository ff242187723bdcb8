//! Boot programs and loaders that take VMBus and tell nobody.

use hvpxe::hv::Hypervisor;
use hvpxe::wire::hv::{
    HV_X64_MSR_GUEST_OS_ID, HV_X64_MSR_HYPERCALL, HV_X64_MSR_SIEFP, HV_X64_MSR_SIMP, HV_X64_MSR_SINT2,
};

use super::client::Client;
use crate::machine::{Machine, Party};

/// A thief's guest OS id: Windows' form.
const OS_ID: u64 = 0x0001_040a_0000_4000;

/// What is stolen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Theft {
    /// A connection of its own; its message page is off afterwards (Windows' loader).
    Full,
    /// The same, and its message page stays on.
    FullStays,
    /// Only MSRs; no message is sent.
    Msrs,
    /// A connection of its own, ended again; then all MSRs are as they were.
    Traceless,
}

/// Takes VMBus.
pub fn steal(machine: &Machine, theft: Theft) {
    const MSRS: [u32; 5] =
        [HV_X64_MSR_GUEST_OS_ID, HV_X64_MSR_HYPERCALL, HV_X64_MSR_SIMP, HV_X64_MSR_SIEFP, HV_X64_MSR_SINT2];
    let hv = machine.seen_by(Party::Thief);
    let found = MSRS.map(|msr| hv.read_msr(msr));
    let mut client = Client::new(&hv, OS_ID, false);
    client.take_calls();
    client.take_synic();
    match theft {
        Theft::Full | Theft::FullStays => {
            client.contact();
            if theft == Theft::Full {
                client.drop_synic();
            }
        }
        Theft::Msrs => client.drop_synic(),
        Theft::Traceless => {
            client.contact();
            client.unload();
            while client.take_message().is_some() {}
            for (msr, value) in MSRS.into_iter().zip(found) {
                hv.write_msr(msr, value);
            }
        }
    }
}

/// A thief that stayed goes: its message page is off.
pub fn leave(machine: &Machine) {
    let hv = machine.seen_by(Party::Thief);
    if hv.owns(hv.read_msr(HV_X64_MSR_SIMP)) {
        hv.write_msr(HV_X64_MSR_SINT2, 1 << 16);
        hv.write_msr(HV_X64_MSR_SIMP, 0);
        hv.write_msr(HV_X64_MSR_SIEFP, 0);
    }
}
