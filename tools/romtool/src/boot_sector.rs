//! The boot sector of disk images: asm/boot_sector.s, completed with what depends on the image. Integers are little-endian.
//!
//! Source: the conventions of IBM PC disks; for the BIOS parameter block, Microsoft's FAT specification 1.03, section 3.

use anyhow::{Context, Result, ensure};

/// Length of a sector in bytes.
pub const SECTOR: usize = 512;
/// Offset of the BIOS parameter block's first field, the name of the system that wrote it.
pub const OEM_NAME: usize = 0x03;
/// What stands there: by this, our images are recognised.
pub const OUR_NAME: &[u8; 8] = b"HVPXE   ";
/// Offset of the sectors per track; the heads follow.
const GEOMETRY: usize = 0x18;
/// Offset of the ROM's first sector, four bytes, and its length in sectors, two bytes (asm/boot_sector.s).
const ROM_POSITION: usize = 0x5c;
/// Offset of the partition table: four entries of 16 bytes.
const PARTITIONS: usize = 0x1be;
/// Offset of 55 AA.
const SIGNATURE: usize = 0x1fe;

/// Active, in a partition entry.
const ACTIVE: u8 = 0x80;
/// "Non-file-system data": the ROM.
const PARTITION_TYPE: u8 = 0xda;
/// Geometry that partition tables are written for.
const TABLE_GEOMETRY: Geometry = Geometry { sectors_per_track: 63, heads: 255 };

/// What a disk that is read by cylinder, head and sector looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Geometry {
    /// Sectors per track.
    pub sectors_per_track: u16,
    /// Heads.
    pub heads: u16,
}

/// 3.5-inch disk, 1.44 MB: 80 cylinders of this.
pub const FLOPPY: Geometry = Geometry { sectors_per_track: 18, heads: 2 };

/// Where the ROM is on a disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// Its first sector.
    pub first: u32,
    /// Its length in sectors.
    pub count: u16,
}

/// Completes the boot sector of a disk with `sectors` sectors, which a BIOS may also take for a hard disk: a partition from
/// sector 1 to the end is active. The floppy's geometry stands in for that of a disk that doesn't tell.
///
/// # Errors
/// If `template` is no boot sector.
pub fn complete(template: &[u8], rom: Position, sectors: u32) -> Result<[u8; SECTOR]> {
    let mut sector: [u8; SECTOR] = template.try_into().context("the linked boot sector has not 512 bytes")?;
    ensure!(sector[SIGNATURE..] == [0x55, 0xaa], "the linked boot sector has no signature 55 AA");
    put(&mut sector, OEM_NAME, OUR_NAME);
    put(&mut sector, GEOMETRY, &FLOPPY.sectors_per_track.to_le_bytes());
    put(&mut sector, GEOMETRY + 2, &FLOPPY.heads.to_le_bytes());
    put(&mut sector, ROM_POSITION, &rom.first.to_le_bytes());
    put(&mut sector, ROM_POSITION + 4, &rom.count.to_le_bytes());
    let start: u32 = 1;
    let mut entry = [0; 16];
    entry[0] = ACTIVE;
    put(&mut entry, 1, &cylinder_head_sector(start));
    entry[4] = PARTITION_TYPE;
    put(&mut entry, 5, &cylinder_head_sector(sectors - 1));
    put(&mut entry, 8, &start.to_le_bytes());
    put(&mut entry, 12, &(sectors - start).to_le_bytes());
    put(&mut sector, PARTITIONS, &entry);
    Ok(sector)
}

/// Overwrites bytes at an offset.
pub fn put(bytes: &mut [u8], at: usize, value: &[u8]) {
    bytes[at..at + value.len()].copy_from_slice(value);
}

/// A sector's place in a partition entry: head; sector, with the cylinder's bits 9:8 on top; cylinder.
fn cylinder_head_sector(sector: u32) -> [u8; 3] {
    let (per_track, heads) = (u32::from(TABLE_GEOMETRY.sectors_per_track), u32::from(TABLE_GEOMETRY.heads));
    let (track, in_track) = (sector / per_track, sector % per_track);
    let (cylinder, head) = (track / heads, track % heads);
    [head as u8, (in_track + 1) as u8 | (cylinder >> 2) as u8 & 0xc0, cylinder as u8]
}

/// Checks a boot sector of ours, on a disk with `sectors` sectors, and says where the ROM is.
///
/// # Errors
/// The first rule that it breaks.
pub fn check(sector: &[u8], sectors: u64) -> Result<Position> {
    ensure!(sector.len() >= SECTOR && sector[SIGNATURE..SECTOR] == [0x55, 0xaa], "no boot sector signature 55 AA");
    ensure!(sector[OEM_NAME..].starts_with(OUR_NAME), "the boot sector is not one of hvpxe's");
    let dword = |at: usize| u32::from_le_bytes([sector[at], sector[at + 1], sector[at + 2], sector[at + 3]]);
    let position = Position {
        first: dword(ROM_POSITION),
        count: u16::from_le_bytes([sector[ROM_POSITION + 4], sector[ROM_POSITION + 5]]),
    };
    ensure!(
        position.first >= 1 && u64::from(position.first) + u64::from(position.count) <= sectors,
        "the boot sector looks for {} sectors at {}, and the disk has {sectors}",
        position.count,
        position.first
    );
    let entry = &sector[PARTITIONS..PARTITIONS + 16];
    let (start, length) = (dword(PARTITIONS + 8), dword(PARTITIONS + 12));
    ensure!(
        entry[0] == ACTIVE && start >= 1 && u64::from(start) + u64::from(length) <= sectors,
        "the partition table has no active partition within the disk"
    );
    Ok(position)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn template() -> Vec<u8> {
        let mut bytes = vec![0x90; SECTOR];
        put(&mut bytes, SIGNATURE, &[0x55, 0xaa]);
        bytes
    }

    #[test]
    fn a_completed_sector_passes_its_check() {
        let rom = Position { first: 1, count: 78 };
        let sector = complete(&template(), rom, 2880).unwrap();
        assert_eq!(check(&sector, 2880).unwrap(), rom);
        assert!(check(&sector, 2879).is_err(), "the partition ends behind the disk");
        assert!(check(&sector, 78).is_err(), "the ROM does");
    }

    #[test]
    fn partition_entries_are_as_fdisk_writes_them() {
        let sector = complete(&template(), Position { first: 1, count: 1 }, 40_960).unwrap();
        // Start at cylinder 0, head 0, sector 2; end, sector 40959, at cylinder 2, head 140, sector 10.
        assert_eq!(sector[PARTITIONS..][..8], [0x80, 0, 2, 0, 0xda, 140, 10, 2]);
        assert_eq!(sector[PARTITIONS + 8..][..8], [1, 0, 0, 0, 0xff, 0x9f, 0, 0]);
    }

    #[test]
    fn what_is_no_boot_sector_is_refused() {
        assert!(complete(&[0; SECTOR], Position { first: 1, count: 1 }, 2880).is_err());
        assert!(complete(&[0; 100], Position { first: 1, count: 1 }, 2880).is_err());
    }
}
