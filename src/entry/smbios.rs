//! Who the system is, from the SMBIOS tables: UUID and manufacturer.
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

/// Offset of the number of the manufacturer's string.
const MANUFACTURER_OFFSET: u32 = 4;
/// Longest name of a manufacturer that [`system_is_made_by`] compares, with its end (policy).
const MAX_NAME: usize = 16;

/// A structure in the table.
struct Structure {
    /// Its address.
    at: u32,
    /// Length of its fixed part; the strings follow.
    length: u8,
    /// End of the table.
    end: u32,
}

/// The UUID in the byte order of the table; `None` when there is none, or it says "not set" (all zero or all ones).
pub fn system_uuid() -> Option<[u8; 16]> {
    let system = system_information().filter(|system| system.length >= LENGTH_WITH_UUID)?;
    let mut uuid = [0; 16];
    memory::read_firmware(system.at + UUID_OFFSET, &mut uuid);
    (uuid != [0; 16] && uuid != [0xff; 16]).then_some(uuid)
}

/// True when the machine's manufacturer has exactly this name.
pub fn system_is_made_by(name: &[u8]) -> bool {
    let Some(Structure { at, length, end }) = system_information() else { return false };
    let mut number = [0];
    memory::read_firmware(at + MANUFACTURER_OFFSET, &mut number);
    let mut string = at + u32::from(length);
    for _ in 1..number[0] {
        let mut byte = [1];
        while byte != [0] && string < end {
            memory::read_firmware(string, &mut byte);
            string += 1;
        }
    }
    let mut found = [0; MAX_NAME];
    if number[0] == 0 || end.saturating_sub(string) < found.len() as u32 {
        return false;
    }
    memory::read_firmware(string, &mut found);
    found.strip_prefix(name).is_some_and(|rest| rest.first() == Some(&0))
}

/// The type 1 structure.
fn system_information() -> Option<Structure> {
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
        if kind == SYSTEM_INFORMATION && u32::from(length) > MANUFACTURER_OFFSET {
            return Some(Structure { at, length, end });
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
