//! `hvpxe.0`: a boot program for other PXE ROMs: asm/nbp.s with the ROM behind it.

use anyhow::{Context, Result, ensure};

use crate::header::BLOCKS;

/// A far jump is the first instruction (asm/nbp.s).
const FAR_JUMP: u8 = 0xea;
/// The ROM begins on such a boundary, since it runs in its own segment.
const PARAGRAPH: usize = 16;
/// Where the loader ends at the latest (policy).
const MAX_LOADER: usize = 4096;

/// Builds the boot program.
///
/// # Errors
/// If the loader isn't what linker.ld makes.
pub fn build(loader: &[u8], rom: &[u8]) -> Result<Vec<u8>> {
    ensure!(loader.first() == Some(&FAR_JUMP), "the linked boot program does not begin with its far jump");
    ensure!(
        loader.len().is_multiple_of(PARAGRAPH) && loader.len() <= MAX_LOADER,
        "the linked boot program has {} bytes",
        loader.len()
    );
    Ok([loader, rom].concat())
}

/// Checks a boot program and says at which offset the ROM is.
///
/// # Errors
/// If it is none of ours.
pub fn check(image: &[u8]) -> Result<usize> {
    ensure!(image.first() == Some(&FAR_JUMP), "no far jump at the start");
    (PARAGRAPH..MAX_LOADER)
        .step_by(PARAGRAPH)
        .find(|&at| {
            let rom = image.get(at..).unwrap_or_default();
            rom.starts_with(&[0x55, 0xaa]) && rom.len() == usize::from(*rom.get(BLOCKS).unwrap_or(&0)) * 512
        })
        .context("no ROM that fills the rest of the file")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rom_is_found_where_it_was_put() {
        let mut loader = [0; 64];
        loader[0] = FAR_JUMP;
        let mut rom = [0; 1024];
        rom[..3].copy_from_slice(&[0x55, 0xaa, 2]);
        let image = build(&loader, &rom).unwrap();
        assert_eq!(check(&image).unwrap(), 64);
        assert!(check(&image[..image.len() - 1]).is_err(), "cut off");
        assert!(build(&loader[..63], &rom).is_err());
    }
}
