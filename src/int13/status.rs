//! Status codes of INT 13h, in AH and in the BIOS data area.

use crate::disk::DiskError;

/// How a call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Status {
    /// Well.
    Success = 0x00,
    /// No such function, or a parameter that can't be.
    InvalidParameter = 0x01,
    /// The disk is write-protected.
    WriteProtected = 0x03,
    /// No such sector.
    SectorNotFound = 0x04,
    /// Memory that can't be used for the transfer.
    DmaBoundary = 0x09,
    /// The medium can't be read there.
    UncorrectableEcc = 0x10,
    /// The controller failed.
    ControllerFailure = 0x20,
    /// The drive does not answer.
    TimeOut = 0x80,
    /// The drive is not ready.
    NotReady = 0xaa,
    /// The medium can't be written there.
    WriteFault = 0xcc,
}

impl Status {
    /// The code for an error of a read, or of a write.
    #[must_use]
    pub const fn of(error: DiskError, write: bool) -> Self {
        match error {
            DiskError::NotThere | DiskError::Timeout => Self::TimeOut,
            DiskError::OutOfRange => Self::SectorNotFound,
            DiskError::Medium if write => Self::WriteFault,
            DiskError::Medium => Self::UncorrectableEcc,
            DiskError::WriteProtected => Self::WriteProtected,
            DiskError::NotReady => Self::NotReady,
            DiskError::BadBuffer => Self::DmaBoundary,
            DiskError::Host(_) => Self::ControllerFailure,
        }
    }
}
