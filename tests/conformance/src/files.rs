//! The files that the TFTP server has: their names, lengths and bytes.

/// A file that the harness serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServedFile {
    /// Its name; short enough for every block with a file name.
    pub name: &'static str,
    /// Its length in bytes.
    pub len: u32,
}

/// No byte at all.
pub const EMPTY: ServedFile = ServedFile { name: "conf-0.bin", len: 0 };
/// One byte.
pub const ONE_BYTE: ServedFile = ServedFile { name: "conf-1.bin", len: 1 };
/// A whole number of blocks of 512 bytes: the transfer ends with an empty block.
pub const FOUR_BLOCKS: ServedFile = ServedFile { name: "conf-2048.bin", len: 2048 };
/// A last block that is not full, for every block size.
pub const ODD: ServedFile = ServedFile { name: "conf-10001.bin", len: 10_001 };
/// More than 1 MiB.
pub const LARGE: ServedFile = ServedFile { name: "conf-1m.bin", len: 1_048_576 + 77 };

/// All that a server must have.
pub const ALL: [ServedFile; 5] = [EMPTY, ONE_BYTE, FOUR_BLOCKS, ODD, LARGE];

/// A name that no server has.
pub const MISSING: &str = "conf-missing.bin";

/// The byte at an offset of every file: no two neighbouring blocks of 512 bytes are alike.
#[must_use]
pub const fn byte_at(offset: u32) -> u8 {
    let mixed = offset.wrapping_mul(0x9e37_79b1) ^ (offset >> 9);
    (mixed >> 21) as u8 ^ mixed as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_differ_from_their_neighbours() {
        for block in 0..2_100 {
            let differs =
                |distance: u32| (0..512).any(|at| byte_at(block * 512 + at) != byte_at((block + distance) * 512 + at));
            assert!(differs(1) && differs(2) && differs(65_536));
        }
    }
}
