//! The list in the resident block by which callers in V86 mode are answered: it must say what the calls themselves say.

use hvpxe::pxe::ANSWERS_SIZE;

use super::network::{booted, file};
use super::sim::{LAYOUT, RESIDENT, Rig};
use super::tftp::open_block;

/// The list: opcodes and blocks.
fn answers(rig: &Rig) -> Vec<(u16, Vec<u8>)> {
    let bytes = rig.mem.peek(RESIDENT + u32::from(LAYOUT.answers), ANSWERS_SIZE);
    let mut rest = &bytes[..];
    let mut answers = Vec::new();
    loop {
        let (header, behind) = rest.split_at(4);
        let word = |at: usize| u16::from_le_bytes([header[at], header[at + 1]]);
        let (opcode, len) = (word(0), usize::from(word(2)));
        if len == 0 {
            return answers;
        }
        answers.push((opcode, behind[..len].to_vec()));
        rest = &behind[len..];
    }
}

/// A rig with the API in place, as the UNDI loader leaves it, and `START_UNDI` called.
fn started() -> Rig {
    let mut rig = Rig::new();
    rig.api.install();
    assert_eq!(opcodes(&rig), [], "before START_UNDI nothing is answered");
    assert_eq!(rig.call(0x00, &[0; 12]).0, 0);
    rig
}

fn opcodes(rig: &Rig) -> Vec<u16> {
    let mut opcodes: Vec<u16> = answers(rig).into_iter().map(|(opcode, _)| opcode).collect();
    opcodes.sort_unstable();
    opcodes
}

/// Every record is what the call answers, and the call changes no other.
#[track_caller]
fn agree(rig: &mut Rig) {
    let listed = answers(rig);
    for (opcode, block) in &listed {
        if *opcode == 0x71 {
            continue; // depends on its parameters
        }
        let (_, answered) = rig.call(*opcode, &vec![0; block.len()]);
        assert_eq!(&answered, block, "opcode {opcode:#04x}");
    }
    assert_eq!(answers(rig), listed, "a call that changes nothing changed an answer");
}

#[test]
fn the_list_follows_the_state() {
    let mut rig = started();
    rig.succeed(0x01);
    agree(&mut rig);
    assert_eq!(opcodes(&rig), [0x00, 0x01, 0x07, 0x0c, 0x12, 0x13, 0x16, 0x21, 0x31, 0x71, 0x76]);
    rig.open(3);
    agree(&mut rig);
    // Open: GET_STATE has its own number, and CLOSE would do something.
    assert_eq!(opcodes(&rig), [0x00, 0x01, 0x0c, 0x12, 0x13, 0x15, 0x16, 0x21, 0x31, 0x71, 0x76]);
    rig.succeed(0x02);
    agree(&mut rig);
    assert!(!opcodes(&rig).contains(&0x01), "STARTUP would do something after CLEANUP");
    rig.succeed(0x15);
    assert_eq!(opcodes(&rig), [], "after STOP_UNDI nothing is answered");
    rig.call(0x00, &[0; 12]);
    agree(&mut rig);
}

#[test]
fn a_new_station_address_is_told() {
    let mut rig = started();
    let mut block = [0; 18];
    block[2..8].copy_from_slice(&[2, 0, 0, 0, 0, 9]);
    assert_eq!(rig.call(0x0a, &block).0, 0);
    agree(&mut rig);
    let (_, information) = answers(&rig).into_iter().find(|(opcode, _)| *opcode == 0x0c).unwrap();
    assert_eq!(information[0x0c..0x12], [2, 0, 0, 0, 0, 9]);
}

#[test]
fn an_open_transfer_is_not_closed_by_the_list() {
    let (mut rig, server) = booted();
    agree(&mut rig);
    server.borrow_mut().files().add("file", file(2000));
    assert_eq!(rig.call(0x20, &open_block("file", 0, 512)).0, 0);
    assert!(!opcodes(&rig).contains(&0x21), "a transfer is open");
    agree(&mut rig);
    rig.succeed(0x21);
    assert!(opcodes(&rig).contains(&0x21));
}
