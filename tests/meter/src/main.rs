//! The meter as a boot program: asm/meter.s alone.
#![no_std]
#![no_main]
#![allow(unsafe_code, reason = "assembly")]

core::arch::global_asm!(
    include_str!("../asm/meter.s"),
    BEGIN = const meter::BEGIN,
    END = const meter::END,
    ORDERS = const meter::ORDERS,
    FIRST_BLOCK = const meter::FIRST_BLOCK,
    SECOND_BLOCK = const meter::SECOND_BLOCK,
    FILE_HANDLE = const meter::FILE_HANDLE,
    NOTHING_YET = const meter::NOTHING_YET,
    BUFFER_SIZE = const meter::BUFFER_SIZE,
    PACKET_SIZE = const meter::PACKET_SIZE,
    options(att_syntax),
);

/// Nothing can panic here.
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}
