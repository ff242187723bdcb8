//! The option ROM: a BIOS that reaches its disk through VMBus, or a thief that strikes from an interrupt.
//!
//! asm/header.s takes memory from the real BIOS during POST; asm/low.s enters [`party_main`] in 64-bit mode, for the first
//! time then, and for each interrupt that was hooked.
#![no_std]
#![no_main]

mod assembly;
mod bios;
mod drives;
mod entry;
mod interrupts;
mod record;
mod thief;

use hvpxe::mem::single::Single;
use parties::options::{Kind, Rom};

use self::bios::Bios;
use self::entry::{Call, Function, Next};
use self::thief::RomThief;

/// Who the ROM is, once it is somebody.
enum Party {
    Bios(Bios),
    Thief(RomThief),
}

static PARTY: Single<Option<Party>> = Single::new(None);

/// Serves a call.
fn serve(call: &mut Call) -> Next {
    let mut party = PARTY.borrow();
    match (call.function(), party.as_mut()) {
        (Function::Init, _) => {
            let options = Rom::from_bytes(&call.options());
            *party = match options.kind {
                Kind::Thief => Some(Party::Thief(RomThief::install(call, &options))),
                kind => Bios::install(call, kind).map(Party::Bios),
            };
            Next::Done
        }
        (Function::Disk, Some(Party::Bios(bios))) => bios.disk_call(call),
        (Function::Interrupt, Some(Party::Bios(bios))) => bios.interrupt(),
        (Function::Question, Some(Party::Bios(bios))) => bios.question(call),
        (Function::Question, Some(Party::Thief(thief))) => thief.called(call),
        (Function::Timer, Some(Party::Thief(thief))) => {
            thief.tick();
            Next::Chain
        }
        _ => Next::Chain,
    }
}
