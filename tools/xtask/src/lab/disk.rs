//! A boot disk that says a word and stops: proof that the BIOS went on to the next boot device.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use super::nbp::announcing;

/// What the disk prints.
pub const DISK_TEXT: &str = "DISK BOOTED";

/// Length of the disk in bytes: that of a 1.44 MB floppy, so that it can be one, too.
const DISK_LEN: usize = 1_474_560;

/// A boot sector that prints the text and halts.
fn boot_sector() -> [u8; 512] {
    let program = announcing(DISK_TEXT);
    let mut sector = [0; 512];
    sector[..program.len()].copy_from_slice(&program);
    sector[510..].copy_from_slice(&[0x55, 0xaa]);
    sector
}

/// Writes the disk image.
///
/// # Errors
/// When the file can't be written.
pub fn write(path: &Path) -> Result<()> {
    let mut image = vec![0; DISK_LEN];
    image[..512].copy_from_slice(&boot_sector());
    fs::write(path, image).with_context(|| format!("can't write {}", path.display()))
}
