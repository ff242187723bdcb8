//! Which drives are ours, and the calls for them.

use super::drives::{Drive, Drives};
use super::geometry::Geometry;
use super::registers::Registers;
use super::status::Status;
use crate::disk::{DiskError, Disks, Medium, PIECE_LEN};
use crate::error::Error;
use crate::log;
use crate::mem::PhysMem;

/// BIOS data area: status of the last fixed-disk call.
const BDA_LAST_STATUS: u32 = 0x474;
/// BIOS data area: number of fixed disks.
pub(super) const BDA_DISK_COUNT: u32 = 0x475;
/// Number of the first fixed disk.
pub const FIRST_FIXED_DISK: u8 = 0x80;
/// Most fixed disks of a machine (policy: some programs take higher numbers for CD drives).
const MAX_FIXED_DISKS: usize = 16;
/// Where a BIOS puts boot sectors.
const BOOT_SECTOR: u32 = 0x7c00;
/// The last two bytes of a boot sector.
const BOOT_SIGNATURE: [u8; 2] = [0x55, 0xaa];

/// What became of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The registers hold the answer.
    Done,
    /// Not one of our drives: for whoever had the vector before.
    NotOurs,
    /// A drive whose disk nobody reaches any more. Only a start of the machine from the beginning brings it back.
    Lost,
}

/// The disk service over the disks and the memory of a machine.
pub struct DiskService<'s, D: Disks, M: PhysMem> {
    pub(super) drives: &'s mut Drives,
    pub(super) disks: D,
    pub(super) mem: M,
}

impl<'s, D: Disks, M: PhysMem> DiskService<'s, D, M> {
    /// The service for these drives.
    #[must_use]
    pub const fn new(drives: &'s mut Drives, disks: D, mem: M) -> Self {
        Self { drives, disks, mem }
    }

    /// Makes drives of the disks that were found and have none, behind those that the BIOS has; gives how many. The vector is the caller's
    /// business.
    ///
    /// # Errors
    /// [`Error::InvalidParameter`] when the BIOS data area can't be reached.
    pub fn install(&mut self) -> Result<u8, Error> {
        let mut known = [0];
        self.mem.read(BDA_DISK_COUNT, &mut known)?;
        let free = MAX_FIXED_DISKS.saturating_sub(usize::from(known[0]));
        let mut count = 0;
        for disk in 0..self.disks.count() {
            let Some(medium) = self.disks.medium(disk).filter(|_| !self.drives.has(disk)) else { continue };
            let number = FIRST_FIXED_DISK + known[0] + count;
            let geometry = Geometry::of(medium.blocks);
            if usize::from(count) >= free
                || !self.drives.put(Drive { number, disk: Some(disk), geometry, is_added: true })
            {
                break;
            }
            log::line(format_args!("int13: drive {number:02x}h is synthetic disk {disk}"));
            count += 1;
        }
        self.mem.write(BDA_DISK_COUNT, &[known[0] + count])?;
        Ok(count)
    }

    /// Puts the boot sector of the first fixed disk where a BIOS puts it. False when the BIOS has that drive itself, it can't
    /// be read, or holds no boot sector.
    pub fn load_boot_sector(&mut self) -> bool {
        let Some(Drive { disk: Some(disk), is_added: true, .. }) = self.drives.find(FIRST_FIXED_DISK) else {
            return false;
        };
        let mut signature = [0; 2];
        self.read(disk, 0, 1, BOOT_SECTOR).is_ok()
            && self.mem.read(BOOT_SECTOR + 510, &mut signature).is_ok()
            && signature == BOOT_SIGNATURE
    }

    /// Serves INT 13h.
    pub fn call(&mut self, registers: &mut Registers) -> Answer {
        let Some(drive) = self.drives.find(registers.dl()) else { return Answer::NotOurs };
        let Some(disk) = drive.disk else { return Answer::Lost };
        let status = match registers.ah() {
            0x41..=0x48 => self.extended(disk, &drive.geometry, registers),
            // Asks after the call before, and so must not set a status of its own.
            0x01 => return self.last_status(registers),
            _ => self.legacy(disk, &drive.geometry, registers),
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
            Err(_) => self.drives.list.len() as u8,
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
