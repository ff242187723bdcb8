//! The synthetic interrupt controller of one VP: SINTs, message slots and event flags (TLFS "Virtual Interrupt
//! Controller", "Inter-Partition Communication").

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use crate::config::{Config, MS, MaskedSint};
use crate::memory::{GuestMemory, read_u32, write_u32};
use crate::overlay::Overlay;
use crate::report::Report;
use crate::violations::Breach;

/// Number of SINTs, and of slots in the message and event-flag pages.
pub(crate) const SINTS: usize = 16;
/// SINT used by VMBus in VTL 0.
pub(crate) const VMBUS_SINT: usize = 2;

const SINT_RESET: u64 = 1 << 16;
const SINT_MASKED: u64 = 1 << 16;
const SINT_AUTO_EOI: u64 = 1 << 17;
const SINT_POLLING: u64 = 1 << 18;
/// CPUID 0x40000003 EDX: SINT polling mode.
const FEATURE_POLLING: u32 = 1 << 17;
/// CPUID 0x40000004 EAX: AutoEOI is deprecated.
const DEPRECATE_AUTO_EOI: u32 = 1 << 9;

const SLOT_LEN: u64 = 256;
/// Offset of the message flags in a slot; bit 0 = another message is pending.
const SLOT_FLAGS: u64 = 5;
const PENDING: u8 = 1;

/// How long an emptied slot may wait for its EOM before that counts as forgotten; policy.
const EOM_GRACE: u64 = 50 * MS;

/// An interrupt for the engine to raise at a VP's local APIC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct Interrupt {
    /// VP index.
    pub vp: u32,
    /// Vector, 16-255, edge triggered.
    pub vector: u8,
    /// The APIC must not wait for an EOI.
    pub auto_eoi: bool,
}

/// A message for a slot.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Message {
    pub kind: u32,
    pub origin: u64,
    /// At most 240 bytes.
    pub payload: Vec<u8>,
}

/// Who waits for what at one SINT.
#[derive(Debug, Default, Deserialize, Serialize)]
struct Port {
    queue: VecDeque<Message>,
    /// The slot was found full: nothing is delivered until EOM, or until another message is posted.
    blocked: bool,
    /// Since when the slot has been empty while blocked.
    emptied: Option<u64>,
}

/// The SynIC of one VP.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Synic {
    vp: u32,
    pub scontrol: u64,
    sints: [u64; SINTS],
    pub simp: Overlay,
    pub siefp: Overlay,
    ports: [Port; SINTS],
    interrupts: Vec<Interrupt>,
    /// When SCONTROL became 0, once it had been enabled.
    disabled_since: Option<u64>,
}

impl Synic {
    pub fn new(vp: u32, config: &Config) -> Self {
        Self {
            vp,
            scontrol: config.scontrol_reset,
            sints: [SINT_RESET; SINTS],
            simp: Overlay::default(),
            siefp: Overlay::default(),
            ports: Default::default(),
            interrupts: Vec::new(),
            disabled_since: None,
        }
    }

    pub fn reset(&mut self, config: &Config, mem: &mut dyn GuestMemory) {
        self.simp.reset(config.overlay, mem);
        self.siefp.reset(config.overlay, mem);
        *self = Self::new(self.vp, config);
    }

    pub fn sint(&self, sint: usize) -> u64 {
        self.sints[sint]
    }

    /// Sets a SINT. `false` means #GP: an unmasked SINT needs a vector of at least 16.
    pub fn set_sint(&mut self, sint: usize, value: u64, config: &Config, report: &mut Report) -> bool {
        if value & SINT_MASKED == 0 && value & 0xff < 16 {
            return false;
        }
        if value & SINT_AUTO_EOI != 0 && config.recommendations & DEPRECATE_AUTO_EOI != 0 {
            report.breach(Breach::AutoEoiDeprecated { sint: sint as u32 });
        }
        self.sints[sint] = value;
        true
    }

    pub fn set_scontrol(&mut self, value: u64, report: &Report) {
        if self.scontrol & 1 != 0 && value & 1 == 0 {
            self.disabled_since = Some(report.now);
        }
        if value & 1 != 0 {
            self.disabled_since = None;
        }
        self.scontrol = value;
    }

    /// Whether messages wait at `sint`.
    pub fn has_queued(&self, sint: usize) -> bool {
        !self.ports[sint].queue.is_empty()
    }

    pub fn queued(&self, sint: usize) -> usize {
        self.ports[sint].queue.len()
    }

    /// Forgets the messages that wait at `sint`.
    pub fn discard(&mut self, sint: usize) {
        self.ports[sint] = Port::default();
    }

    /// Queues a message behind the others, and delivers the first if it can be.
    pub fn post(
        &mut self,
        sint: usize,
        message: Message,
        config: &Config,
        mem: &mut dyn GuestMemory,
        report: &mut Report,
    ) {
        self.ports[sint].queue.push_back(message);
        self.deliver(sint, config, mem, report);
    }

    /// EOM or APIC EOI: every slot is looked at again.
    pub fn end_of_message(&mut self, config: &Config, mem: &mut dyn GuestMemory, report: &mut Report) {
        for sint in 0..SINTS {
            self.deliver(sint, config, mem, report);
        }
    }

    /// Delivers what was held back for a reason that may have gone, and notices forgotten EOMs.
    pub fn poll(&mut self, config: &Config, mem: &mut dyn GuestMemory, report: &mut Report) {
        if self.disabled_since.is_some_and(|since| report.now > since + 1000 * MS) {
            self.disabled_since = None;
            report.breach(Breach::ScontrolLeftZero { vp: self.vp });
        }
        for sint in 0..SINTS {
            if self.ports[sint].queue.is_empty() {
                continue;
            }
            if !self.ports[sint].blocked {
                self.deliver(sint, config, mem, report);
                continue;
            }
            let emptied = self.slot(sint).is_some_and(|slot| read_u32(mem, slot) == Ok(0));
            let port = &mut self.ports[sint];
            if !emptied {
                port.emptied = None;
                continue;
            }
            let since = *port.emptied.get_or_insert(report.now);
            if since != u64::MAX && report.now > since + EOM_GRACE {
                port.emptied = Some(u64::MAX); // said once
                report.breach(Breach::EomMissing { vp: self.vp, sint: sint as u32 });
            }
        }
    }

    fn slot(&self, sint: usize) -> Option<u64> {
        self.simp.gpa().map(|page| page + sint as u64 * SLOT_LEN)
    }

    /// Whether deliveries for `sint` reach memory, and if so whether with an interrupt.
    fn open(&self, sint: usize, config: &Config) -> Option<bool> {
        let value = self.sints[sint];
        if self.scontrol & 1 == 0 {
            return None;
        }
        if value & SINT_POLLING != 0 && config.features & FEATURE_POLLING != 0 {
            return Some(false);
        }
        if value & SINT_MASKED == 0 {
            return Some(true);
        }
        (config.masked_sint == MaskedSint::Write).then_some(false)
    }

    fn deliver(&mut self, sint: usize, config: &Config, mem: &mut dyn GuestMemory, report: &mut Report) {
        while let Some(message) = self.ports[sint].queue.front() {
            let Some(slot) = self.slot(sint) else { return };
            let Some(interrupt) = self.open(sint, config) else {
                if self.scontrol & 1 != 0 && config.masked_sint == MaskedSint::Drop {
                    report.log(format!("VP {}: {} message(s) lost at masked SINT{sint}", self.vp, self.queued(sint)));
                    self.discard(sint);
                }
                return;
            };
            // SIMP was checked to be RAM when it was enabled; should it be gone, the message stays queued.
            let Ok(kind) = read_u32(mem, slot) else { return };
            if kind != 0 {
                let mut flags = [0];
                if mem.read(slot + SLOT_FLAGS, &mut flags).is_ok() {
                    let _ram = mem.write(slot + SLOT_FLAGS, &[flags[0] | PENDING]);
                }
                self.ports[sint].blocked = true;
                return;
            }
            let pending = if self.ports[sint].queue.len() > 1 { PENDING } else { 0 };
            let mut bytes = vec![0; 12];
            bytes[0] = message.payload.len() as u8;
            bytes[1] = pending;
            bytes[4..].copy_from_slice(&message.origin.to_le_bytes());
            bytes.extend_from_slice(&message.payload);
            // The type last: it is what the guest polls.
            if mem.write(slot + 4, &bytes).is_err() || write_u32(mem, slot, message.kind).is_err() {
                return;
            }
            if let Some(kind) = message.payload.first_chunk::<4>() {
                crate::counters::Counters::bump(&mut report.counters.vmbus_to_guest, u32::from_le_bytes(*kind));
            }
            let port = &mut self.ports[sint];
            port.queue.pop_front();
            port.blocked = false;
            port.emptied = None;
            if interrupt {
                self.raise(sint, report);
            }
        }
    }

    /// Sets event flag `flag` of `sint`. `false` when it got lost.
    pub fn signal(
        &mut self,
        sint: usize,
        flag: u16,
        config: &Config,
        mem: &mut dyn GuestMemory,
        report: &mut Report,
    ) -> bool {
        let (Some(interrupt), Some(page)) = (self.open(sint, config), self.siefp.gpa()) else { return false };
        let byte = page + sint as u64 * SLOT_LEN + u64::from(flag / 8);
        match mem.set_bit(byte, (flag % 8) as u8) {
            Ok(true) if interrupt => self.raise(sint, report),
            Ok(_) => {}
            Err(_) => return false,
        }
        true
    }

    fn raise(&mut self, sint: usize, report: &mut Report) {
        let value = self.sints[sint];
        report.counters.interrupts += 1;
        self.interrupts.push(Interrupt { vp: self.vp, vector: value as u8, auto_eoi: value & SINT_AUTO_EOI != 0 });
    }

    pub fn take_interrupts(&mut self) -> Vec<Interrupt> {
        std::mem::take(&mut self.interrupts)
    }
}
