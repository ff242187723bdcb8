//! What the boot program found when it was entered (asm/start.s).

use super::thunk::SegOff;
use crate::options;

/// Registers and stack at the entry.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct EntryState {
    /// EAX.
    pub eax: u32,
    /// EBX: BX is the offset of PXENV+.
    pub ebx: u32,
    /// EDX.
    pub edx: u32,
    /// ESP.
    pub esp: u32,
    /// EFLAGS.
    pub eflags: u32,
    /// CR0.
    pub cr0: u32,
    /// First words on the stack: where RETF would go.
    pub return_address: SegOff,
    /// Next words on the stack.
    pub bang_pxe: SegOff,
    /// SS.
    pub ss: u16,
    /// ES.
    pub es: u16,
    /// DS.
    pub ds: u16,
    /// Interrupt masks of both interrupt controllers.
    pub pic: [u8; 2],
}

#[allow(unsafe_code, reason = "the assembly's structures")]
mod raw {
    use super::{EntryState, options};

    unsafe extern "C" {
        pub static nbp_entry: EntryState;
        pub static nbp_options: [u8; options::LEN];
    }
}

/// What was found.
#[allow(unsafe_code, reason = "the assembly's structure")]
pub fn state() -> EntryState {
    // SAFETY: written once, before any Rust code ran.
    unsafe { raw::nbp_entry }
}

/// What the harness asks for.
#[allow(unsafe_code, reason = "the assembly's structure")]
pub fn options() -> [u8; options::LEN] {
    // SAFETY: part of the loaded file; volatile, since the harness changes what the compiler saw.
    unsafe { (&raw const raw::nbp_options).read_volatile() }
}

/// Code and constants of this program: they never change.
#[allow(unsafe_code, reason = "addresses from linker.ld")]
pub fn image() -> core::ops::Range<u32> {
    unsafe extern "C" {
        static text_start: u8;
        static text_end: u8;
    }
    let [start, end] = [&raw const text_start, &raw const text_end].map(|symbol| symbol.addr() as u32);
    start..end
}

/// Where the two interrupt hooks of our own are, and the far pointers by which they go on.
#[allow(unsafe_code, reason = "addresses of the assembly")]
pub mod hooks {
    unsafe extern "C" {
        static chain_1a: u8;
        static chain_15: u8;
        static chain_1a_next: u8;
        static chain_15_next: u8;
    }

    /// A hook: its offset in segment 0, and where its far pointer to the next one lies.
    pub fn of(vector: u8) -> (u16, u32) {
        let (hook, next) = match vector {
            0x1a => (&raw const chain_1a, &raw const chain_1a_next),
            _ => (&raw const chain_15, &raw const chain_15_next),
        };
        (hook.addr() as u16, next.addr() as u32)
    }
}
