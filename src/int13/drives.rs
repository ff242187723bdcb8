//! Which BIOS drives are served, and which disk is behind each.

use heapless::Vec;

use super::geometry::Geometry;
use super::survey::Surveyed;
use crate::disk::{Disks, find_alike};
use crate::log;

/// Most drives that are served (policy; as many as disks are looked for).
pub const MAX_DRIVES: usize = 8;

/// A drive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drive {
    /// Its BIOS number, 80h or more.
    pub number: u8,
    /// The disk behind it; `None`: the BIOS reached it through VMBus, and nobody reaches it any more.
    pub disk: Option<usize>,
    /// Its cylinders, heads and sectors.
    pub geometry: Geometry,
    /// The BIOS knows nothing of it.
    pub is_added: bool,
}

/// All drives that are served.
#[derive(Debug, Default)]
pub struct Drives {
    pub(super) list: Vec<Drive, MAX_DRIVES>,
}

impl Drives {
    /// None.
    #[must_use]
    pub const fn new() -> Self {
        Self { list: Vec::new() }
    }

    /// True when no drive is served.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Their BIOS numbers; 0 where there is none.
    #[must_use]
    pub fn numbers(&self) -> [u8; MAX_DRIVES] {
        core::array::from_fn(|index| self.list.get(index).map_or(0, |drive| drive.number))
    }

    /// The BIOS numbers of those that have no disk any more; 0 for the others.
    #[must_use]
    pub fn lost(&self) -> [u8; MAX_DRIVES] {
        let lost = |index| self.list.get(index).filter(|drive: &&Drive| drive.disk.is_none());
        core::array::from_fn(|index| lost(index).map_or(0, |drive| drive.number))
    }

    /// The drive with this number.
    #[must_use]
    pub fn find(&self, number: u8) -> Option<Drive> {
        self.list.iter().find(|drive| drive.number == number).copied()
    }

    /// Whether there is a drive for this disk.
    pub(super) fn has(&self, disk: usize) -> bool {
        self.list.iter().any(|drive| drive.disk == Some(disk))
    }

    /// Serves one more drive, or one as it now is. False when there are too many.
    pub fn put(&mut self, drive: Drive) -> bool {
        match self.list.iter_mut().find(|known| known.number == drive.number) {
            Some(known) => {
                *known = drive;
                true
            }
            None => self.list.push(drive).is_ok(),
        }
    }

    /// Serves the drives that a BIOS has lost, under its numbers, each with the disk that it is. A disk that two of them look
    /// like is no answer for either.
    pub fn stand_in(&mut self, drives: &[Surveyed], disks: &mut impl Disks) {
        let first = self.list.len();
        for &Surveyed { number, geometry, drive } in drives {
            let disk = drive.and_then(|drive| find_alike(&drive, disks));
            match disk {
                Some(disk) => log::line(format_args!("int13: drive {number:02x}h is synthetic disk {disk}")),
                None => log::line(format_args!("int13: drive {number:02x}h is none of the synthetic disks")),
            }
            // Too many would be more than the BIOS was asked for.
            self.put(Drive { number, disk, geometry, is_added: false });
        }
        for index in first..self.list.len() {
            let disk = self.list[index].disk;
            let same = |other: &&mut Drive| disk.is_some() && other.disk == disk;
            if self.list.iter_mut().filter(same).count() > 1 {
                self.list.iter_mut().filter(same).for_each(|drive| drive.disk = None);
            }
        }
    }
}
