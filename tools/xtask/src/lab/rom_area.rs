//! Our ROM as a machine has it after POST: found by signature, length and name.

use std::ops::Range;

use anyhow::{Context, Result, ensure};

/// Where a BIOS puts option ROMs.
const AREA: Range<usize> = 0xc_0000..0xf_0000;
/// At which distance it looks for them.
const STEP: usize = 2048;
/// More boot entries than any ROM has (policy): its headers go round in a circle then.
const MOST_ENTRIES: usize = 16;

/// Where our ROM lies.
pub fn find(ram: &[u8]) -> Option<Range<usize>> {
    AREA.step_by(STEP).find_map(|at| {
        let header = ram.get(at..at + 3).filter(|header| header.starts_with(&[0x55, 0xaa]))?;
        let place = at..at + usize::from(header[2]) * 512;
        ram.get(place.clone())?.windows(5).any(|name| name == b"hvpxe").then_some(place)
    })
}

/// Linear addresses of its bootstrap entry vectors: one for each boot entry that the BIOS shows.
///
/// Source: Plug and Play BIOS Specification 1.0A, "Option ROM Header" and "Expansion Header".
///
/// # Errors
/// When the ROM isn't there or has no such vector.
pub fn boot_entries(ram: &[u8]) -> Result<Vec<u64>> {
    let rom = find(ram).context("our ROM is not in the option-ROM area")?;
    let word = |at: usize| ram.get(at..at + 2).map_or(0, |bytes| usize::from(u16::from_le_bytes([bytes[0], bytes[1]])));
    let mut entries = Vec::new();
    let mut header = word(rom.start + 0x1a);
    while header != 0 && entries.len() < MOST_ENTRIES {
        let expansion = rom.start + header;
        ensure!(ram.get(expansion..).is_some_and(|bytes| bytes.starts_with(b"$PnP")), "a ROM with a broken PnP header");
        entries.extend(
            Some(word(expansion + 0x1a)).filter(|vector| *vector != 0).map(|vector| (rom.start + vector) as u64),
        );
        header = word(expansion + 6);
    }
    ensure!(!entries.is_empty(), "a ROM that can't be booted from");
    Ok(entries)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_rom_is_told_from_others() {
        let mut ram = vec![0; 0x10_0000];
        ram[0xc_0000..0xc_0003].copy_from_slice(&[0x55, 0xaa, 4]);
        assert_eq!(find(&ram), None);
        ram[0xc_c800..0xc_c803].copy_from_slice(&[0x55, 0xaa, 5]);
        ram[0xc_c900..0xc_c905].copy_from_slice(b"hvpxe");
        assert_eq!(find(&ram), Some(0xc_c800..0xc_c800 + 2560));
        assert!(boot_entries(&ram).is_err());
        ram[0xc_c81a] = 0x40;
        ram[0xc_c840..0xc_c844].copy_from_slice(b"$PnP");
        ram[0xc_c85a..0xc_c85c].copy_from_slice(&[0x34, 0x02]);
        assert_eq!(boot_entries(&ram).unwrap(), [0xc_ca34]);
        ram[0xc_c846] = 0x40;
        assert_eq!(boot_entries(&ram).unwrap().len(), MOST_ENTRIES, "a circle");
    }
}
