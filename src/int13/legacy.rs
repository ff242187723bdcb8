//! The functions of the PC and the PC/AT: cylinder, head and sector in CX and DX.

use super::geometry::Geometry;
use super::registers::Registers;
use super::service::DiskService;
use super::status::Status;
use crate::disk::Disks;
use crate::mem::PhysMem;

/// Most sectors of one call; spec: what does not fit in 64 KiB.
const MAX_SECTORS: u8 = 128;

/// AH of function 15h: a fixed disk.
const FIXED_DISK: u8 = 3;

impl<D: Disks, M: PhysMem> DiskService<'_, D, M> {
    /// Functions 00h to 15h, but for 01h.
    pub(super) fn legacy(&mut self, number: usize, geometry: &Geometry, registers: &mut Registers) -> Status {
        let result = match registers.ah() {
            0x00 => match self.disks.reset(number) {
                Ok(()) => {
                    registers.set_ah(0);
                    Ok(())
                }
                Err(error) => Err(Status::of(error, false)),
            },
            0x02..=0x04 => self.transfer(number, geometry, registers),
            0x08 => self.parameters(geometry, registers),
            0x15 => disk_type(geometry, registers),
            _ => Err(Status::InvalidParameter),
        };
        result.err().unwrap_or(Status::Success)
    }

    /// 02h read, 03h write, 04h verify: AL sectors from CX and DH, ES:BX. AL: sectors done.
    fn transfer(&mut self, number: usize, geometry: &Geometry, registers: &mut Registers) -> Result<(), Status> {
        let count = registers.al();
        let (lba, memory) = match place(registers, geometry) {
            Some(lba) if (1..=MAX_SECTORS).contains(&count) => (lba, registers.es_bx()),
            place => {
                registers.set_al(0);
                return Err(if place.is_none() { Status::SectorNotFound } else { Status::InvalidParameter });
            }
        };
        let blocks = u32::from(count);
        let result = match registers.ah() {
            0x02 => self.read(number, lba, blocks, memory),
            0x03 => self.write(number, lba, blocks, memory),
            _ => self.verify(number, lba, blocks),
        };
        match result {
            Ok(()) => {
                registers.set_ah(0);
                Ok(())
            }
            Err((status, done)) => {
                registers.set_al(done as u8);
                Err(status)
            }
        }
    }

    /// 08h: the highest cylinder, head and sector, and the number of drives.
    fn parameters(&mut self, geometry: &Geometry, registers: &mut Registers) -> Result<(), Status> {
        let Geometry { cylinders, heads, sectors } = *geometry;
        let cylinder = (cylinders - 1) as u16;
        registers.ax = 0;
        registers.bx &= 0xff00; // BL: no floppy
        registers.cx = cylinder << 8 | cylinder >> 2 & 0xc0 | sectors as u16;
        registers.dx = ((heads - 1) as u16) << 8 | u16::from(self.disk_count());
        Ok(())
    }
}

/// 15h: a fixed disk, and its number of sectors in CX:DX.
fn disk_type(geometry: &Geometry, registers: &mut Registers) -> Result<(), Status> {
    let blocks = geometry.blocks() as u32;
    registers.set_ah(FIXED_DISK);
    (registers.cx, registers.dx) = ((blocks >> 16) as u16, blocks as u16);
    Ok(())
}

/// The block that CX and DH name: CH cylinder bits 7:0, CL cylinder bits 9:8 and sector, DH head.
fn place(registers: &Registers, geometry: &Geometry) -> Option<u64> {
    let (ch, cl) = (u32::from(registers.cx >> 8), u32::from(registers.cx & 0xff));
    geometry.lba(ch | (cl & 0xc0) << 2, (registers.dx >> 8).into(), cl & 0x3f)
}
