//! A network boot program that writes an undefined instruction into the ROM's core, wherever in extended memory the code is
//! that its options name, and then calls it: twice, since the second call meets a core that is known to be dead. It returns
//! to the stack with AX=0, as a program that gives up.
#![no_std]
#![no_main]

use runtime::machine::entry;
use runtime::pxe::{Block, Stack, op};
use runtime::report::{line, text};
use runtime::{memory, options};

/// Extended memory that is looked through, in bytes from 1 MiB on; the lab's machine has no more.
const LOOKED_THROUGH: core::ops::Range<u32> = 0x10_0000..0x200_0000;
/// How much of it at once.
const PIECE: usize = 0x1000;
/// UD2.
const UNDEFINED: [u8; 2] = [0x0f, 0x0b];

/// Called by the assembly in 64-bit mode, once. Returns AX for the stack.
#[unsafe(no_mangle)]
#[allow(unsafe_code, reason = "its name is known to the assembly")]
extern "sysv64" fn nbp_main() -> u32 {
    let places = sabotage(&entry::options());
    line(&text(format_args!("saboteur: {places} places")));
    let mut stack = Stack::new();
    for _ in 0..2 {
        let reply = stack.call(op::UNDI_OPEN, &mut Block::new(136));
        line(&text(format_args!("saboteur: AX={:x} status={:x}", reply.ax, reply.status)));
    }
    line("saboteur: end");
    0
}

/// Puts the instruction at the start of the function that the options describe: some of its bytes, and how far behind its
/// start they are. Returns at how many places that was.
fn sabotage(options: &[u8; options::LEN]) -> u32 {
    let [code @ .., low, high] = options;
    let distance = u32::from(u16::from_le_bytes([*low, *high]));
    let mut places = 0;
    for at in LOOKED_THROUGH.step_by(PIECE) {
        // With what reaches over the piece's end.
        let mut piece = [0; PIECE + options::LEN - 1];
        memory::read(at, &mut piece);
        for offset in (0..PIECE).filter(|offset| piece[*offset..].starts_with(code)) {
            memory::write(at + offset as u32 - distance, &UNDEFINED);
            places += 1;
        }
    }
    places
}
