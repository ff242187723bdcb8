//! Cylinders, heads and sectors, of disks that have none.

/// Sectors on a track (policy: the most that the encoding has, as BIOSes do for disks above 504 MiB).
const SECTORS: u32 = 63;
/// Most cylinders of the encoding in CX.
const MAX_CYLINDERS: u64 = 1024;
/// Numbers of heads tried, fewest first: BIOSes' LBA-assisted translation.
const HEADS: [u32; 5] = [16, 32, 64, 128, 255];

/// A geometry that INT 13h can name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Geometry {
    /// 1 to 1024.
    pub cylinders: u32,
    /// 1 to 255; 16 or more where we choose.
    pub heads: u32,
    /// 1 to 63; 63 where we choose.
    pub sectors: u32,
}

impl Geometry {
    /// The geometry of a disk of `blocks`: the fewest heads with which 1024 cylinders reach its end, if any do.
    ///
    /// Deterministic, since boot sectors hold addresses in it. The last cylinder may be cut off, but never the only one.
    #[must_use]
    pub fn of(blocks: u64) -> Self {
        let track = u64::from(SECTORS);
        let reaches = |heads: &&u32| blocks <= u64::from(**heads) * track * MAX_CYLINDERS;
        let heads = HEADS.iter().find(reaches).copied().unwrap_or(HEADS[HEADS.len() - 1]);
        let cylinders = (blocks / (u64::from(heads) * track)).clamp(1, MAX_CYLINDERS) as u32;
        Self { cylinders, heads, sectors: SECTORS }
    }

    /// The block at this place; sectors count from 1. `None` outside of the geometry.
    #[must_use]
    pub fn lba(&self, cylinder: u32, head: u32, sector: u32) -> Option<u64> {
        let inside = cylinder < self.cylinders && head < self.heads && (1..=self.sectors).contains(&sector);
        let track = u64::from(cylinder) * u64::from(self.heads) + u64::from(head);
        inside.then(|| track * u64::from(self.sectors) + u64::from(sector) - 1)
    }

    /// Blocks that it can name.
    #[must_use]
    pub fn blocks(&self) -> u64 {
        u64::from(self.cylinders) * u64::from(self.heads) * u64::from(self.sectors)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_grow_with_the_disk() {
        let of = |blocks| {
            let geometry = Geometry::of(blocks);
            (geometry.cylinders, geometry.heads, geometry.sectors)
        };
        assert_eq!(of(1), (1, 16, 63));
        assert_eq!(of(20_160), (20, 16, 63));
        assert_eq!(of(1024 * 16 * 63), (1024, 16, 63));
        assert_eq!(of(1024 * 16 * 63 + 1), (512, 32, 63));
        assert_eq!(of(8_388_608), (522, 255, 63), "4 GiB");
        assert_eq!(of(u64::MAX), (1024, 255, 63));
    }

    #[test]
    fn places_and_blocks_agree() {
        let geometry = Geometry::of(3_000_000);
        assert_eq!(geometry.lba(0, 0, 1), Some(0));
        assert_eq!(geometry.lba(0, 1, 1), Some(63));
        assert_eq!(geometry.lba(1, 0, 1), Some(u64::from(geometry.heads) * 63));
        let last = geometry.lba(geometry.cylinders - 1, geometry.heads - 1, 63);
        assert_eq!(last, Some(geometry.blocks() - 1));
        assert_eq!(geometry.lba(0, 0, 0), None);
        assert_eq!(geometry.lba(0, 0, 64), None);
        assert_eq!(geometry.lba(0, geometry.heads, 1), None);
        assert_eq!(geometry.lba(geometry.cylinders, 0, 1), None);
    }
}
