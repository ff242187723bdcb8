//! Which drives are ours, and the calls for them.

use super::registers::Registers;
use super::status::Status;
use crate::disk::{DiskError, Disks, Medium, PIECE_LEN};
use crate::error::Error;
use crate::log;
use crate::mem::PhysMem;

/// BIOS data area: status of the last fixed-disk call.
const BDA_LAST_STATUS: u32 = 0x474;
/// BIOS data area: number of fixed disks.
const BDA_DISK_COUNT: u32 = 0x475;
/// Number of the first fixed disk.
const FIRST_FIXED_DISK: u8 = 0x80;
/// Most fixed disks of a machine (policy: some programs take higher numbers for CD drives).
const MAX_FIXED_DISKS: usize = 16;

/// What became of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The registers hold the answer.
    Done,
    /// Not one of our drives: for whoever had the vector before.
    NotOurs,
}

/// The disk service.
pub struct DiskService<D: Disks, M: PhysMem> {
    pub(super) disks: D,
    pub(super) mem: M,
    /// Number of our first drive, and how many there are.
    first: u8,
    count: u8,
}

impl<D: Disks, M: PhysMem> DiskService<D, M> {
    /// The service for these disks. It has no drives yet.
    #[must_use]
    pub const fn new(disks: D, mem: M) -> Self {
        Self { disks, mem, first: FIRST_FIXED_DISK, count: 0 }
    }

    /// The disks behind it.
    pub const fn disks(&mut self) -> &mut D {
        &mut self.disks
    }

    /// Numbers the disks that were found, behind those that the BIOS has; gives how many. The vector is the caller's
    /// business.
    ///
    /// # Errors
    /// [`Error::InvalidParameter`] when the BIOS data area can't be reached.
    pub fn install(&mut self) -> Result<u8, Error> {
        let mut known = [0];
        self.mem.read(BDA_DISK_COUNT, &mut known)?;
        let free = MAX_FIXED_DISKS.saturating_sub(usize::from(known[0]));
        let count = self.disks.count().min(free) as u8;
        self.mem.write(BDA_DISK_COUNT, &[known[0] + count])?;
        (self.first, self.count) = (FIRST_FIXED_DISK + known[0], count);
        for index in 0..count {
            log::line(format_args!("int13: drive {:02x}h is synthetic disk {index}", self.first + index));
        }
        Ok(count)
    }

    /// Takes the drives back, if nobody has added any behind ours.
    ///
    /// # Errors
    /// [`Error::InvalidState`] when somebody has; as [`install`](Self::install).
    pub fn uninstall(&mut self) -> Result<(), Error> {
        let mut known = [0];
        self.mem.read(BDA_DISK_COUNT, &mut known)?;
        if known[0] != self.first - FIRST_FIXED_DISK + self.count {
            return Err(Error::InvalidState);
        }
        self.mem.write(BDA_DISK_COUNT, &[known[0] - self.count])?;
        self.count = 0;
        Ok(())
    }

    /// Serves INT 13h.
    pub fn call(&mut self, registers: &mut Registers) -> Answer {
        let Some(index) = registers.dl().checked_sub(self.first).filter(|&index| index < self.count) else {
            return Answer::NotOurs;
        };
        let number = usize::from(index);
        let status = match registers.ah() {
            0x41..=0x48 => self.extended(number, registers),
            // Asks after the call before, and so must not set a status of its own.
            0x01 => return self.last_status(registers),
            _ => self.legacy(number, registers),
        };
        // Nothing is there to tell: the memory was there when the drives were numbered.
        let _ = self.mem.write(BDA_LAST_STATUS, &[status as u8]);
        if status != Status::Success {
            registers.set_ah(status as u8);
        }
        registers.set_carry(status != Status::Success);
        Answer::Done
    }

    fn last_status(&self, registers: &mut Registers) -> Answer {
        let mut status = [Status::ControllerFailure as u8];
        // Unreadable memory leaves the status as it is here.
        let _ = self.mem.read(BDA_LAST_STATUS, &mut status);
        registers.set_ah(status[0]);
        registers.set_carry(status[0] != Status::Success as u8);
        Answer::Done
    }

    /// How many fixed disks the machine has, as every function reports it.
    pub(super) fn disk_count(&self) -> u8 {
        let mut count = [0];
        match self.mem.read(BDA_DISK_COUNT, &mut count) {
            Ok(()) => count[0],
            Err(_) => self.first - FIRST_FIXED_DISK + self.count,
        }
    }

    pub(super) fn medium(&self, number: usize) -> Result<Medium, Status> {
        self.disks.medium(number).ok_or(Status::NotReady)
    }

    /// Reads blocks to memory; on an error with the number of blocks that got there.
    pub(super) fn read(&mut self, number: usize, lba: u64, blocks: u32, to: u32) -> Result<(), (Status, u32)> {
        let block_len = self.medium(number).map_err(|status| (status, 0))?.block_len;
        let mem = &self.mem;
        let mut end = 0;
        let result = self.disks.read(number, lba, blocks, &mut |offset, piece| {
            let at = to.checked_add(offset).ok_or(DiskError::BadBuffer)?;
            mem.write(at, piece).map_err(|_| DiskError::BadBuffer)?;
            end = offset + PIECE_LEN as u32;
            Ok(())
        });
        result.map_err(|error| (Status::of(error, false), end / block_len))
    }

    /// Writes blocks from memory. How many got to the disk when it fails is not known: none counts.
    pub(super) fn write(&mut self, number: usize, lba: u64, blocks: u32, from: u32) -> Result<(), (Status, u32)> {
        let mem = &self.mem;
        let result = self.disks.write(number, lba, blocks, &mut |offset, piece| {
            let at = from.checked_add(offset).ok_or(DiskError::BadBuffer)?;
            mem.read(at, piece).map_err(|_| DiskError::BadBuffer)
        });
        result.map_err(|error| (Status::of(error, true), 0))
    }

    /// Reads blocks and drops them: whether they can be read.
    pub(super) fn verify(&mut self, number: usize, lba: u64, blocks: u32) -> Result<(), (Status, u32)> {
        let block_len = self.medium(number).map_err(|status| (status, 0))?.block_len;
        let mut end = 0;
        let result = self.disks.read(number, lba, blocks, &mut |offset, _| {
            end = offset + PIECE_LEN as u32;
            Ok(())
        });
        result.map_err(|error| (Status::of(error, false), end / block_len))
    }
}
