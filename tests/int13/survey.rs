//! What a BIOS says of its disks. The BIOS is our own service over the host model's disks, with some manners of others.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use hvpxe::error::Error;
use hvpxe::int13::{Answer, BiosDisks, Drives, Geometry, MAX_DRIVES, Registers, Surveyed, survey, suspects};
use hvpxe::machine::{Key, Machine as Seam, ResidentLayout};
use hvpxe::mem::{PhysMem, SegOff};
use hvpxe::time::Ticks100ns;

use crate::machine::{BLOCKS, Machine, PACKET};

/// How the BIOS differs from ours.
#[derive(Clone, Copy, Default)]
struct Manners {
    /// Knows no packets.
    is_old: bool,
    /// Length of the table of 48h with a device path, and the interface that stands there.
    path: Option<(usize, &'static [u8; 8])>,
    /// No sector can be read.
    fails: bool,
    /// Every call takes so many seconds.
    seconds: u64,
}

#[derive(Clone)]
struct Bios(Rc<(RefCell<Machine>, Manners, Cell<u64>)>);

fn bios(manners: Manners) -> Bios {
    let machine = Machine::new(&[]);
    // The BIOS's own disk, which `Machine` leaves to others.
    machine.memory.poke(0x475, &[3]);
    Bios(Rc::new((RefCell::new(machine), manners, Cell::new(0))))
}

impl BiosDisks for Bios {
    fn int13(&self, registers: &mut Registers) {
        let (machine, manners, now) = &*self.0;
        let mut machine = machine.borrow_mut();
        now.set(now.get() + manners.seconds * 10_000_000);
        let function = registers.ah();
        let fails = match function {
            0x42 => manners.fails,
            0x41..=0x48 => manners.is_old,
            _ => false,
        };
        if fails || machine.service().call(registers) == Answer::NotOurs {
            (registers.ax, registers.flags) = (0x0100, 1);
            return;
        }
        if let (0x48, 0x81, Some((len, interface))) = (function, registers.dl(), manners.path) {
            let mut path = vec![0; len - 30];
            path[..6].copy_from_slice(&[0xdd, 0xbe, 36, 0, 0, 0]);
            path[6..10].copy_from_slice(b"PCI ");
            path[10..18].copy_from_slice(interface);
            let sum = path.iter().fold(0_u8, |sum, byte| sum.wrapping_add(*byte));
            *path.last_mut().unwrap() = sum.wrapping_neg();
            // As SeaBIOS does: the path is there, whatever the length says.
            machine.memory.poke(PACKET, &30_u16.to_le_bytes());
            machine.memory.poke(PACKET + 30, &path);
        }
    }

    fn bounce(&self) -> SegOff {
        SegOff { segment: (PACKET >> 4) as u16, offset: 0 }
    }
}

impl PhysMem for Bios {
    fn read(&self, linear: u32, into: &mut [u8]) -> Result<(), Error> {
        self.0.0.borrow().memory.read(linear, into)
    }

    fn write(&self, linear: u32, from: &[u8]) -> Result<(), Error> {
        self.0.0.borrow().memory.write(linear, from)
    }

    fn write_resident(&self, _: u16, _: &[u8]) {
        panic!("nothing here is resident");
    }
}

impl Seam for Bios {
    fn now(&self) -> Ticks100ns {
        Ticks100ns(self.0.2.get())
    }

    fn idle(&self) {}

    fn print(&self, _: &str) {}

    fn key(&self) -> Option<Key> {
        None
    }

    fn random(&self) -> u32 {
        0
    }

    fn system_uuid(&self) -> Option<[u8; 16]> {
        None
    }

    fn base_memory_kib(&self) -> u16 {
        640
    }

    fn resident(&self) -> ResidentLayout {
        panic!("nothing here is resident");
    }

    fn hook_interrupts(&self) {}

    fn unhook_interrupts(&self) -> bool {
        true
    }
}

fn asked(bios: &Bios) -> heapless::Vec<Surveyed, MAX_DRIVES> {
    let mut drives = heapless::Vec::new();
    survey(bios, &mut drives);
    drives
}

/// The drives that are served for these, as (number, synthetic disk).
fn served(bios: &Bios, drives: &[Surveyed]) -> Vec<(u8, Option<usize>)> {
    let machine = &mut *bios.0.0.borrow_mut();
    let mut served = Drives::new();
    served.stand_in(drives, &mut machine.disks);
    machine.lab.assert_no_violation();
    let numbers = served.numbers().into_iter().filter(|number| *number != 0);
    numbers.map(|number| (number, served.find(number).unwrap().disk)).collect()
}

/// What becomes of this BIOS's drives.
fn found(manners: Manners) -> Vec<(u8, Option<usize>)> {
    let bios = bios(manners);
    served(&bios, &asked(&bios))
}

#[test]
fn drives_are_known_again_by_size_and_content() {
    assert_eq!(found(Manners::default()), [(0x81, Some(0)), (0x82, Some(1))]);
    let bios = bios(Manners::default());
    let first = asked(&bios)[0];
    assert_eq!(first.geometry, Geometry { cylinders: 3, heads: 16, sectors: 63 });
    assert_eq!(first.drive.unwrap().blocks, BLOCKS[0]);
}

#[test]
fn a_device_path_tells_which_drives_are_elsewhere() {
    let suspect = |manners| suspects(&bios(manners));
    assert_eq!(suspect(Manners::default())[..3], [0x80, 0x81, 0x82]);
    assert_eq!(suspect(Manners { is_old: true, ..Manners::default() })[..4], [0x80, 0x81, 0x82, 0]);
    assert_eq!(suspect(Manners { path: Some((74, b"ATA     ")), ..Manners::default() })[..3], [0x80, 0, 0x82]);
    for len in [66, 74] {
        for interface in [b"ATA     ", b"ATAPI   ", b"USB     "] {
            assert_eq!(found(Manners { path: Some((len, interface)), ..Manners::default() }), [(0x82, Some(1))]);
        }
        assert_eq!(found(Manners { path: Some((len, b"SCSI    ")), ..Manners::default() }).len(), 2);
    }
    assert_eq!(
        found(Manners { path: Some((80, b"ATA     ")), ..Manners::default() }).len(),
        2,
        "no checksum in its place"
    );
}

#[test]
fn drives_that_cannot_be_read_are_there_but_not_known() {
    assert_eq!(found(Manners { fails: true, ..Manners::default() }), [(0x81, None), (0x82, None)]);
    assert_eq!(found(Manners { is_old: true, ..Manners::default() }), [(0x81, None), (0x82, None)]);
    let slow = found(Manners { seconds: 4, ..Manners::default() });
    assert_eq!(slow, [(0x81, None)], "after the time is over nobody is asked");
}

#[test]
fn two_drives_that_look_like_one_disk_are_no_answer() {
    let bios = bios(Manners::default());
    let mut drives = asked(&bios);
    let copy = Surveyed { number: 0x83, ..drives[0] };
    drives.push(copy).unwrap();
    assert_eq!(served(&bios, &drives), [(0x81, None), (0x82, Some(1)), (0x83, None)]);
}
