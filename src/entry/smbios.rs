//! The system UUID from the SMBIOS tables.
//!
//! Source: DMTF DSP0134 (SMBIOS), "Accessing SMBIOS information" and "System Information (Type 1)".

use super::memory;

/// The entry point structure is on a 16-byte boundary in this range.
const SEARCH: core::ops::Range<u32> = 0xf_0000..0x10_0000;
/// Structures looked at, at most (policy).
const MAX_STRUCTURES: usize = 64;
const SYSTEM_INFORMATION: u8 = 1;
const END_OF_TABLE: u8 = 127;
/// Offset of the UUID in a type 1 structure, and the length from which on it is there (SMBIOS 2.1).
const UUID_OFFSET: u32 = 8;
const LENGTH_WITH_UUID: u8 = 0x19;

/// The UUID in the byte order of the table; `None` when there is none, or it says "not set" (all zero or all ones).
pub fn system_uuid() -> Option<[u8; 16]> {
    let (start, end) = table()?;
    let mut at = start;
    for _ in 0..MAX_STRUCTURES {
        let mut header = [0; 4];
        if end.checked_sub(at)? < 4 {
            return None;
        }
        memory::read_firmware(at, &mut header);
        let [kind, length, ..] = header;
        if kind == END_OF_TABLE || length < 4 || end - at < length.into() {
            return None;
        }
        if kind == SYSTEM_INFORMATION && length >= LENGTH_WITH_UUID {
            let mut uuid = [0; 16];
            memory::read_firmware(at + UUID_OFFSET, &mut uuid);
            return (uuid != [0; 16] && uuid != [0xff; 16]).then_some(uuid);
        }
        at = end_of_strings(at + u32::from(length), end)?;
    }
    None
}

/// The structure table as (start, end), from the 32-bit entry point.
fn table() -> Option<(u32, u32)> {
    for at in SEARCH.step_by(16) {
        let mut entry = [0; 0x1f];
        memory::read_firmware(at, &mut entry);
        let length = usize::from(entry[5]);
        if &entry[..4] == b"_SM_" && length <= entry.len() && length >= 0x1e && sums_to_zero(&entry[..length]) {
            let size = u32::from(u16::from_le_bytes([entry[0x16], entry[0x17]]));
            let start = u32::from_le_bytes([entry[0x18], entry[0x19], entry[0x1a], entry[0x1b]]);
            return Some((start, start.checked_add(size)?));
        }
    }
    None
}

fn sums_to_zero(bytes: &[u8]) -> bool {
    bytes.iter().fold(0u8, |sum, &byte| sum.wrapping_add(byte)) == 0
}

/// The strings behind a structure end with two zero bytes; returns what follows.
fn end_of_strings(mut at: u32, end: u32) -> Option<u32> {
    let mut pair = [0; 2];
    while end.checked_sub(at)? >= 2 {
        memory::read_firmware(at, &mut pair);
        if pair == [0; 2] {
            return Some(at + 2);
        }
        at += 1;
    }
    None
}
