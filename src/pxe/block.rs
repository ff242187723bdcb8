//! Parameter blocks: copied in once, written back field by field.
//!
//! A block may be shorter than PXE 2.1 says (callers written for 1.x), so nothing is read or written but what a
//! function documents; what lies behind a block may be the caller's stack.

use zerocopy::{FromBytes, Immutable, IntoBytes};

use crate::mem::{PhysMem, SegOff};
use crate::wire::pxe::{PxenvStatus, SegOff16};

impl From<SegOff16> for SegOff {
    fn from(pointer: SegOff16) -> Self {
        Self { offset: pointer.offset.get(), segment: pointer.segment.get() }
    }
}

impl From<SegOff> for SegOff16 {
    fn from(pointer: SegOff) -> Self {
        Self { offset: pointer.offset.into(), segment: pointer.segment.into() }
    }
}

/// What an API function answers: its status when it fails.
pub(super) type Answer<T = ()> = Result<T, PxenvStatus>;

/// A caller's parameter block.
pub(super) struct Block<M> {
    mem: M,
    at: SegOff,
}

impl<M: PhysMem> Block<M> {
    /// The block at a far pointer.
    ///
    /// # Errors
    /// `UNDI_INVALID_PARAMETER` for a null pointer.
    pub(super) fn new(mem: M, at: SegOff) -> Answer<Self> {
        match at.linear() {
            0 => Err(PxenvStatus::UNDI_INVALID_PARAMETER),
            _ => Ok(Self { mem, at }),
        }
    }

    /// Copies the first bytes of the block.
    pub(super) fn read<T: FromBytes + IntoBytes>(&self) -> Answer<T> {
        self.read_at(0)
    }

    /// Copies a part of the block, `offset` bytes from its start.
    pub(super) fn read_at<T: FromBytes + IntoBytes>(&self, offset: usize) -> Answer<T> {
        let mut value = T::new_zeroed();
        self.read_bytes(offset, value.as_mut_bytes())?;
        Ok(value)
    }

    /// The same for any type: one copy of the code for all.
    #[inline(never)]
    fn read_bytes(&self, offset: usize, into: &mut [u8]) -> Answer {
        Ok(self.mem.read(self.part(offset, into.len())?, into)?)
    }

    /// Writes a part of the block, `offset` bytes from its start.
    pub(super) fn write<T: IntoBytes + Immutable + ?Sized>(&self, offset: usize, value: &T) -> Answer {
        self.write_bytes(offset, value.as_bytes())
    }

    #[inline(never)]
    fn write_bytes(&self, offset: usize, from: &[u8]) -> Answer {
        Ok(self.mem.write(self.part(offset, from.len())?, from)?)
    }

    /// Where a part of the block lies.
    #[inline(always)] // in two functions
    fn part(&self, offset: usize, len: usize) -> Answer<u32> {
        match self.at.fits(offset + len) {
            true => Ok(self.at.linear() + offset as u32),
            false => Err(PxenvStatus::UNDI_INVALID_PARAMETER),
        }
    }
}

/// The linear address of a caller's buffer.
///
/// # Errors
/// `UNDI_INVALID_PARAMETER` for a null pointer, and for a buffer that would run past its segment: what lies behind is not
/// what the caller named, nor is the segment's start.
pub(super) fn buffer(pointer: SegOff16, len: usize) -> Answer<u32> {
    let pointer = SegOff::from(pointer);
    match pointer.linear() {
        0 => Err(PxenvStatus::UNDI_INVALID_PARAMETER),
        _ if !pointer.fits(len) => Err(PxenvStatus::UNDI_INVALID_PARAMETER),
        linear => Ok(linear),
    }
}
