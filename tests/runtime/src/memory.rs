//! Physical memory, mapped one to one. Copies are string instructions, since address 0 is as good as any other here.

#![allow(unsafe_code, reason = "the only place that touches memory which Rust doesn't know")]

use core::arch::asm;

fn copy(from: u64, to: u64, len: usize) {
    // SAFETY: page tables map 0-4 GiB one to one (asm/start.s); the callers below name memory that is no Rust object of
    // this program (the arena, the BIOS's data, the stack's memory, ROM), or the slice that they were given.
    unsafe {
        asm!("rep movsb", inout("rsi") from => _, inout("rdi") to => _, inout("rcx") len => _, options(nostack, preserves_flags));
    }
}

/// Reads bytes.
pub fn read(at: u32, bytes: &mut [u8]) {
    copy(u64::from(at), bytes.as_mut_ptr().addr() as u64, bytes.len());
}

/// Reads an array.
pub fn read_array<const N: usize>(at: u32) -> [u8; N] {
    let mut bytes = [0; N];
    read(at, &mut bytes);
    bytes
}

/// Reads a byte.
pub fn read_u8(at: u32) -> u8 {
    read_array::<1>(at)[0]
}

/// Reads a little-endian word.
pub fn read_u16(at: u32) -> u16 {
    u16::from_le_bytes(read_array(at))
}

/// Reads a little-endian double word.
pub fn read_u32(at: u32) -> u32 {
    u32::from_le_bytes(read_array(at))
}

/// Writes bytes.
pub fn write(at: u32, bytes: &[u8]) {
    copy(bytes.as_ptr().addr() as u64, u64::from(at), bytes.len());
}

/// Writes a little-endian word.
pub fn write_u16(at: u32, value: u16) {
    write(at, &value.to_le_bytes());
}

/// Writes a little-endian double word.
pub fn write_u32(at: u32, value: u32) {
    write(at, &value.to_le_bytes());
}

/// Writes a register of a device: one access of 32 bits.
pub fn write_register(at: u32, value: u32) {
    // SAFETY: as in `copy`.
    unsafe {
        asm!("mov dword ptr [{at}], {value:e}", at = in(reg) u64::from(at), value = in(reg) value,
            options(nostack, preserves_flags));
    }
}

/// Reads a register of a device: one access of 32 bits.
pub fn read_register(at: u32) -> u32 {
    let value;
    // SAFETY: as in `copy`; the device is at this address, or nobody is, which reads as ones.
    unsafe {
        asm!("mov {value:e}, dword ptr [{at}]", at = in(reg) u64::from(at), value = out(reg) value,
            options(nostack, preserves_flags));
    }
    value
}

/// Copies physical memory.
pub fn copy_within(from: u32, to: u32, len: u32) {
    copy(u64::from(from), u64::from(to), len as usize);
}

/// Fills memory.
pub fn fill(at: u32, len: u32, byte: u8) {
    // SAFETY: as in `copy`.
    unsafe {
        asm!("rep stosb", inout("rdi") u64::from(at) => _, inout("rcx") u64::from(len) => _, in("al") byte,
            options(nostack, preserves_flags));
    }
}

/// First byte in a range that is not `byte`.
pub fn find_other(at: u32, len: u32, byte: u8) -> Option<u32> {
    (at..at + len).find(|address| read_u8(*address) != byte)
}

/// Sum of all bytes of a range, as the PXE structures are checked.
pub fn byte_sum(at: u32, len: u32) -> u8 {
    (at..at + len).fold(0, |sum, address| sum.wrapping_add(read_u8(address)))
}

/// A checksum that notices every change of one double word (FNV-1a over double words).
pub fn checksum(at: u32, len: u32) -> u32 {
    (at..at + len).step_by(4).fold(0x811c_9dc5, |sum, address| (sum ^ read_u32(address)).wrapping_mul(0x0100_0193))
}
