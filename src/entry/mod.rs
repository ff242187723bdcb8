//! What the assembly calls, and the one static that holds the PXE services.
//!
//! asm/mode.s enters [`core_entry`] in long mode, on the core's own stack, with interrupts off. The rest of the module is
//! this machine's implementation of the core's seams: [`Rom`] is the handle that implements
//! [`Hypervisor`](crate::hv::Hypervisor), [`Machine`](crate::machine::Machine) and [`PhysMem`](crate::mem::PhysMem).
#![allow(unsafe_code, reason = "symbols and memory that asm/ and linker.ld define; see each SAFETY note")]

mod assembly;
mod bios;
mod exception;
mod fw_cfg;
mod hooks;
mod hypervisor;
mod machine;
mod memory;
mod resident;
mod settings;
mod smbios;

use crate::log;
use crate::machine::Machine;
use crate::mem::SegOff;
use crate::mem::single::{Once, Single};
use crate::net::sockets::{BUFFERS_LEN, SocketPlaces};
use crate::owner::{Arbiter, Platform};
use crate::pxe::{Api, BootOutcome, Residency, State, Then};
use crate::settings::Setting;

use resident::{Exchange, Function, Resident};

/// A handle on the machine that the ROM runs on. Empty: there is one machine.
#[derive(Clone, Copy, Debug)]
pub struct Rom(());

impl Platform for Rom {}

/// What the PXE services remember between calls.
static STATE: Single<State> = Single::new(State::new());
/// What smoltcp's sockets work with. Apart from the buffers, which are zeroes and so take no room in the image.
static SOCKET_PLACES: Once<SocketPlaces> = Once::new(SocketPlaces::new());
/// Send and receive buffers.
static SOCKET_BUFFERS: Once<[u8; BUFFERS_LEN]> = Once::new([0; BUFFERS_LEN]);
/// The card; made by the first boot attempt.
static NIC: Single<Option<Arbiter<Rom>>> = Single::new(None);

/// Does what `exchange.function` says and leaves the answer in the exchange area.
///
/// Called by asm/mode.s alone, with the address of the resident block's exchange area.
#[unsafe(no_mangle)]
extern "C" fn core_entry(exchange: *mut Exchange) {
    resident::locate(exchange);
    if exception::core_is_dead() {
        return exception::refuse();
    }
    let rom = Rom(());
    let function = resident::function();
    if matches!(function, Some(Function::Boot | Function::Probe | Function::Count | Function::Load)) {
        exception::install();
        if function != Some(Function::Count) {
            memory::learn_map();
        }
        hypervisor::detect();
        settings::apply();
        // An earlier attempt's card keeps the record of memory that the host may still write.
        NIC.borrow().get_or_insert_with(|| Arbiter::new(rom)).set_vlan(settings::get(Setting::Vlan));
        if let (Some(places), Some(buffers)) = (SOCKET_PLACES.take(), SOCKET_BUFFERS.take()) {
            STATE.borrow().equip(places, buffers);
        }
        log::line(format_args!("core at {:#x}, resident block at {:#x}", memory::block_start(), resident::linear(0)));
    }
    let (mut state, mut nic) = (STATE.borrow(), NIC.borrow());
    let result = match (function, nic.as_mut()) {
        (Some(function), Some(nic)) => serve(function, Api::new(&mut state, nic, rom, rom)),
        _ => resident::RESULT_FAILED,
    };
    Resident::update(|exchange| exchange.result = result);
}

fn serve(function: Function, mut services: Api<'_, &mut Arbiter<Rom>, Rom, Rom>) -> u16 {
    match function {
        Function::Boot | Function::Probe if !settings::is_on(Setting::Enabled) => {
            Rom(()).print("hvpxe is switched off by QEMU's settings.\n");
            leave(Residency::Free)
        }
        Function::Boot => match services.boot() {
            BootOutcome::StartNbp => resident::RESULT_START_NBP,
            BootOutcome::ReturnToBios => leave(Residency::Free),
        },
        Function::Api => {
            let (opcode, [offset, segment]) = Resident::read(|exchange| (exchange.opcode, exchange.block));
            let outcome = services.call(opcode, SegOff { offset, segment });
            Resident::update(|exchange| exchange.ax = outcome.ax);
            match outcome.then {
                Then::Return => resident::RESULT_DONE,
                Then::StartNbp => resident::RESULT_START_NBP,
            }
        }
        Function::NbpReturned => {
            let verdict = Resident::read(|exchange| exchange.ax);
            leave(services.nbp_returned(verdict))
        }
        Function::Load => {
            services.install();
            Resident::update(|exchange| exchange.ax = 0);
            resident::RESULT_DONE
        }
        Function::Count => {
            let cards = services.count_cards();
            Resident::update(|exchange| exchange.ax = cards as u16);
            resident::RESULT_DONE
        }
        Function::Probe => {
            let found = services.probe();
            Resident::update(|exchange| exchange.ax = found.into());
            resident::RESULT_DONE
        }
    }
}

/// Tells resident_run in asm/bev.s whether the resident block may go.
fn leave(residency: Residency) -> u16 {
    let keep = residency == Residency::Keep || hooks::installed();
    Resident::update(|exchange| exchange.ax = keep.into());
    resident::RESULT_DONE
}
