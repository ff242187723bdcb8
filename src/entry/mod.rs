//! What the assembly calls, and the one static that holds the PXE services.
//!
//! asm/mode.s enters [`core_entry`] in long mode, on the core's own stack, with interrupts off. The rest of the module is
//! this machine's implementation of the core's seams: [`Rom`] is the handle that implements
//! [`Hypervisor`](crate::hv::Hypervisor), [`Machine`](crate::machine::Machine) and [`PhysMem`](crate::mem::PhysMem).
#![allow(unsafe_code, reason = "symbols and memory that asm/ and linker.ld define; see each SAFETY note")]

mod assembly;
mod bios;
mod bios_disks;
#[cfg(feature = "disk")]
mod disks;
mod exception;
mod fw_cfg;
mod hooks;
mod hypervisor;
mod machine;
mod memory;
mod owner;
mod resident;
mod restart;
mod settings;
mod smbios;

use crate::log;
use crate::machine::Machine;
use crate::mem::SegOff;
use crate::mem::single::{Once, Single};
use crate::net::sockets::{BUFFERS_LEN, SocketPlaces};
use crate::owner::{Arbiter, Policy};
use crate::pxe::{Api, BootOutcome, Residency, State, Then};
use crate::settings::Setting;

use resident::{Exchange, Function, Resident};

/// A handle on the machine that the ROM runs on. Empty: there is one machine.
#[derive(Clone, Copy, Debug)]
pub struct Rom(());

/// What the PXE services remember between calls.
static STATE: Single<State> = Single::new(State::new());
/// What smoltcp's sockets work with. Apart from the buffers, which are zeroes and so take no room in the image.
static SOCKET_PLACES: Once<SocketPlaces> = Once::new(SocketPlaces::new());
/// Send and receive buffers.
static SOCKET_BUFFERS: Once<[u8; BUFFERS_LEN]> = Once::new([0; BUFFERS_LEN]);
/// The card and the disks.
static ARBITER: Single<Arbiter<Rom>> = Single::new(Arbiter::new(Rom(())));

/// Does what `exchange.function` says and leaves the answer in the exchange area.
///
/// Called by asm/mode.s alone, with the address of the resident block's exchange area.
#[unsafe(no_mangle)]
extern "C" fn core_entry(exchange: *mut Exchange) {
    resident::locate(exchange);
    if exception::core_is_dead() {
        return exception::refuse();
    }
    let result = match resident::function() {
        // Most of what comes, and all that must be quick.
        Some(Function::Api) => {
            let mut arbiter = ARBITER.borrow();
            let result = serve_call(&mut STATE.borrow(), &mut arbiter);
            owner::settle(&mut arbiter);
            result
        }
        function => serve_other(function),
    };
    Resident::update(|exchange| exchange.result = result);
}

/// A call of the API.
fn serve_call(state: &mut State, arbiter: &mut Arbiter<Rom>) -> u16 {
    let (opcode, [offset, segment]) = Resident::read(|exchange| (exchange.opcode, exchange.block));
    let outcome = Api::new(state, arbiter, Rom(()), Rom(())).call(opcode, SegOff { offset, segment });
    Resident::update(|exchange| exchange.ax = outcome.ax);
    match outcome.then {
        Then::Return => resident::RESULT_DONE,
        Then::StartNbp => resident::RESULT_START_NBP,
    }
}

/// Everything else that is asked of the core; the result.
#[inline(never)] // it has a large stack frame
fn serve_other(function: Option<Function>) -> u16 {
    if matches!(function, Some(Function::Boot | Function::Probe | Function::Count | Function::Load)) {
        exception::install();
        if function != Some(Function::Count) {
            memory::learn_map();
        }
        hypervisor::detect();
        settings::apply();
        let mut arbiter = ARBITER.borrow();
        arbiter.set_vlan(settings::get(Setting::Vlan));
        // During POST nothing is taken from anybody.
        arbiter.set_policy(if function == Some(Function::Count) { Policy::Decline } else { owner::policy() });
        if let (Some(places), Some(buffers)) = (SOCKET_PLACES.take(), SOCKET_BUFFERS.take()) {
            STATE.borrow().equip(places, buffers);
        }
        #[cfg(feature = "disk")]
        disks::keep_serving();
        owner::note_int13();
        log::line(format_args!("core at {:#x}, resident block at {:#x}", memory::block_start(), resident::linear(0)));
    }
    let mut arbiter = ARBITER.borrow();
    match function {
        Some(Function::Disk) => serve_drive(&mut arbiter),
        Some(function) => {
            let next = serve(function, &mut STATE.borrow(), &mut arbiter);
            owner::settle(&mut arbiter);
            match next {
                Next::At(result) => result,
                Next::Bios(residency) => go_on(residency, &mut arbiter),
            }
        }
        None => resident::RESULT_FAILED,
    }
}

/// Where the machine goes on.
enum Next {
    /// As this `RESULT` constant says.
    At(u16),
    /// Behind a boot attempt: in the BIOS.
    Bios(Residency),
}

fn serve(function: Function, state: &mut State, arbiter: &mut Arbiter<Rom>) -> Next {
    let rom = Rom(());
    match function {
        Function::Boot | Function::Probe if !settings::is_on(Setting::Enabled) => {
            rom.print("hvpxe is switched off by QEMU's settings.\n");
            Next::At(leave(Residency::Free))
        }
        Function::Boot | Function::Probe if restart::is_left_out(Resident::read(|exchange| exchange.card)) => {
            rom.print("hvpxe: the network boot is left out once, for the BIOS's disks.\n");
            Next::At(leave(Residency::Free))
        }
        Function::Boot => {
            #[cfg(feature = "disk")]
            disks::prepare(arbiter);
            match Api::new(state, arbiter, rom, rom).boot() {
                BootOutcome::StartNbp => Next::At(resident::RESULT_START_NBP),
                BootOutcome::ReturnToBios => Next::Bios(Residency::Free),
            }
        }
        Function::Api => Next::At(serve_call(state, arbiter)),
        Function::NbpReturned => {
            let verdict = Resident::read(|exchange| exchange.ax);
            Next::Bios(Api::new(state, arbiter, rom, rom).nbp_returned(verdict))
        }
        Function::Load => {
            Api::new(state, arbiter, rom, rom).install();
            Resident::update(|exchange| exchange.ax = 0);
            Next::At(resident::RESULT_DONE)
        }
        Function::Count => {
            let cards = Api::new(state, arbiter, rom, rom).count_cards();
            Resident::update(|exchange| exchange.ax = cards as u16);
            Next::At(resident::RESULT_DONE)
        }
        Function::Probe => {
            let found = owner::would_take_over() || arbiter.has_host() || Api::new(state, arbiter, rom, rom).probe();
            Resident::update(|exchange| exchange.ax = found.into());
            Next::At(resident::RESULT_DONE)
        }
        // Needs no PXE services.
        Function::Disk => Next::At(serve_drive(arbiter)),
    }
}

/// INT 13h for a drive that we serve, or that is lost.
#[cfg(feature = "disk")]
fn serve_drive(arbiter: &mut Arbiter<Rom>) -> u16 {
    disks::serve(arbiter)
}

/// INT 13h for a drive that is lost: there are no others.
#[cfg(not(feature = "disk"))]
fn serve_drive(_: &mut Arbiter<Rom>) -> u16 {
    owner::start_anew()
}

/// What comes behind a boot attempt: the machine from its start, a disk that the BIOS knows nothing of, or the BIOS.
fn go_on(residency: Residency, arbiter: &mut Arbiter<Rom>) -> u16 {
    if owner::has_lost_drives() {
        return owner::start_anew();
    }
    let result = leave(residency);
    #[cfg(feature = "disk")]
    if disks::load_boot_sector(arbiter) {
        Rom(()).note("Starting the first disk.\n");
        return resident::RESULT_START_DISK;
    }
    #[cfg(not(feature = "disk"))]
    let _ = arbiter;
    result
}

/// Tells resident_run in asm/bev.s whether the resident block may go.
fn leave(residency: Residency) -> u16 {
    let keep = residency == Residency::Keep || hooks::installed();
    Resident::update(|exchange| exchange.ax = keep.into());
    resident::RESULT_DONE
}
