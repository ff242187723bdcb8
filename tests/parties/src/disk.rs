//! The disk: what is where on it.
//!
//! Every block starts with its own number and ends with the number's complement, and in between has bytes that depend on
//! both number and place. The boot sector checks some of them, and writes to one.

use runtime::files::byte_at;

/// Bytes in a block.
pub const BLOCK: usize = 512;
/// Blocks of the disk: 2 MiB.
pub const BLOCKS: u32 = 4096;
/// The block that the boot sector writes, with the bytes of [`by_sector`].
pub const SECTOR_WRITES: u32 = 200;
/// The first block that the thief writes; it writes one for each round.
pub const THIEF_WRITES: u32 = 1000;
/// Blocks that the boot sector reads and checks, from block 1 on.
pub const CHECKED: u32 = 64;

/// What the boot sector prints first.
pub const BOOTED: &str = "DISK BOOTED";
/// What it prints when all reads and its write were good.
pub const WORKS: &str = "DISK WORKS";
/// What it prints when one wasn't.
pub const FAILED: &str = "DISK FAILED";

/// A block as it is on a new disk; block 0 is the boot sector instead.
#[must_use]
pub fn content(number: u32) -> [u8; BLOCK] {
    let mut block = core::array::from_fn(|at| byte_at(number * BLOCK as u32 + at as u32));
    block[..4].copy_from_slice(&number.to_le_bytes());
    block[BLOCK - 4..].copy_from_slice(&(!number).to_le_bytes());
    block
}

/// What the boot sector writes: block 1 with every bit changed.
#[must_use]
pub fn by_sector() -> [u8; BLOCK] {
    content(1).map(|byte| !byte)
}

/// A block that was written by the thief in this round: that of another place of a larger disk.
#[must_use]
pub fn written(number: u32, round: u32) -> [u8; BLOCK] {
    content(number + (round + 1) * BLOCKS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_tells_its_number_and_its_round() {
        assert_eq!(content(5)[..4], [5, 0, 0, 0]);
        assert_eq!(content(5)[508..], [0xfa, 0xff, 0xff, 0xff]);
        assert_ne!(content(5)[4..508], content(6)[4..508]);
        assert_ne!(written(5, 0), content(5));
        assert_ne!(written(5, 0), written(5, 1));
    }
}
