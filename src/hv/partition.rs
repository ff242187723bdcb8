//! Our four pages and the MSRs that name them: what was found, what is ours, and how it is put back.
//!
//! A hypercall page that somebody has enabled is used where it is, as TLFS has it. Where there is none, ours stays in
//! place while a VMBus connection lives, and so does our guest OS id, because sending needs the page. The message and
//! event-flags pages are in place only between [`Partition::enter`] and [`Partition::leave`]: a caller may start an
//! operating system at any time, and Windows' loader hangs on an enabled message page that isn't its own.

use core::cell::Cell;

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

/// Who uses the SynIC now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// Nobody's message page is enabled.
    Nobody,
    /// Somebody who calls himself by this guest OS id.
    Live(u64),
    /// The firmware of a generation 2 machine, which crashes without its SynIC.
    Uefi,
}

impl Owner {
    /// Looks. Two MSR reads; the interface must have been seen. Our own message page can't be it: it is off between
    /// exchanges.
    #[must_use]
    pub fn look<H: Hypervisor>(hv: &H) -> Self {
        let simp = SynicPageMsr::from_bits_retain(hv.read_msr(HV_X64_MSR_SIMP));
        match hv.read_msr(HV_X64_MSR_GUEST_OS_ID) {
            GUEST_OS_ID_UEFI => Self::Uefi,
            os_id if simp.contains(SynicPageMsr::ENABLE) => Self::Live(os_id),
            _ => Self::Nobody,
        }
    }

    /// Whether VMBus may be used beside this owner.
    ///
    /// # Errors
    /// [`Error::VmbusOwned`].
    const fn admit(self, sharing: Sharing) -> Result<(), Error> {
        match (self, sharing) {
            (Self::Uefi, _) | (Self::Live(_), Sharing::Refused) => Err(Error::VmbusOwned),
            _ => Ok(()),
        }
    }
}

/// How we live with an owner of VMBus whose message page is enabled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sharing {
    /// Not at all: [`Error::VmbusOwned`].
    Refused,
    /// Its SynIC registers are ours for the length of an exchange, and put back after it.
    TakenOver,
    /// Its message slot is used where it is, and no MSR is written. An owner that leaves no slot behind is lived with as
    /// if it were [`TakenOver`](Self::TakenOver).
    Guest,
}

/// The SynIC registers that are ours only while control messages are exchanged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct SynicState {
    simp: u64,
    siefp: u64,
    sint2: u64,
}

impl SynicState {
    fn read<H: Hypervisor>(hv: &H) -> Self {
        Self {
            simp: hv.read_msr(HV_X64_MSR_SIMP),
            siefp: hv.read_msr(HV_X64_MSR_SIEFP),
            sint2: hv.read_msr(HV_X64_MSR_SINT2),
        }
    }
}

/// The hypercall page in use.
pub(super) enum CallPage<P> {
    /// Ours.
    Ours,
    /// One that was found enabled: the page, and the register that names it.
    Found(P, u64),
}

/// This virtual machine's share of the hypervisor, while we use it.
pub struct Partition<H: Hypervisor> {
    pub(super) hv: H,
    features: Features,
    pub(super) pages: H::Pages,
    pub(super) sharing: Sharing,
    pub(super) calls: CallPage<H::Pages>,
    /// Guest OS id before we took it.
    found_os_id: u64,
    /// Hypercall page before we took it.
    found_hypercall: u64,
    /// SynIC registers as found by the last [`enter`](Self::enter), and as they are again since [`leave`](Self::leave).
    found_synic: SynicState,
    entered: bool,
    /// The owner's message page, while it is used where it is.
    pub(super) owners_slot: Option<H::Pages>,
    /// A signal was refused.
    pub(super) suspect: Cell<bool>,
}

impl<H: Hypervisor> Partition<H> {
    /// Detects the interface and makes sure of a hypercall page.
    ///
    /// # Errors
    /// As [`detect`]; [`Error::VmbusOwned`] when somebody uses the SynIC now or the hypercall page can't be used;
    /// [`Error::OutOfResources`] without four pages.
    pub fn claim(hv: &H) -> Result<Self, Error> {
        Self::claim_beside(hv, Sharing::Refused)
    }

    /// [`claim`](Self::claim) beside an owner that is live.
    ///
    /// # Errors
    /// As [`claim`](Self::claim), as far as `sharing` has it.
    pub fn claim_beside(hv: &H, sharing: Sharing) -> Result<Self, Error> {
        let features = detect(hv)?;
        Owner::look(hv).admit(sharing)?;
        let pages = hv.alloc_pages(PAGES).ok_or(Error::OutOfResources)?;
        let mut partition = Self {
            hv: hv.clone(),
            features,
            pages,
            sharing,
            calls: CallPage::Ours,
            found_os_id: 0,
            found_hypercall: 0,
            found_synic: SynicState::read(hv),
            entered: false,
            owners_slot: None,
            suspect: Cell::new(false),
        };
        match partition.reclaim() {
            Ok(()) => Ok(partition),
            Err(error) => {
                partition.hv.free_pages(partition.pages);
                Err(error)
            }
        }
    }

    /// From now on lives like this with an owner that is live.
    pub const fn share(&mut self, sharing: Sharing) {
        self.sharing = sharing;
    }

    /// Makes sure of a hypercall page: that in use, another one that is enabled, or ours.
    ///
    /// # Errors
    /// [`Error::VmbusOwned`] as in [`claim`](Self::claim).
    pub fn reclaim(&mut self) -> Result<(), Error> {
        Owner::look(&self.hv).admit(self.sharing)?;
        self.suspect.set(false);
        let hv = &self.hv;
        let hypercall = hv.read_msr(HV_X64_MSR_HYPERCALL);
        if hypercall == self.call_msr() {
            return Ok(());
        }
        let found = HypercallMsr::from_bits_retain(hypercall);
        self.calls = CallPage::Ours;
        if hypercall == self.our_hypercall() {
            return Ok(());
        }
        if found.contains(HypercallMsr::ENABLE)
            && let Some(page) = hv.map(Gpa((found & HypercallMsr::GPFN).bits()))
            && hypercall::is_code(&page)
        {
            self.calls = CallPage::Found(page, hypercall);
            return Ok(());
        }
        if found.contains(HypercallMsr::LOCKED) {
            return Err(Error::VmbusOwned);
        }
        let os_id = hv.read_msr(HV_X64_MSR_GUEST_OS_ID);
        if os_id != GUEST_OS_ID_HVPXE {
            self.found_os_id = os_id;
        }
        self.found_hypercall = hypercall;
        hypercall::fill_trap(&self.pages);
        hv.write_msr(HV_X64_MSR_GUEST_OS_ID, GUEST_OS_ID_HVPXE);
        hv.write_msr(HV_X64_MSR_HYPERCALL, self.our_hypercall());
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

    /// True when SIMP is as we left it. One MSR read.
    #[must_use]
    pub fn simp_is_as_left(&self) -> bool {
        self.hv.read_msr(HV_X64_MSR_SIMP) == self.found_synic.simp
    }

    /// True when the hypercall page is the one in use. One MSR read.
    #[must_use]
    pub fn calls_are_as_left(&self) -> bool {
        self.hv.read_msr(HV_X64_MSR_HYPERCALL) == self.call_msr()
    }

    /// Takes the SynIC registers as they are for what was left.
    pub fn note_synic(&mut self) {
        self.found_synic = SynicState::read(&self.hv);
    }

    /// True once after the host refused a signal: something may have happened to VMBus.
    #[must_use]
    pub fn is_suspect(&self) -> bool {
        self.suspect.take()
    }

    /// Begins an exchange: notes the SynIC registers. [`move_in`](Self::move_in) comes next.
    ///
    /// # Errors
    /// [`Error::VmbusOwned`] when somebody else's are in use, or the owner's is out of reach.
    pub fn enter(&mut self) -> Result<(), Error> {
        if self.entered {
            return Ok(());
        }
        Owner::look(&self.hv).admit(self.sharing)?;
        let hv = &self.hv;
        let mut found = SynicState::read(hv);
        if found.simp == page_msr(&self.pages, MESSAGE_PAGE) {
            // Somebody put back what it found in the middle of an exchange of ours.
            found.simp = 0;
        }
        let simp = SynicPageMsr::from_bits_retain(found.simp);
        if simp.contains(SynicPageMsr::ENABLE) {
            self.owners_slot = hv.map(Gpa((simp & SynicPageMsr::GPFN).bits()));
            if self.sharing == Sharing::Guest && self.owners_slot.is_none() {
                return Err(Error::VmbusOwned);
            }
        }
        self.found_synic = found;
        self.entered = true;
        Ok(())
    }

    /// True after [`enter`](Self::enter) while the owner's slot is the one in use, and ours is to come
    /// ([`move_in`](Self::move_in)): messages of our connection that came since the last exchange are there.
    #[must_use]
    pub fn is_moving_in(&self) -> bool {
        self.sharing != Sharing::Guest && self.owners_slot.is_some()
    }

    /// True during an exchange while messages are read where the owner keeps them.
    #[must_use]
    pub const fn is_in_owners_slot(&self) -> bool {
        self.owners_slot.is_some()
    }

    /// Puts our message and event-flags pages in place of the owner's, or of none.
    pub fn move_in(&mut self) {
        if self.sharing == Sharing::Guest && self.owners_slot.is_some() {
            return;
        }
        self.owners_slot = None;
        let hv = &self.hv;
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
    }

    /// Puts the SynIC back as [`enter`](Self::enter) found it. SCONTROL stays on.
    pub fn leave(&mut self) {
        if !self.entered {
            return;
        }
        self.entered = false;
        if self.owners_slot.take().is_some() {
            // A guest changed nothing.
            return;
        }
        let hv = &self.hv;
        write_sint2(hv, SintMsr::from_bits_retain(self.found_synic.sint2));
        hv.write_msr(HV_X64_MSR_SIMP, self.found_synic.simp);
        hv.write_msr(HV_X64_MSR_SIEFP, self.found_synic.siefp);
    }

    /// Lets the BIOS run its interrupts, unless an owner's handler could take our answers out of its slot.
    pub fn relax(&self) {
        if self.owners_slot.is_none() {
            self.hv.relax();
        }
    }

    /// Puts all MSRs back as found. [`reclaim`](Self::reclaim) makes sure of a hypercall page again.
    ///
    /// An owner that is live meanwhile may have found our hypercall page enabled and use it, as TLFS allows: then it stays. So
    /// may one who published his connection, and leaves no message page enabled.
    pub fn put_back(&mut self) {
        self.leave();
        self.calls = CallPage::Ours;
        if self.sharing != Sharing::Guest && self.calls_are_as_left() && Owner::look(&self.hv) == Owner::Nobody {
            self.put_back_hypercall();
        }
    }

    /// Puts all MSRs back as found, and gives the pages back: the hypervisor writes them only while an MSR names them.
    pub fn release(mut self) {
        self.put_back();
        if self.calls_are_as_left() {
            log::line(format_args!("hv: the hypercall page stays, for the owner of VMBus may use it"));
        } else {
            self.hv.free_pages(self.pages);
        }
    }

    fn put_back_hypercall(&self) {
        self.hv.write_msr(HV_X64_MSR_HYPERCALL, self.found_hypercall);
        // Last: writing 0 switches the hypercall page off.
        self.hv.write_msr(HV_X64_MSR_GUEST_OS_ID, self.found_os_id);
    }

    /// What `HV_X64_MSR_HYPERCALL` holds while nobody changes it.
    pub(super) fn call_msr(&self) -> u64 {
        match self.calls {
            CallPage::Ours => self.our_hypercall(),
            CallPage::Found(_, msr) => msr,
        }
    }

    fn our_hypercall(&self) -> u64 {
        (self.pages.gpa().0 + HYPERCALL_PAGE as u64) | HypercallMsr::ENABLE.bits()
    }
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
