//! Files with content that tells its place: what a server serves, and what a program checks without having the file.

/// A file that the harness serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServedFile {
    /// Its name; short enough for every block with a file name.
    pub name: &'static str,
    /// Its length in bytes.
    pub len: u32,
}

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
