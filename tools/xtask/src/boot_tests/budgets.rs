//! What the ROM takes from the machine: the BIOS's own tables say so, and guest RAM holds them.

use std::fs;

use anyhow::{Context, Result, ensure};

use super::{BOOT, Bench, BootTest, finish};
use crate::lab::clients::Client;
use crate::lab::rom_area;

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

    let rom = &ram[rom_area::find(&ram, rom_area::HVPXE).context("the ROM is not in the option-ROM area")?];
    ensure!(rom.len() <= MOST_ROM_AREA, "the ROM keeps {} bytes after POST, over {MOST_ROM_AREA}", rom.len());
    let sum = rom.iter().fold(0, |sum: u8, byte| sum.wrapping_add(*byte));
    ensure!(sum == 0, "the ROM's checksum is wrong: something was written into its area after POST");
    Ok(())
}
