//! The disk's boot sector: asm/sector.s alone.
#![no_std]
#![no_main]
#![allow(unsafe_code, reason = "assembly")]

use parties::disk::{CHECKED, SECTOR_WRITES};
use parties::options::STRIKE_VECTOR;

core::arch::global_asm!(
    include_str!("../../asm/sector.s"),
    CHECKED = const CHECKED,
    WRITTEN = const SECTOR_WRITES,
    STRIKE = const STRIKE_VECTOR,
    options(att_syntax),
);

/// Nothing can panic here.
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}
