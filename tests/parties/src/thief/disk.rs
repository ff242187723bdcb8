//! The BIOS's disk, by INT 13h.

use parties::disk::{BLOCK, THIEF_WRITES, content, written};
use runtime::machine::arena::{DATA, STRUCTURES};
use runtime::machine::memory;
use runtime::machine::thunk::{self, Orders, SegOff};
use runtime::report::{Outcome, ensure, skip};

use super::Scene;

/// The drive.
const DRIVE: u32 = 0x80;
/// Functions of EDD.
const READ: u32 = 0x42;
const WRITE: u32 = 0x43;
/// What is read of the disk as it came: more than one request of the BIOS, from several places.
const PLACES: [(u32, u16); 4] = [(1, 1), (3, 2), (500, 100), (4000, 96)];

/// Reads and writes.
pub fn check(scene: &mut Scene) -> Outcome {
    if !scene.options.disk {
        skip!("no disk");
    }
    for (first, count) in PLACES {
        memory::fill(DATA, u32::from(count) * BLOCK as u32, 0);
        access(scene, READ, first, count)?;
        for index in 0..u32::from(count) {
            holds(first + index, index, &content(first + index))?;
        }
    }
    let place = THIEF_WRITES + scene.round;
    let bytes = written(place, scene.round);
    scene.round += 1;
    memory::write(DATA, &bytes);
    access(scene, WRITE, place, 1)?;
    memory::fill(DATA, BLOCK as u32, 0);
    access(scene, READ, place, 1)?;
    holds(place, 0, &bytes)
}

/// The same, after each theft.
pub fn between(scene: &mut Scene) -> Outcome {
    if !scene.options.disk {
        skip!("no disk");
    }
    for _ in 0..scene.options.between {
        scene.steal()?;
        check(scene)?;
    }
    Ok(())
}

fn access(scene: &mut Scene, function: u32, first: u32, count: u16) -> Outcome {
    let mut packet = [0; 16];
    packet[0] = 16;
    packet[2..4].copy_from_slice(&count.to_le_bytes());
    packet[4..8].copy_from_slice(&SegOff::to(DATA).to_u32().to_le_bytes());
    packet[8..12].copy_from_slice(&first.to_le_bytes());
    memory::write(STRUCTURES, &packet);
    let mut orders = Orders::interrupt(0x13);
    orders.registers.eax = function << 8;
    orders.registers.edx = DRIVE;
    (orders.registers.ds, orders.registers.esi) = (SegOff::to(STRUCTURES).segment, 0);
    let back = thunk::call(&orders).registers;
    scene.watch.after_call("INT 13h")?;
    let failed = back.eflags & 1 != 0;
    ensure!(!failed, "function {function:x}h, block {first}, {} thefts: AH={:02x}", scene.thefts, back.eax >> 8 & 0xff);
    Ok(())
}

/// Whether a block that was read is what it should be.
fn holds(number: u32, index: u32, expected: &[u8; BLOCK]) -> Outcome {
    let found: [u8; BLOCK] = memory::read_array(DATA + index * BLOCK as u32);
    let wrong = (0..BLOCK).find(|at| found[*at] != expected[*at]);
    ensure!(wrong.is_none(), "block {number} has a wrong byte at {}", wrong.unwrap_or(0));
    Ok(())
}
