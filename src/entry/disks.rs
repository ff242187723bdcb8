//! INT 13h: the drives that are served, and the disks behind them.

use heapless::Vec;

use super::resident::{self, Caller, MAX_DRIVES, Resident};
use super::{Rom, hooks, owner, settings};
use crate::int13::{Answer, DiskService, Drives, Registers, Surveyed, survey};
use crate::log;
use crate::mem::single::Single;
use crate::owner::Arbiter;
use crate::settings::Setting;

/// Which drives are served.
static DRIVES: Single<Drives> = Single::new(Drives::new());
/// The drives of a BIOS from which VMBus is being taken.
static ASKED: Single<Vec<Surveyed, MAX_DRIVES>> = Single::new(Vec::new());

/// Answers the caller of INT 13h.
pub fn serve(arbiter: &mut Arbiter<Rom>) -> u16 {
    let Caller { eax, ebx, ecx, edx, esi, edi, ds, es, .. } = Resident::read(|exchange| exchange.caller);
    let mut registers = Registers::from_halves([eax, ebx, ecx, edx, esi, edi], ds, es, 0);
    let answer = DiskService::new(&mut DRIVES.borrow(), arbiter, Rom(())).call(&mut registers);
    match answer {
        Answer::Done => {}
        Answer::NotOurs => return resident::RESULT_FAILED,
        Answer::Lost => return owner::start_anew(),
    }
    let low = |old: u32, new: u16| old & 0xffff_0000 | u32::from(new);
    Resident::update(|exchange| {
        let caller = &mut exchange.caller;
        caller.eax = low(caller.eax, registers.ax);
        caller.ebx = low(caller.ebx, registers.bx);
        caller.ecx = low(caller.ecx, registers.cx);
        caller.edx = low(caller.edx, registers.dx);
        caller.flags = registers.flags;
    });
    resident::RESULT_DONE
}

/// Hooks INT 13h in a fresh resident block when an earlier boot attempt has left drives in our hands.
pub fn keep_serving() {
    let drives = DRIVES.borrow();
    if !drives.is_empty() {
        hooks::install_drives(drives.numbers());
    }
}

/// Before a boot: takes the disks first where VMBus has to be taken from a BIOS, so that it is taken once; and makes drives of
/// the synthetic disks where the settings want that and nobody serves them.
pub fn prepare(arbiter: &mut Arbiter<Rom>) {
    let add = settings::is_on(Setting::Disks);
    if !add && !owner::would_take_over() {
        return;
    }
    open(arbiter);
    // Drives of a BIOS get their own numbers.
    owner::settle(arbiter);
    if !add {
        return;
    }
    let mut drives = DRIVES.borrow();
    let added = DiskService::new(&mut drives, arbiter, Rom(())).install();
    if added.is_ok_and(|count| count > 0) {
        hooks::install_drives(drives.numbers());
        owner::note_int13();
    }
}

/// Puts the boot sector of the first fixed disk in place, if that is a drive that we have added: the BIOS has no boot entry
/// for it.
pub fn load_boot_sector(arbiter: &mut Arbiter<Rom>) -> bool {
    DiskService::new(&mut DRIVES.borrow(), arbiter, Rom(())).load_boot_sector()
}

/// Finds the disks. Those that were found before stay as they are.
fn open(arbiter: &mut Arbiter<Rom>) {
    if let Err(error) = arbiter.open_disks() {
        log::line(format_args!("int13: no synthetic disks: {error:?}"));
    }
}

/// Asks the BIOS for its drives while it still reaches them, for the first time that VMBus is taken.
pub fn ask_bios() {
    survey(&Rom(()), &mut ASKED.borrow());
}

/// Serves the drives on that the BIOS has lost; gives the numbers of those for which there is no disk.
pub fn stand_in(arbiter: &mut Arbiter<Rom>) -> [u8; MAX_DRIVES] {
    let asked = ASKED.borrow();
    let mut drives = DRIVES.borrow();
    if !asked.is_empty() {
        open(arbiter);
        drives.stand_in(&asked, arbiter);
        hooks::install_drives(drives.numbers());
    }
    drives.lost()
}
