//! The seam between the disk service and whatever reaches the disks.

mod likeness;

pub use likeness::{BiosDrive, Digest, find_alike, samples};

use core::fmt;

use crate::error::Error;

/// Why a disk request failed, after all retries.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum DiskError {
    /// No such disk, or it is gone.
    NotThere,
    /// Blocks beyond the end of the disk.
    OutOfRange,
    /// The medium can't be read or written there.
    Medium,
    /// The disk may only be read.
    WriteProtected,
    /// The disk kept saying that it can't now.
    NotReady,
    /// No answer in time.
    Timeout,
    /// The caller's memory can't be used.
    BadBuffer,
    /// The controller can't be reached, or broke the protocol.
    Host(Error),
}

/// By hand: what is derived takes four times the room in the ROM.
impl fmt::Debug for DiskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotThere => "NotThere",
            Self::OutOfRange => "OutOfRange",
            Self::Medium => "Medium",
            Self::WriteProtected => "WriteProtected",
            Self::NotReady => "NotReady",
            Self::Timeout => "Timeout",
            Self::BadBuffer => "BadBuffer",
            Self::Host(error) => return error.fmt(f),
        })
    }
}

impl From<Error> for DiskError {
    fn from(error: Error) -> Self {
        match error {
            Error::HostTimeout => Self::Timeout,
            error => Self::Host(error),
        }
    }
}

/// What is known of a disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Medium {
    /// Bytes in a block, a power of two from 512 to 4096.
    pub block_len: u32,
    /// Number of blocks, at least one.
    pub blocks: u64,
    /// Whether it is write-protected.
    pub read_only: bool,
}

/// Most bytes of a piece that a caller is handed or asked for at once (policy: it lies on the stack). Every block
/// length is this or a multiple of it.
pub const PIECE_LEN: usize = 512;

/// Takes a piece of what was read, with its offset in bytes.
pub type Sink<'a> = dyn FnMut(u32, &[u8]) -> Result<(), DiskError> + 'a;

/// Fills a piece of what is to be written, likewise.
pub type Source<'a> = dyn FnMut(u32, &mut [u8]) -> Result<(), DiskError> + 'a;

/// The disks of the machine, numbered from 0.
pub trait Disks {
    /// How many there are.
    fn count(&self) -> usize;

    /// What disk `number` is.
    fn medium(&self, number: usize) -> Option<Medium>;

    /// Reads `blocks` blocks from `lba`. Hands the data over in pieces of [`PIECE_LEN`], with the offset in bytes of each;
    /// a piece may come twice.
    ///
    /// # Errors
    /// [`DiskError`]; an error of `to` as it is. Some pieces may have been handed over.
    fn read(&mut self, number: usize, lba: u64, blocks: u32, to: &mut Sink<'_>) -> Result<(), DiskError>;

    /// Writes `blocks` blocks from `lba`. Asks for the data in pieces of [`PIECE_LEN`], perhaps for one twice.
    ///
    /// # Errors
    /// [`DiskError`]; an error of `from` as it is. Some blocks may have been written.
    fn write(&mut self, number: usize, lba: u64, blocks: u32, from: &mut Source<'_>) -> Result<(), DiskError>;

    /// Makes what was written last.
    ///
    /// # Errors
    /// [`DiskError`].
    fn flush(&mut self, number: usize) -> Result<(), DiskError>;

    /// Resets the disk and what leads to it.
    ///
    /// # Errors
    /// [`DiskError`].
    fn reset(&mut self, number: usize) -> Result<(), DiskError>;
}

impl<D: Disks + ?Sized> Disks for &mut D {
    fn count(&self) -> usize {
        D::count(self)
    }

    fn medium(&self, number: usize) -> Option<Medium> {
        D::medium(self, number)
    }

    fn read(&mut self, number: usize, lba: u64, blocks: u32, to: &mut Sink<'_>) -> Result<(), DiskError> {
        D::read(self, number, lba, blocks, to)
    }

    fn write(&mut self, number: usize, lba: u64, blocks: u32, from: &mut Source<'_>) -> Result<(), DiskError> {
        D::write(self, number, lba, blocks, from)
    }

    fn flush(&mut self, number: usize) -> Result<(), DiskError> {
        D::flush(self, number)
    }

    fn reset(&mut self, number: usize) -> Result<(), DiskError> {
        D::reset(self, number)
    }
}
