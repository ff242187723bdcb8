//! The kinds of images, told apart by what is in them. Each holds the ROM whole.

use std::fmt;
use std::ops::Range;

use anyhow::{Context, Result, bail};

use crate::boot_sector::{OEM_NAME, OUR_NAME, Position, SECTOR};
use crate::elf::Parts;
use crate::{floppy, iso, nbp, vhd};

/// A kind of image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Medium {
    /// An option ROM, for firmware and `-option-rom`.
    Rom,
    /// A boot program for another PXE ROM.
    Nbp,
    /// A floppy image; also a USB stick.
    Floppy,
    /// A CD.
    Iso,
    /// A virtual hard disk.
    Vhd,
}

impl Medium {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Rom, Self::Nbp, Self::Floppy, Self::Iso, Self::Vhd];

    /// The name of its file.
    #[must_use]
    pub const fn file_name(self) -> &'static str {
        match self {
            Self::Rom => "hvpxe.rom",
            Self::Nbp => "hvpxe.0",
            Self::Floppy => "hvpxe.img",
            Self::Iso => "hvpxe.iso",
            Self::Vhd => "hvpxe.vhd",
        }
    }

    /// Builds one: `parts` has its loader, `rom` goes into it.
    ///
    /// # Errors
    /// If the loader isn't what linker.ld makes, or the ROM does not fit.
    pub fn build(self, parts: &Parts, rom: &[u8]) -> Result<Vec<u8>> {
        match self {
            Self::Rom => Ok(rom.to_vec()),
            Self::Nbp => nbp::build(&parts.nbp, rom),
            Self::Floppy => floppy::build(&parts.boot_sector, rom),
            Self::Iso => iso::build(&parts.boot_sector, &floppy::build(&parts.boot_sector, rom)?),
            Self::Vhd => vhd::build(&parts.boot_sector, rom),
        }
    }

    /// Tells what an image is.
    ///
    /// # Errors
    /// If it is none of ours.
    pub fn of(image: &[u8]) -> Result<Self> {
        let boot_sector = image.get(OEM_NAME..).is_some_and(|rest| rest.starts_with(OUR_NAME));
        Ok(if image.starts_with(&[0x55, 0xaa]) {
            Self::Rom
        } else if vhd::is_vhd(image) {
            Self::Vhd
        } else if iso::is_iso(image) {
            Self::Iso
        } else if boot_sector {
            Self::Floppy
        } else if nbp::check(image).is_ok() {
            Self::Nbp
        } else {
            bail!("neither option ROM, boot program, floppy, CD nor virtual disk of hvpxe");
        })
    }

    /// Checks the medium around the ROM and says where the ROM is. What is in the ROM is [`crate::check::rom`]'s.
    ///
    /// # Errors
    /// The first rule of the medium that the image breaks.
    pub fn rom_in(self, image: &[u8]) -> Result<Range<usize>> {
        let position = match self {
            Self::Rom => return Ok(0..image.len()),
            Self::Nbp => return Ok(nbp::check(image)?..image.len()),
            Self::Floppy => floppy::check(image)?,
            Self::Iso => iso::check(image)?,
            Self::Vhd => vhd::check(image)?,
        };
        let Position { first, count } = position;
        let start = usize::try_from(first)? * SECTOR;
        let range = start..start + usize::from(count) * SECTOR;
        image.get(range.clone()).context("the ROM lies behind the end of the image")?;
        Ok(range)
    }
}

impl fmt::Display for Medium {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Rom => "option ROM",
            Self::Nbp => "boot program for another PXE ROM",
            Self::Floppy => "1.44 MB floppy, also bootable as USB stick or hard disk",
            Self::Iso => "CD that boots by floppy emulation, also bootable as USB stick",
            Self::Vhd => "fixed virtual hard disk",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_ours_is_refused() {
        for bytes in [&[][..], &[0xea], &[0; 4096], b"MZ", &[0xff; 2_000_000]] {
            assert!(Medium::of(bytes).is_err());
        }
    }
}
