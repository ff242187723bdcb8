//! An option ROM as a machine has it after POST: found by signature, length and a name in it.

use std::ops::Range;

use anyhow::{Context, Result, ensure};
use romtool::header::{PNP_LEN, PNP_POINTER, read_u16, sum};

/// Where a BIOS puts option ROMs.
const AREA: Range<usize> = 0xc_0000..0xf_0000;
/// At which distance it looks for them.
const STEP: usize = 2048;
/// More boot entries than any ROM has (policy): its headers go round in a circle then.
const MOST_ENTRIES: usize = 16;

/// The name that is in our ROM.
pub const HVPXE: &str = "hvpxe";
/// The name that is in iPXE's.
pub const IPXE: &str = "iPXE";

/// Where the ROM with this name in it lies.
pub fn find(ram: &[u8], name: &str) -> Option<Range<usize>> {
    AREA.step_by(STEP).find_map(|at| {
        let header = ram.get(at..at + 3).filter(|header| header.starts_with(&[0x55, 0xaa]))?;
        let place = at..at + usize::from(header[2]) * 512;
        ram.get(place.clone())?.windows(name.len()).any(|bytes| bytes == name.as_bytes()).then_some(place)
    })
}

/// A boot entry, as our ROM offers it to the BIOS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BootEntry {
    /// What the boot menu shows.
    pub name: String,
    /// Linear address of its bootstrap entry vector.
    pub vector: u64,
}

/// The boot entries that the BIOS makes of our ROM.
///
/// Source: Plug and Play BIOS Specification 1.0A, "Option ROM Header" and "Expansion Header".
///
/// # Errors
/// When the ROM isn't there, a PnP header breaks a rule, or none has such a vector.
pub fn boot_entries(ram: &[u8], name: &str) -> Result<Vec<BootEntry>> {
    let place = find(ram, name).with_context(|| format!("{name}'s ROM is not in the option-ROM area"))?;
    let (start, rom) = (place.start, &ram[place]);
    let mut entries = Vec::new();
    let mut at = usize::from(read_u16(rom, PNP_POINTER)?);
    while at != 0 && entries.len() < MOST_ENTRIES {
        let header = rom.get(at..at + PNP_LEN).context("a PnP header outside the ROM")?;
        ensure!(header.starts_with(b"$PnP") && at.is_multiple_of(16) && sum(header) == 0, "a broken PnP header");
        let name = rom.get(usize::from(read_u16(header, 0x10)?)..).context("a name outside the ROM")?;
        let name = name.split(|byte| *byte == 0).next().unwrap_or_default();
        let vector = usize::from(read_u16(header, 0x1a)?);
        ensure!(vector < rom.len(), "a vector outside the ROM");
        if vector != 0 {
            entries
                .push(BootEntry { name: String::from_utf8_lossy(name).into_owned(), vector: (start + vector) as u64 });
        }
        at = usize::from(read_u16(header, 6)?);
    }
    ensure!(!entries.is_empty(), "a ROM that can't be booted from");
    Ok(entries)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rom_is_told_from_others() {
        let mut ram = vec![0; 0x10_0000];
        ram[0xc_0000..0xc_0003].copy_from_slice(&[0x55, 0xaa, 4]);
        assert_eq!(find(&ram, HVPXE), None);
        ram[0xc_c800..0xc_c803].copy_from_slice(&[0x55, 0xaa, 5]);
        ram[0xc_c900..0xc_c905].copy_from_slice(b"hvpxe");
        assert_eq!(find(&ram, IPXE), None);
        assert_eq!(find(&ram, HVPXE), Some(0xc_c800..0xc_c800 + 2560));
        assert!(boot_entries(&ram, HVPXE).is_err());
        ram[0xc_c81a] = 0x40;
        ram[0xc_c840..0xc_c844].copy_from_slice(b"$PnP");
        ram[0xc_c850..0xc_c852].copy_from_slice(&[0x00, 0x01]);
        ram[0xc_c85a..0xc_c85c].copy_from_slice(&[0x34, 0x02]);
        assert!(boot_entries(&ram, HVPXE).is_err(), "a wrong checksum");
        ram[0xc_c849] = 0x97;
        assert_eq!(boot_entries(&ram, HVPXE).unwrap(), [BootEntry { name: "hvpxe".to_owned(), vector: 0xc_ca34 }]);
        (ram[0xc_c846], ram[0xc_c849]) = (0x40, 0x57);
        assert_eq!(boot_entries(&ram, HVPXE).unwrap().len(), MOST_ENTRIES, "a circle");
    }
}
