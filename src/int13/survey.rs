//! What the BIOS's own fixed disks are: asked while the BIOS still reaches them.

use heapless::Vec;
use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::{FromBytes, FromZeros, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::drives::MAX_DRIVES;
use super::extended::{AddressPacket, PACKET_LEN};
use super::geometry::Geometry;
use super::registers::Registers;
use super::service::{BDA_DISK_COUNT, FIRST_FIXED_DISK};
use crate::disk::{BiosDrive, Digest, samples};
use crate::machine::Machine;
use crate::mem::{PhysMem, SegOff};
use crate::time::Ticks100ns;

/// What asking all drives may take, in milliseconds (policy: some ten seconds for a disk that must spin up). The rest counts
/// as drives that can't be told from others.
const SURVEY_MS: u64 = 20_000;
/// What the BIOS and we exchange: a packet or a table, behind it one block.
const TABLE_LEN: usize = 80;
/// Bytes of memory that [`BiosDisks::bounce`] gives at least.
pub const BOUNCE_LEN: usize = TABLE_LEN + BLOCK_LEN;
/// The only block length that is read (policy: BIOSes emulate it for others).
const BLOCK_LEN: usize = 512;

/// The disk service of the BIOS.
pub trait BiosDisks: Machine + PhysMem {
    /// INT 13h as the BIOS has it.
    fn int13(&self, registers: &mut Registers);

    /// [`BOUNCE_LEN`] bytes of low memory that the BIOS may write.
    fn bounce(&self) -> SegOff;
}

/// A drive of the BIOS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Surveyed {
    /// Its number.
    pub number: u8,
    /// Its cylinders, heads and sectors, as the BIOS has them.
    pub geometry: Geometry,
    /// How to know the disk again; `None` when the BIOS could not read it by EDD's packets.
    pub drive: Option<BiosDrive>,
}

/// Table of function 48h (Phoenix, Enhanced Disk Drive Specification 3.0; T13 EDD-3 has a longer device path).
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct Parameters {
    len: U16,
    flags: U16,
    geometry: [U32; 3],
    blocks: U64,
    block_len: U16,
    configuration: U32,
    path_key: U16,
    path_len: u8,
    reserved: [u8; 3],
    host_bus: [u8; 4],
    interface: [u8; 8],
    path: [u8; 26],
}
const PARAMETERS_LEN: usize = size_of::<Parameters>();
/// Key of a device path.
const PATH_KEY: u16 = 0xbedd;
/// Where the part begins that sums to 0, and where it ends: Phoenix, T13.
const PATH_AT: usize = 30;
const PATH_ENDS: [usize; 2] = [66, 74];
/// Interfaces of controllers that are no business of VMBus's: emulated ones, or passed through.
const OTHER_INTERFACES: [&[u8; 8]; 5] = [b"ATA     ", b"ATAPI   ", b"SATA    ", b"USB     ", b"1394    "];

/// Asks the BIOS for the fixed disks that it may reach through VMBus: all, but for those whose device path says otherwise.
pub fn survey(bios: &impl BiosDisks, drives: &mut Vec<Surveyed, MAX_DRIVES>) {
    let mut count = [0];
    // Memory that can't be read names no drives.
    let _ = bios.read(BDA_DISK_COUNT, &mut count);
    let deadline = bios.now().plus_millis(SURVEY_MS);
    for number in (FIRST_FIXED_DISK..).take(count[0].into()) {
        let Some(drive) = (Asked { bios, number, deadline }).look() else { continue };
        // More drives than there is room for are left to the BIOS (policy).
        let _ = drives.push(drive);
    }
}

/// The numbers of those drives alone, without a look at the disks; 0 for none.
pub fn suspects(bios: &impl BiosDisks) -> [u8; MAX_DRIVES] {
    let mut count = [0];
    // Memory that can't be read names no drives.
    let _ = bios.read(BDA_DISK_COUNT, &mut count);
    let deadline = bios.now().plus_millis(SURVEY_MS);
    core::array::from_fn(|index| {
        let number = FIRST_FIXED_DISK + index as u8;
        let is_suspect = || !(Asked { bios, number, deadline }).parameters().is_some_and(|found| is_elsewhere(&found));
        if index < usize::from(count[0]) && is_suspect() { number } else { 0 }
    })
}

/// One drive under question.
struct Asked<'b, B: BiosDisks> {
    bios: &'b B,
    number: u8,
    deadline: Ticks100ns,
}

impl<B: BiosDisks> Asked<'_, B> {
    /// `None` for a drive that is not reached through VMBus, or isn't there.
    fn look(&self) -> Option<Surveyed> {
        let number = self.number;
        let geometry = self.geometry()?;
        let Some(parameters) = self.parameters() else { return Some(Surveyed { number, geometry, drive: None }) };
        if is_elsewhere(&parameters) {
            return None;
        }
        let (blocks, block_len) = (parameters.blocks.get(), parameters.block_len.get().into());
        let content = self.digest(blocks, block_len);
        let drive = content.map(|content| BiosDrive { number, blocks, block_len, content });
        Some(Surveyed { number, geometry, drive })
    }

    fn call(&self, registers: Registers) -> Option<Registers> {
        if self.bios.now() >= self.deadline {
            return None;
        }
        let mut registers = Registers { dx: registers.dx & 0xff00 | u16::from(self.number), ..registers };
        self.bios.int13(&mut registers);
        (!registers.carry()).then_some(registers)
    }

    /// 08h.
    fn geometry(&self) -> Option<Geometry> {
        let answer = self.call(Registers { ax: 0x0800, ..Registers::default() })?;
        let (cx, dx) = (u32::from(answer.cx), u32::from(answer.dx));
        Some(Geometry { cylinders: (cx >> 8 | (cx & 0xc0) << 2) + 1, heads: (dx >> 8) + 1, sectors: cx & 0x3f })
    }

    /// 48h.
    fn parameters(&self) -> Option<Parameters> {
        let at = self.bios.bounce();
        let mut parameters = Parameters::new_zeroed();
        parameters.len = U16::new(PARAMETERS_LEN as u16);
        self.bios.write(at.linear(), parameters.as_bytes()).ok()?;
        self.call(Registers { ax: 0x4800, ds: at.segment, si: at.offset, ..Registers::default() })?;
        self.bios.read(at.linear(), parameters.as_mut_bytes()).ok()?;
        Some(parameters)
    }

    /// Reads the samples.
    fn digest(&self, blocks: u64, block_len: u32) -> Option<Digest> {
        if blocks == 0 || block_len != BLOCK_LEN as u32 {
            return None;
        }
        let mut digest = Digest::new();
        for lba in samples(blocks) {
            digest.add(&self.block(lba)?);
        }
        Some(digest)
    }

    /// 42h.
    fn block(&self, lba: u64) -> Option<[u8; BLOCK_LEN]> {
        let at = self.bios.bounce();
        let packet = AddressPacket {
            len: PACKET_LEN as u8,
            reserved: 0,
            blocks: U16::new(1),
            offset: U16::new(at.offset + TABLE_LEN as u16),
            segment: U16::new(at.segment),
            lba: U64::new(lba),
        };
        self.bios.write(at.linear(), packet.as_bytes()).ok()?;
        self.call(Registers { ax: 0x4200, ds: at.segment, si: at.offset, ..Registers::default() })?;
        let mut block = [0; BLOCK_LEN];
        self.bios.read(at.linear() + TABLE_LEN as u32, &mut block).ok()?;
        Some(block)
    }
}

/// Whether a good device path names an interface that has nothing to do with VMBus. The length in the table says nothing:
/// SeaBIOS leaves it at 30 and writes the path all the same. The table was all zeroes before.
fn is_elsewhere(parameters: &Parameters) -> bool {
    let bytes = parameters.as_bytes();
    let sums = |end: &usize| bytes[PATH_AT..*end].iter().fold(0_u8, |sum, byte| sum.wrapping_add(*byte)) == 0;
    parameters.path_key.get() == PATH_KEY
        && PATH_ENDS.iter().any(sums)
        && OTHER_INTERFACES.contains(&&parameters.interface)
}
