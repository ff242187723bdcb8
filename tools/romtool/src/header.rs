//! Where things are in an option ROM (PnP BIOS 1.0a; PCI Firmware 3.0; asm/rom_header.s). Integers are little-endian.

use anyhow::{Context, Result, ensure};

use crate::settings;

/// A ROM's length counts in blocks of this many bytes.
pub const BLOCK: usize = 512;
/// Offset of the length in blocks.
pub const BLOCKS: usize = 2;
/// Offset of the pointer to the UNDI ROM ID; 0: there is none (PXE 2.1, "UNDI ROM ID Structure").
pub const UNDI_POINTER: usize = 0x16;
/// Length of the UNDI ROM ID.
pub const UNDI_ID_LEN: usize = 22;
/// Offset of the checksum in it.
pub const UNDI_ID_CHECKSUM: usize = 5;
/// Offset of the pointer to the PCI data structure.
pub const PCIR_POINTER: usize = 0x18;
/// Offset of the pointer to the first PnP expansion header.
pub const PNP_POINTER: usize = 0x1a;
/// Length of a PnP expansion header.
pub const PNP_LEN: usize = 32;
/// Offset of the checksum in a PnP expansion header.
pub const PNP_CHECKSUM: usize = 9;

/// The table by which romtool finds what it patches (asm/rom_header.s, `rom_table`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Table {
    /// Offset of the byte that makes the ROM's checksum right.
    pub checksum: usize,
    /// Offset of the image length in the PCI data structure.
    pub pcir_blocks: usize,
    /// Offset of the PnP expansion header.
    pub pnp: usize,
    /// Offset of the settings, [`crate::settings::SIZE`] bytes.
    pub settings: usize,
    /// Offset of the length of the packed core.
    pub packed_size: usize,
}

impl Table {
    const MAGIC: &[u8] = b"hvpxe\0\x02\0";

    /// Finds the table.
    ///
    /// # Errors
    /// If there is none of this version, or it speaks of what lies outside the ROM.
    pub fn find(rom: &[u8]) -> Result<Self> {
        let at = rom
            .windows(Self::MAGIC.len())
            .position(|window| window == Self::MAGIC)
            .context("no hvpxe table of version 2: not an hvpxe ROM, or one of another version")?;
        let fields = at + Self::MAGIC.len();
        // What is patched or read must be there, also when the table is damaged.
        let offset = |index: usize, length: usize| -> Result<usize> {
            let offset = usize::from(read_u16(rom, fields + 2 * index)?);
            ensure!(offset + length <= rom.len(), "the hvpxe table speaks of offset {offset:#x}, outside the ROM");
            Ok(offset)
        };
        Ok(Self {
            checksum: offset(0, 1)?,
            pcir_blocks: offset(1, 2)?,
            pnp: offset(2, PNP_LEN)?,
            settings: offset(3, settings::SIZE)?,
            packed_size: offset(4, 4)?,
        })
    }
}

/// Reads a word.
///
/// # Errors
/// If it lies outside the ROM.
pub fn read_u16(rom: &[u8], at: usize) -> Result<u16> {
    let bytes = rom.get(at..at + 2).with_context(|| format!("offset {at:#x} lies outside the ROM"))?;
    Ok(u16::from_le_bytes([bytes[0], bytes[1]]))
}

/// The sum of all bytes, modulo 256.
#[must_use]
pub fn sum(bytes: &[u8]) -> u8 {
    bytes.iter().fold(0, |sum: u8, &byte| sum.wrapping_add(byte))
}
