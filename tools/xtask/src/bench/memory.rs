//! What the contestants take of the machine's memory, as boot programs and operating systems see it: the probe (tests/probe)
//! asks the BIOS on a machine with the contestant, and on the same machine without.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};
use probe::findings::Findings;
use serde::{Deserialize, Serialize};

use super::contestant::{self, Contestant, Program, Stack};
use super::plan::Setting;
use crate::lab::Lab;
use crate::lab::clients::copy;
use crate::lab::drives::Drive;
use crate::lab::machine::Machine;
use crate::lab::network::SERVER;
use crate::lab::rom_area;
use crate::lab::session::{Echo, Session};

/// Real time for a boot (policy).
const LIMIT: Duration = Duration::from_secs(300);
/// Length of the probe's disk: a 1.44 MB floppy's.
const DISK_LEN: usize = 1_474_560;
/// The probe as a boot program.
const PROBE: &str = "probe.0";
const KIB: u64 = 1024;
/// Extended memory: what lies between these addresses.
const EXTENDED: std::ops::Range<u64> = 1 << 20..1 << 32;

/// Most base memory that our ROM may hold, in bytes (the project's target).
const MOST_BASE: u64 = 12 * KIB;
/// Most extended memory (the project's target).
const MOST_EXTENDED: u64 = 2048 * KIB;
/// Most bytes of the ROM files (the project's target, and the longest ROM that there can be).
const MOST_ROM: [u64; 2] = [56 * KIB, 64 * KIB];

/// Who takes memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Holder {
    contestant: Contestant,
    /// Our other ROM, which has the disk service.
    with_disks: bool,
}

impl Holder {
    /// Those of the chosen contestants that differ in what they take.
    pub fn of(contestants: &[Contestant]) -> Vec<Self> {
        let mut holders = Vec::new();
        for &contestant in contestants {
            let is_ours = contestant.stack == Stack::Hvpxe;
            if contestant.program == Program::Itself || is_ours && contestant.program == Program::Undionly {
                holders.push(Self { contestant, with_disks: false });
            }
            if is_ours && contestant.program == Program::Itself {
                holders.push(Self { contestant, with_disks: true });
            }
        }
        holders
    }

    fn name(self) -> String {
        match (self.contestant.stack, self.contestant.program) {
            (Stack::Hvpxe, Program::Itself) if self.with_disks => "hvpxe-disk.rom".to_owned(),
            (Stack::Hvpxe, Program::Itself) => "hvpxe.rom".to_owned(),
            (Stack::Ipxe, _) => "ipxe.lkrn".to_owned(),
            _ => self.contestant.name(),
        }
    }

    fn rom(self, lab: &Lab) -> Option<PathBuf> {
        match self.contestant.stack {
            Stack::Hvpxe if self.with_disks => Some(lab.disk_rom.clone()),
            Stack::Hvpxe => Some(lab.rom.clone()),
            stack => stack.other_nic(lab, Path::new(""), "").map(|nic| nic.rom),
        }
    }

    /// A machine that shows the probe from its disk first, and then boots it by the contestant.
    fn machine(self, lab: &Lab, files: &Path, setting: &Setting) -> Result<Machine> {
        let probe = fs::read(&lab.probe).with_context(|| format!("can't read {}", lab.probe.display()))?;
        fs::write(files.join(PROBE), &probe)?;
        let mut disk = probe;
        disk.resize(DISK_LEN, 0);
        fs::write(files.join("probe.img"), disk)?;

        let chain = contestant::script(&[&format!("chain tftp://{SERVER}/{PROBE}")]);
        let boot_file = match self.contestant.program {
            Program::Undionly => {
                fs::write(files.join("boot.ipxe"), chain)?;
                copy(&lab.packages.join("usr/lib/ipxe/undionly.kpxe"), files)?
            }
            _ => PROBE.to_owned(),
        };
        let switches = [("boot-file", boot_file.as_str()), ("boot-file.ipxe", "boot.ipxe")];
        let switches = switches.map(|(key, value)| (key.to_owned(), value.to_owned())).to_vec();
        let script = contestant::script(&["dhcp", &format!("chain tftp://{SERVER}/{PROBE}")]);
        let machine =
            contestant::machine(self.contestant.stack, lab, files, Some(&boot_file), &script, switches, setting)?;
        Ok(Machine {
            rom: machine.rom.and_then(|_| self.rom(lab)),
            drives: vec![Drive::Disk(files.join("probe.img"))],
            rom_place: 1,
            ..machine
        })
    }
}

/// What one of them takes, in bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Footprint {
    /// Who.
    pub name: String,
    /// Its ROM file; `None`: it has none.
    pub rom_file: Option<u64>,
    /// What is left of it in the option-ROM area after POST.
    pub rom_area: Option<u64>,
    /// Extended memory that the BIOS's map has no more after POST, before any boot.
    pub extended_after_post: Option<u64>,
    /// Base memory, when the boot program runs.
    pub base: u64,
    /// Extended memory that the map does not show then.
    pub extended: u64,
}

/// Looks at all of them.
///
/// # Errors
/// When one doesn't boot the probe, or its memory map is wrong for any BIOS.
pub fn measure(lab: &Lab, holders: &[Holder], shift: u8, tell: impl Fn(String)) -> Result<Vec<Footprint>> {
    let look = |holder: &Holder| {
        tell(format!("memory: {}", holder.name()));
        footprint(lab, *holder, &Setting::plain(shift)).with_context(|| format!("memory of {}", holder.name()))
    };
    holders.iter().map(look).collect()
}

/// For the tests: what our ROMs take is within their targets.
///
/// # Errors
/// What is more than that.
pub fn guard(lab: &Lab, shift: u8) -> Result<()> {
    let ours = Holder::of(&[Contestant { stack: Stack::Hvpxe, program: Program::Itself }]);
    for (found, most_rom) in measure(lab, &ours, shift, |_| ())?.iter().zip(MOST_ROM) {
        let Footprint { name, rom_file, base, extended, .. } = found;
        let rom_file = rom_file.context("our ROM is a file")?;
        ensure!(rom_file <= most_rom, "{name} has {rom_file} bytes, over {most_rom}");
        ensure!((1..=MOST_BASE).contains(base), "{name} takes {base} bytes of base memory, over {MOST_BASE}");
        ensure!((1..=MOST_EXTENDED).contains(extended), "{name} takes {extended} bytes of extended memory");
    }
    Ok(())
}

fn footprint(lab: &Lab, holder: Holder, setting: &Setting) -> Result<Footprint> {
    let files = tempfile::Builder::new().prefix("hvpxe-bench-").tempdir()?;
    let machine = holder.machine(lab, files.path(), setting)?;
    let rom_file = holder.rom(lab).map(|path| fs::metadata(&path).context("the ROM file")).transpose()?;

    let mut without = Machine { rom: None, kernel: None, ..machine.clone() };
    if let Some(nic) = &mut without.other_nic {
        // QEMU gives a NIC without a name of a file no ROM.
        nic.rom = PathBuf::new();
    }
    let mut session = start(lab, &without)?;
    let before = look(&mut session, 1)?.found;
    drop(session);

    let mut session = start(lab, &machine)?;
    let first = look(&mut session, 1)?;
    let mut footprint = Footprint {
        name: holder.name(),
        rom_file: rom_file.map(|file| file.len()),
        rom_area: None,
        extended_after_post: None,
        base: 0,
        extended: 0,
    };
    let running = match holder.contestant.stack.rom_name() {
        Some(name) => {
            let area = rom_area::find(&first.memory, name).context("its ROM is not in the option-ROM area")?;
            footprint.rom_area = Some(area.len() as u64);
            footprint.extended_after_post = Some(taken(&before, &first.found)?);
            session.type_text("n")?;
            look(&mut session, 2)?.found
        }
        // QEMU starts a kernel before any disk.
        None => first.found,
    };
    let base = before.base_memory.checked_sub(running.base_memory).context("more base memory than without it")?;
    footprint.base = u64::from(base) * KIB;
    footprint.extended = taken(&before, &running)?;
    Ok(footprint)
}

/// Extended memory that the map had, and has no more.
fn taken(before: &Findings, now: &Findings) -> Result<u64> {
    let [before, now] = [before, now].map(|found| found.ram_between(EXTENDED.start, EXTENDED.end));
    before.checked_sub(now).context("more extended memory than without it")
}

fn start(lab: &Lab, machine: &Machine) -> Result<Session> {
    Session::start(&lab.qemu, machine, Echo::Off, Stdio::piped())
}

/// What the probe saw.
struct Seen {
    memory: Vec<u8>,
    found: Findings,
}

/// Waits for the probe's run of this number.
fn look(session: &mut Session, number: u32) -> Result<Seen> {
    session.expect(&format!("PROBE {number}"), LIMIT)?;
    let memory = session.low_memory()?;
    let found = Findings::read(&memory).map_err(|broken| anyhow!("{broken}"))?;
    Ok(Seen { memory, found })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_rom_is_looked_at_once() {
        let names: Vec<_> = Holder::of(&Contestant::ALL).into_iter().map(Holder::name).collect();
        assert_eq!(names, ["hvpxe.rom", "hvpxe-disk.rom", "ipxe.lkrn", "undionly@hvpxe", "ipxe-e1000", "ipxe-virtio"]);
    }

    #[test]
    fn extended_memory_is_what_has_gone_from_the_map() {
        let found = |len| Findings {
            base_memory: 639,
            map: vec![probe::findings::Range { start: 1 << 20, len, kind: 1 }],
            e801: probe::findings::E801 { below_16_mib: 0, above_16_mib: 0 },
            ah88: 0,
            pxenv: None,
            unloaded: [[0; 2]; 4],
        };
        assert_eq!(taken(&found(0x50_0000), &found(0x10_0000)).unwrap(), 0x40_0000);
        assert!(taken(&found(1), &found(2)).is_err());
    }
}
