//! One machine for the core and for everybody who shares it with the core: host model, RAM, virtual time.
//!
//! Time goes by in steps that grow while nobody does anything, so that a wait of a minute costs as much as one of a second.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use hvhost::{
    BadGpa, Config, CpuidRegs, DiskBackend, GuestMemory, Host, Hypercall, MemoryDisk, MsrRead, MsrWrite, NetBackend,
};
use hvpxe::error::Error;
use hvpxe::hv::{CpuidResult, Hypervisor};
use hvpxe::mem::{Gpa, PAGE_SIZE, PhysMem, SharedMem};
use hvpxe::owner::Platform;
use hvpxe::time::Ticks100ns;

use crate::wire::Wire;

/// RAM in bytes.
const RAM: usize = 6 << 20;
/// Pages that each party can have.
const POOL_PAGES: usize = 256;
/// Where the first party's pages start; the next ones follow.
const POOLS: u64 = 0x10_0000;
/// What executes at the start of a page that isn't the hypercall page: `mov $2, %eax; ret`.
pub const TRAP: [u8; 6] = [0xb8, 2, 0, 0, 0, 0xc3];
/// What the host writes to its hypercall page: `vmcall; ret`.
const HYPERCALL_CODE: [u8; 4] = [0x0f, 0x01, 0xc1, 0xc3];
/// Longest step of virtual time: shorter than any wait that is told apart.
const LONGEST_STEP: u64 = 20 * Ticks100ns::PER_MILLISECOND;

/// Who uses the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Party {
    /// hvpxe.
    Core,
    /// The BIOS.
    Bios,
    /// A boot program that takes VMBus.
    Thief,
    /// The operating system.
    System,
}

/// RAM that remembers which pages were written, so that it can be used again at little cost.
struct Ram {
    bytes: Vec<u8>,
    dirty: Vec<u64>,
}

thread_local! {
    static SPARE: Cell<Option<Ram>> = const { Cell::new(None) };
}

impl Ram {
    fn take() -> Self {
        let mut ram =
            SPARE.take().unwrap_or_else(|| Self { bytes: vec![0; RAM], dirty: vec![0; RAM / PAGE_SIZE / 64] });
        for (index, word) in ram.dirty.iter_mut().enumerate() {
            while *word != 0 {
                let page = index * 64 + word.trailing_zeros() as usize;
                ram.bytes[page * PAGE_SIZE..][..PAGE_SIZE].fill(0);
                *word &= *word - 1;
            }
        }
        ram
    }

    fn span(&self, gpa: u64, len: usize) -> Result<std::ops::Range<usize>, BadGpa> {
        BadGpa { gpa, len }.unless_within(RAM)
    }
}

impl GuestMemory for Ram {
    fn is_ram(&self, gpa: u64, len: usize) -> bool {
        self.span(gpa, len).is_ok()
    }

    fn read(&self, gpa: u64, into: &mut [u8]) -> Result<(), BadGpa> {
        into.copy_from_slice(&self.bytes[self.span(gpa, into.len())?]);
        Ok(())
    }

    fn write(&mut self, gpa: u64, from: &[u8]) -> Result<(), BadGpa> {
        let span = self.span(gpa, from.len())?;
        for page in span.start / PAGE_SIZE..span.end.div_ceil(PAGE_SIZE) {
            self.dirty[page / 64] |= 1 << (page % 64);
        }
        self.bytes[span].copy_from_slice(from);
        Ok(())
    }
}

struct State {
    host: Host,
    ram: Option<Ram>,
    now: u64,
    /// Waits since somebody did something.
    idle: u32,
    used: Vec<bool>,
}

impl State {
    fn ram(&mut self) -> &mut Ram {
        self.ram.as_mut().expect("it is there until the machine is dropped")
    }

    fn run(&mut self, ticks: u64) {
        self.now += ticks;
        self.host.set_time(self.now);
        let Self { host, ram, .. } = self;
        host.poll(ram.as_mut().expect("as above"));
    }

    /// Somebody waits for something.
    fn wait(&mut self, shortest: u64) {
        self.idle += 1;
        let step = shortest << (self.idle / 4).min(20);
        self.run(step.min(LONGEST_STEP));
    }
}

impl Drop for State {
    fn drop(&mut self) {
        SPARE.set(self.ram.take());
    }
}

type InterruptHandler = Rc<dyn Fn()>;

/// A machine as one of its parties sees it.
#[derive(Clone)]
pub struct Machine {
    state: Rc<RefCell<State>>,
    party: Party,
    handler: Rc<RefCell<Option<InterruptHandler>>>,
}

/// Pages of a party's, or of somebody else's.
pub struct Pages {
    machine: Machine,
    gpa: u64,
    len: usize,
}

impl Machine {
    /// A machine with one card and one disk, as the core sees it.
    pub fn new(config: Config, wire: &Wire, disk: &MemoryDisk) -> Self {
        let mut host = Host::new(config, vec![Box::new(wire.clone()) as Box<dyn NetBackend>]);
        host.add_scsi_controller(vec![Box::new(disk.clone()) as Box<dyn DiskBackend>]);
        let state = State { host, ram: Some(Ram::take()), now: 0, idle: 0, used: vec![false; 4 * POOL_PAGES] };
        Self { state: Rc::new(RefCell::new(state)), party: Party::Core, handler: Rc::default() }
    }

    /// The same machine, as somebody else sees it.
    pub fn seen_by(&self, party: Party) -> Self {
        Self { party, ..self.clone() }
    }

    /// Sets what runs when SINT2's interrupt comes and interrupts are on.
    pub fn handle_interrupts(&self, handler: Option<InterruptHandler>) {
        *self.handler.borrow_mut() = handler;
    }

    /// Interrupts are on: those that came are handled.
    fn interrupts(&self) {
        let raised = !self.state.borrow_mut().host.take_interrupts().is_empty();
        let handler = self.handler.borrow().clone();
        if raised && let Some(handler) = handler {
            handler();
        }
    }

    /// Virtual time goes by.
    pub fn pass_millis(&self, milliseconds: u64) {
        let end = self.state.borrow().now + milliseconds * Ticks100ns::PER_MILLISECOND;
        while self.state.borrow().now < end {
            let mut state = self.state.borrow_mut();
            let step = (end - state.now).min(LONGEST_STEP / 4);
            state.run(step);
            drop(state);
            self.interrupts();
        }
    }

    /// What a party has taken of its memory, in pages.
    pub fn pages_in_use(&self) -> usize {
        let first = self.party as usize * POOL_PAGES;
        self.state.borrow().used[first..first + POOL_PAGES].iter().filter(|&&used| used).count()
    }

    /// Whether an address is in this party's memory.
    pub fn owns(&self, gpa: u64) -> bool {
        let start = POOLS + (self.party as usize * POOL_PAGES * PAGE_SIZE) as u64;
        (start..start + (POOL_PAGES * PAGE_SIZE) as u64).contains(&gpa)
    }

    /// Messages of one VMBus type that the host took so far.
    pub fn posted(&self, kind: u32) -> u64 {
        self.state.borrow().host.counters().vmbus_from_guest.get(&kind).copied().unwrap_or_default()
    }

    /// Rules that somebody broke, in words.
    pub fn violations(&self) -> Vec<String> {
        self.state.borrow().host.violations().iter().map(ToString::to_string).collect()
    }

    /// What the host did, line by line.
    pub fn log(&self) -> Vec<String> {
        self.state.borrow_mut().host.take_log()
    }

    /// Virtual time since the machine was made, in milliseconds.
    pub fn millis(&self) -> u64 {
        self.state.borrow().now / Ticks100ns::PER_MILLISECOND
    }

    fn copy_out(&self, gpa: u64, into: &mut [u8]) -> Result<(), Error> {
        self.state.borrow_mut().ram().read(gpa, into).map_err(|_| Error::InvalidParameter)
    }

    fn copy_in(&self, gpa: u64, from: &[u8]) -> Result<(), Error> {
        let mut state = self.state.borrow_mut();
        state.idle = 0;
        state.ram().write(gpa, from).map_err(|_| Error::InvalidParameter)
    }
}

impl Hypervisor for Machine {
    type Pages = Pages;

    fn cpuid(&self, leaf: u32) -> CpuidResult {
        let native = CpuidRegs { eax: 0, ebx: 0, ecx: u32::from(leaf == 1) << 31, edx: 0 };
        let CpuidRegs { eax, ebx, ecx, edx } = self.state.borrow_mut().host.cpuid(leaf, 0, native);
        CpuidResult { eax, ebx, ecx, edx }
    }

    fn read_msr(&self, msr: u32) -> u64 {
        match self.state.borrow_mut().host.rdmsr(0, msr) {
            MsrRead::Value(value) => value,
            other => panic!("rdmsr {msr:#x}: {other:?}"),
        }
    }

    fn write_msr(&self, msr: u32, value: u64) {
        let state = &mut *self.state.borrow_mut();
        let ram = state.ram.as_mut().expect("as above");
        assert_eq!(state.host.wrmsr(0, msr, value, ram), MsrWrite::Done, "wrmsr {msr:#x} {value:#x}");
        state.idle = 0;
        state.run(10);
    }

    fn hypercall(&self, page: &Pages, control: u64, input: u64, output: u64) -> u64 {
        let state = &mut *self.state.borrow_mut();
        state.idle = 0;
        if state.host.hypercall_page() != Some(page.gpa) {
            let mut code = [0; TRAP.len()];
            state.ram().read(page.gpa, &mut code).expect("a page");
            // Where the page is plain RAM, its code stays there, and does what it does anywhere.
            if code[..4] != HYPERCALL_CODE || state.host.hypercall_page().is_none() {
                let known = code == TRAP || code[..4] == HYPERCALL_CODE;
                assert!(known, "{:?} calls into a page without code", self.party);
                return 2;
            }
        }
        let ram = state.ram.as_mut().expect("as above");
        let result = state.host.hypercall(0, Hypercall { control, input, output }, ram);
        state.run(10);
        result
    }

    fn alloc_pages(&self, count: usize) -> Option<Pages> {
        let mut state = self.state.borrow_mut();
        let first = self.party as usize * POOL_PAGES;
        let pool = &mut state.used[first..first + POOL_PAGES];
        let at = pool.windows(count).position(|window| window.iter().all(|used| !used))?;
        pool[at..at + count].fill(true);
        drop(state);
        let gpa = POOLS + ((first + at) * PAGE_SIZE) as u64;
        let pages = Pages { machine: self.clone(), gpa, len: count * PAGE_SIZE };
        pages.clear();
        Some(pages)
    }

    fn free_pages(&self, pages: Pages) {
        let first = (pages.gpa - POOLS) as usize / PAGE_SIZE;
        let mut state = self.state.borrow_mut();
        let freed = &mut state.used[first..first + pages.len / PAGE_SIZE];
        assert!(freed.iter().all(|&used| used), "pages freed twice");
        freed.fill(false);
    }

    fn map(&self, gpa: Gpa) -> Option<Pages> {
        let fits = gpa.0.is_multiple_of(PAGE_SIZE as u64) && gpa.0 + PAGE_SIZE as u64 <= RAM as u64;
        fits.then(|| Pages { machine: self.clone(), gpa: gpa.0, len: PAGE_SIZE })
    }

    fn now(&self) -> Ticks100ns {
        let mut state = self.state.borrow_mut();
        // Reading the clock is no waiting, unless somebody does nothing else.
        if state.idle > 64 {
            state.wait(10);
        } else {
            state.idle += 1;
            state.now += 10;
        }
        Ticks100ns(state.now)
    }

    fn cycles(&self) -> u64 {
        // 3 GHz.
        self.state.borrow().now * 300
    }

    fn relax(&self) {
        self.state.borrow_mut().wait(1_000);
        self.interrupts();
    }
}

impl PhysMem for Machine {
    fn read(&self, linear: u32, into: &mut [u8]) -> Result<(), Error> {
        self.copy_out(linear.into(), into)
    }

    fn write(&self, linear: u32, from: &[u8]) -> Result<(), Error> {
        self.copy_in(linear.into(), from)
    }

    fn write_resident(&self, _offset: u16, _from: &[u8]) {
        unreachable!(
            "the arbiter has nothing in the resident block but its record, which is written like other memory"
        );
    }
}

impl Platform for Machine {}

impl SharedMem for Pages {
    fn gpa(&self) -> Gpa {
        Gpa(self.gpa)
    }

    fn len(&self) -> usize {
        self.len
    }

    fn read(&self, offset: usize, into: &mut [u8]) {
        assert!(offset + into.len() <= self.len, "read past the end of shared memory");
        self.machine.copy_out(self.gpa + offset as u64, into).expect("RAM");
    }

    fn write(&self, offset: usize, from: &[u8]) {
        assert!(offset + from.len() <= self.len, "write past the end of shared memory");
        self.machine.copy_in(self.gpa + offset as u64, from).expect("RAM");
    }

    fn load(&self, offset: usize) -> u32 {
        assert_eq!(offset % 4, 0);
        let mut bytes = [0; 4];
        self.read(offset, &mut bytes);
        u32::from_le_bytes(bytes)
    }

    fn store(&self, offset: usize, value: u32) {
        assert_eq!(offset % 4, 0);
        self.write(offset, &value.to_le_bytes());
    }

    fn fence(&self) {}

    fn clear(&self) {
        self.write(0, &vec![0; self.len]);
    }
}
