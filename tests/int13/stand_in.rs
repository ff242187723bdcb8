//! Drives under the BIOS's own numbers, boot sectors, and drives that nobody reaches any more.

use hvpxe::int13::{Answer, Drive, Geometry};

use crate::machine::{DATA, DRIVE, Machine, PACKET, registers};

/// The BIOS's drive 80h is the second synthetic disk.
fn stand_in(machine: &mut Machine, disk: Option<usize>) {
    serve(machine, disk, false);
}

fn serve(machine: &mut Machine, disk: Option<usize>, is_added: bool) {
    let geometry = Geometry { cylinders: 2, heads: 4, sectors: 8 };
    assert!(machine.drives.put(Drive { number: 0x80, disk, geometry, is_added }));
}

#[test]
fn a_drive_keeps_its_number_and_its_geometry() {
    let mut machine = Machine::new(&[]);
    stand_in(&mut machine, Some(1));
    assert_eq!(machine.drives.numbers(), [0x81, 0x82, 0x80, 0, 0, 0, 0, 0]);
    let after = machine.call(registers(0x0800, 0x80, DATA));
    assert_eq!((after.cx, after.dx), (0x0108, 0x0303), "2 cylinders, 4 heads, 8 sectors; 3 drives as before");
    // Head 3 of cylinder 1, sector 2.
    let mut call = registers(0x0201, 0x80, DATA);
    (call.cx, call.dx) = (0x0102, 0x0380);
    assert_eq!(machine.call(call).ax, 0x0001);
    assert_eq!(machine.memory.peek(DATA, 512), machine.content(1, 32 + 3 * 8 + 1, 1));
    machine.memory.poke(PACKET, &[30, 0]);
    assert!(!machine.call(registers(0x4800, 0x80, PACKET)).carry());
    assert_eq!(machine.memory.peek(PACKET + 4, 12), [2, 0, 0, 0, 4, 0, 0, 0, 8, 0, 0, 0]);
    machine.lab.assert_no_violation();
}

#[test]
fn a_drive_without_a_disk_is_lost_and_the_others_are_not() {
    let mut machine = Machine::new(&[]);
    stand_in(&mut machine, None);
    assert_eq!(machine.drives.lost(), [0, 0, 0x80, 0, 0, 0, 0, 0]);
    let before = registers(0x0201, 0x80, DATA);
    let mut after = before;
    assert_eq!(machine.service().call(&mut after), Answer::Lost);
    assert_eq!(after, before);
    assert!(!machine.service().load_boot_sector());
    assert!(!machine.call(registers(0x0000, DRIVE, DATA)).carry());
    stand_in(&mut machine, Some(0));
    assert_eq!(machine.drives.lost(), [0; 8], "found after all");
    assert_eq!(machine.service().install(), Ok(0), "no second drive for a disk that has one");
}

#[test]
fn only_a_boot_sector_of_the_first_fixed_disk_is_started() {
    let mut machine = Machine::new(&[]);
    assert!(!machine.service().load_boot_sector(), "80h is the BIOS's");
    stand_in(&mut machine, Some(0));
    assert!(!machine.service().load_boot_sector(), "80h is still the BIOS's");
    serve(&mut machine, Some(0), true);
    assert!(!machine.service().load_boot_sector(), "no signature");
    machine.memory.poke(PACKET, &machine.content(0, 0, 1));
    machine.memory.poke(PACKET + 510, &[0x55, 0xaa]);
    let mut write = registers(0x0301, 0x80, PACKET);
    write.cx = 0x0001;
    assert_eq!(machine.call(write).ax, 0x0001);
    machine.memory.poke(0x7c00, &[0; 512]);
    assert!(machine.service().load_boot_sector());
    assert_eq!(machine.memory.peek(0x7c00, 512), machine.content(0, 0, 1));
}
