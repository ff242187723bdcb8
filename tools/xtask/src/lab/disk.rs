//! A boot disk that says a word and stops: proof that the BIOS went on to the next boot device.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

/// What the disk prints.
pub const DISK_TEXT: &str = "DISK BOOTED";

/// Length of the disk in bytes: that of a 1.44 MB floppy, so that it can be one, too.
const DISK_LEN: usize = 1_474_560;

/// A boot sector, by hand: at 0000:7C00, print each byte with INT 10h function 0Eh, then halt for good.
///
/// Source: opcodes per the Intel SDM, volume 2.
fn boot_sector() -> [u8; 512] {
    const CODE: [u8; 24] = [
        0x31, 0xc0, // xor ax, ax
        0x8e, 0xd8, // mov ds, ax
        0xfc, // cld
        0xbe, 0x18, 0x7c, // mov si, 0x7c18: the text, right behind this code
        0xac, // next: lodsb
        0x84, 0xc0, // test al, al
        0x74, 0x08, // jz done
        0xb4, 0x0e, // mov ah, 0x0e
        0x31, 0xdb, // xor bx, bx
        0xcd, 0x10, // int 0x10
        0xeb, 0xf3, // jmp next
        0xf4, // done: hlt
        0xeb, 0xfd, // jmp done
    ];
    let mut sector = [0; 512];
    sector[..CODE.len()].copy_from_slice(&CODE);
    sector[CODE.len()..][..DISK_TEXT.len()].copy_from_slice(DISK_TEXT.as_bytes());
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
