//! `hvpxe.vhd`: a fixed virtual hard disk, as Hyper-V and Azure attach them: a raw disk with a footer. Integers of the footer
//! are big-endian.
//!
//! Source: Microsoft, "Virtual Hard Disk Image Format Specification" 1.0: hard disk footer format; appendix: CHS calculation.

use anyhow::{Result, ensure};

use crate::boot_sector::{self, Position, SECTOR, put};
use crate::header::BLOCK;

/// Length of the disk: whole MiB, as Azure demands, and 20 at least (Azure, "az disk create --upload-size-bytes").
pub const DISK_SIZE: usize = 20 << 20;
const SECTORS: u32 = (DISK_SIZE / SECTOR) as u32;
/// The ROM follows the boot sector.
const ROM_FIRST: u32 = 1;

const FOOTER: usize = 512;
const COOKIE: &[u8; 8] = b"conectix";
const CHECKSUM: usize = 0x40;
const CURRENT_SIZE: usize = 0x30;
const DISK_TYPE: usize = 0x3c;
const FIXED: u32 = 2;
/// Any 16 bytes, the same on every build: nothing refers to a fixed disk by them.
const UNIQUE_ID: [u8; 16] =
    [0x5e, 0x1d, 0x6c, 0x0b, 0x27, 0x9a, 0x4f, 0x33, 0x9c, 0x41, 0x68, 0x76, 0x70, 0x78, 0x65, 0x01];

/// Builds the image.
///
/// # Errors
/// If `boot_sector` is no boot sector, or the ROM too large.
pub fn build(boot_sector: &[u8], rom: &[u8]) -> Result<Vec<u8>> {
    ensure!(rom.len() + SECTOR <= DISK_SIZE, "the ROM does not fit onto the disk");
    let position = Position { first: ROM_FIRST, count: u16::try_from(rom.len().div_ceil(BLOCK))? };
    let mut image = vec![0; DISK_SIZE];
    put(&mut image, 0, &boot_sector::complete(boot_sector, position, SECTORS)?);
    put(&mut image, ROM_FIRST as usize * SECTOR, rom);
    image.extend(footer());
    Ok(image)
}

/// The footer. Its time stamp is zero, the first second of 2000: the same bytes on every build.
fn footer() -> [u8; FOOTER] {
    let mut footer = [0; FOOTER];
    put(&mut footer, 0x00, COOKIE);
    put(&mut footer, 0x08, &2u32.to_be_bytes()); // features: the bit that is always set
    put(&mut footer, 0x0c, &0x0001_0000u32.to_be_bytes()); // version of the format
    put(&mut footer, 0x10, &u64::MAX.to_be_bytes()); // no further header
    put(&mut footer, 0x1c, b"hvpx"); // creator
    put(&mut footer, 0x20, &0x0001_0000u32.to_be_bytes());
    put(&mut footer, 0x24, b"Wi2k"); // one of the two hosts that the specification knows
    put(&mut footer, 0x28, &(DISK_SIZE as u64).to_be_bytes()); // original size
    put(&mut footer, CURRENT_SIZE, &(DISK_SIZE as u64).to_be_bytes());
    let (cylinders, heads, sectors_per_track) = geometry(SECTORS);
    put(&mut footer, 0x38, &cylinders.to_be_bytes());
    footer[0x3a] = heads;
    footer[0x3b] = sectors_per_track;
    put(&mut footer, DISK_TYPE, &FIXED.to_be_bytes());
    put(&mut footer, 0x44, &UNIQUE_ID);
    let sum = checksum(&footer);
    put(&mut footer, CHECKSUM, &sum.to_be_bytes());
    footer
}

/// Cylinders, heads and sectors per track, by the specification's calculation.
fn geometry(sectors: u32) -> (u16, u8, u8) {
    let sectors = sectors.min(65_535 * 16 * 255);
    if sectors >= 65_535 * 16 * 63 {
        return ((sectors / 255 / 16) as u16, 16, 255);
    }
    let mut per_track = 17;
    let mut tracks = sectors / per_track;
    let mut heads = tracks.div_ceil(1024).max(4);
    if tracks >= heads * 1024 || heads > 16 {
        (per_track, heads) = (31, 16);
        tracks = sectors / per_track;
    }
    if tracks >= heads * 1024 {
        (per_track, heads) = (63, 16);
        tracks = sectors / per_track;
    }
    ((tracks / heads) as u16, heads as u8, per_track as u8)
}

/// The ones' complement of the sum of all bytes but the checksum's own.
fn checksum(footer: &[u8; FOOTER]) -> u32 {
    let all: u32 = footer.iter().copied().map(u32::from).sum();
    let own: u32 = footer[CHECKSUM..CHECKSUM + 4].iter().copied().map(u32::from).sum();
    !(all - own)
}

/// True for files that end as a VHD does.
#[must_use]
pub fn is_vhd(image: &[u8]) -> bool {
    image.len() > FOOTER && image[image.len() - FOOTER..].starts_with(COOKIE)
}

/// Checks an image and says where the ROM is.
///
/// # Errors
/// The first rule that it breaks.
pub fn check(image: &[u8]) -> Result<Position> {
    ensure!(is_vhd(image), "no VHD footer at the end");
    let (disk, footer) = image.split_at(image.len() - FOOTER);
    let footer: &[u8; FOOTER] = footer.try_into()?;
    let dword = |at: usize| u32::from_be_bytes([footer[at], footer[at + 1], footer[at + 2], footer[at + 3]]);
    ensure!(dword(CHECKSUM) == checksum(footer), "the VHD footer's checksum is wrong");
    ensure!(dword(DISK_TYPE) == FIXED, "a VHD of type {}, and Azure takes fixed ones (2) only", dword(DISK_TYPE));
    let size = u64::from(dword(CURRENT_SIZE)) << 32 | u64::from(dword(CURRENT_SIZE + 4));
    ensure!(size == disk.len() as u64, "the VHD footer speaks of {size} bytes, and the disk has {}", disk.len());
    ensure!(size.is_multiple_of(1 << 20), "{size} bytes are no whole number of MiB, as Azure demands");
    boot_sector::check(disk, size / SECTOR as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_damaged_footer_is_noticed() {
        let mut sector = [0; SECTOR];
        sector[510..].copy_from_slice(&[0x55, 0xaa]);
        let mut image = build(&sector, &[0x5a; BLOCK]).unwrap();
        assert_eq!(image.len(), (20 << 20) + 512);
        assert_eq!(check(&image).unwrap(), Position { first: 1, count: 1 });
        let last = image.len() - 1;
        image[last] = 1;
        assert_eq!(check(&image).unwrap_err().to_string(), "the VHD footer's checksum is wrong");
    }

    #[test]
    fn geometries_are_those_of_the_specification() {
        // 40960 sectors: 2409 tracks of 17, 4 heads. 1 GiB: past 16 heads of 31 sectors. 127 GiB: the largest there is.
        assert_eq!(geometry(40_960), (602, 4, 17));
        assert_eq!(geometry(2_097_152), (2_080, 16, 63));
        assert_eq!(geometry(u32::MAX), (65_535, 16, 255));
    }
}
