//! The engine: what QEMU calls back, and when the host model is run.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use anyhow::Result;
use hvhost::{Host, Interrupt, NetBackend};
use netserver::Event;
use serde_json::Value;

use crate::args::Args;
use crate::capture::Capture;
use crate::clock::{Clock, HpetReading, Instant};
use crate::cpu::{Cpu, Reg};
use crate::disks;
use crate::insn::{HYPERCALL_CODE, MAX_LEN, Trap};
use crate::interrupts::{self, AutoEoi};
use crate::local_network::LocalNetwork;
use crate::marks::{self, Marks};
use crate::nic::Cable;
use crate::profile::Profile;
use crate::qemu::{Block, Hook, Pace, Physical, RegisterFile, Vcpu};
use crate::report::{Level, Report, counters_json};
use crate::traps::{self, LateAnswer};

/// Where the first instruction after a machine reset is fetched: CS base 0xffff0000, IP 0xfff0.
///
/// A warm start through F000:FFF0 has CS base 0xf0000 and is no reset of the machine.
const RESET_VECTOR: u64 = 0xffff_fff0;

/// Longest time between polls of a guest that keeps executing trapped instructions, in 100 ns units; policy: short
/// against the round trip of any network.
const MAX_POLL_GAP: u64 = 500;

/// All of the plugin's state.
///
/// No device is accessed while `machine` is locked: QEMU takes its big lock for that, and a thread that holds the big lock may be
/// waiting for `machine`.
pub struct Engine {
    pace: Pace,
    poll_interval: u64,
    /// Device accesses must wait until the vCPU is between blocks.
    between_blocks_only: bool,
    registers: OnceLock<RegisterFile>,
    has_profile: bool,
    mark_addresses: Vec<u64>,
    machine: Mutex<Machine>,
}

/// What is shared by the vCPUs.
struct Machine {
    host: Host,
    /// The network server inside the plugin, if there is one.
    network: Option<LocalNetwork>,
    report: Report,
    clock: Clock,
    now: Instant,
    now_100ns: u64,
    /// When the host model was last polled.
    polled_100ns: u64,
    vps: Vec<Vp>,
    /// Interrupts that were not sent yet.
    interrupts: Vec<Interrupt>,
    counters: Option<PathBuf>,
    marks: Marks,
    profile: Option<Profile>,
}

/// One processor.
#[derive(Default)]
struct Vp {
    /// Instructions executed, without those that the pace has not yet been asked for.
    retired: u64,
    /// Instructions since the last poll, counted likewise.
    unpolled: u64,
    late: Option<LateAnswer>,
    auto_eoi: AutoEoi,
}

impl Engine {
    /// The engine for QEMU's plugin arguments and a machine of `vcpus` processors.
    ///
    /// # Errors
    /// When an argument is not understood, or a file or socket can't be made.
    pub fn new<S: AsRef<str>>(args: &[S], vcpus: u32) -> Result<Self> {
        let mut args = Args::parse(args, vcpus)?;
        args.config.hypercall_code = HYPERCALL_CODE.to_vec();
        let report = Report::new(&args)?;
        let marks = Marks::new(&args)?;
        let profile = Profile::new(&args)?;
        let now = Instant::default();
        let capture = args.pcap.as_deref().map(|path| Capture::create(path, now.clone())).transpose()?.map(Arc::new);
        let mut nics = args
            .nets
            .iter()
            .map(|net| Ok(Box::new(Cable::new(net, capture.clone())?) as Box<dyn NetBackend>))
            .collect::<Result<Vec<_>>>()?;
        let network = match &args.server {
            Some(directory) => {
                let network = LocalNetwork::new(directory, &args.server_switches, capture, now.clone())?;
                nics.insert(0, Box::new(network.clone()));
                Some(network)
            }
            None => None,
        };
        let mut host = Host::new(args.config, nics);
        disks::attach(&mut host, &args.disks)?;
        Ok(Self {
            pace: Pace::new(args.poll),
            poll_interval: args.poll,
            between_blocks_only: args.icount.is_some(),
            registers: OnceLock::new(),
            has_profile: profile.is_some(),
            mark_addresses: args.mark_addresses.iter().map(|(_, address)| *address).collect(),
            machine: Mutex::new(Machine {
                host,
                network,
                report,
                clock: Clock::new(args.icount),
                now,
                now_100ns: 0,
                polled_100ns: 0,
                vps: Vec::new(),
                interrupts: Vec::new(),
                counters: args.counters,
                marks,
                profile,
            }),
        })
    }

    /// A vCPU was created.
    pub fn vcpu_started(&self, vcpu: Vcpu<'_>) {
        if self.registers.get().is_none() {
            match RegisterFile::find(&vcpu) {
                // A second vCPU that was quicker has found the same.
                Ok(file) => drop(self.registers.set(file)),
                Err(name) => panic!("qemu-hyperv: this QEMU has no register called {name}"),
            }
        }
        let mut machine = self.machine();
        let count = machine.vps.len().max(vcpu.index() as usize + 1);
        machine.vps.resize_with(count, Vp::default);
    }

    /// Hooks a block that is being translated.
    pub fn translate(&self, block: &mut Block<'_>) {
        if block.address(0) == RESET_VECTOR {
            block.watch_reset();
        }
        block.count(self.pace);
        if self.has_profile {
            let address = block.address(0);
            if let Some(profile) = &mut self.machine().profile {
                block.add_to(profile.tally(address));
            }
        }
        let mut bytes = [0; MAX_LEN];
        for index in 0..block.len() {
            let len = block.bytes(index, &mut bytes);
            let address = block.address(index);
            if self.mark_addresses.contains(&address) {
                block.hook(index, Hook::Mark { address });
            }
            let Some(trap) = Trap::decode(&bytes[..len]) else { continue };
            let ends_block = index + 1 == block.len();
            let hook = match (trap, block.physical_address(index)) {
                (Trap::Hypercall, Some(gpa)) => Hook::Hypercall { gpa },
                // It was fetched from there just now.
                (Trap::Hypercall, None) => continue,
                _ => Hook::Trap { trap, ends_block },
            };
            block.hook(index, hook);
            if trap.answers_late() && !ends_block {
                block.hook(index + 1, Hook::AfterTrap);
            }
        }
    }

    /// A trapped instruction is about to be executed.
    pub fn trap(&self, mut vcpu: Vcpu<'_>, trap: Trap, ends_block: bool) {
        let index = vcpu.index();
        let (mut cpu, mut memory) = vcpu.split(self.registers());
        if !traps::is_for_hypervisor(trap, &mut cpu) {
            return;
        }
        let mut machine = self.machine();
        machine.tell_time(self.pace);
        machine.log_trap(trap, index, &mut cpu);
        if let Some(answer) = traps::serve_msr_or_cpuid(trap, index, &mut cpu, &mut memory, &mut machine.host) {
            machine.vps[index as usize].late = Some(answer);
            if ends_block {
                self.pace.request_callback(index);
            }
        }
        // Reads ask nothing of the host, and a guest that spins on the reference counter should spin fast.
        if trap == Trap::Wrmsr || machine.poll_is_due(index, self.poll_interval) {
            machine.poll(index, &mut memory, self.pace);
        }
        drop(machine);
        self.send_interrupts(&mut memory, false);
    }

    /// The no-op of a hypercall page is about to be executed, at the guest-physical address `gpa`.
    pub fn hypercall(&self, mut vcpu: Vcpu<'_>, gpa: u64) {
        let index = vcpu.index();
        let (mut cpu, mut memory) = vcpu.split(self.registers());
        let mut machine = self.machine();
        machine.tell_time(self.pace);
        machine.log_trap(Trap::Hypercall, index, &mut cpu);
        let in_page = machine.host.hypercall_page() == Some(gpa & !0xfff);
        if let Err(why) = traps::serve_hypercall(index, in_page, &mut cpu, &mut memory, &mut machine.host) {
            let now = machine.now_100ns;
            machine.report.fault(now, why);
        }
        machine.poll(index, &mut memory, self.pace);
        drop(machine);
        self.send_interrupts(&mut memory, false);
    }

    /// The instruction after a trap in the same block is about to be executed.
    pub fn after_trap(&self, mut vcpu: Vcpu<'_>) {
        let index = vcpu.index();
        let (mut cpu, _) = vcpu.split(self.registers());
        self.machine().give_late_answer(index, &mut cpu);
    }

    /// A block is about to be executed and the pace has called.
    pub fn block_due(&self, mut vcpu: Vcpu<'_>) {
        let index = vcpu.index();
        let (mut cpu, mut memory) = vcpu.split(self.registers());
        let mut machine = self.machine();
        machine.give_late_answer(index, &mut cpu);
        machine.take_pace(self.pace, index);
        machine.tell_time(self.pace);
        if machine.poll_is_due(index, self.poll_interval) {
            machine.poll(index, &mut memory, self.pace);
        }
        drop(machine);
        self.send_interrupts(&mut memory, false);
    }

    /// The instruction at the address of a mark is about to be executed.
    pub fn at_mark(&self, address: u64) {
        let mut machine = self.machine();
        machine.tell_time(self.pace);
        if let Some(name) = machine.marks.reach(address) {
            machine.mark(&name, self.pace);
        }
    }

    /// The vCPU is between blocks: it has taken an interrupt, or was woken.
    pub fn between_blocks(&self, mut vcpu: Vcpu<'_>) {
        let index = vcpu.index();
        // Woken before it was initialised: there is nothing to do yet.
        let Some(registers) = self.registers.get() else { return };
        let (_, mut memory) = vcpu.split(registers);
        let hpet = if self.between_blocks_only { HpetReading::take(&mut memory) } else { None };
        let mut machine = self.machine();
        let instructions = machine.instructions(self.pace, 0);
        if let (Some(clock), Some(hpet)) = (machine.clock.as_virtual(), hpet) {
            clock.correct(instructions, hpet);
        }
        machine.tell_time(self.pace);
        machine.poll(index, &mut memory, self.pace);
        let mut auto_eoi = std::mem::take(&mut machine.vps[index as usize].auto_eoi);
        drop(machine);
        // Only this vCPU's thread settles its own vectors; others may have sent more in the meantime.
        auto_eoi.settle(&mut memory);
        self.machine().vps[index as usize].auto_eoi.merge(auto_eoi);
        self.send_interrupts(&mut memory, true);
    }

    /// The block at the reset vector is about to be executed.
    pub fn at_reset_vector(&self, mut vcpu: Vcpu<'_>) {
        let index = vcpu.index();
        let (mut cpu, mut memory) = vcpu.split(self.registers());
        if index != 0 || cpu.protected() {
            return;
        }
        let mut machine = self.machine();
        machine.tell_time(self.pace);
        machine.host.reset(&mut memory);
        machine.interrupts.clear();
        for vp in &mut machine.vps {
            vp.late = None;
            vp.auto_eoi = AutoEoi::default();
        }
        machine.flush_report(self.pace);
    }

    /// QEMU is about to exit. No vCPU is accessible.
    pub fn exiting(&self) {
        let mut machine = self.machine();
        machine.flush_report(self.pace);
        let Some(path) = machine.counters.clone() else { return };
        let json = machine.counted(self.pace);
        if let Err(error) = std::fs::write(&path, format!("{json:#}\n")) {
            let now = machine.now_100ns;
            machine.report.line(Level::Error, now, format_args!("writing {}: {error}", path.display()));
        }
    }

    /// Sends what the host model has raised, if devices may be accessed now.
    fn send_interrupts(&self, memory: &mut Physical<'_>, between_blocks: bool) {
        if self.between_blocks_only && !between_blocks {
            return;
        }
        let interrupts = {
            let mut machine = self.machine();
            let interrupts = std::mem::take(&mut machine.interrupts);
            for interrupt in interrupts.iter().filter(|interrupt| interrupt.auto_eoi) {
                if let Some(vp) = machine.vps.get_mut(interrupt.vp as usize) {
                    vp.auto_eoi.expect(interrupt.vector);
                }
            }
            interrupts
        };
        for interrupt in interrupts {
            interrupts::send(interrupt, memory);
        }
    }

    fn registers(&self) -> &RegisterFile {
        self.registers.get().expect("a vCPU is initialised before it executes anything")
    }

    fn machine(&self) -> MutexGuard<'_, Machine> {
        // A panic ends the process at the callback, so nobody can see a half-changed machine.
        self.machine.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Machine {
    /// Instructions that a vCPU has executed, counted by whole blocks as they begin.
    fn instructions(&self, pace: Pace, vcpu: u32) -> u64 {
        self.vps[vcpu as usize].retired + pace.elapsed(vcpu)
    }

    /// Books the instructions of the interval that ends here.
    fn take_pace(&mut self, pace: Pace, vcpu: u32) {
        let elapsed = pace.take(vcpu);
        let vp = &mut self.vps[vcpu as usize];
        vp.retired += elapsed;
        vp.unpolled += elapsed;
    }

    /// Tells the host model the time. Under icount all vCPUs run in turn on one thread; the first one's count is the time.
    fn tell_time(&mut self, pace: Pace) {
        let instructions = self.instructions(pace, 0);
        self.now_100ns = self.now_100ns.max(self.clock.read(instructions));
        self.now.set(self.now_100ns);
        self.host.set_time(self.now_100ns);
    }

    fn poll_is_due(&self, vcpu: u32, interval: u64) -> bool {
        self.vps[vcpu as usize].unpolled >= interval || self.now_100ns >= self.polled_100ns + MAX_POLL_GAP
    }

    fn poll(&mut self, vcpu: u32, memory: &mut Physical<'_>, pace: Pace) {
        self.vps[vcpu as usize].unpolled = 0;
        self.polled_100ns = self.now_100ns;
        self.host.poll(memory);
        let raised = self.host.take_interrupts();
        for interrupt in &raised {
            let now = self.now_100ns;
            self.report.line(
                Level::Debug,
                now,
                format_args!("VP {}: interrupt vector {:#x}", interrupt.vp, interrupt.vector),
            );
        }
        self.interrupts.extend(raised);
        self.flush_report(pace);
    }

    /// All counters as they are now.
    fn counted(&self, pace: Pace) -> Value {
        let instructions: Vec<u64> = (0..self.vps.len()).map(|vp| self.instructions(pace, vp as u32)).collect();
        counters_json(self.host.counters(), &instructions, self.now_100ns, self.report.violation_count())
    }

    fn mark(&mut self, name: &str, pace: Pace) {
        let counted = self.counted(pace);
        let vcpus = self.vps.len() as u32;
        // The profile first: who waits for the mark wants to find it.
        let profile = self.profile.as_mut().map_or(Ok(()), |profile| profile.reach(name, vcpus));
        if let Err(error) = profile.and_then(|()| self.marks.write(name, counted)) {
            self.report.line(Level::Error, self.now_100ns, format_args!("{error:#}"));
        }
    }

    fn flush_report(&mut self, pace: Pace) {
        self.report.drain(&mut self.host);
        let events = self.network.as_ref().map(LocalNetwork::take_events).unwrap_or_default();
        for event in events {
            if let Some(name) = marks::name_of(&event) {
                self.mark(&name, pace);
            }
            match event {
                Event::Violation(why) => self.report.fault(self.now_100ns, &format!("network: {why}")),
                event => self.report.line(Level::Info, self.now_100ns, format_args!("network: {event:?}")),
            }
        }
    }

    fn give_late_answer(&mut self, vcpu: u32, cpu: &mut impl Cpu) {
        if let Some(answer) = self.vps[vcpu as usize].late.take() {
            traps::give(answer, cpu, &mut self.host);
        }
    }

    fn log_trap(&mut self, trap: Trap, vcpu: u32, cpu: &mut impl Cpu) {
        let level = if trap.answers_late() { Level::Trace } else { Level::Debug };
        if !self.report.wants(level) {
            return;
        }
        let now = self.now_100ns;
        let (rax, rcx, rdx) = (cpu.get(Reg::Rax), cpu.get(Reg::Rcx), cpu.get(Reg::Rdx));
        let line = match trap {
            Trap::Cpuid => format!("cpuid {rax:#x}"),
            Trap::Rdmsr => format!("rdmsr {rcx:#x}"),
            Trap::Wrmsr => format!("wrmsr {rcx:#x} = {rdx:#x}:{rax:#x}"),
            Trap::Hypercall => format!("hypercall rax {rax:#x} rcx {rcx:#x} rdx {rdx:#x}"),
        };
        self.report.line(level, now, format_args!("VP {vcpu}: {line}"));
    }
}
