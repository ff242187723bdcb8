//! Our four pages and the MSRs that name them: what was found, what is ours, and how it is put back.
//!
//! The hypercall page and the guest OS id stay ours while a VMBus connection lives, because sending needs the page. The
//! message and event-flags pages are in place only between [`Partition::enter`] and [`Partition::leave`]: a caller may
//! start an operating system at any time, and Windows' loader hangs on an enabled message page that isn't its own.

use super::detect::{Features, detect};
use super::{Hypervisor, hypercall};
use crate::error::Error;
use crate::log;
use crate::mem::{Gpa, PAGE_SIZE, SharedMem};
use crate::wire::hv::{
    GUEST_OS_ID_HVPXE, GUEST_OS_ID_UEFI, HV_X64_MSR_EOM, HV_X64_MSR_GUEST_OS_ID, HV_X64_MSR_HYPERCALL,
    HV_X64_MSR_SCONTROL, HV_X64_MSR_SIEFP, HV_X64_MSR_SIMP, HV_X64_MSR_SINT2, HypercallMsr, SCONTROL_ENABLE, SintMsr,
    SynicPageMsr,
};

/// Which of the four pages is which.
pub(super) const HYPERCALL_PAGE: usize = 0;
/// Input of `HvPostMessage`; must not lie in an overlay page (TLFS).
pub(super) const INPUT_PAGE: usize = PAGE_SIZE;
/// The SynIC message page.
pub(super) const MESSAGE_PAGE: usize = 2 * PAGE_SIZE;
/// The SynIC event-flags page: never looked at, but without one some hosts refuse to signal.
const EVENT_PAGE: usize = 3 * PAGE_SIZE;
/// Their number.
const PAGES: usize = 4;

/// The SynIC registers that are ours only while control messages are exchanged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct SynicState {
    simp: u64,
    siefp: u64,
    sint2: u64,
}

/// This virtual machine's share of the hypervisor, while we use it.
pub struct Partition<H: Hypervisor> {
    pub(super) hv: H,
    features: Features,
    pub(super) pages: H::Pages,
    /// Guest OS id before we took it.
    found_os_id: u64,
    /// Hypercall page before we took it.
    found_hypercall: u64,
    /// SynIC registers as found by the last [`enter`](Self::enter), and as they are again since [`leave`](Self::leave).
    found_synic: SynicState,
    entered: bool,
}

impl<H: Hypervisor> Partition<H> {
    /// Detects the interface and takes the hypercall page.
    ///
    /// # Errors
    /// As [`detect`]; [`Error::VmbusOwned`] when somebody uses the SynIC now or the hypercall page can't be moved;
    /// [`Error::OutOfResources`] without four pages.
    pub fn claim(hv: &H) -> Result<Self, Error> {
        let features = detect(hv)?;
        refuse_live_owner(hv)?;
        let pages = hv.alloc_pages(PAGES).ok_or(Error::OutOfResources)?;
        let mut partition = Self {
            hv: hv.clone(),
            features,
            pages,
            found_os_id: 0,
            found_hypercall: 0,
            found_synic: SynicState { simp: 0, siefp: 0, sint2: SintMsr::MASKED.bits() },
            entered: false,
        };
        match partition.reclaim() {
            Ok(()) => Ok(partition),
            Err(error) => {
                partition.hv.free_pages(partition.pages);
                Err(error)
            }
        }
    }

    /// Takes the hypercall page, again if somebody moved it, and remembers what was there.
    ///
    /// # Errors
    /// [`Error::VmbusOwned`] as in [`claim`](Self::claim).
    pub fn reclaim(&mut self) -> Result<(), Error> {
        refuse_live_owner(&self.hv)?;
        let hv = &self.hv;
        let hypercall = hv.read_msr(HV_X64_MSR_HYPERCALL);
        let os_id = hv.read_msr(HV_X64_MSR_GUEST_OS_ID);
        let ours = self.our_hypercall();
        if hypercall == ours && os_id == GUEST_OS_ID_HVPXE {
            return Ok(());
        }
        if HypercallMsr::from_bits_retain(hypercall).contains(HypercallMsr::LOCKED) {
            return Err(Error::VmbusOwned);
        }
        if os_id != GUEST_OS_ID_HVPXE {
            self.found_os_id = os_id;
        }
        if hypercall != ours {
            self.found_hypercall = hypercall;
            hypercall::fill_trap(&self.pages);
        }
        hv.write_msr(HV_X64_MSR_GUEST_OS_ID, GUEST_OS_ID_HVPXE);
        hv.write_msr(HV_X64_MSR_HYPERCALL, ours);
        if hv.read_msr(HV_X64_MSR_HYPERCALL) & HypercallMsr::ENABLE.bits() == 0 {
            self.put_back_hypercall();
            return Err(Error::NoVmbus);
        }
        Ok(())
    }

    /// The virtual processor that control messages must go to.
    #[must_use]
    pub fn vp_index(&self) -> u32 {
        self.features.vp_index(&self.hv)
    }

    /// True when neither the message page nor the hypercall page changed since we left. Two MSR reads.
    #[must_use]
    pub fn still_ours(&self) -> bool {
        self.hv.read_msr(HV_X64_MSR_SIMP) == self.found_synic.simp && self.hypercall_is_ours()
    }

    /// Puts our message and event-flags pages in place, so that control messages can be exchanged.
    ///
    /// # Errors
    /// [`Error::VmbusOwned`] when somebody else's are in use.
    pub fn enter(&mut self) -> Result<(), Error> {
        if self.entered {
            return Ok(());
        }
        refuse_live_owner(&self.hv)?;
        let hv = &self.hv;
        self.found_synic = SynicState {
            simp: hv.read_msr(HV_X64_MSR_SIMP),
            siefp: hv.read_msr(HV_X64_MSR_SIEFP),
            sint2: hv.read_msr(HV_X64_MSR_SINT2),
        };
        hv.write_msr(HV_X64_MSR_SIEFP, page_msr(&self.pages, EVENT_PAGE));
        hv.write_msr(HV_X64_MSR_SIMP, page_msr(&self.pages, MESSAGE_PAGE));
        let scontrol = hv.read_msr(HV_X64_MSR_SCONTROL);
        if scontrol & SCONTROL_ENABLE == 0 {
            // Never undone: Windows' loader waits for ever when it finds the SynIC off.
            hv.write_msr(HV_X64_MSR_SCONTROL, scontrol | SCONTROL_ENABLE);
        }
        write_sint2(hv, self.features.polled_sint());
        // Whoever had the page before may have emptied the slot without saying so.
        hv.write_msr(HV_X64_MSR_EOM, 0);
        self.entered = true;
        Ok(())
    }

    /// Puts the SynIC back as [`enter`](Self::enter) found it. SCONTROL stays on.
    pub fn leave(&mut self) {
        if !self.entered {
            return;
        }
        let hv = &self.hv;
        write_sint2(hv, SintMsr::from_bits_retain(self.found_synic.sint2));
        hv.write_msr(HV_X64_MSR_SIMP, self.found_synic.simp);
        hv.write_msr(HV_X64_MSR_SIEFP, self.found_synic.siefp);
        self.entered = false;
    }

    /// Puts all MSRs back as found. [`reclaim`](Self::reclaim) takes the hypercall page again.
    ///
    /// An owner that is live meanwhile may have found our hypercall page enabled and use it, as TLFS allows: then it stays.
    pub fn put_back(&mut self) {
        self.leave();
        if self.hypercall_is_ours() && refuse_live_owner(&self.hv).is_ok() {
            self.put_back_hypercall();
        }
    }

    /// Puts all MSRs back as found, and gives the pages back: the hypervisor writes them only while an MSR names them.
    pub fn release(mut self) {
        self.put_back();
        if self.hypercall_is_ours() {
            log::line(format_args!("hv: the hypercall page stays, for the owner of VMBus may use it"));
        } else {
            self.hv.free_pages(self.pages);
        }
    }

    fn hypercall_is_ours(&self) -> bool {
        self.hv.read_msr(HV_X64_MSR_HYPERCALL) == self.our_hypercall()
    }

    fn put_back_hypercall(&self) {
        self.hv.write_msr(HV_X64_MSR_HYPERCALL, self.found_hypercall);
        // Last: writing 0 switches the hypercall page off.
        self.hv.write_msr(HV_X64_MSR_GUEST_OS_ID, self.found_os_id);
    }

    fn our_hypercall(&self) -> u64 {
        (self.pages.gpa().0 + HYPERCALL_PAGE as u64) | HypercallMsr::ENABLE.bits()
    }
}

/// # Errors
/// [`Error::VmbusOwned`] when the UEFI firmware runs the machine, or somebody's message page is enabled. It can't be
/// ours: ours is off whenever this is called.
fn refuse_live_owner<H: Hypervisor>(hv: &H) -> Result<(), Error> {
    let simp = SynicPageMsr::from_bits_retain(hv.read_msr(HV_X64_MSR_SIMP));
    let os_id = hv.read_msr(HV_X64_MSR_GUEST_OS_ID);
    if simp.contains(SynicPageMsr::ENABLE) || os_id == GUEST_OS_ID_UEFI {
        log::line(format_args!("hv: VMBus is in use by guest OS id {os_id:#x}; left alone"));
        return Err(Error::VmbusOwned);
    }
    Ok(())
}

fn page_msr<M: SharedMem>(pages: &M, offset: usize) -> u64 {
    let Gpa(base) = pages.gpa();
    (base + offset as u64) | SynicPageMsr::ENABLE.bits()
}

/// TLFS: a source that isn't masked must not be changed, so a usable one is masked on the way.
fn write_sint2<H: Hypervisor>(hv: &H, value: SintMsr) {
    let now = SintMsr::from_bits_retain(hv.read_msr(HV_X64_MSR_SINT2));
    if now == value {
        return;
    }
    if !now.contains(SintMsr::MASKED) {
        hv.write_msr(HV_X64_MSR_SINT2, (now | SintMsr::MASKED).bits());
    }
    hv.write_msr(HV_X64_MSR_SINT2, value.bits());
}
