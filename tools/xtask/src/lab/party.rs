//! The other parties on the machine (tests/parties): their option ROMs, their boot program, and the disk that all share.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use object::{Object, ObjectSection};
use parties::disk::{self, BLOCK, BLOCKS};
use parties::options::{Rom, Thief};

use crate::build;
use crate::workspace::Workspace;

/// Size of an option ROM's unit of length, and where in the ROM the length and the checksum are (PnP BIOS 1.0a).
const UNIT: usize = 512;
const LENGTH_AT: usize = 2;
const CHECKSUM_AT: usize = 6;

/// What was built.
pub struct Programs {
    rom: Vec<u8>,
    thief: Vec<u8>,
    sector: Vec<u8>,
}

impl Programs {
    /// Builds them.
    ///
    /// # Errors
    /// When a compiler says no.
    pub fn build(workspace: &Workspace) -> Result<Self> {
        let built = build::parties(workspace)?;
        let read = |path: &Path| fs::read(path).with_context(|| path.display().to_string());
        Ok(Self { rom: joined(&read(&built.rom)?)?, thief: read(&built.thief)?, sector: read(&built.sector)? })
    }

    /// An option ROM with these options.
    ///
    /// # Errors
    /// When the ROM is none.
    pub fn option_rom(&self, options: &Rom) -> Result<Vec<u8>> {
        let mut rom = self.rom.clone();
        ensure!(runtime::options::patch(&mut rom, &options.to_bytes()), "the ROM has no options");
        rom.resize(rom.len().next_multiple_of(UNIT), 0);
        rom[LENGTH_AT] = u8::try_from(rom.len() / UNIT).context("the ROM is too large")?;
        rom[CHECKSUM_AT] = 0;
        rom[CHECKSUM_AT] = rom.iter().fold(0_u8, |sum, byte| sum.wrapping_sub(*byte));
        Ok(rom)
    }

    /// The boot program with these options.
    ///
    /// # Errors
    /// When the program is none.
    pub fn thief(&self, options: &Thief) -> Result<Vec<u8>> {
        let mut program = self.thief.clone();
        ensure!(runtime::options::patch(&mut program, &options.to_bytes()), "the boot program has no options");
        Ok(program)
    }

    /// The disk, as new.
    pub fn disk(&self) -> Vec<u8> {
        self.disk_of(BLOCKS)
    }

    /// The same with another number of blocks.
    pub fn disk_of(&self, blocks: u32) -> Vec<u8> {
        let mut image = self.sector.clone();
        image.extend((1..blocks).flat_map(disk::content));
        image
    }
}

/// The ROM's parts (tests/parties/rom.ld), one behind the other.
fn joined(elf: &[u8]) -> Result<Vec<u8>> {
    let file = object::File::parse(elf).context("the linked ROM is no ELF file")?;
    let mut rom = Vec::new();
    let mut core = None;
    for name in [".rom", ".low", ".text", ".rodata", ".data"] {
        let section = file.section_by_name(name).with_context(|| format!("the ROM has no section {name}"))?;
        if name == ".text" {
            core = Some((rom.len() as u64, section.address()));
        }
        if let Some((start, address)) = core {
            rom.resize(usize::try_from(start + section.address() - address)?, 0);
        }
        rom.extend_from_slice(section.data()?);
    }
    Ok(rom)
}

/// What is wrong with a disk after the boot sector ran and the thief wrote so many blocks; `None`: all is as it should be.
pub fn disk_fault(image: &[u8], thief_wrote: u32) -> Option<String> {
    image.chunks_exact(BLOCK).zip(0..).skip(1).find_map(|(block, number)| {
        let expected = match number {
            disk::SECTOR_WRITES => disk::by_sector(),
            disk::THIEF_WRITES.. if number - disk::THIEF_WRITES < thief_wrote => {
                disk::written(number, number - disk::THIEF_WRITES)
            }
            _ => disk::content(number),
        };
        (block != expected).then(|| {
            let is = if *block == disk::content(number) { "as new" } else { "damaged" };
            format!("block {number} of the disk's image is {is}")
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_is_judged_block_by_block() {
        let programs = Programs { rom: Vec::new(), thief: Vec::new(), sector: vec![0; BLOCK] };
        let mut image = programs.disk();
        assert_eq!(image.len(), BLOCKS as usize * BLOCK);
        assert_eq!(disk_fault(&image, 0).unwrap(), "block 200 of the disk's image is as new");
        image[200 * BLOCK..201 * BLOCK].copy_from_slice(&disk::by_sector());
        assert_eq!(disk_fault(&image, 0), None);
        assert!(disk_fault(&image, 1).is_some());
        image[1000 * BLOCK..1001 * BLOCK].copy_from_slice(&disk::written(1000, 0));
        assert_eq!(disk_fault(&image, 1), None);
        image[3000 * BLOCK + 77] ^= 1;
        assert_eq!(disk_fault(&image, 1).unwrap(), "block 3000 of the disk's image is damaged");
    }

    #[test]
    fn a_rom_has_its_length_and_sums_to_zero() {
        let mut rom = vec![0x55, 0xaa, 0, 0, 0, 0, 0, 0];
        rom.extend(runtime::options::MAGIC);
        rom.resize(700, 7);
        let programs = Programs { rom, thief: Vec::new(), sector: Vec::new() };
        let rom = programs.option_rom(&Rom { ticks: 9, ..Rom::default() }).unwrap();
        assert_eq!((rom.len(), rom[2]), (1024, 2));
        assert_eq!(rom.iter().fold(0_u8, |sum, byte| sum.wrapping_add(*byte)), 0);
        assert_eq!(rom[18], 9, "ticks");
    }
}
