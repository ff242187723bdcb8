//! The machine: host model, RAM, virtual time and a pool of pages, behind the core's own seam.
#![allow(dead_code)] // each test program uses its part

use std::cell::RefCell;
use std::ops::Range;
use std::rc::Rc;

use hvhost::{
    Config, Counters, CpuidRegs, DiskBackend, FlatMemory, GuestMemory, Host, Hypercall, MemoryDisk, MsrRead, MsrWrite,
    NetBackend,
};
use hvpxe::error::Error;
use hvpxe::hv::{CpuidResult, Hypervisor};
use hvpxe::mem::{Gpa, PAGE_SIZE, PhysMem, SharedMem};
use hvpxe::owner::record::PUBLISHED_LEN;
use hvpxe::owner::{Arbiter, Platform};
use hvpxe::time::Ticks100ns;

use crate::wire::Wire;

const RAM: usize = 8 << 20;
/// Where the pool of pages starts and ends.
const POOL: Range<u64> = 0x10_0000..0x30_0000;
/// What executes at the start of a page that isn't the hypercall page: `mov $2, %eax; ret`.
const TRAP: [u8; 6] = [0xb8, 2, 0, 0, 0, 0xc3];

const GUEST_OS_ID: u32 = 0x4000_0000;
const HYPERCALL: u32 = 0x4000_0001;
const SIEFP: u32 = 0x4000_0082;
const SIMP: u32 = 0x4000_0083;
const SINT2: u32 = 0x4000_0092;

struct Machine {
    host: Host,
    memory: FlatMemory,
    now: u64,
    /// Pool pages in use.
    used: Vec<bool>,
    /// Leaf 1 says that there is no hypervisor.
    bare: bool,
    /// Whether the host is saved and restored now and then, and the state of the random numbers that say when.
    saves: Option<u64>,
}

impl Machine {
    fn pass(&mut self, ticks: u64) {
        self.now += ticks;
        self.host.set_time(self.now);
        self.host.poll(&mut self.memory);
        if let Some(random) = &mut self.saves {
            // Xorshift (Marsaglia, 2003).
            *random ^= *random << 13;
            *random ^= *random >> 7;
            *random ^= *random << 17;
            if *random >> 58 == 0 {
                self.host.save_and_restore();
            }
        }
        // A BIOS handler for each: nothing happens.
        drop(self.host.take_interrupts());
    }
}

/// What happens behind the guest's back, and after how many posts.
type Ambush = Rc<RefCell<Option<(u64, Box<dyn FnOnce(&Lab)>)>>>;

/// A machine under the host model, as one party of those that work there sees it. All clones mean the same machine.
#[derive(Clone)]
pub struct Lab {
    machine: Rc<RefCell<Machine>>,
    ambush: Ambush,
    /// Where this party publishes its connection.
    record: Option<u32>,
}

/// Pages of the pool.
pub struct Pages {
    lab: Lab,
    gpa: u64,
    len: usize,
}

impl Lab {
    /// A machine with these NICs.
    pub fn new(config: Config, wires: &[Wire]) -> Self {
        Self::with_backends(config, wires.iter().map(|wire| Box::new(wire.clone()) as Box<dyn NetBackend>).collect())
    }

    /// A machine with NICs on these networks.
    pub fn with_backends(config: Config, nics: Vec<Box<dyn NetBackend>>) -> Self {
        Self {
            machine: Rc::new(RefCell::new(Machine {
                host: Host::new(config, nics),
                memory: FlatMemory::new(RAM),
                now: 0,
                used: vec![false; (POOL.end - POOL.start) as usize / PAGE_SIZE],
                bare: false,
                saves: None,
            })),
            ambush: Ambush::default(),
            record: None,
        }
    }

    /// The machine for a party that publishes its connection at this address.
    pub fn publishing_at(&self, address: u32) -> Self {
        Self { record: Some(address), ..self.clone() }
    }

    /// A machine with one NIC on an echoing wire, and settings as `hvhost::Config::set` takes them.
    pub fn with(settings: &[(&str, &str)]) -> (Self, Wire) {
        let wire = Wire::echo();
        (Self::new(config(settings), std::slice::from_ref(&wire)), wire)
    }

    /// From now on the host is saved and restored at random, about every 64th time that it works.
    pub fn save_now_and_then(&self, seed: u64) {
        self.machine.borrow_mut().saves = Some(seed | 1);
    }

    /// Guest memory and the time.
    pub fn snapshot(&self) -> (Vec<u8>, u64) {
        let machine = self.machine.borrow();
        let mut bytes = vec![0; RAM];
        machine.memory.read(0, &mut bytes).expect("guest memory");
        (bytes, machine.now)
    }

    /// Adds a SCSI controller with these disks.
    pub fn add_scsi_controller(&self, disks: &[MemoryDisk]) {
        let disks = disks.iter().map(|disk| Box::new(disk.clone()) as Box<dyn DiskBackend>).collect();
        self.machine.borrow_mut().host.add_scsi_controller(disks);
    }

    /// A machine without a hypervisor.
    pub fn bare() -> Self {
        let lab = Self::new(Config::default(), &[]);
        lab.machine.borrow_mut().bare = true;
        lab
    }

    pub fn net_device(&self) -> Arbiter<Self> {
        Arbiter::new(self.clone())
    }

    /// Does something as soon as so many messages were posted in all.
    pub fn after_posts(&self, posts: u64, work: impl FnOnce(&Self) + 'static) {
        *self.ambush.borrow_mut() = Some((posts, Box::new(work)));
    }

    /// Lets virtual time pass, in steps in which the host works.
    pub fn pass_millis(&self, milliseconds: u64) {
        for _ in 0..milliseconds * 10 {
            self.machine.borrow_mut().pass(Ticks100ns::PER_MILLISECOND / 10);
        }
    }

    /// The host works once, 10 µs later.
    pub fn step(&self) {
        self.machine.borrow_mut().pass(100);
    }

    pub fn counters(&self) -> Counters {
        self.machine.borrow().host.counters().clone()
    }

    /// MSR as the machine has it now, without counting.
    pub fn msr(&self, msr: u32) -> u64 {
        match self.machine.borrow_mut().host.rdmsr(0, msr) {
            MsrRead::Value(value) => value,
            other => panic!("rdmsr {msr:#x}: {other:?}"),
        }
    }

    /// The five MSRs that must be put back.
    pub fn owner_msrs(&self) -> [u64; 5] {
        [GUEST_OS_ID, HYPERCALL, SIMP, SIEFP, SINT2].map(|msr| self.msr(msr))
    }

    /// The three of them that are ours only during control exchanges.
    pub fn synic_msrs(&self) -> [u64; 3] {
        [SIMP, SIEFP, SINT2].map(|msr| self.msr(msr))
    }

    pub fn pages_in_use(&self) -> usize {
        self.machine.borrow().used.iter().filter(|&&used| used).count()
    }

    /// Rules that the guest broke, in words.
    pub fn violations(&self) -> Vec<String> {
        self.machine.borrow().host.violations().iter().map(|violation| violation.breach.to_string()).collect()
    }

    /// Fails with the host's log when the guest broke a rule.
    #[track_caller]
    pub fn assert_no_violation(&self) {
        self.assert_no_violation_but("");
    }

    /// As [`assert_no_violation`](Self::assert_no_violation), after thefts: whether a channel lives can only be found out by
    /// signalling it.
    #[track_caller]
    pub fn assert_no_violation_after_thefts(&self) {
        self.assert_no_violation_but("hypercall 0x5d got status 0x12: no such connection");
    }

    #[track_caller]
    fn assert_no_violation_but(&self, allowed: &str) {
        let violations: Vec<_> = self.violations().into_iter().filter(|violation| violation != allowed).collect();
        let log = self.machine.borrow_mut().host.take_log().join("\n");
        assert!(violations.is_empty(), "{log}\n\nviolations:\n{}", violations.join("\n"));
    }

    /// Lets the host write nonsense over 8 bytes of memory that is in use.
    pub fn scribble(&self, random: u64, value: u64) {
        let mut machine = self.machine.borrow_mut();
        let used: Vec<usize> = (0..machine.used.len()).filter(|&page| machine.used[page]).collect();
        let Some(page) = used.get(random as usize % used.len().max(1)) else { return };
        // Half of the time into the first bytes of a page: control pages, slots and headers are there.
        let offset = if random >> 32 & 1 == 0 { random >> 40 & 0x78 } else { random >> 40 & 0xff8 };
        let gpa = POOL.start + (page * PAGE_SIZE) as u64 + offset;
        machine.memory.write(gpa, &value.to_le_bytes()).expect("guest memory");
    }

    /// The host's log since it was last looked at.
    pub fn log(&self) -> String {
        self.machine.borrow_mut().host.take_log().join("\n")
    }

    fn read_page(&self, gpa: u64, into: &mut [u8]) {
        self.machine.borrow().memory.read(gpa, into).expect("guest memory");
    }
}

/// Host settings from text.
pub fn config(settings: &[(&str, &str)]) -> Config {
    let mut config = Config::default();
    for (key, value) in settings {
        config.set(key, value).expect("a setting of hvhost");
    }
    config
}

impl Hypervisor for Lab {
    type Pages = Pages;

    fn cpuid(&self, leaf: u32) -> CpuidResult {
        let mut machine = self.machine.borrow_mut();
        let present = u32::from(leaf == 1 && !machine.bare) << 31;
        if machine.bare {
            return CpuidResult { ecx: present, ..CpuidResult::default() };
        }
        let native = CpuidRegs { eax: 0, ebx: 0, ecx: present, edx: 0 };
        let CpuidRegs { eax, ebx, ecx, edx } = machine.host.cpuid(leaf, 0, native);
        CpuidResult { eax, ebx, ecx, edx }
    }

    fn read_msr(&self, msr: u32) -> u64 {
        self.msr(msr)
    }

    fn write_msr(&self, msr: u32, value: u64) {
        let machine = &mut *self.machine.borrow_mut();
        let written = machine.host.wrmsr(0, msr, value, &mut machine.memory);
        assert_eq!(written, MsrWrite::Done, "wrmsr {msr:#x} {value:#x}");
        machine.pass(10);
    }

    fn hypercall(&self, page: &Pages, control: u64, input: u64, output: u64) -> u64 {
        let mut borrowed = self.machine.borrow_mut();
        let machine = &mut *borrowed;
        if machine.host.hypercall_page() != Some(page.gpa) {
            let mut code = [0; TRAP.len()];
            machine.memory.read(page.gpa, &mut code).unwrap();
            assert_eq!(code, TRAP, "call into a page without code");
            return 2;
        }
        let result = machine.host.hypercall(0, Hypercall { control, input, output }, &mut machine.memory);
        machine.pass(10);
        let posts = machine.host.counters().posts;
        drop(borrowed);
        let due = self.ambush.borrow_mut().take_if(|(after, _)| posts >= *after);
        if let Some((_, work)) = due {
            work(self);
        }
        result
    }

    fn alloc_pages(&self, count: usize) -> Option<Pages> {
        let mut machine = self.machine.borrow_mut();
        let first = machine.used.windows(count).position(|window| window.iter().all(|used| !used))?;
        machine.used[first..first + count].fill(true);
        let pages = Pages { lab: self.clone(), gpa: POOL.start + (first * PAGE_SIZE) as u64, len: count * PAGE_SIZE };
        drop(machine);
        pages.clear();
        Some(pages)
    }

    fn free_pages(&self, pages: Pages) {
        let first = (pages.gpa - POOL.start) as usize / PAGE_SIZE;
        let mut machine = self.machine.borrow_mut();
        let freed = &mut machine.used[first..first + pages.len / PAGE_SIZE];
        assert!(freed.iter().all(|&used| used), "pages freed twice");
        freed.fill(false);
    }

    fn map(&self, gpa: Gpa) -> Option<Pages> {
        let fits = gpa.0.is_multiple_of(PAGE_SIZE as u64) && gpa.0 + PAGE_SIZE as u64 <= RAM as u64;
        fits.then(|| Pages { lab: self.clone(), gpa: gpa.0, len: PAGE_SIZE })
    }

    fn now(&self) -> Ticks100ns {
        let mut machine = self.machine.borrow_mut();
        machine.pass(10);
        Ticks100ns(machine.now)
    }

    fn cycles(&self) -> u64 {
        // 3 GHz.
        self.machine.borrow().now * 300
    }

    fn relax(&self) {
        self.machine.borrow_mut().pass(1_000);
    }
}

impl PhysMem for Lab {
    fn read(&self, linear: u32, into: &mut [u8]) -> Result<(), Error> {
        self.machine.borrow().memory.read(linear.into(), into).map_err(|_| Error::InvalidParameter)
    }

    fn write(&self, linear: u32, from: &[u8]) -> Result<(), Error> {
        self.machine.borrow_mut().memory.write(linear.into(), from).map_err(|_| Error::InvalidParameter)
    }

    fn write_resident(&self, _offset: u16, _from: &[u8]) {
        panic!("this machine has no resident block");
    }
}

impl Platform for Lab {
    fn own_low_memory(&self) -> Range<u32> {
        self.record.map_or(0..0, |start| start..start + PUBLISHED_LEN as u32)
    }

    fn record_place(&self) -> Option<u32> {
        self.record
    }
}

impl SharedMem for Pages {
    fn gpa(&self) -> Gpa {
        Gpa(self.gpa)
    }

    fn len(&self) -> usize {
        self.len
    }

    fn read(&self, offset: usize, into: &mut [u8]) {
        assert!(offset + into.len() <= self.len, "read past the end of shared memory");
        self.lab.read_page(self.gpa + offset as u64, into);
    }

    fn write(&self, offset: usize, from: &[u8]) {
        assert!(offset + from.len() <= self.len, "write past the end of shared memory");
        self.lab.machine.borrow_mut().memory.write(self.gpa + offset as u64, from).expect("guest memory");
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
