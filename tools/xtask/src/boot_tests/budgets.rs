//! What the ROM takes from the machine: the BIOS's own tables say so, and guest RAM holds them.

use std::fs;

use anyhow::{Context, Result, ensure};

use super::{BOOT, Bench, BootTest, finish};
use crate::lab::clients::Client;

/// The tests of this file.
pub const TESTS: &[BootTest] = &[BootTest {
    name: "budgets",
    about: "base memory and option-ROM area while a boot program runs; the ROM's area is unchanged",
    run: budgets,
}];

/// Base memory of SeaBIOS's PC in KiB: 640 without the extended BIOS data area.
const BASE_MEMORY_KIB: u16 = 639;
/// Most base memory that the ROM may hold, in KiB (policy): one less than iPXE.
const MOST_RESIDENT_KIB: u16 = 14;
/// Most option-ROM area after POST, in bytes (policy).
const MOST_ROM_AREA: usize = 4096;
/// BIOS data area: KiB of base memory.
const BDA_BASE_MEMORY: usize = 0x413;
/// Where option ROMs may lie after POST (PnP BIOS 1.0a): on 2 KiB boundaries in C0000-EFFFF.
const ROM_AREA: std::ops::Range<usize> = 0xc_0000..0xf_0000;
/// The steps in it.
const ROM_STEP: usize = 2048;

fn budgets(bench: &Bench) -> Result<()> {
    let bootfile = Client::Pxelinux.compose(&bench.lab.packages, bench.files())?;
    let mut session = bench.start(&bench.machine(bench.slirp(&bootfile, None)))?;
    session.expect("boot:", BOOT)?;
    let ram = fs::read(session.ram()).context("can't read the guest's RAM")?;
    finish(session)?;

    let free = u16::from_le_bytes([ram[BDA_BASE_MEMORY], ram[BDA_BASE_MEMORY + 1]]);
    let held = BASE_MEMORY_KIB.checked_sub(free).context("more base memory than there is")?;
    ensure!(held > 0, "the ROM holds no base memory while PXELINUX runs: where is its PXE API?");
    ensure!(held <= MOST_RESIDENT_KIB, "the ROM holds {held} KiB of base memory, over {MOST_RESIDENT_KIB}");

    let rom = our_rom(&ram).context("the ROM is not in the option-ROM area")?;
    ensure!(rom.len() <= MOST_ROM_AREA, "the ROM keeps {} bytes after POST, over {MOST_ROM_AREA}", rom.len());
    let sum = rom.iter().fold(0, |sum: u8, byte| sum.wrapping_add(*byte));
    ensure!(sum == 0, "the ROM's checksum is wrong: something was written into its area after POST");
    Ok(())
}

/// What the ROM has kept of itself: found by signature, length and name.
fn our_rom(ram: &[u8]) -> Option<&[u8]> {
    ROM_AREA.step_by(ROM_STEP).find_map(|at| {
        let header = ram.get(at..at + 3).filter(|header| header.starts_with(&[0x55, 0xaa]))?;
        let rom = ram.get(at..at + usize::from(header[2]) * 512)?;
        rom.windows(5).any(|name| name == b"hvpxe").then_some(rom)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_rom_is_told_from_others() {
        let mut ram = vec![0; 0x10_0000];
        ram[0xc_0000..0xc_0003].copy_from_slice(&[0x55, 0xaa, 4]);
        assert_eq!(our_rom(&ram), None);
        ram[0xc_c800..0xc_c803].copy_from_slice(&[0x55, 0xaa, 5]);
        ram[0xc_c900..0xc_c905].copy_from_slice(b"hvpxe");
        assert_eq!(our_rom(&ram).map(<[u8]>::len), Some(2560));
    }
}
