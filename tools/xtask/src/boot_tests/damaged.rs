//! A ROM whose packed core is damaged, and whose checksum is right all the same.

use std::fs;

use anyhow::{Context, Result};
use romtool::settings::Settings;

use super::{BOOT, Bench, BootTest};

/// The tests of this file.
pub const TESTS: &[BootTest] = &[BootTest {
    name: "damaged-core",
    about: "a bit of the packed core is wrong: the ROM says so, and the disk boots",
    run: damaged_core,
}];

fn damaged_core(bench: &Bench) -> Result<()> {
    let mut rom = fs::read(&bench.lab.rom).context("can't read the ROM")?;
    // Nearly all of a ROM is the packed core.
    let middle = rom.len() / 2;
    rom[middle] ^= 0x10;
    romtool::pack::configure(&mut rom, Settings::default())?;
    let mut machine = bench.machine_with_disk(bench.server(&[]), &[])?;
    machine.rom = Some(bench.add_file("damaged.rom", &rom)?);
    bench.falls_through(&machine, &["PXE-E00: damaged ROM"], BOOT).map(drop)
}
