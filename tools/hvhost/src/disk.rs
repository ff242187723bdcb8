//! What a virtual disk is made of.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

/// The medium behind one LUN. Accesses are whole blocks inside the disk.
pub trait DiskBackend: Send {
    /// Bytes in a block.
    fn block_size(&self) -> u32 {
        512
    }

    /// Blocks on the disk, at least one.
    fn blocks(&self) -> u64;

    /// Whether writes are refused.
    fn read_only(&self) -> bool {
        false
    }

    /// Fills `into` from byte `offset`.
    ///
    /// # Errors
    /// The guest gets a medium error.
    fn read(&mut self, offset: u64, into: &mut [u8]) -> io::Result<()>;

    /// Writes `from` at byte `offset`.
    ///
    /// # Errors
    /// The guest gets a medium error.
    fn write(&mut self, offset: u64, from: &[u8]) -> io::Result<()>;

    /// Makes what was written last.
    ///
    /// # Errors
    /// The guest gets a medium error.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A disk in memory. Clones share their content.
#[derive(Clone, Debug)]
pub struct MemoryDisk {
    content: Arc<Mutex<Vec<u8>>>,
    block_size: u32,
}

impl MemoryDisk {
    /// A disk with this content, padded to whole blocks of 512 bytes.
    #[must_use]
    pub fn new(content: Vec<u8>) -> Self {
        Self::with_block_size(content, 512)
    }

    /// A disk with other blocks, of a power of two of bytes.
    #[must_use]
    pub fn with_block_size(mut content: Vec<u8>, block_size: u32) -> Self {
        content.resize(content.len().max(1).next_multiple_of(block_size as usize), 0);
        Self { content: Arc::new(Mutex::new(content)), block_size }
    }

    /// What is on the disk now.
    #[must_use]
    pub fn content(&self) -> Vec<u8> {
        self.with(|content| content.clone())
    }

    /// Puts another disk in its place, with blocks of the same size.
    pub fn replace(&self, mut content: Vec<u8>) {
        content.resize(content.len().max(1).next_multiple_of(self.block_size as usize), 0);
        self.with(|old| *old = content);
    }

    fn with<T>(&self, work: impl FnOnce(&mut Vec<u8>) -> T) -> T {
        // A writer that panicked left whole bytes behind.
        work(&mut self.content.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl DiskBackend for MemoryDisk {
    fn block_size(&self) -> u32 {
        self.block_size
    }

    fn blocks(&self) -> u64 {
        self.with(|content| content.len()) as u64 / u64::from(self.block_size)
    }

    fn read(&mut self, offset: u64, into: &mut [u8]) -> io::Result<()> {
        self.with(|content| match content.get(offset as usize..offset as usize + into.len()) {
            Some(bytes) => {
                into.copy_from_slice(bytes);
                Ok(())
            }
            None => Err(io::ErrorKind::UnexpectedEof.into()),
        })
    }

    fn write(&mut self, offset: u64, from: &[u8]) -> io::Result<()> {
        self.with(|content| match content.get_mut(offset as usize..offset as usize + from.len()) {
            Some(bytes) => {
                bytes.copy_from_slice(from);
                Ok(())
            }
            None => Err(io::ErrorKind::UnexpectedEof.into()),
        })
    }
}

/// A raw disk image in blocks of 512 bytes. What is behind its last whole block does not belong to the disk.
#[derive(Debug)]
pub struct FileDisk {
    file: File,
    blocks: u64,
    read_only: bool,
}

impl FileDisk {
    /// Opens an image.
    ///
    /// # Errors
    /// When it can't be opened that way, or holds no block.
    pub fn open(path: &Path, read_only: bool) -> io::Result<Self> {
        let file = File::options().read(true).write(!read_only).open(path)?;
        let blocks = file.metadata()?.len() / 512;
        if blocks == 0 {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "not one block of 512 bytes in it"));
        }
        Ok(Self { file, blocks, read_only })
    }
}

impl DiskBackend for FileDisk {
    fn blocks(&self) -> u64 {
        self.blocks
    }

    fn read_only(&self) -> bool {
        self.read_only
    }

    fn read(&mut self, offset: u64, into: &mut [u8]) -> io::Result<()> {
        self.file.seek(SeekFrom::Start(offset))?;
        self.file.read_exact(into)
    }

    fn write(&mut self, offset: u64, from: &[u8]) -> io::Result<()> {
        self.file.seek(SeekFrom::Start(offset))?;
        self.file.write_all(from)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.sync_data()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_padded_to_blocks_and_shared_between_clones() {
        let disk = MemoryDisk::new(vec![7; 600]);
        assert_eq!(disk.blocks(), 2);
        disk.clone().write(512, &[9; 512]).unwrap();
        assert_eq!(disk.content()[511..514], [7, 9, 9]);
        assert!(disk.clone().write(1024, &[0]).is_err());
    }

    #[test]
    fn a_file_keeps_what_was_written() {
        let path = std::env::temp_dir().join(format!("hvhost-disk-{}", std::process::id()));
        std::fs::write(&path, vec![1; 1500]).unwrap();
        let mut disk = FileDisk::open(&path, false).unwrap();
        assert_eq!(disk.blocks(), 2);
        disk.write(512, &[2; 512]).unwrap();
        disk.flush().unwrap();
        let mut read_only = FileDisk::open(&path, true).unwrap();
        let mut bytes = [0; 1024];
        read_only.read(0, &mut bytes).unwrap();
        assert_eq!((bytes[511], bytes[512]), (1, 2));
        assert!(read_only.read_only() && read_only.write(0, &[3; 512]).is_err());
        std::fs::write(&path, []).unwrap();
        assert!(FileDisk::open(&path, true).is_err());
        std::fs::remove_file(&path).unwrap();
    }
}
