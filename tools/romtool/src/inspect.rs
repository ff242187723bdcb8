//! `inspect`: what is in an image, and whether it is right. `configure`: other settings for a finished one.

use std::fmt;

use anyhow::{Context, Result};

use crate::check::{self, Summary};
use crate::medium::Medium;
use crate::pack;
use crate::settings::Settings;

/// What an image holds. Its `Display` is a few lines for a person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inspection {
    /// Its kind.
    pub medium: Medium,
    /// Its length in bytes.
    pub size: usize,
    /// Offset of the ROM in it.
    pub rom_at: usize,
    /// The ROM.
    pub rom: Summary,
}

/// Checks an image of any kind, and sums it up.
///
/// # Errors
/// The first rule that it breaks.
pub fn image(image: &[u8]) -> Result<Inspection> {
    let medium = Medium::of(image)?;
    let range = medium.rom_in(image)?;
    let rom_at = range.start;
    let rom = check::rom(&image[range]).context("the ROM in it")?;
    Ok(Inspection { medium, size: image.len(), rom_at, rom })
}

/// Changes settings of an image of any kind, each `key=value`, and returns those that it has now.
///
/// # Errors
/// If it isn't a good image of ours, or there is no such setting; the image is as it was then.
pub fn configure(image: &mut [u8], assignments: &[String]) -> Result<Settings> {
    let mut settings = self::image(image)?.rom.settings;
    for assignment in assignments {
        settings.set(assignment)?;
    }
    let range = Medium::of(image)?.rom_in(image)?;
    // On a CD the ROM is there once: as a disk and as a floppy it boots the same sectors.
    pack::configure(&mut image[range], settings)?;
    Ok(settings)
}

impl fmt::Display for Inspection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { medium, size, rom_at, rom } = self;
        writeln!(f, "Kind       {medium}, {size} bytes")?;
        match medium {
            Medium::Rom => {}
            Medium::Nbp => writeln!(f, "Loader     {rom_at} bytes, to run at 0000:7C00")?,
            Medium::Floppy => writeln!(f, "Boot       boot sector, partition table and FAT12 file system are right")?,
            Medium::Iso => writeln!(f, "Boot       boot catalog, boot sector and partition table are right")?,
            Medium::Vhd => writeln!(f, "Boot       footer, boot sector and partition table are right")?,
        }
        writeln!(f, "ROM        {}, {} bytes at {rom_at:#x}, sum 0", rom.product, rom.size)?;
        writeln!(f, "Headers    PCIR and $PnP are right; bootstrap entry vector at {:#x}", rom.bev)?;
        match rom.undi_id {
            Some(at) => writeln!(f, "UNDI       ROM ID at {at:#x}, sum 0")?,
            None => writeln!(f, "UNDI       no ROM ID: the card has no PCI identity")?,
        }
        writeln!(f, "Core       {} bytes packed", rom.packed_size)?;
        write!(f, "Settings   {}", rom.settings)
    }
}
