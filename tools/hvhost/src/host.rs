//! The host as the engine sees it: one object per virtual machine.

use crate::backend::NetBackend;
use crate::config::Config;
use crate::counters::Counters;
use crate::cpuid::{self, CpuidRegs};
use crate::disk::DiskBackend;
use crate::hypercall::{self, Call, Hypercall, Refused};
use crate::memory::GuestMemory;
use crate::msr::{self, MsrRead, MsrWrite, Registers};
use crate::report::Report;
use crate::saved::{BadState, Parts, decode, encode};
use crate::synic::Interrupt;
use crate::violations::{Breach, Violation};
use crate::vmbus::{Context, Server};

/// A Hyper-V host for one virtual machine.
///
/// The engine that runs the guest reports each intercepted instruction, tells the time with
/// [`set_time`](Self::set_time), and calls [`poll`](Self::poll) often: VMBus messages and rings are served there and
/// nowhere else, as a real host serves them on its own processors. After any call it raises the interrupts of
/// [`take_interrupts`](Self::take_interrupts).
pub struct Host {
    config: Config,
    registers: Registers,
    server: Server,
    report: Report,
    posts: u64,
    /// How often the machine was saved and restored because its configuration asks for that.
    saves: usize,
}

/// What saved bytes begin with: a mark, and the version of their format.
const SAVED: [u8; 8] = *b"hvhost\x00\x01";

/// Saved bytes behind the mark: reference time, registers, server, posts and saves so far.
type Saved = (u64, Registers, Vec<u8>, u64, usize);

impl Host {
    /// A machine in the state after reset, with one NIC per backend.
    #[must_use]
    pub fn new(config: Config, nics: Vec<Box<dyn NetBackend>>) -> Self {
        let registers = Registers::new(&config);
        let server = Server::new(&config, nics);
        Self { config, registers, server, report: Report::default(), posts: 0, saves: 0 }
    }

    /// Adds a SCSI controller with these disks as LUNs 0, 1, ... of its target 0. For a machine that has not run yet.
    pub fn add_scsi_controller(&mut self, disks: Vec<Box<dyn DiskBackend>>) {
        self.server.add_scsi_controller(disks);
    }

    /// The machine's state as bytes: all that the guest could notice.
    #[must_use]
    pub fn save(&self) -> Vec<u8> {
        let Self { config: _, registers, server, report, posts, saves } = self;
        let state = encode(&(report.now, registers, server.save(), posts, saves));
        [&SAVED[..], &state].concat()
    }

    /// Ends the machine, and gives back what is not part of its state.
    #[must_use]
    pub fn into_parts(self) -> (Config, Parts) {
        let mut parts = Parts { report: self.report, ..Parts::default() };
        self.server.give_back(&mut parts);
        (self.config, parts)
    }

    /// A machine as it was saved, made from the same parts. Guest memory must be as it was, too.
    ///
    /// # Errors
    /// [`BadState`] when the bytes are not from [`save`](Self::save) of such a machine.
    pub fn restore(config: Config, parts: Parts, state: &[u8]) -> Result<Self, BadState> {
        let state = state.strip_prefix(&SAVED).ok_or_else(|| BadState::new("no mark of this version"))?;
        let (now, registers, server, posts, saves): Saved = decode(state)?;
        let mut host = Self::new(config, parts.nics);
        parts.controllers.into_iter().for_each(|disks| host.add_scsi_controller(disks));
        if registers.synics.len() != host.registers.synics.len() {
            return Err(BadState::new("another number of processors"));
        }
        host.server.restore(&server)?;
        (host.registers, host.report, host.posts, host.saves) = (registers, parts.report, posts, saves);
        host.report.now = now;
        Ok(host)
    }

    /// Saves the machine, ends it, and makes it anew from the saved bytes, as when it moves to another host.
    ///
    /// # Panics
    /// If the model can't read what it has written.
    pub fn save_and_restore(&mut self) {
        let state = self.save();
        let (config, parts) = std::mem::replace(self, Self::new(Config::default(), Vec::new())).into_parts();
        *self = Self::restore(config, parts, &state).expect("the bytes of a moment ago");
        self.report.counters.restores += 1;
        self.report.log(format!("machine saved and restored, {} bytes", state.len()));
    }

    /// Answers CPUID. `native` is what the processor would answer without a hypervisor.
    #[must_use]
    pub fn cpuid(&mut self, leaf: u32, _subleaf: u32, native: CpuidRegs) -> CpuidRegs {
        if leaf >> 16 == 0x4000 {
            self.report.counters.cpuid += 1;
        }
        cpuid::cpuid(&self.config, leaf, native)
    }

    /// Answers RDMSR on processor `vp`.
    pub fn rdmsr(&mut self, vp: u32, msr: u32) -> MsrRead {
        let answer = self.registers.read(vp, msr, &self.config, &mut self.report);
        if answer != MsrRead::NotHandled {
            Counters::bump(&mut self.report.counters.msr_reads, msr);
        }
        answer
    }

    /// Answers WRMSR on processor `vp`. Pages that appear or vanish are swapped in guest memory before it returns.
    pub fn wrmsr(&mut self, vp: u32, msr: u32, value: u64, mem: &mut dyn GuestMemory) -> MsrWrite {
        if msr == msr::SIMP
            && let Some(synic) = self.registers.synics.get(vp as usize)
            && synic.simp.gpa().is_some()
            && value != synic.simp.msr()
            && self.server.reply_due(vp, synic)
        {
            self.report.breach(Breach::SimpOffWithReplyDue { vp });
        }
        let answer = self.registers.write(vp, msr, value, &self.config, mem, &mut self.report);
        if answer != MsrWrite::NotHandled {
            Counters::bump(&mut self.report.counters.msr_writes, msr);
        }
        answer
    }

    /// Serves a call of the hypercall page on processor `vp`; the result goes to RAX or EDX:EAX.
    pub fn hypercall(&mut self, _vp: u32, call: Hypercall, mem: &mut dyn GuestMemory) -> u64 {
        Counters::bump(&mut self.report.counters.hypercalls, call.code());
        if let Some(gpa) = call.input_gpa()
            && self.registers.in_overlay(gpa)
        {
            self.report.breach(Breach::InputInOverlay { gpa });
        }
        match call.parse(mem).and_then(|parsed| self.serve(parsed, mem)) {
            Ok(status) => status.into(),
            Err((status, why)) => {
                self.report.breach(Breach::Hypercall { code: call.code(), status, why });
                status.into()
            }
        }
    }

    fn serve(&mut self, call: Call, mem: &mut dyn GuestMemory) -> Result<u16, Refused> {
        match call {
            Call::NotifyLongSpinWait => {}
            Call::PostMessage { connection, kind, payload } => {
                let index = self.posts;
                self.posts += 1;
                if let Some(status) = self.config.faults.refuse_post(index) {
                    self.report.log(format!("post {index} refused with {status:#x}, as configured"));
                    return Ok(status); // the host's doing, so no violation
                }
                let status = self.server.post(connection, kind, payload, &self.config, &mut self.report)?;
                self.report.counters.posts += u64::from(status == hypercall::SUCCESS);
                return Ok(status);
            }
            Call::SignalEvent { connection, flag } => {
                let status = self.server.signal(connection, flag, mem, &mut self.report)?;
                self.report.counters.signals += u64::from(status == hypercall::SUCCESS);
                return Ok(status);
            }
        }
        Ok(hypercall::SUCCESS)
    }

    /// Address of the hypercall page while it is enabled. Its content is in guest memory already.
    #[must_use]
    pub fn hypercall_page(&self) -> Option<u64> {
        self.registers.hypercall_page()
    }

    /// Sets the partition's reference time, in 100 ns units since the machine was made. It never runs backwards.
    pub fn set_time(&mut self, reference_100ns: u64) {
        self.report.now = self.report.now.max(reference_100ns);
    }

    /// Does what is due: VMBus messages, rings, devices, deferred work, held-back deliveries.
    pub fn poll(&mut self, mem: &mut dyn GuestMemory) {
        let overlays: Vec<u64> =
            if self.server.has_incoming() { self.registers.overlays().collect() } else { Vec::new() };
        let mut cx = Context { config: &self.config, overlays: &overlays, mem, report: &mut self.report };
        self.server.poll(&mut self.registers.synics, &mut cx);
        for synic in &mut self.registers.synics {
            synic.poll(&self.config, mem, &mut self.report);
        }
        let Counters { tx_frames, rx_frames, disk_requests, .. } = self.report.counters;
        if self.config.faults.saves_due(tx_frames + rx_frames + disk_requests) > self.saves {
            self.saves += 1;
            self.save_and_restore();
        }
    }

    /// An EOI was written to the local APIC of `vp`: a waiting message may be delivered.
    pub fn apic_eoi(&mut self, vp: u32, mem: &mut dyn GuestMemory) {
        if let Some(synic) = self.registers.synics.get_mut(vp as usize) {
            synic.end_of_message(&self.config, mem, &mut self.report);
        }
    }

    /// The interrupts to raise now. Edge-triggered: each is raised once.
    pub fn take_interrupts(&mut self) -> Vec<Interrupt> {
        self.registers.synics.iter_mut().flat_map(|synic| synic.take_interrupts()).collect()
    }

    /// Machine reset: overlay pages give their RAM back, channels close without a word.
    pub fn reset(&mut self, mem: &mut dyn GuestMemory) {
        self.registers.reset(&self.config, mem);
        self.server.reset(&mut self.report);
        self.report.log("machine reset".into());
    }

    /// Every rule of the interface that the guest broke, oldest first.
    #[must_use]
    pub fn violations(&self) -> &[Violation] {
        &self.report.violations
    }

    /// What the guest asked for.
    #[must_use]
    pub fn counters(&self) -> &Counters {
        &self.report.counters
    }

    /// Takes the log lines since the last call: connections, offers, channels, violations.
    pub fn take_log(&mut self) -> Vec<String> {
        self.report.take_log()
    }
}
