//! Machines with the probe (tests/probe) on a disk before the ROM in the boot order and on a floppy behind it: it tells what
//! the machine looked like before the network boot, and what a boot program left of it.

use std::fs;
use std::ops::Range;

use anyhow::{Context, Result, anyhow, ensure};
use probe::findings::Findings;

use super::{BOOT, Bench};
use crate::lab::drives::Drive;
use crate::lab::machine::Machine;
use crate::lab::network::Network;
use crate::lab::session::Session;

/// Length of the images: a 1.44 MB floppy.
pub const FLOPPY_LEN: usize = 1_474_560;
/// Where base memory ends at the latest.
const BASE_MEMORY_END: usize = 0xa_0000;
/// Base memory that the ROM may hold, in KiB (policy): one less than iPXE.
const MOST_HELD_KIB: u16 = 14;
/// Interrupts of the BIOS that somebody may hook who wants the machine for himself: equipment to real-time clock, without
/// those of hardware.
const BIOS_INTERRUPTS: Range<usize> = 0x10..0x1c;

/// A machine at a moment when the probe runs.
pub struct Snapshot {
    /// Its first megabyte.
    pub memory: Vec<u8>,
    /// What the probe found.
    pub found: Findings,
}

impl Snapshot {
    /// Looks at a machine on which the probe waits for a key.
    ///
    /// # Errors
    /// When what the BIOS says about memory is wrong for any BIOS.
    pub fn take(session: &Session) -> Result<Self> {
        let memory = session.low_memory()?;
        let found = Findings::read(&memory).map_err(|broken| anyhow!("{broken}"))?;
        Ok(Self { memory, found })
    }

    /// Checks that nothing of the ROM is left: memory and interrupts are as before the boot.
    ///
    /// # Errors
    /// What differs.
    pub fn is_released(&self, before: &Self) -> Result<()> {
        let (now, then) = (&self.found, &before.found);
        ensure!(now.pxenv.is_none(), "INT 1Ah AX=5650h is still answered");
        ensure!(
            now.base_memory == then.base_memory,
            "base memory is {} KiB, and was {}",
            now.base_memory,
            then.base_memory
        );
        ensure!(now.map == then.map, "the memory map is\n{:x?}\nand was\n{:x?}", now.map, then.map);
        ensure!((now.e801, now.ah88) == (then.e801, then.ah88), "E801h or 88h say something else than before");
        for number in BIOS_INTERRUPTS {
            let (now, then) = (vector(&self.memory, number), vector(&before.memory, number));
            ensure!(now == then, "INT {number:x}h leads to {now:x}, and led to {then:x}");
        }
        Ok(())
    }

    /// Checks that the ROM is in memory and alive: it holds base memory, but not too much, hides it, and INT 1Ah leads to
    /// the only pair of structures. `already` KiB may be held by somebody else.
    ///
    /// # Errors
    /// What is not so.
    pub fn is_held(&self, before: &Self, already: u16) -> Result<()> {
        let held = before.found.base_memory.checked_sub(self.found.base_memory + already);
        let held = held.context("there is more base memory than before the boot")?;
        ensure!((1..=MOST_HELD_KIB).contains(&held), "the ROM holds {held} KiB of base memory");
        self.hides_what_is_taken()?;
        let pxenv = self.found.pxenv.context("INT 1Ah AX=5650h is not answered")? as usize;
        let start = usize::from(self.found.base_memory) * 1024;
        ensure!((start..BASE_MEMORY_END).contains(&pxenv), "PXENV+ is at {pxenv:#x}, below {start:#x}");
        ensure!(self.memory[pxenv..].starts_with(b"PXENV+"), "no PXENV+ where INT 1Ah leads");
        let sum = self.memory[pxenv..pxenv + 0x2c].iter().fold(0, |sum: u8, byte| sum.wrapping_add(*byte));
        ensure!(sum == 0, "PXENV+ has a wrong checksum");
        Ok(())
    }

    /// Checks that the map has no RAM behind the base memory that is free.
    ///
    /// # Errors
    /// How much there is.
    pub fn hides_what_is_taken(&self) -> Result<()> {
        let start = u64::from(self.found.base_memory) * 1024;
        let open = self.found.ram_between(start, BASE_MEMORY_END as u64);
        ensure!(open == 0, "the map has {open} bytes of RAM behind {start:#x}: {:x?}", self.found.map);
        Ok(())
    }

    /// How many structures of PXE a program finds that scans base memory.
    pub fn signatures(&self) -> usize {
        let starts = (0x1_0000..BASE_MEMORY_END).step_by(16).map(|at| &self.memory[at..]);
        starts.filter(|bytes| bytes.starts_with(b"!PXE") || bytes.starts_with(b"PXENV+")).count()
    }
}

/// Where an interrupt leads, as a linear address.
fn vector(memory: &[u8], number: usize) -> u32 {
    let at = number * 4;
    let word = |at: usize| u32::from(u16::from_le_bytes([memory[at], memory[at + 1]]));
    (word(at + 2) << 4) + word(at)
}

impl Bench {
    /// A machine with the probe on both.
    ///
    /// # Errors
    /// When the image can't be written.
    pub fn probed_machine(&self, network: Network) -> Result<Machine> {
        let mut image = self.probe()?;
        image.resize(FLOPPY_LEN, 0);
        let image = self.add_file("probe.img", &image)?;
        let drives = vec![Drive::Disk(image.clone()), Drive::Floppy(image)];
        Ok(Machine { drives, rom_place: 1, ..self.machine(network) })
    }

    /// The probe.
    ///
    /// # Errors
    /// When it can't be read.
    pub fn probe(&self) -> Result<Vec<u8>> {
        fs::read(&self.lab.probe).with_context(|| format!("can't read {}", self.lab.probe.display()))
    }

    /// Starts such a machine, looks at it before any boot attempt, and sends it on to the network.
    ///
    /// # Errors
    /// When it doesn't get so far.
    pub fn start_probed(&self, machine: &Machine) -> Result<(Session, Snapshot)> {
        let mut session = self.start_with_keyboard(machine)?;
        session.expect("PROBE 1", BOOT)?;
        let before = Snapshot::take(&session)?;
        session.type_text("n")?;
        Ok((session, before))
    }
}

/// Waits for the probe's next run, and looks at the machine.
///
/// # Errors
/// When it doesn't come, or what the BIOS says about memory is wrong for any BIOS.
pub fn at_probe(session: &mut Session, number: u8) -> Result<Snapshot> {
    session.expect(&format!("PROBE {}", char::from(b'0' + number)), BOOT)?;
    Snapshot::take(session)
}
