//! The search for the record of a live owner.

use core::ops::Range;

use zerocopy::{FromZeros, IntoBytes};

use super::access::Record;
use super::shape::{self, BASE_MEMORY_END, MAX_PART, SYSTEM_BIOS};
use crate::hv::Hypervisor;
use crate::mem::PhysMem;
use crate::wire::hv::{HV_X64_MSR_GUEST_OS_ID, HypercallMsr};
use crate::wire::vmbs::{ALIGNMENT, ANCHOR_SIGNATURE, Fixed, Live};
use crate::wire::vmbus::Version;

/// BIOS data area: base memory in KiB.
const BDA_BASE_MEMORY: u32 = 0x413;
/// The search goes no lower, whatever the BIOS data area says.
const LOWEST: u32 = 0x8_0000;
/// An owner that reserves nothing has its anchor in this much below the end of base memory.
const UNRESERVED: u32 = 1024;
/// Bytes looked at in one go.
const PIECE: usize = 512;

/// Connection ids have 24 bits (TLFS).
pub(super) const MAX_CONNECTION_ID: u32 = 0xff_ffff;
/// From here on the length of OPENCHANNEL depends on features that were negotiated.
const VERSION_TOO_NEW: u32 = 6 << 16;

impl<M: PhysMem> Record<M> {
    /// Looks for the record of an owner whose connection lives, and with it the generation to attach at. `vp` is the
    /// processor that we run on, `ours` our own memory below 1 MiB: a record in it is none, or our own.
    ///
    /// Reads three MSRs for each record that is sound in itself.
    pub fn find<H: Hypervisor>(hv: &H, memory: &M, vp: u32, ours: &Range<u32>) -> Option<Self> {
        let mut found = None;
        Self::look_at_all(memory, ours, &mut |record| {
            if found.is_none() && is_live(hv, record, vp) {
                found = Some(record.clone());
            }
        });
        found
    }

    /// Says in all records that VMBus is about to be taken: before INITIATE_CONTACT. What they say of a connection after
    /// that is about a later one.
    pub fn end_all<H: Hypervisor>(hv: &H, memory: &M, ours: &Range<u32>) {
        Self::look_at_all(memory, ours, &mut |record| {
            // Even without the lock: an owner who keeps it must not be left to believe in its connection.
            let _ = record.lock_any(hv);
            let _ = record.end_generation();
            record.unlock();
        });
    }

    /// Says in all records that the host has let go of what was shared before: after VERSION_RESPONSE.
    pub fn settle_all(memory: &M, ours: &Range<u32>) {
        Self::look_at_all(memory, ours, &mut |record| {
            let _ = record.settle();
        });
    }

    /// Looks at all records that are sound in themselves.
    fn look_at_all(memory: &M, ours: &Range<u32>, look: &mut dyn FnMut(&Self)) {
        let mut kib = [0; 2];
        if memory.read(BDA_BASE_MEMORY, &mut kib).is_err() {
            return;
        }
        let reserved = (u32::from(u16::from_le_bytes(kib)) * 1024).clamp(LOWEST, BASE_MEMORY_END);
        for area in [(reserved - UNRESERVED).max(LOWEST)..BASE_MEMORY_END, SYSTEM_BIOS] {
            let mut at = area.start;
            let mut bytes = [0; PIECE];
            while at < area.end {
                let offset = at as usize % PIECE;
                // Memory that can't be read holds no record.
                if offset == 0 && memory.read(at, &mut bytes).is_err() {
                    bytes.fill(0);
                }
                if bytes[offset..].first_chunk() == Some(&ANCHOR_SIGNATURE)
                    && let Some(record) = load(memory, at, area.end, reserved, ours)
                {
                    look(&record);
                }
                at += ALIGNMENT;
            }
        }
    }
}

/// Reads the record whose anchor is at `at`, if both are sound.
pub(super) fn load<M: PhysMem>(memory: &M, at: u32, end: u32, reserved: u32, ours: &Range<u32>) -> Option<Record<M>> {
    let mut bytes = [0; MAX_PART];
    let within = &mut bytes[..MAX_PART.min((end - at) as usize)];
    memory.read(at, within).ok()?;
    let anchor = shape::anchor(within)?;
    let extent = shape::extent(&anchor, reserved, ours)?;
    let within = &mut bytes[..MAX_PART.min(extent.len())];
    memory.read(extent.start, within).ok()?;
    let (fixed, shape) = shape::shape(within, &anchor)?;
    let mut live = Live::new_zeroed();
    memory.read(shape.live, live.as_mut_bytes()).ok()?;
    Some(Record::new(memory.clone(), shape, fixed, live))
}

/// True when the connection can be used by us, and the owner has not lost it.
fn is_live<H: Hypervisor, M: PhysMem>(hv: &H, record: &Record<M>, vp: u32) -> bool {
    let (fixed, live): (&Fixed, &Live) = (record.fixed(), record.live());
    let sound = live.generation.get().is_multiple_of(2)
        && (Version::V3_0.0..VERSION_TOO_NEW).contains(&live.version.get())
        && (1..=MAX_CONNECTION_ID).contains(&live.message_connection_id.get())
        && live.vp == vp
        && live.next_id <= live.end_id
        && live.hypercall.get() & HypercallMsr::ENABLE.bits() != 0;
    sound && hv.read_msr(HV_X64_MSR_GUEST_OS_ID) == fixed.guest_os_id.get() && record.is_sound() && record.holds(hv)
}
