//! Whether two ways lead to the same disk: equal size, and equal content where it is looked at.

use super::{DiskError, Disks, Medium};

/// Blocks of a disk that are compared (policy): the boot sector and what usually stands behind it, where first partitions
/// begin, and some places all over the disk.
pub const SAMPLES: usize = 10;

/// A fixed disk as the BIOS presents it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BiosDrive {
    /// Its BIOS number.
    pub number: u8,
    /// Number of blocks.
    pub blocks: u64,
    /// Bytes in a block.
    pub block_len: u32,
    /// Of the blocks that [`samples`] names.
    pub content: Digest,
}

/// A digest of blocks: FNV-1a, 64 bits. Not against somebody who wants two disks to look alike; those who have nothing in
/// common do not by chance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Digest(u64);

impl Digest {
    /// Of nothing.
    #[must_use]
    pub const fn new() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }

    /// Adds bytes.
    pub fn add(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3);
        }
    }
}

impl Default for Digest {
    fn default() -> Self {
        Self::new()
    }
}

/// The blocks to compare of a disk that has at least so many, one or more. Some may be the same.
#[must_use]
pub fn samples(blocks: u64) -> [u64; SAMPLES] {
    let last = blocks.saturating_sub(1);
    [0, 1, 2, 63, 2048, last / 5, last / 5 * 2, last / 5 * 3, last / 5 * 4, last].map(|block| block.min(last))
}

/// The disk that is this drive. `None` when there is none, and when there are several: better no disk than the wrong one.
pub fn find_alike(drive: &BiosDrive, disks: &mut impl Disks) -> Option<usize> {
    let mut alike = None;
    for number in 0..disks.count() {
        if is_alike(drive, disks, number) && alike.replace(number).is_some() {
            return None;
        }
    }
    alike
}

fn is_alike(drive: &BiosDrive, disks: &mut impl Disks, number: usize) -> bool {
    let same_size = |medium: Medium| (medium.blocks, medium.block_len) == (drive.blocks, drive.block_len);
    disks.medium(number).is_some_and(same_size)
        && digest(disks, number, drive.blocks).is_ok_and(|content| content == drive.content)
}

fn digest(disks: &mut impl Disks, number: usize, blocks: u64) -> Result<Digest, DiskError> {
    let mut digest = Digest::new();
    for block in samples(blocks) {
        // A piece may come twice.
        let mut done = 0;
        disks.read(number, block, 1, &mut |offset, piece| {
            if offset == done {
                digest.add(piece);
                done += piece.len() as u32;
            }
            Ok(())
        })?;
    }
    Ok(digest)
}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use super::super::{Sink, Source};
    use super::*;

    /// Disks in memory; reads hand every piece over twice.
    struct Images(Vec<Vec<u8>>);

    impl Disks for Images {
        fn count(&self) -> usize {
            self.0.len()
        }

        fn medium(&self, number: usize) -> Option<Medium> {
            let blocks = self.0[number].len() as u64 / 512;
            Some(Medium { block_len: 512, blocks, read_only: false })
        }

        fn read(&mut self, number: usize, lba: u64, blocks: u32, to: &mut Sink<'_>) -> Result<(), DiskError> {
            let bytes = self.0[number].get(lba as usize * 512..).ok_or(DiskError::OutOfRange)?;
            for (index, piece) in bytes.chunks_exact(512).take(blocks as usize).enumerate() {
                to(index as u32 * 512, piece)?;
                to(index as u32 * 512, piece)?;
            }
            Ok(())
        }

        fn write(&mut self, _: usize, _: u64, _: u32, _: &mut Source<'_>) -> Result<(), DiskError> {
            Err(DiskError::WriteProtected)
        }

        fn flush(&mut self, _: usize) -> Result<(), DiskError> {
            Ok(())
        }

        fn reset(&mut self, _: usize) -> Result<(), DiskError> {
            Ok(())
        }
    }

    fn image(blocks: usize, seed: u8) -> Vec<u8> {
        (0..blocks * 512).map(|at| (at / 512) as u8 ^ (at % 251) as u8 ^ seed).collect()
    }

    fn drive(image: &[u8]) -> BiosDrive {
        let blocks = image.len() as u64 / 512;
        let mut content = Digest::new();
        for block in samples(blocks) {
            content.add(&image[block as usize * 512..][..512]);
        }
        BiosDrive { number: 0x80, blocks, block_len: 512, content }
    }

    #[test]
    fn the_same_disk_is_found_among_others() {
        let mut disks =
            Images([(5000, 1), (5000, 2), (5001, 1), (1, 1)].map(|(blocks, seed)| image(blocks, seed)).into());
        for number in 0..4 {
            let drive = drive(&disks.0[number]);
            assert_eq!(find_alike(&drive, &mut disks), Some(number));
        }
    }

    #[test]
    fn another_size_block_length_or_content_is_another_disk() {
        let mut disks = Images(std::vec![image(5000, 1)]);
        let good = drive(&disks.0[0]);
        assert_eq!(find_alike(&BiosDrive { block_len: 4096, ..good }, &mut disks), None);
        assert_eq!(find_alike(&BiosDrive { blocks: 4999, ..good }, &mut disks), None);
        for block in samples(5000) {
            disks.0[0][block as usize * 512 + 100] ^= 1;
            assert_eq!(find_alike(&good, &mut disks), None, "block {block}");
            disks.0[0][block as usize * 512 + 100] ^= 1;
        }
        assert_eq!(find_alike(&good, &mut disks), Some(0));
    }

    #[test]
    fn two_disks_that_look_alike_are_no_answer() {
        let mut disks = Images(std::vec![image(64, 1), image(64, 1)]);
        assert_eq!(find_alike(&drive(&image(64, 1)), &mut disks), None);
    }
}
