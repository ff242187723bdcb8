//! What becomes of the BIOS when VMBus is taken from it: its drives are served on by us, or it starts anew.

use core::fmt::Write;
use core::ops::Range;
use core::sync::atomic::{AtomicBool, AtomicU32, Ordering};

#[cfg(not(feature = "disk"))]
use super::hooks;
use super::memory;
use super::resident::{self, Resident};
use super::{Rom, bios, restart, settings};
use crate::hv::Owner;
#[cfg(not(feature = "disk"))]
use crate::int13::{MAX_DRIVES, suspects};
use crate::machine::Machine;
#[cfg(not(feature = "disk"))]
use crate::mem::single::Single;
use crate::owner::{Arbiter, Platform, Policy};
use crate::settings::Setting;

/// VMBus was taken from a live owner at some time: from then on no BIOS reaches a disk through it.
static TAKEN: AtomicBool = AtomicBool::new(false);
/// The same, and [`settle`] has not looked after the drives yet.
static UNSETTLED: AtomicBool = AtomicBool::new(false);
/// Drives that the BIOS may have reached through VMBus.
#[cfg(not(feature = "disk"))]
static SUSPECTS: Single<[u8; MAX_DRIVES]> = Single::new([0; MAX_DRIVES]);
/// A drive of the BIOS can't be reached any more: nobody may go on there as if nothing had been.
static LOST: AtomicBool = AtomicBool::new(false);
/// The vector of INT 13h while only the BIOS and we serve drives.
static INT13: AtomicU32 = AtomicU32::new(0);

/// Has whoever hooks INT 13h from now on be somebody else than the BIOS.
pub fn note_int13() {
    INT13.store(int13(), Ordering::Relaxed);
}

fn int13() -> u32 {
    memory::read_low(u32::from(bios::DISK) * 4)
}

impl Platform for Rom {
    fn about_to_take_over(&self) {
        // A boot program with drives of its own may serve them through us, as iPXE does those on the network, and call us
        // in the middle of it: they are not the BIOS's, and must not be asked for.
        if int13() != INT13.load(Ordering::Relaxed) || TAKEN.swap(true, Ordering::Relaxed) {
            return;
        }
        UNSETTLED.store(true, Ordering::Relaxed);
        #[cfg(feature = "disk")]
        super::disks::ask_bios();
        #[cfg(not(feature = "disk"))]
        {
            *SUSPECTS.borrow() = suspects(self);
        }
    }

    fn own_low_memory(&self) -> Range<u32> {
        resident::linear(0)..resident::linear(resident::size())
    }

    #[cfg(feature = "disk")]
    fn record_place(&self) -> Option<u32> {
        Some(resident::record())
    }
}

/// What the settings want done with an owner.
pub fn policy() -> Policy {
    // As asm/rom_header.s and the names of the settings have it.
    match settings::get(Setting::VmbusOwner) {
        1 => Policy::Decline,
        2 => Policy::Attach,
        _ => Policy::TakeOver,
    }
}

/// Whether a boot would take VMBus from somebody: then it can't be tried beforehand whether there is a card.
pub fn would_take_over() -> bool {
    matches!(Owner::look(&Rom(())), Owner::Live(_)) && policy() == Policy::TakeOver
}

/// Looks after the drives of an owner from whom VMBus was taken meanwhile.
pub fn settle(arbiter: &mut Arbiter<Rom>) {
    if !UNSETTLED.swap(false, Ordering::Relaxed) {
        return;
    }
    #[cfg(feature = "disk")]
    let lost = super::disks::stand_in(arbiter);
    #[cfg(not(feature = "disk"))]
    let lost = {
        // Nothing here could serve them.
        let _ = arbiter;
        let lost = *SUSPECTS.borrow();
        if lost.iter().any(|number| *number != 0) {
            hooks::install_drives(lost);
        }
        lost
    };
    for number in lost.into_iter().filter(|number| *number != 0) {
        LOST.store(true, Ordering::Relaxed);
        let mut text = heapless::String::<80>::new();
        // It fits.
        let _ = writeln!(text, "hvpxe: the BIOS has lost its drive {number:02x}h to the network boot.");
        Rom(()).print(&text);
    }
}

/// Whether the only way back into the BIOS is a start of the machine from the beginning.
pub fn has_lost_drives() -> bool {
    LOST.load(Ordering::Relaxed)
}

/// Whether a BIOS's drives are in our hands, or lost.
pub fn has_taken_drives() -> bool {
    TAKEN.load(Ordering::Relaxed) && Resident::read(|exchange| exchange.old_int13) != 0
}

/// That way: the machine starts anew, and leaves the network out.
pub fn start_anew() -> u16 {
    Rom(()).print("hvpxe: starting the machine anew, without the network, so that the BIOS finds its disks.\n");
    restart::leave_network_out();
    resident::RESULT_RESET
}
