//! Functions of EDD.

use hvpxe::int13::Registers;
use proptest::prelude::*;

use crate::machine::{BLOCKS, DATA, DRIVE, Machine, PACKET, pattern, registers};

/// A device address packet; `flat` adds the 64-bit address that all ones point to.
fn packet(lba: u64, blocks: u16, segment: u16, offset: u16, flat: Option<u64>) -> Vec<u8> {
    let mut bytes = vec![if flat.is_some() { 24 } else { 16 }, 0];
    for word in [blocks, offset, segment] {
        bytes.extend_from_slice(&word.to_le_bytes());
    }
    bytes.extend_from_slice(&lba.to_le_bytes());
    if let Some(flat) = flat {
        bytes.extend_from_slice(&flat.to_le_bytes());
    }
    bytes
}

fn by_packet(machine: &mut Machine, ax: u16, drive: u8, bytes: &[u8]) -> Registers {
    machine.memory.poke(PACKET, bytes);
    machine.call(registers(ax, drive, PACKET))
}

fn done(machine: &Machine) -> u16 {
    u16::from_le_bytes(machine.memory.peek(PACKET + 2, 2).try_into().unwrap())
}

#[test]
fn the_extensions_are_announced_to_those_who_ask_properly() {
    let mut machine = Machine::new(&[]);
    let mut call = registers(0x4100, DRIVE, 0);
    call.bx = 0x55aa;
    let after = machine.call(call);
    assert_eq!((after.carry(), after.ah(), after.bx, after.cx), (false, 0x30, 0xaa55, 1));
    call.bx = 0x1234;
    assert!(machine.call(call).carry());
    for function in [0x4500, 0x4600] {
        assert_eq!(machine.call(registers(function, DRIVE, PACKET)).ah(), 1);
    }
}

#[test]
fn packets_read_write_verify_and_seek() {
    let mut machine = Machine::new(&[]);
    let last = BLOCKS[0] - 127;
    let after = by_packet(&mut machine, 0x4200, DRIVE, &packet(last, 127, 0x3000, 0, None));
    assert_eq!((after.carry(), after.ah(), done(&machine)), (false, 0, 127));
    assert_eq!(machine.memory.peek(DATA, 127 * 512), machine.content(0, last, 127), "beyond what CHS can name");

    machine.memory.poke(DATA, &pattern(3, 0x55));
    for ax in [0x4300, 0x4301, 0x4302] {
        assert!(!by_packet(&mut machine, ax, DRIVE + 1, &packet(7, 3, 0x3000, 0, None)).carry());
        assert_eq!(machine.content(1, 7, 3), pattern(3, 0x55));
    }
    assert_eq!(by_packet(&mut machine, 0x4303, DRIVE, &packet(7, 3, 0x3000, 0, None)).ah(), 1);
    assert!(!by_packet(&mut machine, 0x4400, DRIVE, &packet(7, 3, 0, 0, None)).carry());
    assert!(!by_packet(&mut machine, 0x4700, DRIVE, &packet(7, 3, 0, 0, None)).carry());
    assert!(!by_packet(&mut machine, 0x4200, DRIVE, &packet(7, 0, 0x3000, 0, None)).carry(), "nothing to do");
    machine.lab.assert_no_violation();
}

#[test]
fn a_flat_address_counts_only_in_a_long_packet() {
    let mut machine = Machine::new(&[]);
    let after = by_packet(&mut machine, 0x4200, DRIVE, &packet(1, 2, 0xffff, 0xffff, Some(0x10_2000)));
    assert!(!after.carry());
    assert_eq!(machine.memory.peek(0x10_2000, 1024), machine.content(0, 1, 2));
    let after = by_packet(&mut machine, 0x4200, DRIVE, &packet(1, 2, 0xffff, 0xffff, Some(1 << 32)));
    assert_eq!(after.ah(), 0x09);
    let after = by_packet(&mut machine, 0x4200, DRIVE, &packet(1, 1, 0xffff, 0xffff, None));
    assert!(!after.carry());
    assert_eq!(machine.memory.peek(0x10_ffef, 512), machine.content(0, 1, 1));
}

#[test]
fn impossible_packets_are_refused_and_say_so() {
    let mut machine = Machine::new(&[]);
    let before = machine.lab.counters().disk_requests;
    let mut short = packet(0, 1, 0x3000, 0, None);
    short[0] = 15;
    assert_eq!(by_packet(&mut machine, 0x4200, DRIVE, &short).ah(), 1);
    assert_eq!(by_packet(&mut machine, 0x4200, DRIVE, &packet(0, 128, 0x3000, 0, None)).ah(), 1);
    for lba in [BLOCKS[0], u64::MAX] {
        assert_eq!(by_packet(&mut machine, 0x4200, DRIVE, &packet(lba, 1, 0x3000, 0, None)).ah(), 4);
        assert_eq!(done(&machine), 0);
    }
    assert_eq!(machine.lab.counters().disk_requests, before);
    // The core's own memory.
    let after = by_packet(&mut machine, 0x4200, DRIVE, &packet(1, 4, 0xffff, 0xffff, Some(0x1e_fc00)));
    assert_eq!((after.ah(), done(&machine)), (0x09, 2), "the blocks before it are there");
    let after = by_packet(&mut machine, 0x4300, DRIVE, &packet(1, 4, 0xffff, 0xffff, Some(0x1e_fc00)));
    assert_eq!((after.ah(), done(&machine)), (0x09, 0));
    assert_eq!(machine.content(0, 0, 8), pattern(8, 0), "nothing was written");
    machine.lab.assert_no_violation();
}

#[test]
fn drive_parameters_fit_the_buffer() {
    let mut machine = Machine::new(&[]);
    for (room, written) in [(26, 26), (29, 26), (30, 30), (74, 30)] {
        machine.memory.poke(PACKET, &[0xcc; 80]);
        machine.memory.poke(PACKET, &u16::to_le_bytes(room));
        assert!(!machine.call(registers(0x4800, DRIVE, PACKET)).carry());
        let bytes = machine.memory.peek(PACKET, 80);
        assert_eq!(bytes[..2], u16::to_le_bytes(written));
        assert_eq!(bytes[2..16], [2, 0, 3, 0, 0, 0, 16, 0, 0, 0, 63, 0, 0, 0]);
        assert_eq!(bytes[16..26], [&BLOCKS[0].to_le_bytes()[..], &[0, 2]].concat());
        assert!(bytes[usize::from(written)..].iter().all(|byte| *byte == 0xcc), "{room}");
    }
    machine.memory.poke(PACKET, &[25, 0]);
    assert_eq!(machine.call(registers(0x4800, DRIVE, PACKET)).ah(), 1);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// Whatever a caller puts into registers and memory: an answer comes, in bounded time, and a call that is no write
    /// changes no disk.
    #[test]
    fn any_registers_are_answered(
        calls in prop::collection::vec(any::<([u16; 8], [u8; 24])>(), 1..60),
        faulty in any::<bool>(),
    ) {
        let settings: &[(&str, &str)] = if faulty { &[("disk_fault", "busy*2@3"), ("disk_fault", "reset*1@9")] } else { &[] };
        let mut machine = Machine::new(settings);
        for ([ax, bx, cx, dx, si, di, ds, es], bytes) in calls {
            // Mostly our drives, and mostly the functions that exist.
            let (ax, dx) = (ax & 0x4fff, if dx & 7 == 0 { dx } else { dx & 0xff00 | u16::from(DRIVE) | dx >> 3 & 1 });
            let mut call = Registers { ax, bx, cx, dx, si, di, ds, es, flags: 2 };
            machine.memory.poke((u32::from(ds) << 4) + u32::from(si), &bytes);
            let before = (machine.content(0, 0, BLOCKS[0]), machine.content(1, 0, BLOCKS[1]));
            let started = hvpxe::hv::Hypervisor::now(&machine.lab);
            let _ = machine.service().call(&mut call);
            prop_assert!(hvpxe::hv::Hypervisor::now(&machine.lab).millis_since(started) < 10_000);
            if !matches!(ax >> 8, 0x03 | 0x43) {
                prop_assert!(before == (machine.content(0, 0, BLOCKS[0]), machine.content(1, 0, BLOCKS[1])));
            }
        }
        prop_assert!(machine.lab.violations().is_empty());
    }
}
