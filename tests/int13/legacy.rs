//! Functions by cylinder, head and sector.

use hvpxe::int13::{Answer, Registers};

use crate::machine::{DATA, DRIVE, Machine, pattern, registers};

fn chs(function: u8, count: u8, cylinder: u16, head: u8, sector: u8) -> Registers {
    let mut call = registers(u16::from(function) << 8 | u16::from(count), DRIVE, DATA);
    call.cx = cylinder << 8 | cylinder >> 2 & 0xc0 | u16::from(sector);
    call.dx |= u16::from(head) << 8;
    call
}

#[test]
fn other_drives_go_to_whoever_had_the_vector() {
    let mut machine = Machine::new(&[]);
    for drive in [0x00, 0x80, 0x83, 0xff] {
        let call = registers(0x0201, drive, DATA);
        let mut after = call;
        assert_eq!(machine.service().call(&mut after), Answer::NotOurs);
        assert_eq!(after, call);
    }
}

#[test]
fn sectors_are_read_written_and_verified() {
    let mut machine = Machine::new(&[]);
    let after = machine.call(chs(0x02, 5, 1, 2, 3));
    let lba = 16 * 63 + 2 * 63 + 2;
    assert_eq!((after.carry(), after.ax), (false, 0x0005));
    assert_eq!(machine.memory.peek(DATA, 5 * 512), machine.content(0, lba, 5));

    machine.memory.poke(DATA, &pattern(2, 0x77));
    assert_eq!(machine.call(chs(0x03, 2, 0, 0, 1)).ax, 0x0002);
    assert_eq!(machine.content(0, 0, 2), pattern(2, 0x77));

    machine.memory.poke(DATA, &[0x11; 512]);
    assert_eq!(machine.call(chs(0x04, 100, 0, 0, 1)).ax, 100);
    assert_eq!(machine.memory.peek(DATA, 512), [0x11; 512], "verifying moves nothing");
    machine.lab.assert_no_violation();
}

#[test]
fn bad_places_and_counts_are_refused() {
    let mut machine = Machine::new(&[]);
    let before = machine.lab.counters().disk_requests;
    for (call, status) in [
        (chs(0x02, 0, 0, 0, 1), 0x01),
        (chs(0x02, 129, 0, 0, 1), 0x01),
        (chs(0x02, 1, 0, 0, 0), 0x04),
        (chs(0x02, 1, 0, 16, 1), 0x04),
        (chs(0x03, 1, 3, 0, 1), 0x04),
        (chs(0x02, 1, 1023, 0, 63), 0x04),
        (registers(0x0500, DRIVE, DATA), 0x01),
        (registers(0xff00, DRIVE, DATA), 0x01),
    ] {
        let after = machine.call(call);
        assert_eq!((after.carry(), after.ah()), (true, status), "{call:x?}");
    }
    assert_eq!(machine.lab.counters().disk_requests, before);
}

#[test]
fn the_parameters_describe_the_geometry_and_count_all_drives() {
    let mut machine = Machine::new(&[]);
    let after = machine.call(registers(0x08aa, DRIVE, DATA));
    assert_eq!((after.carry(), after.ax, after.bx & 0xff), (false, 0, 0));
    assert_eq!((after.cx, after.dx), (0x023f, 0x0f03), "3 cylinders, 16 heads, 63 sectors, 3 drives");
    let after = machine.call(registers(0x15aa, DRIVE, DATA));
    assert_eq!((after.ah(), after.cx, after.dx), (3, 0, 3 * 16 * 63));
}

#[test]
fn reset_succeeds_and_the_last_status_is_remembered() {
    let mut machine = Machine::new(&[("disk_fault", "medium*1@0")]);
    assert_eq!(machine.call(chs(0x02, 1, 0, 0, 1)).ah(), 0x10);
    let mut call = registers(0x0100, DRIVE, DATA);
    machine.service().call(&mut call);
    assert_eq!((call.carry(), call.ah()), (true, 0x10));
    let mut again = registers(0x0100, DRIVE, DATA);
    machine.service().call(&mut again);
    assert_eq!(again.ah(), 0x10, "asking changes nothing");
    let after = machine.call(registers(0x0000, DRIVE, DATA));
    assert_eq!((after.carry(), after.ah()), (false, 0));
    assert_eq!(machine.call(chs(0x02, 1, 0, 0, 1)).ax, 0x0001, "the unit attention after the reset is not seen");
    machine.lab.assert_no_violation();
}

#[test]
fn errors_of_the_disk_have_their_codes() {
    let mut machine = Machine::new(&[("disk_fault", "medium*1@0"), ("disk_fault", "busy*12@1")]);
    assert_eq!(machine.call(chs(0x03, 1, 0, 0, 1)).ah(), 0xcc);
    assert_eq!(machine.call(chs(0x02, 1, 0, 0, 1)).ah(), 0xaa);
    let mut highest = chs(0x02, 1, 0, 0, 1);
    (highest.es, highest.bx) = (0xffff, 0xffff);
    assert_eq!(machine.call(highest).ah(), 0, "above 1 MiB, as with A20 on");
    assert_eq!(machine.memory.peek(0x10_ffef, 512), machine.content(0, 0, 1));
    machine.lab.assert_no_violation();
}
