//! The ROM. All of it is in the library: the assembly in `entry`, which asm/mode.s enters at `core_entry`.
#![no_std]
#![no_main]

use hvpxe as _;

/// The ROM is built with panic=immediate-abort, so nothing calls this; an undefined instruction is what a panic is there,
/// caught like every other exception (asm/exception.s).
#[panic_handler]
#[allow(unsafe_code, reason = "one instruction")]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    // SAFETY: raises #UD and nothing else.
    unsafe { core::arch::asm!("ud2", options(noreturn)) }
}
