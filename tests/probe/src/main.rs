//! The probe as a boot program: asm/probe.s alone.
#![no_std]
#![no_main]
#![allow(unsafe_code, reason = "assembly")]

use core::mem::offset_of;

use probe::layout::{CALLS, E820_BYTES, MOST_E820_CALLS, Table};

core::arch::global_asm!(
    include_str!("../asm/probe.s"),
    TABLE = const probe::layout::ADDRESS,
    TABLE_SIZE = const size_of::<Table>(),
    NUMBER = const probe::layout::NUMBER,
    PXE = const offset_of!(Table, pxe),
    INT12 = const offset_of!(Table, int12),
    E801 = const offset_of!(Table, e801),
    AH88 = const offset_of!(Table, ah88),
    SHORT = const offset_of!(Table, short),
    LONG = const offset_of!(Table, long),
    UNLOADED = const offset_of!(Table, unloaded),
    E820_BYTES = const E820_BYTES,
    MOST_E820_CALLS = const MOST_E820_CALLS,
    UDP_CLOSE = const CALLS[0],
    UNDI_SHUTDOWN = const CALLS[1],
    UNLOAD_STACK = const CALLS[2],
    STOP_UNDI = const CALLS[3],
    options(att_syntax),
);

/// Nothing can panic here.
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}
