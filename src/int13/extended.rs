//! The functions of EDD: blocks by number, packets in memory.

use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::{FromBytes, FromZeros, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::geometry::Geometry;
use super::registers::Registers;
use super::service::DiskService;
use super::status::Status;
use crate::disk::Disks;
use crate::mem::PhysMem;

/// What BX holds when function 41h is called, and what it holds after.
const SIGNATURE_IN: u16 = 0x55aa;
const SIGNATURE_OUT: u16 = 0xaa55;
/// AH of function 41h: EDD 3.0.
const VERSION: u8 = 0x30;
/// CX of function 41h: functions 42h to 44h, 47h and 48h.
const FIXED_DISK_ACCESS: u16 = 1 << 0;
/// Most blocks of one packet; spec.
const MAX_BLOCKS: u16 = 127;

/// Device address packet, EDD 3.0 table 1.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(super) struct AddressPacket {
    /// 16, or more.
    pub len: u8,
    pub reserved: u8,
    /// After an error: blocks done.
    pub blocks: U16,
    pub offset: U16,
    pub segment: U16,
    pub lba: U64,
}
pub(super) const PACKET_LEN: usize = size_of::<AddressPacket>();
/// Where the number of blocks is in it.
const BLOCKS_AT: u32 = 2;
/// Length of a packet with a flat address of 64 bits behind it, which counts when segment and offset are all ones.
const LONG_PACKET_LEN: u8 = 24;

/// Result buffer of function 48h, EDD 1.1, and the field that 2.0 has behind it.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct DriveParameters {
    len: U16,
    flags: U16,
    cylinders: U32,
    heads: U32,
    sectors: U32,
    blocks: U64,
    block_len: U16,
    /// Pointer to more; all ones: there is none.
    configuration: U32,
}
/// Length of the version 1.1 part.
const SHORT_PARAMETERS_LEN: usize = 26;
/// Length with the pointer.
const PARAMETERS_LEN: usize = size_of::<DriveParameters>();
/// Flag: cylinders, heads and sectors mean something.
const GEOMETRY_VALID: u16 = 1 << 1;

impl<D: Disks, M: PhysMem> DiskService<'_, D, M> {
    /// Functions 41h to 48h.
    pub(super) fn extended(&mut self, number: usize, geometry: &Geometry, registers: &mut Registers) -> Status {
        let result = match registers.ah() {
            0x41 if registers.bx == SIGNATURE_IN => {
                registers.set_ah(VERSION);
                (registers.bx, registers.cx) = (SIGNATURE_OUT, FIXED_DISK_ACCESS);
                Ok(())
            }
            0x42..=0x44 | 0x47 => self.by_packet(number, registers),
            0x48 => self.drive_parameters(number, geometry, registers),
            _ => Err(Status::InvalidParameter),
        };
        result.err().unwrap_or(Status::Success)
    }

    /// 42h read, 43h write, 44h verify, 47h seek: a packet at DS:SI.
    fn by_packet(&mut self, number: usize, registers: &mut Registers) -> Result<(), Status> {
        let at = registers.ds_si();
        let mut packet = AddressPacket::new_zeroed();
        self.mem.read(at, packet.as_mut_bytes()).map_err(|_| Status::InvalidParameter)?;
        let (lba, blocks) = (packet.lba.get(), packet.blocks.get());
        if usize::from(packet.len) < PACKET_LEN || blocks > MAX_BLOCKS {
            return Err(Status::InvalidParameter);
        }
        let function = registers.ah();
        const WRITE_AND_VERIFY: u8 = 2;
        if function == 0x43 && registers.al() > WRITE_AND_VERIFY {
            return Err(Status::InvalidParameter);
        }
        let medium = self.medium(number)?;
        if lba.checked_add(blocks.into()).is_none_or(|end| end > medium.blocks) {
            self.set_done(at, 0);
            return Err(Status::SectorNotFound);
        }
        let blocks = u32::from(blocks);
        let result = match function {
            0x42 => self.read(number, lba, blocks, self.buffer(at, &packet)?),
            0x43 => self.write(number, lba, blocks, self.buffer(at, &packet)?).and_then(|()| {
                if registers.al() == WRITE_AND_VERIFY { self.verify(number, lba, blocks) } else { Ok(()) }
            }),
            0x44 => self.verify(number, lba, blocks),
            // A seek: nothing moves.
            _ => Ok(()),
        };
        match result {
            Ok(()) => {
                registers.set_ah(0);
                Ok(())
            }
            Err((status, done)) => {
                self.set_done(at, done as u16);
                Err(status)
            }
        }
    }

    /// Tells in the packet how many blocks were done.
    fn set_done(&self, packet: u32, blocks: u16) {
        // It was read from there; a caller that lends memory it can't write to learns the status alone.
        let _ = self.mem.write(packet + BLOCKS_AT, &blocks.to_le_bytes());
    }

    /// The memory that a packet names.
    fn buffer(&self, at: u32, packet: &AddressPacket) -> Result<u32, Status> {
        let (segment, offset) = (packet.segment.get(), packet.offset.get());
        if (segment, offset) != (u16::MAX, u16::MAX) || packet.len < LONG_PACKET_LEN {
            return Ok((u32::from(segment) << 4) + u32::from(offset));
        }
        let mut flat = [0; 8];
        self.mem.read(at + PACKET_LEN as u32, &mut flat).map_err(|_| Status::InvalidParameter)?;
        u32::try_from(u64::from_le_bytes(flat)).map_err(|_| Status::DmaBoundary)
    }

    /// 48h: what the drive is like, to the buffer at DS:SI whose first word is its length.
    fn drive_parameters(
        &mut self,
        number: usize,
        geometry: &Geometry,
        registers: &mut Registers,
    ) -> Result<(), Status> {
        let at = registers.ds_si();
        let mut room = [0; 2];
        self.mem.read(at, &mut room).map_err(|_| Status::InvalidParameter)?;
        let len = match usize::from(u16::from_le_bytes(room)) {
            PARAMETERS_LEN.. => PARAMETERS_LEN,
            SHORT_PARAMETERS_LEN.. => SHORT_PARAMETERS_LEN,
            _ => return Err(Status::InvalidParameter),
        };
        let medium = self.medium(number)?;
        // A larger disk's geometry names only its start.
        let valid = medium.blocks < geometry.blocks() + u64::from(geometry.heads * geometry.sectors);
        let parameters = DriveParameters {
            len: U16::new(len as u16),
            flags: U16::new(if valid { GEOMETRY_VALID } else { 0 }),
            cylinders: U32::new(geometry.cylinders),
            heads: U32::new(geometry.heads),
            sectors: U32::new(geometry.sectors),
            blocks: U64::new(medium.blocks),
            block_len: U16::new(medium.block_len as u16),
            configuration: U32::new(u32::MAX),
        };
        self.mem.write(at, &parameters.as_bytes()[..len]).map_err(|_| Status::InvalidParameter)?;
        registers.set_ah(0);
        Ok(())
    }
}
