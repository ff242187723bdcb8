//! `hvpxe.img`: a 1.44 MB floppy image that also boots as a USB stick or a hard disk.
//!
//! Boot sector, ROM, and behind them an empty FAT12 file system, so that other systems don't offer to format the disk:
//! the ROM lies in what FAT calls reserved sectors.
//!
//! Source: Microsoft's FAT specification 1.03, sections 3 (BPB), 4 (FAT) and 6 (directory).

use anyhow::{Result, ensure};

use crate::boot_sector::{self, Position, SECTOR, put};
use crate::header::BLOCK;

/// Length of the image: by exactly this size, Hyper-V and others know a 1.44 MB floppy.
pub const SIZE: usize = 1_474_560;
/// The same in sectors.
pub const SECTORS: u32 = (SIZE / SECTOR) as u32;

/// The ROM follows the boot sector.
const ROM_FIRST: u32 = 1;
/// What FAT calls the medium.
const MEDIA: u8 = 0xf0;
const FATS: u8 = 2;
/// Length of a FAT in sectors, as on every 1.44 MB disk; more than this one's clusters need.
const FAT_SECTORS: u16 = 9;
const ROOT_ENTRIES: u16 = 224;
const LABEL: &[u8; 11] = b"HVPXE      ";
/// Directory attribute "volume label".
const ATTRIBUTE_LABEL: u8 = 0x08;
/// Instead of a time stamp: the same bytes on every build.
const VOLUME_ID: &[u8; 4] = b"HVPX";

/// Builds the image.
///
/// # Errors
/// If `boot_sector` is no boot sector, or the ROM too large.
pub fn build(boot_sector: &[u8], rom: &[u8]) -> Result<Vec<u8>> {
    let count = u16::try_from(rom.len().div_ceil(BLOCK))?;
    let reserved = ROM_FIRST as u16 + count;
    let root = usize::from(reserved) + usize::from(FATS) * usize::from(FAT_SECTORS);
    ensure!(root * SECTOR + usize::from(ROOT_ENTRIES) * 32 < SIZE, "the ROM does not fit onto a floppy");

    let mut sector = boot_sector::complete(boot_sector, Position { first: ROM_FIRST, count }, SECTORS)?;
    put(&mut sector, 0x0b, &(SECTOR as u16).to_le_bytes());
    sector[0x0d] = 1; // sectors per cluster
    put(&mut sector, 0x0e, &reserved.to_le_bytes());
    sector[0x10] = FATS;
    put(&mut sector, 0x11, &ROOT_ENTRIES.to_le_bytes());
    put(&mut sector, 0x13, &(SECTORS as u16).to_le_bytes());
    sector[0x15] = MEDIA;
    put(&mut sector, 0x16, &FAT_SECTORS.to_le_bytes());
    sector[0x26] = 0x29; // the next three fields are there
    put(&mut sector, 0x27, VOLUME_ID);
    put(&mut sector, 0x2b, LABEL);
    put(&mut sector, 0x36, b"FAT12   ");

    let mut image = vec![0; SIZE];
    put(&mut image, 0, &sector);
    put(&mut image, ROM_FIRST as usize * SECTOR, rom);
    for fat in 0..usize::from(FATS) {
        let at = (usize::from(reserved) + fat * usize::from(FAT_SECTORS)) * SECTOR;
        put(&mut image, at, &[MEDIA, 0xff, 0xff]);
    }
    put(&mut image, root * SECTOR, LABEL);
    image[root * SECTOR + LABEL.len()] = ATTRIBUTE_LABEL;
    Ok(image)
}

/// Checks an image and says where the ROM is.
///
/// # Errors
/// The first rule that it breaks.
pub fn check(image: &[u8]) -> Result<Position> {
    ensure!(image.len() == SIZE, "the image has {} bytes, a 1.44 MB floppy {SIZE}", image.len());
    let position = boot_sector::check(image, SECTORS.into())?;
    let reserved = usize::from(u16::from_le_bytes([image[0x0e], image[0x0f]]));
    ensure!(
        reserved == position.first as usize + usize::from(position.count),
        "the file system begins at sector {reserved}, not behind the ROM"
    );
    ensure!(image[reserved * SECTOR..].starts_with(&[MEDIA, 0xff, 0xff]), "no FAT at sector {reserved}");
    Ok(position)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_image_is_a_floppy_with_the_rom_behind_the_boot_sector() {
        let mut sector = [0; SECTOR];
        sector[510..].copy_from_slice(&[0x55, 0xaa]);
        let rom = vec![0x5a; 3 * BLOCK];
        let image = build(&sector, &rom).unwrap();
        assert_eq!(image.len(), 1_474_560);
        assert_eq!(check(&image).unwrap(), Position { first: 1, count: 3 });
        assert_eq!(image[SECTOR..][..rom.len()], rom);
        // FAT specification: media byte, 18 sectors per track, 2 heads, 2880 sectors.
        assert_eq!(image[0x15], 0xf0);
        assert_eq!(image[0x18..0x1c], [18, 0, 2, 0]);
        assert_eq!(image[0x13..0x15], 2880u16.to_le_bytes());
        assert!(check(&image[..SIZE - 1]).is_err());
    }

    #[test]
    fn a_rom_larger_than_a_floppy_is_refused() {
        let mut sector = [0; SECTOR];
        sector[510..].copy_from_slice(&[0x55, 0xaa]);
        assert!(build(&sector, &vec![0; SIZE]).is_err());
    }
}
