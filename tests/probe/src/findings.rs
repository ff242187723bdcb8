//! What the probe found, read from guest RAM.

use core::mem::offset_of;

use crate::layout::{ADDRESS, CALLS, E820_BYTES, MOST_E820_CALLS, Table};

/// "SMAP", which E820h returns in EAX.
const SMAP: u32 = 0x534d_4150;
const CARRY: u16 = 1;
/// BIOS data area: base memory in KiB.
const BDA_BASE_MEMORY: usize = 0x413;

/// A range of the BIOS's memory map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    /// First byte.
    pub start: u64,
    /// Length in bytes.
    pub len: u64,
    /// 1: RAM.
    pub kind: u32,
}

impl Range {
    /// First byte behind it.
    #[must_use]
    pub fn end(&self) -> u64 {
        self.start + self.len
    }
}

/// Answer of INT 15h AX=E801h.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct E801 {
    /// KiB between 1 and 16 MiB.
    pub below_16_mib: u16,
    /// Units of 64 KiB above 16 MiB.
    pub above_16_mib: u16,
}

/// What the probe found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Findings {
    /// Base memory in KiB: the word in the BIOS data area.
    pub base_memory: u16,
    /// The memory map.
    pub map: Vec<Range>,
    /// The answer of E801h.
    pub e801: E801,
    /// The answer of AH=88h: KiB above 1 MiB.
    pub ah88: u16,
    /// Linear address of PXENV+, when INT 1Ah knows of PXE.
    pub pxenv: Option<u32>,
    /// AX and status of each call, when the probe has unloaded the PXE stack.
    pub unloaded: [[u16; 2]; CALLS.len()],
}

impl Findings {
    /// Reads the table, and checks what holds for every BIOS: INT 12h says what the BIOS data area says; E820h ends without an
    /// error, says the same to callers with 20 and with 24 bytes, and has no empty or overlapping ranges.
    ///
    /// # Errors
    /// The first rule that is broken.
    pub fn read(ram: &[u8]) -> Result<Self, String> {
        let word = |at: usize| u16::from_le_bytes([ram[at], ram[at + 1]]);
        let field = |offset: usize| word(ADDRESS + offset);
        let base_memory = word(BDA_BASE_MEMORY);
        let int12 = field(offset_of!(Table, int12));
        ensure(int12 == base_memory, || format!("INT 12h says {int12}, 0040:0013 {base_memory}"))?;
        let map = read_map(ram, offset_of!(Table, short), 20)?;
        let long = read_map(ram, offset_of!(Table, long), 24)?;
        ensure(map == long, || format!("20-byte callers see {map:x?}, 24-byte callers {long:x?}"))?;
        for (index, range) in map.iter().enumerate() {
            let overlaps = |other: &&Range| other.start < range.end() && range.start < other.end();
            ensure(range.len > 0, || format!("an empty range in {map:x?}"))?;
            ensure(!map[index + 1..].iter().any(|other| overlaps(&other)), || format!("overlaps in {map:x?}"))?;
        }
        let e801 = offset_of!(Table, e801);
        let ah88 = offset_of!(Table, ah88);
        ensure((field(e801) | field(ah88)) & CARRY == 0, || "E801h or 88h failed".into())?;
        let pxe = offset_of!(Table, pxe);
        let unloaded = offset_of!(Table, unloaded);
        Ok(Self {
            base_memory,
            map,
            e801: E801 { below_16_mib: field(e801 + 2), above_16_mib: field(e801 + 4) },
            ah88: field(ah88 + 2),
            pxenv: (field(pxe) & CARRY == 0 && field(pxe + 2) == 0x564e)
                .then(|| (u32::from(field(pxe + 6)) << 4) + u32::from(field(pxe + 4))),
            unloaded: core::array::from_fn(|call| [0, 2].map(|at| field(unloaded + 4 * call + at))),
        })
    }

    /// Bytes of RAM that the map has between two addresses.
    #[must_use]
    pub fn ram_between(&self, start: u64, end: u64) -> u64 {
        let ram = self.map.iter().filter(|range| range.kind == 1);
        ram.map(|range| range.end().min(end).saturating_sub(range.start.max(start))).sum()
    }
}

fn ensure(holds: bool, what: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(what()) }
}

fn read_map(ram: &[u8], offset: usize, size: u32) -> Result<Vec<Range>, String> {
    let mut map = Vec::new();
    for record in ram[ADDRESS + offset..].chunks_exact(E820_BYTES).take(MOST_E820_CALLS) {
        let dword = |at: usize| u32::from_le_bytes([record[at], record[at + 1], record[at + 2], record[at + 3]]);
        let qword = |at: usize| u64::from(dword(at)) | u64::from(dword(at + 4)) << 32;
        let (eax, ebx, ecx, flags) = (dword(0), dword(4), dword(8), dword(12) as u16);
        ensure(eax == SMAP && flags & CARRY == 0, || format!("E820h failed behind {map:x?}"))?;
        ensure((20..=size).contains(&ecx), || format!("E820h: {ecx} bytes for a buffer of {size}"))?;
        map.push(Range { start: qword(16), len: qword(24), kind: dword(32) });
        if ebx == 0 {
            return Ok(map);
        }
    }
    Err(format!("E820h has no end behind {map:x?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RAM of a machine whose BIOS knows one range.
    fn ram() -> Vec<u8> {
        let mut ram = vec![0; 0x10000];
        let mut put = |at: usize, bytes: &[u8]| ram[at..at + bytes.len()].copy_from_slice(bytes);
        put(BDA_BASE_MEMORY, &[0x7f, 0x02]);
        put(ADDRESS + offset_of!(Table, int12), &[0x7f, 0x02]);
        for (list, size) in [(offset_of!(Table, short), 20), (offset_of!(Table, long), 24)] {
            put(ADDRESS + list, b"PAMS");
            put(ADDRESS + list + 8, &[size]);
            put(ADDRESS + list + 16 + 8, &[0x00, 0xfc, 0x09]);
            put(ADDRESS + list + 32, &[1]);
        }
        ram
    }

    #[test]
    fn a_map_is_read() {
        let found = Findings::read(&ram()).unwrap();
        assert_eq!(found.base_memory, 639);
        assert_eq!(found.map, [Range { start: 0, len: 0x9fc00, kind: 1 }]);
        assert_eq!(found.ram_between(0x9f000, 0x100000), 0xc00);
        assert_eq!(found.pxenv, None);
    }

    #[test]
    fn broken_rules_are_told() {
        let broken = |at: usize, value: u8| {
            let mut ram = ram();
            ram[at] = value;
            Findings::read(&ram).unwrap_err()
        };
        assert!(broken(BDA_BASE_MEMORY, 0x7e).contains("INT 12h"));
        assert!(broken(ADDRESS + offset_of!(Table, short) + 12, 1).contains("failed"));
        assert!(broken(ADDRESS + offset_of!(Table, short) + 8, 24).contains("24 bytes"));
        assert!(broken(ADDRESS + offset_of!(Table, long) + 24, 1).contains("24-byte callers"));
        assert!(broken(ADDRESS + offset_of!(Table, short) + 4, 1).contains("failed"), "the record behind is empty");
    }
}
