//! `hvpxe.iso`: a CD that boots. The BIOS makes a floppy drive of `hvpxe.img` on it (El Torito, 1.44 MB emulation), which the
//! widest choice of BIOSes does right. Written to a USB stick it boots too: its first sector is the boot sector of a disk.
//!
//! Sources: ECMA-119 (ISO 9660), second edition: volume descriptors, path tables, directory records; El Torito 1.0: boot
//! record volume descriptor, booting catalog.

use anyhow::{Result, ensure};

use crate::boot_sector::{self, Position, SECTOR, put};
use crate::floppy;

/// Length of a CD's sector.
const BLOCK: usize = 2048;
/// What is in which sector. Sectors 0 to 15 are the system area.
const PRIMARY: usize = 16;
const BOOT_RECORD: usize = 17;
const TERMINATOR: usize = 18;
const CATALOG: usize = 19;
const PATH_TABLE_LITTLE: usize = 20;
const PATH_TABLE_BIG: usize = 21;
const ROOT: usize = 22;
const FLOPPY: usize = 23;
const BLOCKS: usize = FLOPPY + floppy::SIZE / BLOCK;

/// Identifier of every volume descriptor, and its version.
const STANDARD_ID: &[u8; 6] = b"CD001\x01";
const EL_TORITO: &[u8; 23] = b"EL TORITO SPECIFICATION";
/// In a boot record: the catalog's sector.
const CATALOG_POINTER: usize = 0x47;
/// Length of a path table: the root directory's entry.
const PATH_TABLE_LEN: u32 = 10;
/// Boot indicator of an entry that boots.
const BOOTABLE: u8 = 0x88;
/// Boot medium "1.44 MB floppy".
const EMULATE_1440K: u8 = 2;
/// Instead of a time stamp, in directory records: 2000-01-01 00:00:00 UTC.
const RECORDED: [u8; 7] = [100, 1, 1, 0, 0, 0, 0];
/// Flag of a directory record: a directory.
const DIRECTORY: u8 = 0x02;

/// Builds the image around a floppy image.
///
/// # Errors
/// If `boot_sector` is no boot sector, or `floppy` none of our floppy images.
pub fn build(boot_sector: &[u8], floppy: &[u8]) -> Result<Vec<u8>> {
    let on_floppy = floppy::check(floppy)?;
    let mut image = vec![0; BLOCKS * BLOCK];
    let on_disk = Position { first: (FLOPPY * BLOCK / SECTOR) as u32 + on_floppy.first, ..on_floppy };
    put(&mut image, 0, &boot_sector::complete(boot_sector, on_disk, (BLOCKS * BLOCK / SECTOR) as u32)?);
    put(&mut image, PRIMARY * BLOCK, &primary_descriptor());
    put(&mut image, BOOT_RECORD * BLOCK, &boot_record());
    put(&mut image, TERMINATOR * BLOCK, &descriptor(255));
    put(&mut image, CATALOG * BLOCK, &catalog());
    let root = u32::try_from(ROOT)?;
    for (at, location) in [(PATH_TABLE_LITTLE, root.to_le_bytes()), (PATH_TABLE_BIG, root.to_be_bytes())] {
        // One entry: length of its name, no extended attributes, its sector, its parent (number 1), its name.
        let parent = if at == PATH_TABLE_LITTLE { [1, 0] } else { [0, 1] };
        put(&mut image, at * BLOCK, &[1, 0]);
        put(&mut image, at * BLOCK + 2, &location);
        put(&mut image, at * BLOCK + 6, &parent);
    }
    let records = [
        record(&[0], ROOT, BLOCK, DIRECTORY),
        record(&[1], ROOT, BLOCK, DIRECTORY),
        record(b"BOOT.CAT;1", CATALOG, BLOCK, 0),
        record(b"HVPXE.IMG;1", FLOPPY, floppy::SIZE, 0),
    ];
    put(&mut image, ROOT * BLOCK, &records.concat());
    put(&mut image, FLOPPY * BLOCK, floppy);
    Ok(image)
}

/// A volume descriptor of the given type.
fn descriptor(kind: u8) -> [u8; BLOCK] {
    let mut descriptor = [0; BLOCK];
    descriptor[0] = kind;
    put(&mut descriptor, 1, STANDARD_ID);
    descriptor
}

/// A number in both byte orders.
fn both16(value: u16) -> [u8; 4] {
    let ([a, b], [c, d]) = (value.to_le_bytes(), value.to_be_bytes());
    [a, b, c, d]
}

fn both32(value: usize) -> [u8; 8] {
    let value = value as u32;
    let mut bytes = [0; 8];
    put(&mut bytes, 0, &value.to_le_bytes());
    put(&mut bytes, 4, &value.to_be_bytes());
    bytes
}

fn primary_descriptor() -> [u8; BLOCK] {
    let mut descriptor = descriptor(1);
    descriptor[8..72].fill(b' '); // system and volume identifier
    put(&mut descriptor, 40, b"HVPXE");
    put(&mut descriptor, 80, &both32(BLOCKS));
    put(&mut descriptor, 120, &both16(1)); // volumes in the set
    put(&mut descriptor, 124, &both16(1)); // number of this one
    put(&mut descriptor, 128, &both16(BLOCK as u16));
    put(&mut descriptor, 132, &both32(PATH_TABLE_LEN as usize));
    put(&mut descriptor, 140, &(PATH_TABLE_LITTLE as u32).to_le_bytes());
    put(&mut descriptor, 148, &(PATH_TABLE_BIG as u32).to_be_bytes());
    put(&mut descriptor, 156, &record(&[0], ROOT, BLOCK, DIRECTORY));
    descriptor[190..813].fill(b' '); // identifiers of publisher, application and so on
    for date in [813, 830, 847, 864] {
        // Digits zero and offset zero: not specified.
        descriptor[date..date + 16].fill(b'0');
    }
    descriptor[881] = 1; // version of the structure
    descriptor
}

fn boot_record() -> [u8; BLOCK] {
    let mut descriptor = descriptor(0);
    put(&mut descriptor, 7, EL_TORITO);
    put(&mut descriptor, CATALOG_POINTER, &(CATALOG as u32).to_le_bytes());
    descriptor
}

/// Validation entry and default entry.
fn catalog() -> [u8; 64] {
    let mut catalog = [0; 64];
    catalog[0] = 1; // header; platform 0 is x86
    put(&mut catalog, 4, b"hvpxe project");
    put(&mut catalog, 30, &[0x55, 0xaa]);
    let sum = word_sum(&catalog[..32]).wrapping_neg();
    put(&mut catalog, 28, &sum.to_le_bytes());
    catalog[32] = BOOTABLE;
    catalog[33] = EMULATE_1440K;
    put(&mut catalog, 38, &1u16.to_le_bytes()); // sectors that the BIOS loads: the boot sector
    put(&mut catalog, 40, &(FLOPPY as u32).to_le_bytes());
    catalog
}

fn word_sum(bytes: &[u8]) -> u16 {
    bytes.chunks_exact(2).fold(0, |sum: u16, word| sum.wrapping_add(u16::from_le_bytes([word[0], word[1]])))
}

/// A directory record, padded to an even length.
fn record(name: &[u8], location: usize, length: usize, flags: u8) -> Vec<u8> {
    let mut record = vec![0; (33 + name.len()).next_multiple_of(2)];
    record[0] = record.len() as u8;
    put(&mut record, 2, &both32(location));
    put(&mut record, 10, &both32(length));
    put(&mut record, 18, &RECORDED);
    record[25] = flags;
    put(&mut record, 28, &both16(1)); // number of the volume
    record[32] = name.len() as u8;
    put(&mut record, 33, name);
    record
}

/// True for files with a volume descriptor where a CD has one.
#[must_use]
pub fn is_iso(image: &[u8]) -> bool {
    image.get(PRIMARY * BLOCK + 1..).is_some_and(|rest| rest.starts_with(STANDARD_ID))
}

/// Checks an image and says where the ROM is, in units of 512 bytes.
///
/// # Errors
/// The first rule that it breaks.
pub fn check(image: &[u8]) -> Result<Position> {
    ensure!(is_iso(image), "no volume descriptor in sector 16");
    let boot_record = sector(image, BOOT_RECORD)?;
    ensure!(boot_record[0] == 0 && boot_record[1..].starts_with(STANDARD_ID), "no boot record in sector 17");
    ensure!(boot_record[7..].starts_with(EL_TORITO), "the boot record is not El Torito's");
    let catalog = sector(image, dword(boot_record, CATALOG_POINTER))?;
    ensure!(catalog[0] == 1 && catalog[30..32] == [0x55, 0xaa], "the boot catalog has no validation entry");
    ensure!(word_sum(&catalog[..32]) == 0, "the boot catalog's checksum is wrong");
    ensure!(catalog[32] == BOOTABLE, "the boot catalog's first entry does not boot");
    ensure!(catalog[33] == EMULATE_1440K, "the boot catalog's first entry is no 1.44 MB floppy");
    let at = dword(catalog, 40);
    let on_floppy = floppy::check(
        image
            .get(at * BLOCK..at * BLOCK + floppy::SIZE)
            .ok_or_else(|| anyhow::anyhow!("the CD ends before the floppy image at sector {at} does"))?,
    )?;
    let on_disk = boot_sector::check(image, (image.len() / SECTOR) as u64)?;
    ensure!(
        on_disk == Position { first: (at * BLOCK / SECTOR) as u32 + on_floppy.first, ..on_floppy },
        "as a disk and as a CD it would boot different ROMs"
    );
    Ok(on_disk)
}

fn sector(image: &[u8], number: usize) -> Result<&[u8]> {
    image
        .get(number.saturating_mul(BLOCK)..(number + 1).saturating_mul(BLOCK))
        .ok_or_else(|| anyhow::anyhow!("sector {number} lies behind the end of the CD"))
}

fn dword(bytes: &[u8], at: usize) -> usize {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image() -> Vec<u8> {
        let mut template = [0; SECTOR];
        template[510..].copy_from_slice(&[0x55, 0xaa]);
        build(&template, &floppy::build(&template, &[0x5a; SECTOR]).unwrap()).unwrap()
    }

    #[test]
    fn the_rom_is_found_through_the_boot_catalog() {
        let image = image();
        let rom = check(&image).unwrap();
        assert_eq!(rom, Position { first: 23 * 4 + 1, count: 1 });
        assert_eq!(image[rom.first as usize * SECTOR..][..SECTOR], [0x5a; SECTOR]);
    }

    #[test]
    fn a_damaged_catalog_is_noticed() {
        let mut image = image();
        image[CATALOG * BLOCK + 5] ^= 1;
        assert_eq!(check(&image).unwrap_err().to_string(), "the boot catalog's checksum is wrong");
    }

    #[test]
    fn a_catalog_far_away_is_no_panic() {
        let mut image = image();
        put(&mut image, BOOT_RECORD * BLOCK + CATALOG_POINTER, &[0xff; 4]);
        assert!(check(&image).unwrap_err().to_string().contains("behind the end"));
    }

    #[test]
    fn directory_records_have_even_lengths() {
        // ECMA-119, 9.1: 33 bytes and the name; a padding byte when the name's length is even.
        assert_eq!(record(&[0], 1, 1, 0).len(), 34);
        assert_eq!(record(b"HVPXE.IMG;1", 1, 1, 0).len(), 44);
        assert_eq!(record(b"BOOT.CAT;1", 1, 1, 0).len(), 44);
    }
}
