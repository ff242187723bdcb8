//! The boot sector that starts a network boot program by the UNDI loader: asm/undi.s alone.
#![no_std]
#![no_main]
#![allow(unsafe_code, reason = "assembly")]

core::arch::global_asm!(include_str!("../asm/undi.s"), options(att_syntax));

/// Nothing can panic here.
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}
