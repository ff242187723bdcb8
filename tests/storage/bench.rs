//! A machine with disks whose content is known.

use hvhost::MemoryDisk;
use hvpxe::disk::{DiskError, Disks};
use hvpxe::owner::Arbiter;

use crate::lab::{Lab, config};

/// Blocks of the first disk; the second, on the same controller, has blocks of 4096 bytes, the third is on its own.
pub const BLOCKS: u64 = 3000;

pub struct Bench {
    pub lab: Lab,
    /// What the disks hold.
    pub media: Vec<MemoryDisk>,
    pub disks: Arbiter<Lab>,
}

/// Bytes that say where they belong.
pub fn pattern(len: usize, seed: u8) -> Vec<u8> {
    (0..len).map(|at| (at / 512) as u8 ^ (at / 512 / 251) as u8 ^ (at % 509) as u8 ^ seed).collect()
}

impl Bench {
    /// A machine with two controllers, settings as `hvhost::Config::set` takes them. Nothing is open.
    pub fn new(settings: &[(&str, &str)]) -> Self {
        let media = vec![
            MemoryDisk::new(pattern(BLOCKS as usize * 512, 1)),
            MemoryDisk::with_block_size(pattern(64 * 4096, 2), 4096),
            MemoryDisk::new(pattern(16 * 512, 3)),
        ];
        let lab = Lab::new(config(settings), &[]);
        lab.add_scsi_controller(&media[..2]);
        lab.add_scsi_controller(&media[2..]);
        let disks = Arbiter::new(lab.clone());
        Self { lab, media, disks }
    }

    pub fn opened(settings: &[(&str, &str)]) -> Self {
        let mut bench = Self::new(settings);
        bench.disks.open_disks().unwrap();
        assert_eq!(bench.disks.count(), 3);
        bench
    }

    pub fn read(&mut self, disk: usize, lba: u64, blocks: u32) -> Result<Vec<u8>, DiskError> {
        let block_len = self.disks.medium(disk).map_or(512, |medium| medium.block_len);
        // Not zero: a piece that is not handed over must show.
        let mut bytes = vec![0xee; (blocks * block_len) as usize];
        self.disks.read(disk, lba, blocks, &mut |offset, piece| {
            bytes[offset as usize..][..piece.len()].copy_from_slice(piece);
            Ok(())
        })?;
        Ok(bytes)
    }

    pub fn write(&mut self, disk: usize, lba: u64, content: &[u8]) -> Result<(), DiskError> {
        let block_len = self.disks.medium(disk).map_or(512, |medium| medium.block_len);
        let blocks = content.len() as u32 / block_len;
        self.disks.write(disk, lba, blocks, &mut |offset, piece| {
            piece.copy_from_slice(&content[offset as usize..][..piece.len()]);
            Ok(())
        })
    }

    /// What a disk should give for these blocks.
    pub fn content(&self, disk: usize, lba: u64, blocks: u32) -> Vec<u8> {
        let block_len = if disk == 1 { 4096 } else { 512 };
        let start = lba as usize * block_len;
        self.media[disk].content()[start..][..blocks as usize * block_len].to_vec()
    }

    /// Gives everything back, and checks that nothing is left and no rule was broken.
    #[track_caller]
    pub fn end(mut self) {
        self.disks.release_disks().unwrap();
        assert_eq!(self.lab.pages_in_use(), 0);
        self.lab.assert_no_violation();
    }
}
