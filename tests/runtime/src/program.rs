//! What the assembly calls besides the program, and what the compiler wants of it.

#![allow(unsafe_code, reason = "names that the assembly knows, and one instruction")]

use core::panic::PanicInfo;

use crate::machine::{cpu, thunk};
use crate::report::text;

/// Called by the assembly for an exception in 64-bit mode; it halts the machine afterwards.
#[unsafe(no_mangle)]
extern "sysv64" fn nbp_exception(vector: u64, address: u64) {
    let text = text(format_args!("boot program: exception {vector} at {address:x}\n"));
    cpu::debug(&text);
    thunk::print(&text);
}

/// The programs are built with panic=immediate-abort, so nothing calls this; exception 6 is what a panic is there.
#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    // SAFETY: raises #UD and nothing else.
    unsafe { core::arch::asm!("ud2", options(noreturn)) }
}
