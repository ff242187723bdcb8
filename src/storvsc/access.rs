//! The disks of a controller: found, read and written.

use heapless::Vec;
use zerocopy::{FromBytes, FromZeros, IntoBytes};

use super::controller::Controller;
use super::scsi::{Command, Direction, Verdict, judge};
use crate::disk::{DiskError, Medium, PIECE_LEN, Sink, Source};
use crate::error::Error;
use crate::hv::Hypervisor;
use crate::log;
use crate::mem::SharedMem;
use crate::vmbus::Connection;
use crate::wire::scsi::{Capacity10, Capacity16, INQUIRY_DISK};

/// Tries of a request that fails for no lasting reason (policy: a reset gives one unit attention for each, and a busy
/// host is asked for about two seconds).
const ATTEMPTS: u32 = 12;
/// Pause before a request is tried again that found the disk busy, in milliseconds (policy).
const PAUSE_MS: u64 = 200;
/// Longest list of logical units that is read, in bytes (spec: 64 on a controller).
const LUN_LIST_LEN: usize = 8 + 8 * 64;

/// A disk of a controller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unit {
    /// Its logical unit number, on target 0.
    pub lun: u8,
    /// What is known of it.
    pub medium: Medium,
}

impl<H: Hypervisor> Controller<H> {
    /// The disks of target 0, in the order of their LUNs; no more than there is room for.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn scan<const N: usize>(&mut self, connection: &mut Connection<H>) -> Result<Vec<Unit, N>, DiskError> {
        let mut list = [0; LUN_LIST_LEN];
        let len = self.run(connection, 0, &Command::report_luns(LUN_LIST_LEN))?.min(LUN_LIST_LEN);
        self.data.read(0, &mut list[..len]);
        let listed = len.min(8 + u32::from_be_bytes([list[0], list[1], list[2], list[3]]) as usize);
        let mut units = Vec::new();
        // Peripheral device addressing: bus 0, then the number.
        for entry in list[..listed].chunks_exact(8).skip(1).filter(|entry| entry[0] == 0) {
            match self.identify(connection, entry[1]) {
                Ok(Some(unit)) => {
                    if units.push(unit).is_err() {
                        log::line(format_args!("storvsc: more than {N} disks; the rest is not used"));
                        break;
                    }
                }
                Ok(None) => {}
                Err(DiskError::Host(Error::VmbusOwned)) => return Err(DiskError::Host(Error::VmbusOwned)),
                Err(error) => log::line(format_args!("storvsc: LUN {} can't be used: {error:?}", entry[1])),
            }
        }
        Ok(units)
    }

    /// Looks at one logical unit; `None` when it is no disk.
    fn identify(&mut self, connection: &mut Connection<H>, lun: u8) -> Result<Option<Unit>, DiskError> {
        let mut kind = [0xff];
        if self.run(connection, lun, &Command::inquiry())? > 0 {
            self.data.read(0, &mut kind);
        }
        if kind[0] != INQUIRY_DISK {
            return Ok(None);
        }
        let (blocks, block_len) = self.capacity(connection, lun)?;
        // Not every host knows all pages, and the header is of no great use.
        let mut header = [0; 3];
        if self.run(connection, lun, &Command::mode_sense()).is_ok_and(|len| len >= header.len()) {
            self.data.read(0, &mut header);
        }
        const WRITE_PROTECTED: u8 = 0x80;
        let medium = Medium { block_len, blocks, read_only: header[2] & WRITE_PROTECTED != 0 };
        if !matches!(block_len, 512 | 1024 | 2048 | 4096) {
            return Err(DiskError::Host(Error::HostProtocol));
        }
        log::line(format_args!("storvsc: LUN {lun}: {blocks} blocks of {block_len} bytes"));
        Ok(Some(Unit { lun, medium }))
    }

    fn capacity(&mut self, connection: &mut Connection<H>, lun: u8) -> Result<(u64, u32), DiskError> {
        const SHORT: DiskError = DiskError::Host(Error::HostProtocol);
        let mut short = Capacity10::new_zeroed();
        if self.run(connection, lun, &Command::read_capacity_10())? < size_of::<Capacity10>() {
            return Err(SHORT);
        }
        self.data.read(0, short.as_mut_bytes());
        if short.last_lba.get() != u32::MAX {
            return Ok((u64::from(short.last_lba.get()) + 1, short.block_length.get()));
        }
        let mut long = [0; size_of::<Capacity16>()];
        if self.run(connection, lun, &Command::read_capacity_16())? < long.len() {
            return Err(SHORT);
        }
        self.data.read(0, &mut long);
        let long = Capacity16::read_from_bytes(&long).map_err(|_| SHORT)?;
        Ok((long.last_lba.get().checked_add(1).ok_or(SHORT)?, long.block_length.get()))
    }

    /// Reads blocks; as [`Disks::read`](crate::disk::Disks::read).
    ///
    /// # Errors
    /// [`DiskError`]. `DiskError::Host(Error::VmbusOwned)` asks for a new connection.
    pub fn read(
        &mut self,
        connection: &mut Connection<H>,
        unit: &Unit,
        lba: u64,
        blocks: u32,
        to: &mut Sink<'_>,
    ) -> Result<(), DiskError> {
        self.chunks(unit, lba, blocks, Direction::In, |this, command, start| {
            this.whole(connection, unit.lun, command)?;
            let mut piece = [0; PIECE_LEN];
            for offset in (0..command.len).step_by(PIECE_LEN) {
                this.data.read(offset, &mut piece);
                to(start + offset as u32, &piece)?;
            }
            Ok(())
        })
    }

    /// Writes blocks; as [`Disks::write`](crate::disk::Disks::write).
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn write(
        &mut self,
        connection: &mut Connection<H>,
        unit: &Unit,
        lba: u64,
        blocks: u32,
        from: &mut Source<'_>,
    ) -> Result<(), DiskError> {
        self.chunks(unit, lba, blocks, Direction::Out, |this, command, start| {
            let mut piece = [0; PIECE_LEN];
            for offset in (0..command.len).step_by(PIECE_LEN) {
                from(start + offset as u32, &mut piece)?;
                this.data.write(offset, &piece);
            }
            this.whole(connection, unit.lun, command)
        })
    }

    /// Makes what was written last.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn flush(&mut self, connection: &mut Connection<H>, unit: &Unit) -> Result<(), DiskError> {
        self.run(connection, unit.lun, &Command::synchronize_cache()).map(drop)
    }

    /// Splits blocks into requests that fit, each with the offset of its first byte.
    fn chunks(
        &mut self,
        unit: &Unit,
        lba: u64,
        blocks: u32,
        direction: Direction,
        mut request: impl FnMut(&mut Self, &Command, u32) -> Result<(), DiskError>,
    ) -> Result<(), DiskError> {
        let Medium { block_len, blocks: all, .. } = unit.medium;
        if lba.checked_add(blocks.into()).is_none_or(|end| end > all) {
            return Err(DiskError::OutOfRange);
        }
        let most = self.max_transfer as u32 / block_len;
        let mut done = 0;
        while done < blocks {
            let count = most.min(blocks - done);
            let command = Command::access(direction, lba + u64::from(done), count, block_len);
            request(self, &command, done * block_len)?;
            done += count;
        }
        Ok(())
    }

    /// Runs a command until all its data were moved.
    fn whole(&mut self, connection: &mut Connection<H>, lun: u8, command: &Command) -> Result<(), DiskError> {
        for _ in 0..ATTEMPTS {
            if self.run(connection, lun, command)? == command.len {
                return Ok(());
            }
        }
        Err(DiskError::NotReady)
    }

    /// Runs a command, again while it fails for no lasting reason; gives the bytes moved.
    fn run(&mut self, connection: &mut Connection<H>, lun: u8, command: &Command) -> Result<usize, DiskError> {
        for _ in 0..ATTEMPTS {
            match judge(&self.execute(connection, lun, command)?) {
                Verdict::Done(moved) if moved <= command.len => return Ok(moved),
                Verdict::Done(_) => return Err(DiskError::Host(Error::HostProtocol)),
                Verdict::Failed(error) => return Err(error),
                Verdict::Again => {}
                Verdict::Later => {
                    let end = connection.hv().now().plus_millis(PAUSE_MS);
                    while connection.before(end).is_ok() {}
                }
            }
        }
        Err(DiskError::NotReady)
    }
}
