//! The assembly, with the numbers that it shares with Rust.

#![allow(unsafe_code, reason = "assembly")]

use super::entry::Function;

core::arch::global_asm!(
    include_str!("../../../runtime/asm/modes.s"),
    include_str!("../../asm/header.s"),
    include_str!("../../asm/low.s"),
    OPTIONS_LEN = const runtime::options::LEN,
    RECORD_LEN = const super::record::AREA_LEN,
    FUNCTIONS = const Function::ALL.len(),
    INIT = const Function::Init as u32,
    DISK = const Function::Disk as u32,
    TIMER = const Function::Timer as u32,
    INTERRUPT = const Function::Interrupt as u32,
    QUESTION = const Function::Question as u32,
    options(att_syntax),
);
