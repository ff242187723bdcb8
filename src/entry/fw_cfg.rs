//! Settings from QEMU's command line: `-fw_cfg name=opt/hvpxe/settings,string='quiet=on serial-log=com1'`.
//!
//! Source: QEMU, docs/specs/fw_cfg.rst: "Hardware Interface", "Firmware Configuration Items". Numbers are big-endian.

use heapless::Vec;

use super::smbios;

/// x86 ports: selector, 16 bits; data, a byte at each read.
const SELECTOR: u16 = 0x510;
const DATA: u16 = 0x511;
/// Item: "QEMU".
const SIGNATURE: u16 = 0x0000;
/// Item: the number of files, then an entry for each.
const DIRECTORY: u16 = 0x0019;
/// The file; names starting with "opt/" are the user's.
const FILE: &[u8] = b"opt/hvpxe/settings\0";
/// Entries looked at (policy; QEMU itself has some 20).
const MAX_FILES: u32 = 256;
/// Longest text in bytes (policy); the rest is not read.
pub const MAX_TEXT: usize = 128;

/// The text of the file; `None` on other machines than QEMU's, and without the file.
pub fn settings() -> Option<Vec<u8, MAX_TEXT>> {
    // Other machines have other things at these ports, chipset registers for one: look only where it can be there.
    if !smbios::system_is_made_by(b"QEMU") {
        return None;
    }
    select(SIGNATURE);
    if read() != *b"QEMU" {
        return None;
    }
    select(DIRECTORY);
    let count = u32::from_be_bytes(read());
    for _ in 0..count.min(MAX_FILES) {
        let size = u32::from_be_bytes(read());
        let [key_high, key_low, _, _] = read();
        let name: [u8; 56] = read();
        if name.starts_with(FILE) {
            select(u16::from_be_bytes([key_high, key_low]));
            return Some((0..size).take(MAX_TEXT).map(|_| read_byte()).collect());
        }
    }
    None
}

/// Starts at the beginning of an item.
fn select(item: u16) {
    // SAFETY: the machine is QEMU's, which has nothing else at this port; selecting has no effect on memory.
    unsafe { x86::io::outw(SELECTOR, item) }
}

fn read<const N: usize>() -> [u8; N] {
    core::array::from_fn(|_| read_byte())
}

fn read_byte() -> u8 {
    // SAFETY: as in `select`; behind the end of an item there are zeroes.
    unsafe { x86::io::inb(DATA) }
}
