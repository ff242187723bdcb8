//! A machine whose BIOS has one fixed disk of its own, and real-mode memory around the service.

use std::cell::RefCell;
use std::rc::Rc;

use hvhost::MemoryDisk;
use hvpxe::error::Error;
use hvpxe::int13::{Answer, DiskService, Drives, Registers};
use hvpxe::mem::PhysMem;
use hvpxe::owner::Arbiter;

use crate::lab::{Lab, config};

/// Simulated RAM; the core has its last 64 KiB.
const RAM_LEN: usize = 2 << 20;
const CORE: usize = RAM_LEN - 0x1_0000;

/// Blocks of the disks; the second is too large for cylinders, heads and sectors to reach all of it exactly.
pub const BLOCKS: [u64; 2] = [3 * 16 * 63 + 100, 64];
/// Our first drive, behind the BIOS's.
pub const DRIVE: u8 = 0x81;
/// Where tests have packets and data.
pub const PACKET: u32 = 0x2_0000;
pub const DATA: u32 = 0x3_0000;

#[derive(Clone)]
pub struct Memory(Rc<RefCell<Vec<u8>>>);

impl Memory {
    fn range(linear: u32, len: usize) -> Result<std::ops::Range<usize>, Error> {
        let start = linear as usize;
        if start + len > CORE { Err(Error::InvalidParameter) } else { Ok(start..start + len) }
    }

    pub fn poke(&self, linear: u32, bytes: &[u8]) {
        self.write(linear, bytes).unwrap();
    }

    pub fn peek(&self, linear: u32, len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len];
        self.read(linear, &mut bytes).unwrap();
        bytes
    }
}

impl PhysMem for Memory {
    fn read(&self, linear: u32, into: &mut [u8]) -> Result<(), Error> {
        into.copy_from_slice(&self.0.borrow()[Self::range(linear, into.len())?]);
        Ok(())
    }

    fn write(&self, linear: u32, from: &[u8]) -> Result<(), Error> {
        self.0.borrow_mut()[Self::range(linear, from.len())?].copy_from_slice(from);
        Ok(())
    }

    fn write_resident(&self, _offset: u16, _from: &[u8]) {
        panic!("the disk service has nothing resident");
    }
}

pub struct Machine {
    pub lab: Lab,
    pub media: Vec<MemoryDisk>,
    pub memory: Memory,
    pub drives: Drives,
    pub disks: Arbiter<Lab>,
}

pub fn pattern(blocks: u64, seed: u8) -> Vec<u8> {
    (0..blocks as usize * 512).map(|at| (at / 512) as u8 ^ (at % 511) as u8 ^ seed).collect()
}

impl Machine {
    /// Two synthetic disks behind the BIOS's one; settings as `hvhost::Config::set` takes them.
    pub fn new(settings: &[(&str, &str)]) -> Self {
        let media: Vec<_> = (0..).zip(BLOCKS).map(|(seed, blocks)| MemoryDisk::new(pattern(blocks, seed))).collect();
        let lab = Lab::new(config(settings), &[]);
        lab.add_scsi_controller(&media);
        let memory = Memory(Rc::new(RefCell::new(vec![0; RAM_LEN])));
        memory.poke(0x475, &[1]);
        let mut disks = Arbiter::new(lab.clone());
        disks.open_disks().unwrap();
        let mut machine = Self { lab, media, memory, drives: Drives::new(), disks };
        assert_eq!(machine.service().install(), Ok(2));
        assert_eq!(machine.memory.peek(0x475, 1), [3]);
        machine
    }

    pub fn service(&mut self) -> DiskService<'_, &mut Arbiter<Lab>, Memory> {
        DiskService::new(&mut self.drives, &mut self.disks, self.memory.clone())
    }

    /// Calls, with registers that must survive filled with something.
    pub fn call(&mut self, registers: Registers) -> Registers {
        let mut after = registers;
        assert_eq!(self.service().call(&mut after), Answer::Done);
        assert_eq!((after.si, after.di, after.ds, after.es), (registers.si, registers.di, registers.ds, registers.es));
        assert_eq!(after.flags & !1, registers.flags & !1, "only carry is ours");
        if after.carry() {
            assert_ne!(after.ah(), 0);
        }
        assert_eq!(self.memory.peek(0x474, 1)[0], if after.carry() { after.ah() } else { 0 });
        after
    }

    pub fn content(&self, disk: usize, lba: u64, blocks: u64) -> Vec<u8> {
        self.media[disk].content()[lba as usize * 512..][..blocks as usize * 512].to_vec()
    }
}

/// Registers of a call: AX, drive, and a segment:offset pair for both pointers.
pub fn registers(ax: u16, drive: u8, at: u32) -> Registers {
    let segment = (at >> 4) as u16;
    Registers {
        ax,
        bx: (at & 0xf) as u16,
        dx: drive.into(),
        si: (at & 0xf) as u16,
        di: 0x4444,
        ds: segment,
        es: segment,
        flags: 0x0a47,
        ..Registers::default()
    }
}
