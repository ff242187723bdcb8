//! The synthetic MSRs (TLFS, appendix "Hypervisor Synthetic MSRs").

use serde::{Deserialize, Serialize};

use crate::config::{Config, OverlayMode};
use crate::memory::GuestMemory;
use crate::overlay::{Overlay, PAGE_SIZE, Page};
use crate::report::Report;
use crate::synic::{SINTS, Synic};
use crate::violations::Breach;

pub(crate) const GUEST_OS_ID: u32 = 0x4000_0000;
pub(crate) const HYPERCALL: u32 = 0x4000_0001;
const VP_INDEX: u32 = 0x4000_0002;
const VP_RUNTIME: u32 = 0x4000_0010;
const TIME_REF_COUNT: u32 = 0x4000_0020;
const REFERENCE_TSC: u32 = 0x4000_0021;
const TSC_FREQUENCY: u32 = 0x4000_0022;
const APIC_FREQUENCY: u32 = 0x4000_0023;
const VP_ASSIST: u32 = 0x4000_0073;
const SCONTROL: u32 = 0x4000_0080;
const SVERSION: u32 = 0x4000_0081;
const SIEFP: u32 = 0x4000_0082;
pub(crate) const SIMP: u32 = 0x4000_0083;
const EOM: u32 = 0x4000_0084;
const SINT0: u32 = 0x4000_0090;
const SINT15: u32 = SINT0 + SINTS as u32 - 1;
const CRASH_P0: u32 = 0x4000_0100;
const CRASH_P4: u32 = 0x4000_0104;
const CRASH_CTL: u32 = 0x4000_0105;

/// First and last MSR of the hypervisor.
const RANGE: std::ops::RangeInclusive<u32> = 0x4000_0000..=0x4000_01ff;

const ENABLE: u64 = 1;
const HYPERCALL_LOCKED: u64 = 2;
/// CPUID 0x40000003 EDX: the crash MSRs are there.
const FEATURE_CRASH: u32 = 1 << 10;

/// Answer to RDMSR.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MsrRead {
    /// EDX:EAX.
    Value(u64),
    /// #GP(0).
    GeneralProtection,
    /// Not one of the hypervisor's MSRs.
    NotHandled,
}

/// Answer to WRMSR.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MsrWrite {
    /// Written.
    Done,
    /// #GP(0).
    GeneralProtection,
    /// Not one of the hypervisor's MSRs.
    NotHandled,
}

/// The registers of the partition, and the SynIC of each VP.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Registers {
    pub guest_os_id: u64,
    hypercall: Overlay,
    reference_tsc: Overlay,
    crash: [u64; 5],
    /// The VP assist page of each VP. Nothing is ever said in it, but guests place it.
    assists: Vec<Overlay>,
    pub synics: Vec<Synic>,
}

impl Registers {
    pub fn new(config: &Config) -> Self {
        Self {
            guest_os_id: 0,
            hypercall: Overlay::default(),
            reference_tsc: Overlay::default(),
            crash: [0; 5],
            assists: (0..config.vps).map(|_| Overlay::default()).collect(),
            synics: (0..config.vps).map(|vp| Synic::new(vp, config)).collect(),
        }
    }

    pub fn reset(&mut self, config: &Config, mem: &mut dyn GuestMemory) {
        self.hypercall.reset(config.overlay, mem);
        self.reference_tsc.reset(config.overlay, mem);
        for assist in &mut self.assists {
            assist.reset(config.overlay, mem);
        }
        for synic in &mut self.synics {
            synic.reset(config, mem);
        }
        self.guest_os_id = 0;
        self.crash = [0; 5];
    }

    /// Address of the hypercall page while it is enabled.
    pub fn hypercall_page(&self) -> Option<u64> {
        self.hypercall.gpa()
    }

    /// Whether an overlay page holds `gpa`.
    pub fn in_overlay(&self, gpa: u64) -> bool {
        let page = gpa & !(PAGE_SIZE as u64 - 1);
        self.overlays().any(|overlay| overlay == page)
    }

    /// Addresses of the overlay pages that are enabled.
    pub fn overlays(&self) -> impl Iterator<Item = u64> + '_ {
        let synic = self.synics.iter().flat_map(|synic| [synic.simp.gpa(), synic.siefp.gpa()]);
        let assists = self.assists.iter().map(Overlay::gpa);
        [self.hypercall.gpa(), self.reference_tsc.gpa()].into_iter().chain(assists).chain(synic).flatten()
    }

    pub fn read(&self, vp: u32, msr: u32, config: &Config, report: &mut Report) -> MsrRead {
        if !RANGE.contains(&msr) {
            return MsrRead::NotHandled;
        }
        let value = self.synics.get(vp as usize).filter(|_| allowed(config, msr)).and_then(|synic| match msr {
            GUEST_OS_ID => Some(self.guest_os_id),
            HYPERCALL => Some(self.hypercall.msr()),
            VP_INDEX => Some(vp.into()),
            VP_RUNTIME | TIME_REF_COUNT => Some(report.now),
            REFERENCE_TSC => Some(self.reference_tsc.msr()),
            TSC_FREQUENCY => config.frequencies.map(|(tsc, _)| tsc),
            APIC_FREQUENCY => config.frequencies.map(|(_, apic)| apic),
            VP_ASSIST => self.assists.get(vp as usize).map(Overlay::msr),
            SCONTROL => Some(synic.scontrol),
            SVERSION => Some(1),
            SIEFP => Some(synic.siefp.msr()),
            SIMP => Some(synic.simp.msr()),
            EOM => Some(0),
            SINT0..=SINT15 => Some(synic.sint((msr - SINT0) as usize)),
            CRASH_P0..=CRASH_P4 => Some(self.crash[(msr - CRASH_P0) as usize]),
            CRASH_CTL => Some(1 << 63),
            _ => None,
        });
        match value {
            Some(value) => MsrRead::Value(value),
            None => {
                report.breach(Breach::MsrFault { msr, value: None });
                MsrRead::GeneralProtection
            }
        }
    }

    pub fn write(
        &mut self,
        vp: u32,
        msr: u32,
        value: u64,
        config: &Config,
        mem: &mut dyn GuestMemory,
        report: &mut Report,
    ) -> MsrWrite {
        if !RANGE.contains(&msr) {
            return MsrWrite::NotHandled;
        }
        if allowed(config, msr) && self.write_allowed(vp as usize, msr, value, config, mem, report) {
            return MsrWrite::Done;
        }
        report.breach(Breach::MsrFault { msr, value: Some(value) });
        MsrWrite::GeneralProtection
    }

    /// Writes an MSR whose privilege is there; `false` means #GP.
    fn write_allowed(
        &mut self,
        vp: usize,
        msr: u32,
        value: u64,
        config: &Config,
        mem: &mut dyn GuestMemory,
        report: &mut Report,
    ) -> bool {
        let mode = config.overlay;
        let places_page = matches!(msr, HYPERCALL | REFERENCE_TSC | VP_ASSIST | SIEFP | SIMP) && value & ENABLE != 0;
        let others = self.overlays().filter(|&gpa| gpa == value & !0xfff).count();
        let (Some(synic), Some(assist)) = (self.synics.get_mut(vp), self.assists.get_mut(vp)) else { return false };
        let itself = match msr {
            HYPERCALL => self.hypercall.gpa(),
            REFERENCE_TSC => self.reference_tsc.gpa(),
            VP_ASSIST => assist.gpa(),
            SIEFP => synic.siefp.gpa(),
            _ => synic.simp.gpa(),
        };
        if places_page && others > usize::from(itself == Some(value & !0xfff)) {
            report.breach(Breach::OverlayOverlap { gpa: value & !0xfff });
        }
        match msr {
            GUEST_OS_ID => {
                self.guest_os_id = value;
                if value == 0 && self.hypercall.msr() & (ENABLE | HYPERCALL_LOCKED) == ENABLE {
                    return self.set_hypercall(self.hypercall.msr() & !ENABLE, config, mem, report);
                }
                true
            }
            HYPERCALL => self.set_hypercall(value, config, mem, report),
            REFERENCE_TSC => {
                let page = reference_tsc_page(config);
                // Also written where there are no overlays: the page has to say what it says.
                self.reference_tsc.set(value, mode, Some(&page), mem).is_ok()
            }
            VP_ASSIST => assist.set(value, mode, None, mem).is_ok(),
            SCONTROL => {
                synic.set_scontrol(value, report);
                true
            }
            SIEFP => synic.siefp.set(value, mode, None, mem).is_ok(),
            SIMP => synic.simp.set(value, mode, None, mem).is_ok(),
            EOM => {
                synic.end_of_message(config, mem, report);
                true
            }
            SINT0..=SINT15 => synic.set_sint((msr - SINT0) as usize, value, config, report),
            CRASH_P0..=CRASH_P4 => {
                self.crash[(msr - CRASH_P0) as usize] = value;
                true
            }
            CRASH_CTL => {
                report.log(format!("the guest reports a crash: {:x?}", self.crash));
                true
            }
            _ => false,
        }
    }

    /// Writes HYPERCALL. `false` means #GP.
    fn set_hypercall(&mut self, value: u64, config: &Config, mem: &mut dyn GuestMemory, report: &mut Report) -> bool {
        let old = self.hypercall.msr();
        if old & HYPERCALL_LOCKED != 0 {
            return false;
        }
        let mut value = value;
        if value & ENABLE != 0 && self.guest_os_id == 0 {
            report.breach(Breach::HypercallWithoutOsId);
            value &= !ENABLE;
        }
        let page = hypercall_page(config);
        if let Some(gpa) = self.hypercall.gpa()
            && (value ^ old) & !(HYPERCALL_LOCKED | 0xffc) != 0
        {
            let mut code = vec![0; config.hypercall_code.len()];
            if mem.read(gpa, &mut code).is_ok() && code != config.hypercall_code {
                report.breach(Breach::HypercallPageWritten { gpa });
            }
        }
        if config.overlay == OverlayMode::Ram {
            // Like KVM: the code is patched into RAM and stays there.
            let ok = self.hypercall.set(value, config.overlay, None, mem).is_ok();
            return ok && self.hypercall.gpa().is_none_or(|gpa| mem.write(gpa, &config.hypercall_code).is_ok());
        }
        self.hypercall.set(value, config.overlay, Some(&page), mem).is_ok()
    }
}

/// The hypercall page: the engine's code, then breakpoints.
fn hypercall_page(config: &Config) -> Page {
    let mut page = [0xcc; PAGE_SIZE];
    let len = config.hypercall_code.len().min(PAGE_SIZE);
    page[..len].copy_from_slice(&config.hypercall_code[..len]);
    page
}

/// The reference TSC page: sequence u32, reserved u32, scale u64, offset i64. Sequence 0 = use the MSR.
fn reference_tsc_page(config: &Config) -> Page {
    let mut page = [0; PAGE_SIZE];
    if let Some(tsc) = config.reference_tsc {
        page[..4].copy_from_slice(&1u32.to_le_bytes());
        page[8..16].copy_from_slice(&tsc.scale.to_le_bytes());
        page[16..24].copy_from_slice(&tsc.offset.to_le_bytes());
    }
    page
}

/// Whether CPUID grants access to `msr`.
fn allowed(config: &Config, msr: u32) -> bool {
    let bit = match msr {
        VP_RUNTIME => 0,
        TIME_REF_COUNT => 1,
        SCONTROL..=EOM | SINT0..=SINT15 => 2,
        // The bit also stands for EOI, ICR and TPR, which this host does not recommend and does not have.
        VP_ASSIST => 4,
        GUEST_OS_ID | HYPERCALL => 5,
        VP_INDEX => 6,
        REFERENCE_TSC => 9,
        TSC_FREQUENCY | APIC_FREQUENCY => 11,
        CRASH_P0..=CRASH_CTL => return config.features & FEATURE_CRASH != 0,
        _ => return false,
    };
    config.privileges_low & 1 << bit != 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::FlatMemory;

    struct Machine {
        config: Config,
        regs: Registers,
        mem: FlatMemory,
        report: Report,
    }

    impl Machine {
        fn new(config: Config) -> Self {
            let regs = Registers::new(&config);
            Self { config, regs, mem: FlatMemory::new(0x10000), report: Report::default() }
        }

        fn read(&mut self, msr: u32) -> MsrRead {
            self.regs.read(0, msr, &self.config, &mut self.report)
        }

        fn write(&mut self, msr: u32, value: u64) -> MsrWrite {
            self.regs.write(0, msr, value, &self.config, &mut self.mem, &mut self.report)
        }
    }

    #[test]
    fn hypercall_needs_an_os_id_and_goes_with_it() {
        let mut m = Machine::new(Config::default());
        assert_eq!(m.write(HYPERCALL, 0x1001), MsrWrite::Done);
        assert_eq!(m.read(HYPERCALL), MsrRead::Value(0x1000));
        m.mem.write(0x1000, &[1, 2, 3, 4]).unwrap();
        m.write(GUEST_OS_ID, 0x9876 << 48);
        m.write(HYPERCALL, 0x1001);
        assert_eq!(m.regs.hypercall_page(), Some(0x1000));
        let mut bytes = [0; 5];
        m.mem.read(0x1000, &mut bytes).unwrap();
        assert_eq!(bytes, [0x0f, 0x01, 0xc1, 0xc3, 0xcc]);
        m.write(GUEST_OS_ID, 0);
        assert_eq!(m.regs.hypercall_page(), None);
        m.mem.read(0x1000, &mut bytes).unwrap();
        assert_eq!(bytes, [1, 2, 3, 4, 0]);
    }

    #[test]
    fn the_assist_page_is_placed_and_needs_its_privilege() {
        let mut m = Machine::new(Config::default());
        assert_eq!(m.write(VP_ASSIST, 0x2001), MsrWrite::Done);
        assert_eq!(m.read(VP_ASSIST), MsrRead::Value(0x2001));
        assert!(m.regs.in_overlay(0x2abc));
        assert_eq!(m.write(VP_ASSIST, 0x20_0001), MsrWrite::GeneralProtection, "not RAM");
        m.config.privileges_low &= !(1 << 4);
        assert_eq!(m.write(VP_ASSIST, 0), MsrWrite::GeneralProtection);
    }

    #[test]
    fn a_locked_hypercall_page_faults_on_change() {
        let mut m = Machine::new(Config::default());
        m.write(GUEST_OS_ID, 1 << 63);
        assert_eq!(m.write(HYPERCALL, 0x1003), MsrWrite::Done);
        assert_eq!(m.write(HYPERCALL, 0), MsrWrite::GeneralProtection);
        assert_eq!(m.write(HYPERCALL, 0xffff_f000_0001), MsrWrite::GeneralProtection);
    }

    #[test]
    fn read_only_and_unprivileged_msrs_fault() {
        let mut m = Machine::new(Config::default());
        for msr in [VP_INDEX, TIME_REF_COUNT, SVERSION, 0x4000_00b0] {
            assert_eq!(m.write(msr, 0), MsrWrite::GeneralProtection, "{msr:#x}");
        }
        assert_eq!(m.read(0x4000_0003), MsrRead::GeneralProtection);
        assert_eq!(m.read(0x10), MsrRead::NotHandled);
        m.config.set("privileges_low", "0x20").unwrap();
        assert_eq!(m.read(SCONTROL), MsrRead::GeneralProtection);
        assert_eq!(m.report.violations.len(), 6);
    }

    #[test]
    fn sint_reset_value_and_vector_rule() {
        let mut m = Machine::new(Config::default());
        assert_eq!(m.read(SINT0 + 2), MsrRead::Value(0x1_0000));
        assert_eq!(m.read(SCONTROL), MsrRead::Value(1));
        assert_eq!(m.write(SINT0 + 2, 15), MsrWrite::GeneralProtection);
        assert_eq!(m.write(SINT0 + 2, 0x1_0000), MsrWrite::Done);
        assert_eq!(m.write(SINT0 + 2, 16), MsrWrite::Done);
    }

    #[test]
    fn overlays_at_one_address_are_reported() {
        let mut m = Machine::new(Config::default());
        m.write(SIMP, 0x2001);
        m.write(SIMP, 0x2001);
        assert!(m.report.violations.is_empty());
        m.write(SIEFP, 0x2001);
        assert_eq!(m.report.violations[0].breach, Breach::OverlayOverlap { gpa: 0x2000 });
    }
}
