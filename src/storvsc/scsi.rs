//! SCSI commands, and what their completions mean.

use zerocopy::big_endian::{U16, U32, U64};
use zerocopy::{FromBytes, IntoBytes};

use crate::disk::DiskError;
use crate::error::Error;
use crate::wire::scsi::{
    CDB_LEN, CODE_LBA_OUT_OF_RANGE, Cdb10, Cdb16, READ_CAPACITY_16, STATUS_CHECK_CONDITION, STATUS_GOOD, Sense,
    operation, sense_key,
};
use crate::wire::vstor::{
    SENSE_LEN, SRB_STATUS_AUTOSENSE_VALID, SRB_STATUS_DATA_OVERRUN, SRB_STATUS_INVALID_LUN, SRB_STATUS_INVALID_PATH,
    SRB_STATUS_INVALID_TARGET, SRB_STATUS_MASK, SRB_STATUS_NO_DEVICE, SRB_STATUS_SELECTION_TIMEOUT, SRB_STATUS_SUCCESS,
    Srb,
};

/// Which way the data go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Direction {
    In,
    Out,
}

/// A command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Command {
    pub cdb: [u8; CDB_LEN],
    pub cdb_len: usize,
    pub direction: Direction,
    /// Bytes of data; 0 without data.
    pub len: usize,
}

impl Command {
    fn new(cdb: &[u8], direction: Direction, len: usize) -> Self {
        let mut command = Self { cdb: [0; CDB_LEN], cdb_len: cdb.len(), direction, len };
        command.cdb[..cdb.len()].copy_from_slice(cdb);
        command
    }

    /// Standard INQUIRY data, their first 36 bytes.
    pub fn inquiry() -> Self {
        Self::new(&[operation::INQUIRY, 0, 0, 0, 36, 0], Direction::In, 36)
    }

    /// The list of logical units of a target.
    pub fn report_luns(len: usize) -> Self {
        let mut cdb = [0; 12];
        cdb[0] = operation::REPORT_LUNS;
        cdb[6..10].copy_from_slice(&(len as u32).to_be_bytes());
        Self::new(&cdb, Direction::In, len)
    }

    pub fn read_capacity_10() -> Self {
        Self::ten(operation::READ_CAPACITY_10, 0, 0, Direction::In, 8)
    }

    pub fn read_capacity_16() -> Self {
        let cdb = Cdb16 {
            operation: operation::SERVICE_ACTION_IN_16,
            flags: READ_CAPACITY_16,
            lba: U64::ZERO,
            blocks: U32::new(32),
            group: 0,
            control: 0,
        };
        Self::new(cdb.as_bytes(), Direction::In, 32)
    }

    /// Mode parameters of all pages: only the header is of use.
    pub fn mode_sense() -> Self {
        const ALL_PAGES: u8 = 0x3f;
        Self::new(&[operation::MODE_SENSE_6, 0, ALL_PAGES, 0, 192, 0], Direction::In, 192)
    }

    pub fn test_unit_ready() -> Self {
        Self::new(&[operation::TEST_UNIT_READY, 0, 0, 0, 0, 0], Direction::In, 0)
    }

    pub fn synchronize_cache() -> Self {
        Self::ten(operation::SYNCHRONIZE_CACHE_10, 0, 0, Direction::In, 0)
    }

    /// READ or WRITE of blocks of `block_len` bytes, in the shorter form when that will do.
    pub fn access(direction: Direction, lba: u64, blocks: u32, block_len: u32) -> Self {
        let len = (blocks * block_len) as usize;
        let (ten, sixteen) = match direction {
            Direction::In => (operation::READ_10, operation::READ_16),
            Direction::Out => (operation::WRITE_10, operation::WRITE_16),
        };
        match (u32::try_from(lba), u16::try_from(blocks)) {
            (Ok(lba), Ok(blocks)) => Self::ten(ten, lba, blocks, direction, len),
            _ => {
                let (lba, blocks) = (U64::new(lba), U32::new(blocks));
                let cdb = Cdb16 { operation: sixteen, flags: 0, lba, blocks, group: 0, control: 0 };
                Self::new(cdb.as_bytes(), direction, len)
            }
        }
    }

    fn ten(operation: u8, lba: u32, blocks: u16, direction: Direction, len: usize) -> Self {
        let (lba, blocks) = (U32::new(lba), U16::new(blocks));
        Self::new(Cdb10 { operation, flags: 0, lba, group: 0, blocks, control: 0 }.as_bytes(), direction, len)
    }
}

/// What a completion means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Done; so many bytes were moved.
    Done(usize),
    /// Not executed, but for no lasting reason: at once again.
    Again,
    /// Likewise, after a while.
    Later,
    /// It would fail again.
    Failed(DiskError),
}

/// Judges a completed request.
pub(super) fn judge(srb: &Srb) -> Verdict {
    let moved = srb.data_transfer_length.get() as usize;
    match (srb.srb_status & SRB_STATUS_MASK, srb.scsi_status) {
        (SRB_STATUS_SUCCESS | SRB_STATUS_DATA_OVERRUN, STATUS_GOOD) => Verdict::Done(moved),
        (
            SRB_STATUS_INVALID_PATH
            | SRB_STATUS_NO_DEVICE
            | SRB_STATUS_SELECTION_TIMEOUT
            | SRB_STATUS_INVALID_LUN
            | SRB_STATUS_INVALID_TARGET,
            _,
        ) => Verdict::Failed(DiskError::NotThere),
        (_, STATUS_CHECK_CONDITION) if srb.srb_status & SRB_STATUS_AUTOSENSE_VALID != 0 => {
            judge_sense(&srb.cdb_or_sense, moved)
        }
        // Busy, aborted, timed out, reset: nothing says that it would happen again.
        _ => Verdict::Later,
    }
}

fn judge_sense(bytes: &[u8; SENSE_LEN], moved: usize) -> Verdict {
    let Ok((sense, _)) = Sense::read_from_prefix(bytes) else { return Verdict::Later };
    match sense.key & 0xf {
        sense_key::RECOVERED_ERROR => Verdict::Done(moved),
        sense_key::UNIT_ATTENTION => Verdict::Again,
        sense_key::NOT_READY | sense_key::ABORTED_COMMAND => Verdict::Later,
        sense_key::MEDIUM_ERROR | sense_key::HARDWARE_ERROR => Verdict::Failed(DiskError::Medium),
        sense_key::DATA_PROTECT => Verdict::Failed(DiskError::WriteProtected),
        sense_key::ILLEGAL_REQUEST if sense.code == CODE_LBA_OUT_OF_RANGE => Verdict::Failed(DiskError::OutOfRange),
        _ => Verdict::Failed(DiskError::Host(Error::HostRefused)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use zerocopy::FromZeros;

    // Bytes: SBC-3, tables of READ (10), READ (16) and SPC-4, fixed format sense data.

    #[test]
    fn the_shorter_form_is_used_while_it_will_do() {
        let command = Command::access(Direction::In, 0x12345, 8, 512);
        assert_eq!((command.cdb_len, command.len), (10, 4096));
        assert_eq!(command.cdb[..10], [0x28, 0, 0, 1, 0x23, 0x45, 0, 0, 8, 0]);
        let command = Command::access(Direction::Out, 0x1_0000_0002, 3, 512);
        assert_eq!(command.cdb, [0x8a, 0, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0]);
    }

    fn srb(srb_status: u8, scsi_status: u8, key: u8, code: u8) -> Srb {
        let mut srb = Srb::new_zeroed();
        (srb.srb_status, srb.scsi_status) = (srb_status, scsi_status);
        srb.data_transfer_length = 512.into();
        (srb.cdb_or_sense[0], srb.cdb_or_sense[2], srb.cdb_or_sense[12]) = (0x70, key, code);
        srb
    }

    #[test]
    fn completions_are_judged_by_both_statuses_and_the_sense_key() {
        for (completion, verdict) in [
            (srb(0x01, 0, 0, 0), Verdict::Done(512)),
            (srb(0x12, 0, 0, 0), Verdict::Done(512)),
            (srb(0x01, 8, 0, 0), Verdict::Later),
            (srb(0x0e, 0, 0, 0), Verdict::Later),
            (srb(0x04, 2, 6, 0x29), Verdict::Later), // sense data not valid
            (srb(0x84, 2, 6, 0x29), Verdict::Again),
            (srb(0x84, 2, 1, 0), Verdict::Done(512)),
            (srb(0xc4, 2, 3, 0x11), Verdict::Failed(DiskError::Medium)),
            (srb(0x84, 2, 5, 0x21), Verdict::Failed(DiskError::OutOfRange)),
            (srb(0x84, 2, 5, 0x20), Verdict::Failed(DiskError::Host(Error::HostRefused))),
            (srb(0x84, 2, 7, 0x27), Verdict::Failed(DiskError::WriteProtected)),
            (srb(0x20, 2, 0, 0), Verdict::Failed(DiskError::NotThere)),
            (srb(0x08, 0, 0, 0), Verdict::Failed(DiskError::NotThere)),
        ] {
            assert_eq!(judge(&completion), verdict, "{completion:?}");
        }
    }
}
