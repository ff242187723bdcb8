//! Memory that is not plain Rust memory: pages shared with the host, the caller's real-mode blocks, physical memory.

pub mod pages;
pub mod pool;
pub mod single;

use crate::error::Error;

/// Size of a page as TLFS and VMBus mean it, in bytes.
pub const PAGE_SIZE: usize = 4096;

/// Guest physical address, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Gpa(pub u64);

impl Gpa {
    /// Guest page frame number: the address in units of 4 KiB.
    #[must_use]
    pub const fn pfn(self) -> u64 {
        self.0 / PAGE_SIZE as u64
    }
}

/// Memory that the host may read and write at any time.
///
/// Copies only: no reference to it is ever made. Offsets are in bytes from the start; an access past the end is a bug of
/// ours and panics. The `u32` accessors are single loads and stores at 4-byte aligned offsets.
pub trait SharedMem {
    /// Where the host finds it; page aligned.
    fn gpa(&self) -> Gpa;
    /// Length in bytes; a whole number of pages.
    fn len(&self) -> usize;
    /// Copies out.
    fn read(&self, offset: usize, into: &mut [u8]);
    /// Copies in.
    fn write(&self, offset: usize, from: &[u8]);
    /// One 32-bit load with acquire ordering.
    fn load(&self, offset: usize) -> u32;
    /// One 32-bit store with release ordering.
    fn store(&self, offset: usize, value: u32);
    /// A full memory barrier: orders earlier stores before later loads.
    fn fence(&self);
    /// Sets all of it to zero.
    fn clear(&self);
    /// True when there are no pages.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A real-mode far pointer as it lies in memory: offset first (PXE 2.1, `SEGOFF16`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SegOff {
    /// Offset in bytes.
    pub offset: u16,
    /// Segment in units of 16 bytes.
    pub segment: u16,
}

impl SegOff {
    /// The linear address that it means with A20 on.
    #[must_use]
    pub const fn linear(self) -> u32 {
        ((self.segment as u32) << 4) + self.offset as u32
    }

    /// True when `len_bytes` from here stay below offset 0x10000 of the segment.
    #[must_use]
    pub const fn fits(self, len_bytes: usize) -> bool {
        self.offset as usize + len_bytes <= 0x1_0000
    }
}

/// Physical memory that a caller names by address (parameter blocks, packet buffers, download targets), and the
/// resident block in base memory. A handle; cheap to clone.
pub trait PhysMem: Clone {
    /// Copies out of memory. The resident block may be read too: clients pass our own packets and frames back.
    ///
    /// # Errors
    /// [`Error::InvalidParameter`] if any byte lies outside RAM below 4 GiB or in the core's memory.
    fn read(&self, linear: u32, into: &mut [u8]) -> Result<(), Error>;

    /// Copies into memory.
    ///
    /// # Errors
    /// [`Error::InvalidParameter`] if any byte lies outside RAM below 4 GiB, in the core's memory, or in a part of the
    /// resident block that isn't client-writable (see [`crate::machine::ResidentLayout`]).
    fn write(&self, linear: u32, from: &[u8]) -> Result<(), Error>;

    /// Writes `new` to the doubleword at `linear`, a multiple of 4, if it is `current`; returns what it was. Atomic where
    /// anything else may run meanwhile (SMIs, other processors); this is for machines where nothing does.
    ///
    /// # Errors
    /// As [`write`](Self::write).
    fn compare_exchange(&self, linear: u32, current: u32, new: u32) -> Result<u32, Error> {
        let mut bytes = [0; 4];
        self.read(linear, &mut bytes)?;
        let found = u32::from_le_bytes(bytes);
        if found == current {
            self.write(linear, &new.to_le_bytes())?;
        }
        Ok(found)
    }

    /// Copies into the resident block, at `offset` bytes from its start. For our own structures only; a range outside
    /// the block is a bug of ours and panics.
    fn write_resident(&self, offset: u16, from: &[u8]);
}
