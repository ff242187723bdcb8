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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::boot_sector::{SECTOR, put};
    use crate::header::{BLOCK, sum};
    use crate::{floppy, iso, nbp, vhd};

    /// Headers as in asm/rom_header.s, at other places, and nothing else.
    fn rom() -> Vec<u8> {
        let mut rom = vec![0; 2 * BLOCK];
        put(&mut rom, 0, &[0x55, 0xaa, 2]);
        put(&mut rom, 0x18, &[0x20, 0, 0x40, 0]);
        put(&mut rom, 0x20, b"PCIR");
        put(&mut rom, 0x30, &[2, 0]);
        put(&mut rom, 0x40, b"$PnP\x01\x02");
        put(&mut rom, 0x50, &[0x00, 0x01]); // product
        put(&mut rom, 0x5a, &[0x00, 0x02]); // bootstrap entry vector
        put(&mut rom, 0x80, b"hvpxe\0\x02\0\x06\0\x30\0\x40\0\xa0\0\xb0\0");
        put(&mut rom, 0x100, b"hvpxe test\0");
        pack::configure(&mut rom, Settings::default()).unwrap();
        rom
    }

    fn images() -> Vec<Vec<u8>> {
        let mut sector = [0; SECTOR];
        put(&mut sector, 510, &[0x55, 0xaa]);
        let mut loader = [0x90; 64];
        loader[0] = 0xea;
        let floppy = floppy::build(&sector, &rom()).unwrap();
        vec![
            rom(),
            nbp::build(&loader, &rom()).unwrap(),
            iso::build(&sector, &floppy).unwrap(),
            floppy,
            vhd::build(&sector, &rom()).unwrap(),
        ]
    }

    #[test]
    fn settings_of_every_medium_can_be_changed_and_read_again() {
        for mut bytes in images() {
            let before = image(&bytes).unwrap();
            assert_eq!(before.rom.settings, Settings::default());
            let set = configure(&mut bytes, &["quiet=on".to_owned(), "enabled=off".to_owned()]).unwrap();
            let after = image(&bytes).unwrap();
            assert_eq!(after.medium, before.medium);
            assert_eq!(after.rom.settings, set);
            assert_eq!((set.get("quiet"), set.get("enabled"), set.get("pnp")), (1, 0, 1));
            let changed = bytes.clone();
            assert!(configure(&mut bytes, &["enabled=on".to_owned(), "colour=on".to_owned()]).is_err());
            assert!(bytes == changed, "a refused change must change nothing");
        }
    }

    #[test]
    fn damage_anywhere_in_the_rom_is_noticed() {
        for bytes in images() {
            let inspection = image(&bytes).unwrap();
            for at in inspection.rom_at..inspection.rom_at + inspection.rom.size {
                let mut bytes = bytes.clone();
                bytes[at] ^= 0x10;
                assert!(image(&bytes).is_err(), "{}: byte {at:#x}", inspection.medium);
                if bytes.len() > 2_000_000 && at > inspection.rom_at + 8 {
                    break; // copies of 20 MiB take their time
                }
            }
        }
    }

    #[test]
    fn a_damaged_or_cut_image_is_an_error_and_no_panic() {
        for bytes in images().into_iter().filter(|bytes| bytes.len() < 100_000) {
            for len in 0..bytes.len() {
                assert!(image(&bytes[..len]).is_err());
            }
            for at in 0..bytes.len() {
                let mut bytes = bytes.clone();
                bytes[at] = 0xff;
                // Make the sums right again, so that what is behind them is reached.
                let fix = bytes.len() - 1;
                bytes[fix] = bytes[fix].wrapping_sub(sum(&bytes));
                let _ = configure(&mut bytes, &["quiet=on".to_owned()]);
            }
        }
    }
}
