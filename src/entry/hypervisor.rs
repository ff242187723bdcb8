//! [`Hypervisor`] on the real machine: instructions, and the page pool at the end of the core's block.

use core::sync::atomic::{AtomicBool, Ordering};

use super::Rom;
use super::{bios, memory};
use crate::arch::cpu;
use crate::hv::{Clock, CpuidResult, Hypervisor};
use crate::mem::pages::PoolPages;
use crate::mem::pool::PagePool;
use crate::mem::single::Single;
use crate::mem::{Gpa, PAGE_SIZE, SharedMem};
use crate::time::Ticks100ns;

/// TLFS, "Partition Reference Counter".
const HV_X64_MSR_TIME_REF_COUNT: u32 = 0x4000_0020;
/// TLFS, leaf 0x40000001: "Hv#1".
const HV_INTERFACE: u32 = 0x3123_7648;
/// TLFS, leaf 0x40000003 EAX: `AccessPartitionReferenceCounter`.
const ACCESS_TIME_REF_COUNT: u32 = 1 << 1;
/// Leaf 1 ECX: a hypervisor is present.
const HYPERVISOR_PRESENT: u32 = 1 << 31;

/// BDA, timer ticks since midnight; 1193182 Hz / 65536.
const BDA_TICKS: u32 = 0x46c;
const TICKS_100NS_PER_BIOS_TICK: u64 = 549_254;

static CLOCK: Single<Clock> = Single::new(Clock::new());
static HAS_REFERENCE_COUNTER: AtomicBool = AtomicBool::new(false);
static POOL: Single<Option<PagePool>> = Single::new(None);

// linker.ld
unsafe extern "C" {
    static mut pool_start: u8;
    static pool_end: u8;
}

/// Looks once for the reference counter: reading an MSR that isn't there would fault.
pub fn detect() {
    let present = cpu::cpuid(1)[2] & HYPERVISOR_PRESENT != 0
        && cpu::cpuid(0x4000_0001)[0] == HV_INTERFACE
        && cpu::cpuid(0x4000_0003)[0] & ACCESS_TIME_REF_COUNT != 0;
    HAS_REFERENCE_COUNTER.store(present, Ordering::Relaxed);
}

impl Hypervisor for Rom {
    type Pages = PoolPages;

    fn cpuid(&self, leaf: u32) -> CpuidResult {
        let [eax, ebx, ecx, edx] = cpu::cpuid(leaf);
        CpuidResult { eax, ebx, ecx, edx }
    }

    fn read_msr(&self, msr: u32) -> u64 {
        // SAFETY: the trait's contract: the caller has seen the privilege bit. A fault would be caught all the same.
        unsafe { cpu::read_msr(msr) }
    }

    fn write_msr(&self, msr: u32, value: u64) {
        // SAFETY: as above; overlays are only put over pages of the pool, which hold no Rust objects.
        unsafe { cpu::write_msr(msr, value) }
    }

    fn hypercall(&self, page: &PoolPages, control: u64, input: u64, output: u64) -> u64 {
        // SAFETY: the trait's contract: the page is enabled; the block is mapped executable (asm/unpack.s).
        unsafe { cpu::hypercall(page.address(), control, input, output) }
    }

    fn alloc_pages(&self, count: usize) -> Option<PoolPages> {
        let start = &raw mut pool_start;
        let size = (&raw const pool_end).addr() - start.addr();
        let mut pool = POOL.borrow();
        let first = pool.get_or_insert_with(|| PagePool::new(size / PAGE_SIZE)).take(count)?;
        let offset = first * PAGE_SIZE;
        let gpa = Gpa(u64::from(memory::physical(start.addr() + offset)));
        // SAFETY: linker.ld gives the pool to nobody else, the page tables map it for good, and `PagePool` hands each page
        // out once.
        let pages = unsafe { PoolPages::new(start.add(offset), count, gpa) };
        pages.clear();
        Some(pages)
    }

    fn free_pages(&self, pages: PoolPages) {
        let first = (pages.address().addr() - (&raw const pool_start).addr()) / PAGE_SIZE;
        if let Some(pool) = POOL.borrow().as_mut() {
            pool.give_back(first, pages.len() / PAGE_SIZE);
        }
    }

    fn map(&self, gpa: Gpa) -> Option<PoolPages> {
        let linear = memory::foreign_page(gpa)?;
        // SAFETY: `foreign_page` has seen that the page is below 4 GiB, mapped one to one (asm/unpack.s), and neither in the
        // core's block nor in the resident block, so that no Rust object and no page of the pool overlaps it.
        Some(unsafe { PoolPages::new(core::ptr::with_exposed_provenance_mut(linear), 1, gpa) })
    }

    fn now(&self) -> Ticks100ns {
        if HAS_REFERENCE_COUNTER.load(Ordering::Relaxed) {
            CLOCK.borrow().now(cpu::time_stamp(), || self.read_msr(HV_X64_MSR_TIME_REF_COUNT))
        } else {
            Ticks100ns(u64::from(memory::read_low(BDA_TICKS)) * TICKS_100NS_PER_BIOS_TICK)
        }
    }

    fn cycles(&self) -> u64 {
        cpu::time_stamp()
    }

    fn relax(&self) {
        bios::interrupt_window();
    }
}
