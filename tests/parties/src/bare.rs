//! [`Hypervisor`] on the bare machine, for somebody whose protocol layers believe that they leave the SynIC as they found it.
//!
//! hvpxe's layers switch their message page on and off around each exchange. The parties don't: a register that a party has
//! taken stays as it is. So the layers work on *shadows* of the registers that name an owner; a write gets through to the
//! hardware only while the party [takes](take) VMBus, and only when it puts something in place.
#![allow(unsafe_code, reason = "MSRs, and the pool that the linker script or the program names")]

use hvpxe::arch::cpu;
use hvpxe::hv::{CpuidResult, Hypervisor};
use hvpxe::mem::pages::PoolPages;
use hvpxe::mem::pool::PagePool;
use hvpxe::mem::single::Single;
use hvpxe::mem::{Gpa, PAGE_SIZE, SharedMem};
use hvpxe::time::Ticks100ns;
use hvpxe::wire::hv::{
    GUEST_OS_ID_HVPXE, HV_X64_MSR_GUEST_OS_ID, HV_X64_MSR_HYPERCALL, HV_X64_MSR_SIEFP, HV_X64_MSR_SIMP,
    HV_X64_MSR_SINT2, HV_X64_MSR_TIME_REF_COUNT, HVCALL_POST_MESSAGE, SintMsr,
};
use runtime::memory;

/// The registers that name an owner, in the order of [`State::shadows`].
pub const OWNER_MSRS: [u32; 5] =
    [HV_X64_MSR_GUEST_OS_ID, HV_X64_MSR_HYPERCALL, HV_X64_MSR_SIEFP, HV_X64_MSR_SIMP, HV_X64_MSR_SINT2];

/// What they are when nobody owns VMBus.
const NOBODY: [u64; 5] = [0, 0, 0, 0, SintMsr::MASKED.bits()];

/// A party's guest OS id: the form of a closed operating system, Microsoft's vendor id, an OS of "reserved" type.
/// Source: TLFS, "Guest OS Identity for Proprietary Operating Systems".
pub const GUEST_OS_ID: u64 = 0x0001_0700_0000_0000;

/// Pages that the host may use.
struct Pool {
    start: *mut u8,
    physical: u64,
    pages: PagePool,
}

/// What the handle stands for.
struct State {
    pool: Option<Pool>,
    shadows: [u64; 5],
    /// SINT2 as the party wants it, instead of what the layers poll with.
    sint2: Option<u64>,
    taking: bool,
    /// The connection id of the last message.
    posted_to: u32,
}

static STATE: Single<State> =
    Single::new(State { pool: None, shadows: NOBODY, sint2: None, taking: false, posted_to: 0 });

/// The machine. Empty: there is one.
#[derive(Clone, Copy, Debug)]
pub struct Bare(());

impl Bare {
    /// The machine, with `pages` pages at `start` for what the host may read and write.
    ///
    /// # Safety
    /// They are mapped there for good, writable and executable, lie at `physical`, and are used by nobody else.
    #[must_use]
    pub unsafe fn with_pool(start: *mut u8, physical: u64, pages: usize) -> Self {
        STATE.borrow().pool = Some(Pool { start, physical, pages: PagePool::new(pages) });
        Self(())
    }

    /// What SINT2 is to be while the party owns VMBus: a vector, and not masked.
    pub fn want_sint2(&self, value: u64) {
        STATE.borrow().sint2 = Some(value);
    }

    /// Runs `work`, whose MSR writes get to the hardware.
    pub fn take<T>(&self, work: impl FnOnce() -> T) -> T {
        {
            let mut state = STATE.borrow();
            (state.shadows, state.taking) = (NOBODY, true);
        }
        let result = work();
        STATE.borrow().taking = false;
        result
    }

    /// The connection id that the last message was posted to.
    #[must_use]
    pub fn posted_to(&self) -> u32 {
        STATE.borrow().posted_to
    }

    /// The owner's registers as the hardware has them, in the order of [`OWNER_MSRS`].
    #[must_use]
    pub fn owner_msrs(&self) -> [u64; 5] {
        OWNER_MSRS.map(read)
    }

    /// Writes a register of the hardware, past the shadows.
    pub fn write_hardware(&self, msr: u32, value: u64) {
        write(msr, value);
    }
}

fn read(msr: u32) -> u64 {
    // SAFETY: the layers have seen the privileges for these MSRs before they touch any (hv::detect).
    unsafe { cpu::read_msr(msr) }
}

fn write(msr: u32, value: u64) {
    // SAFETY: as above; overlays lie in the pool, which holds no Rust objects.
    unsafe { cpu::write_msr(msr, value) }
}

fn index(msr: u32) -> Option<usize> {
    OWNER_MSRS.into_iter().position(|owner| owner == msr)
}

/// Whether a value takes the register for somebody, and does not give it back.
fn takes(msr: u32, value: u64) -> bool {
    match msr {
        HV_X64_MSR_SINT2 => value & SintMsr::MASKED.bits() == 0,
        HV_X64_MSR_GUEST_OS_ID => value != 0,
        _ => value & 1 != 0,
    }
}

impl Hypervisor for Bare {
    type Pages = PoolPages;

    fn cpuid(&self, leaf: u32) -> CpuidResult {
        let [eax, ebx, ecx, edx] = cpu::cpuid(leaf);
        CpuidResult { eax, ebx, ecx, edx }
    }

    fn read_msr(&self, msr: u32) -> u64 {
        match index(msr) {
            Some(index) => STATE.borrow().shadows[index],
            None => read(msr),
        }
    }

    fn write_msr(&self, msr: u32, value: u64) {
        let Some(index) = index(msr) else { return write(msr, value) };
        let mut state = STATE.borrow();
        state.shadows[index] = value;
        if state.taking && takes(msr, value) {
            let value = match (msr, value) {
                (_, GUEST_OS_ID_HVPXE) => GUEST_OS_ID,
                (HV_X64_MSR_SINT2, value) => {
                    write(msr, SintMsr::MASKED.bits());
                    state.sint2.unwrap_or(value)
                }
                (_, value) => value,
            };
            write(msr, value);
        }
    }

    fn hypercall(&self, page: &PoolPages, control: u64, input: u64, output: u64) -> u64 {
        if control == HVCALL_POST_MESSAGE {
            // The input begins with it; all of the pool is mapped one to one, too.
            STATE.borrow().posted_to = memory::read_u32(input as u32);
        }
        // SAFETY: the pool is mapped executable; a page that is no hypercall page any more holds a return (hv::hypercall).
        unsafe { cpu::hypercall(page.address(), control, input, output) }
    }

    fn map(&self, _: hvpxe::mem::Gpa) -> Option<Self::Pages> {
        None
    }

    fn alloc_pages(&self, count: usize) -> Option<PoolPages> {
        let mut state = STATE.borrow();
        let pool = state.pool.as_mut()?;
        let offset = pool.pages.take(count)? * PAGE_SIZE;
        // SAFETY: `with_pool` was promised the pages, and `PagePool` hands each out once.
        let pages = unsafe { PoolPages::new(pool.start.add(offset), count, Gpa(pool.physical + offset as u64)) };
        pages.clear();
        Some(pages)
    }

    fn free_pages(&self, pages: PoolPages) {
        if let Some(pool) = STATE.borrow().pool.as_mut() {
            pool.pages.give_back((pages.gpa().0 - pool.physical) as usize / PAGE_SIZE, pages.len() / PAGE_SIZE);
        }
    }

    fn now(&self) -> Ticks100ns {
        Ticks100ns(read(HV_X64_MSR_TIME_REF_COUNT))
    }

    fn cycles(&self) -> u64 {
        cpu::time_stamp()
    }

    fn relax(&self) {
        core::hint::spin_loop();
    }
}
