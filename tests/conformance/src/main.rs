//! A network boot program that checks the PXE stack which loaded it, whoever made that.
//!
//! One line a check on the screen and on port 0xE9: `PASS 03.2 name`, `FAIL 03.2 name: what was seen`, `SKIP 03.2 name:
//! why`; at the end `conformance: N passed, N failed, N skipped`. It judges by the PXE 2.1 specification and by what boot
//! programs in the field rely on, and shares no declaration with any stack.
#![no_std]
#![no_main]

mod assembly;
mod checks;
mod machine;
mod pxe;
mod report;

use core::panic::PanicInfo;

use self::machine::{cpu, entry, thunk};
use self::report::Text;

/// Called by the assembly in 64-bit mode, once. Returns AX for the stack.
#[unsafe(no_mangle)]
#[allow(unsafe_code, reason = "its name is known to the assembly")]
extern "sysv64" fn nbp_main() -> u32 {
    let options = entry::options();
    report::line("conformance: start");
    checks::run(&options);
    u32::from(options.exit_ax)
}

/// Called by the assembly for an exception in 64-bit mode; it halts the machine afterwards.
#[unsafe(no_mangle)]
#[allow(unsafe_code, reason = "its name is known to the assembly")]
extern "sysv64" fn nbp_exception(vector: u64, address: u64) {
    let mut text = Text::new();
    // A text that is too long loses its end.
    let _ = core::fmt::write(&mut text, format_args!("conformance: exception {vector} at {address:x}\n"));
    text.bytes().for_each(|byte| cpu::out_u8(0xe9, byte));
    thunk::print(&text);
}

/// The program is built with panic=immediate-abort, so nothing calls this; exception 6 is what a panic is there.
#[panic_handler]
#[allow(unsafe_code, reason = "one instruction")]
fn panic(_: &PanicInfo<'_>) -> ! {
    // SAFETY: raises #UD and nothing else.
    unsafe { core::arch::asm!("ud2", options(noreturn)) }
}
