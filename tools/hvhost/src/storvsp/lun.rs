//! One disk as a SCSI logical unit: its commands. Source: SPC-4, SBC-3; the answers are modelled on OpenVMM `scsidisk`.

use super::sense::Sense;
use super::{inquiry, mode};
use crate::counters::Counters;
use crate::disk::DiskBackend;

/// Operation codes.
pub(crate) mod op {
    pub const TEST_UNIT_READY: u8 = 0x00;
    pub const REQUEST_SENSE: u8 = 0x03;
    pub const INQUIRY: u8 = 0x12;
    pub const MODE_SENSE_6: u8 = 0x1a;
    pub const READ_CAPACITY_10: u8 = 0x25;
    pub const READ_10: u8 = 0x28;
    pub const WRITE_10: u8 = 0x2a;
    pub const SYNCHRONIZE_CACHE_10: u8 = 0x35;
    pub const MODE_SENSE_10: u8 = 0x5a;
    pub const READ_16: u8 = 0x88;
    pub const WRITE_16: u8 = 0x8a;
    pub const SYNCHRONIZE_CACHE_16: u8 = 0x91;
    pub const SERVICE_ACTION_IN_16: u8 = 0x9e;
    pub const REPORT_LUNS: u8 = 0xa0;
}

/// Service action of READ CAPACITY (16).
const READ_CAPACITY_16: u8 = 0x10;

/// Blocks that a command names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Extent {
    pub lba: u64,
    pub blocks: u32,
    pub write: bool,
}

impl Extent {
    /// The blocks that a READ or WRITE names.
    pub fn of(cdb: &[u8; 16]) -> Option<Self> {
        let [lba10, lba16, blocks16] = [2, 6, 10].map(|at| be32(cdb, at));
        match cdb[0] {
            op::READ_10 | op::WRITE_10 => Some(Self {
                lba: lba10.into(),
                blocks: u16::from_be_bytes([cdb[7], cdb[8]]).into(),
                write: cdb[0] == op::WRITE_10,
            }),
            op::READ_16 | op::WRITE_16 => Some(Self {
                lba: u64::from(lba10) << 32 | u64::from(lba16),
                blocks: blocks16,
                write: cdb[0] == op::WRITE_16,
            }),
            _ => None,
        }
    }
}

/// A logical unit.
pub(crate) struct Lun {
    disk: Box<dyn DiskBackend>,
    /// Tells disks apart; unique in the machine.
    pub serial: String,
    /// A unit attention that the guest has to see first.
    pub attention: Option<Sense>,
}

impl Lun {
    pub fn new(disk: Box<dyn DiskBackend>, serial: String) -> Self {
        Self { disk, serial, attention: None }
    }

    pub fn into_disk(self) -> Box<dyn DiskBackend> {
        self.disk
    }

    pub fn block_size(&self) -> u32 {
        self.disk.block_size()
    }

    /// Executes a command; `data` is what comes with a WRITE. Gives the data for the guest.
    ///
    /// # Errors
    /// The sense data of a command that fails.
    pub fn execute(&mut self, cdb: &[u8; 16], data: &[u8], counters: &mut Counters) -> Result<Vec<u8>, Sense> {
        // These two are answered all the same (SAM-5, "Unit attention condition"); REQUEST SENSE clears it.
        match cdb[0] {
            op::REQUEST_SENSE => {
                let sense = self.attention.take().unwrap_or(Sense::NONE);
                return Ok(limited(sense.to_bytes().to_vec(), cdb[4].into()));
            }
            op::INQUIRY => {
                let page = inquiry::answer(cdb, self)?;
                return Ok(limited(page, u16::from_be_bytes([cdb[3], cdb[4]]).into()));
            }
            _ => {}
        }
        if let Some(sense) = self.attention.take() {
            return Err(sense);
        }
        if let Some(extent) = Extent::of(cdb) {
            return self.access(extent, data, counters);
        }
        match cdb[0] {
            op::TEST_UNIT_READY => Ok(Vec::new()),
            op::SYNCHRONIZE_CACHE_10 | op::SYNCHRONIZE_CACHE_16 => {
                self.disk.flush().map_err(|_| Sense::WRITE_ERROR)?;
                Ok(Vec::new())
            }
            op::READ_CAPACITY_10 => Ok(self.capacity_10()),
            op::SERVICE_ACTION_IN_16 if cdb[1] & 0x1f == READ_CAPACITY_16 => {
                Ok(limited(self.capacity_16(), be32(cdb, 10) as usize))
            }
            op::MODE_SENSE_6 => Ok(limited(mode::sense_6(cdb, self.disk.read_only())?, cdb[4].into())),
            op::MODE_SENSE_10 => {
                let len = u16::from_be_bytes([cdb[7], cdb[8]]);
                Ok(limited(mode::sense_10(cdb, self.disk.read_only())?, len.into()))
            }
            _ => Err(Sense::INVALID_OPCODE),
        }
    }

    fn access(&mut self, extent: Extent, data: &[u8], counters: &mut Counters) -> Result<Vec<u8>, Sense> {
        let end = extent.lba.checked_add(extent.blocks.into());
        if end.is_none_or(|end| end > self.disk.blocks()) {
            return Err(Sense::LBA_OUT_OF_RANGE);
        }
        let block_size = u64::from(self.block_size());
        let (offset, len) = (extent.lba * block_size, (u64::from(extent.blocks) * block_size) as usize);
        if !extent.write {
            let mut bytes = vec![0; len];
            self.disk.read(offset, &mut bytes).map_err(|_| Sense::UNRECOVERED_READ)?;
            counters.disk_reads += 1;
            counters.disk_read_bytes += len as u64;
            return Ok(bytes);
        }
        if self.disk.read_only() {
            return Err(Sense::WRITE_PROTECTED);
        }
        // The caller has seen that all of it is there.
        let bytes = data.get(..len).ok_or(Sense::INVALID_FIELD)?;
        self.disk.write(offset, bytes).map_err(|_| Sense::WRITE_ERROR)?;
        counters.disk_writes += 1;
        counters.disk_written_bytes += len as u64;
        Ok(Vec::new())
    }

    /// Last LBA, or all ones when it takes more than 32 bits; block size.
    fn capacity_10(&self) -> Vec<u8> {
        let last = u32::try_from(self.disk.blocks() - 1).unwrap_or(u32::MAX);
        [last.to_be_bytes(), self.block_size().to_be_bytes()].concat()
    }

    fn capacity_16(&self) -> Vec<u8> {
        let mut bytes = (self.disk.blocks() - 1).to_be_bytes().to_vec();
        bytes.extend_from_slice(&self.block_size().to_be_bytes());
        bytes.resize(32, 0);
        bytes
    }
}

/// REPORT LUNS: length of the list, then 8 bytes per LUN in peripheral device addressing.
pub(crate) fn report_luns(luns: impl Iterator<Item = u8>, cdb: &[u8; 16]) -> Vec<u8> {
    let list: Vec<u8> = luns.flat_map(|lun| [0, lun, 0, 0, 0, 0, 0, 0]).collect();
    let mut bytes = (list.len() as u32).to_be_bytes().to_vec();
    bytes.resize(8, 0);
    bytes.extend(list);
    limited(bytes, be32(cdb, 6) as usize)
}

/// No more than the guest asked for.
fn limited(mut bytes: Vec<u8>, allocation: usize) -> Vec<u8> {
    bytes.truncate(allocation);
    bytes
}

fn be32(cdb: &[u8; 16], at: usize) -> u32 {
    cdb[at..].first_chunk().map_or(0, |bytes| u32::from_be_bytes(*bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::MemoryDisk;

    fn cdb(bytes: &[u8]) -> [u8; 16] {
        let mut cdb = [0; 16];
        cdb[..bytes.len()].copy_from_slice(bytes);
        cdb
    }

    #[test]
    fn both_read_forms_name_their_blocks() {
        assert_eq!(
            Extent::of(&cdb(&[0x28, 0, 0, 1, 0x23, 0x45, 0, 0, 8])),
            Some(Extent { lba: 0x12345, blocks: 8, write: false })
        );
        assert_eq!(
            Extent::of(&cdb(&[0x8a, 0, 0, 0, 0, 1, 0, 0, 0, 2, 0, 1, 0, 0])),
            Some(Extent { lba: 0x1_0000_0002, blocks: 0x1_0000, write: true })
        );
        assert_eq!(Extent::of(&cdb(&[0x25])), None);
    }

    #[test]
    fn commands_fail_with_their_sense() {
        let mut counters = Counters::default();
        let mut lun = Lun::new(Box::new(MemoryDisk::new(vec![0; 4096])), "x".into());
        let mut run = |lun: &mut Lun, bytes: &[u8]| lun.execute(&cdb(bytes), &[0; 512], &mut counters);
        lun.attention = Some(Sense::RESET);
        assert_eq!(run(&mut lun, &[0x12, 0, 0, 0, 36]).unwrap().len(), 36, "INQUIRY does not care");
        assert_eq!(run(&mut lun, &[0x00]), Err(Sense::RESET));
        assert_eq!(run(&mut lun, &[0x00]), Ok(Vec::new()), "told once");
        assert_eq!(run(&mut lun, &[0x28, 0, 0, 0, 0, 7, 0, 0, 1]).unwrap().len(), 512);
        assert_eq!(run(&mut lun, &[0x28, 0, 0, 0, 0, 7, 0, 0, 2]), Err(Sense::LBA_OUT_OF_RANGE));
        assert_eq!(run(&mut lun, &[0x2a, 0, 0, 0, 0, 0, 0, 0, 2]), Err(Sense::INVALID_FIELD), "data missing");
        assert_eq!(run(&mut lun, &[0xc0]), Err(Sense::INVALID_OPCODE));
        assert_eq!(run(&mut lun, &[0x25]).unwrap(), [0, 0, 0, 7, 0, 0, 2, 0]);
        assert_eq!(run(&mut lun, &[0x9e, 0x10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 12]).unwrap().len(), 12);
        lun.attention = Some(Sense::RESET);
        assert_eq!(run(&mut lun, &[3, 0, 0, 0, 18]).unwrap()[2], 6);
        assert_eq!(run(&mut lun, &[0x00]), Ok(Vec::new()), "REQUEST SENSE clears it");
    }

    #[test]
    fn luns_are_listed() {
        let list = report_luns([0, 3].into_iter(), &cdb(&[0xa0, 0, 0, 0, 0, 0, 0, 0, 1, 0]));
        assert_eq!(list.len(), 24);
        assert_eq!((list[3], list[17]), (16, 3));
    }
}
