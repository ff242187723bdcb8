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
    at: u32,
}

impl<M: PhysMem> Block<M> {
    /// The block at a far pointer.
    ///
    /// # Errors
    /// `UNDI_INVALID_PARAMETER` for a null pointer.
    pub(super) fn new(mem: M, at: SegOff) -> Answer<Self> {
        match at.linear() {
            0 => Err(PxenvStatus::UNDI_INVALID_PARAMETER),
            at => Ok(Self { mem, at }),
        }
    }

    /// Copies the first bytes of the block.
    pub(super) fn read<T: FromBytes + IntoBytes>(&self) -> Answer<T> {
        self.read_at(0)
    }

    /// Copies a part of the block, `offset` bytes from its start.
    pub(super) fn read_at<T: FromBytes + IntoBytes>(&self, offset: usize) -> Answer<T> {
        let mut value = T::new_zeroed();
        self.mem.read(self.at + offset as u32, value.as_mut_bytes())?;
        Ok(value)
    }

    /// Writes a part of the block, `offset` bytes from its start.
    pub(super) fn write<T: IntoBytes + Immutable + ?Sized>(&self, offset: usize, value: &T) -> Answer {
        Ok(self.mem.write(self.at + offset as u32, value.as_bytes())?)
    }
}

/// The linear address of a caller's far pointer.
///
/// # Errors
/// `UNDI_INVALID_PARAMETER` for a null pointer.
pub(super) fn linear(pointer: SegOff16) -> Answer<u32> {
    match SegOff::from(pointer).linear() {
        0 => Err(PxenvStatus::UNDI_INVALID_PARAMETER),
        linear => Ok(linear),
    }
}
