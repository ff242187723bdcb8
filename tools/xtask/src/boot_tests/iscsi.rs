//! A disk on the network, which iPXE serves by INT 13h through our UNDI: it must go on when VMBus is taken under it.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use parties::disk::{BOOTED, FAILED, WORKS};
use parties::options::{Kind, Rom, Theft, Trigger};

use super::owner::programs;
use super::owner::run::{initiated_contacts, is_late_signal};
use super::{BOOT, Bench, BootTest, finish_but};
use crate::lab::clients::copy;
use crate::lab::iscsi::Target;
use crate::lab::party::disk_fault;
use crate::lab::session::{Report, Session};

/// The tests of this file.
pub const TESTS: &[BootTest] = &[
    BootTest { name: "iscsi", about: "iPXE on our UNDI boots a disk over iSCSI (tgt)", run: plain },
    BootTest {
        name: "iscsi-theft",
        about: "the same, and VMBus is taken between the boot sector's reads, and SIMP left off",
        run: |bench| between(bench, Theft::Contact),
    },
    BootTest {
        name: "iscsi-theft-simp",
        about: "the same, and SIMP is left on",
        run: |bench| between(bench, Theft::ContactKeepsSimp),
    },
    BootTest {
        name: "iscsi-theft-msrs",
        about: "the same by MSRs only: the connection goes on",
        run: |bench| between(bench, Theft::MsrsOnly),
    },
    BootTest {
        name: "iscsi-theft-timer",
        about: "VMBus is taken from the timer interrupt, while iPXE reads from a disk over iSCSI",
        run: at_any_moment,
    },
    BootTest {
        name: "iscsi-theft-disk-rom",
        about: "the ROM could serve disks itself, and does not take iPXE's for one of the BIOS's",
        run: disk_rom,
    },
];

/// Blocks of the disk: two cylinders of the geometry that iPXE gives to a disk without partitions, 255 heads and 63 sectors
/// a track. Of less than one, it lets no block be read by cylinder, head and sector, not even by itself.
const BLOCKS: u32 = 2 * 255 * 63;
/// Thefts between reads, and reads from one to the next.
const THEFTS: u8 = 8;
const READS: u8 = 7;
/// Thefts from the timer interrupt, and ticks of 55 ms from one to the next.
const TIMER_THEFTS: u8 = 5;
const TICKS: u8 = 4;
/// Time for the boot sector with all thefts: each may cost the frames under way, which TCP sends again after a second (policy).
const READING: Duration = Duration::from_secs(180);
/// How often INITIATE_CONTACT is posted without thefts: to count the cards during POST, to boot, and for iPXE, which ends the
/// connection first.
const CONTACTS: u64 = 3;
/// What the thief writes to the log for each theft.
const STOLEN: &str = "thief: PASS: stolen";

fn plain(bench: &Bench) -> Result<()> {
    boots(bench, &bench.lab.rom, None)
}

fn between(bench: &Bench, theft: Theft) -> Result<()> {
    boots(bench, &bench.lab.rom, Some(&reader_calls(theft)))
}

/// A thief that the boot sector calls before each read.
fn reader_calls(theft: Theft) -> Rom {
    Rom { kind: Kind::Thief, theft, ticks: READS, thefts: THEFTS, trigger: Trigger::Calls }
}

fn at_any_moment(bench: &Bench) -> Result<()> {
    let (thefts, trigger) = (TIMER_THEFTS, Trigger::TimerOnceCalled);
    let thief = Rom { kind: Kind::Thief, theft: Theft::Contact, ticks: TICKS, thefts, trigger };
    boots(bench, &bench.lab.rom, Some(&thief))
}

fn disk_rom(bench: &Bench) -> Result<()> {
    boots(bench, &bench.lab.disk_rom, Some(&reader_calls(Theft::ContactKeepsSimp)))
}

/// From the start to the boot sector's last word, with or without a thief.
fn boots(bench: &Bench, rom: &Path, thief: Option<&Rom>) -> Result<()> {
    let programs = programs()?;
    let image = bench.add_file("disk.img", &programs.disk_of(BLOCKS))?;
    let target = Target::serve(&bench.lab.packages, &image)?;
    let bootfile = copy(&bench.lab.packages.join("usr/lib/ipxe/undionly.kpxe"), bench.files())?;
    let mut machine = bench.machine(bench.slirp(&bootfile, None));
    machine.rom = Some(rom.to_owned());
    if let Some(thief) = thief {
        machine.other_roms.push(bench.add_file("party-thief.rom", &programs.option_rom(thief)?)?);
    }
    let mut session = bench.start(&machine)?;
    // The DHCP server names the same file to everybody. Should iPXE be faster than we are, it loads itself once more.
    session.expect("iPXE initialising devices", BOOT)?;
    replace(bench, &bootfile, &format!("#!ipxe\nsanboot {}\n", target.uri()))?;
    let ended = reads(&mut session);
    let report = finish_but(session, is_late_signal)?;
    ended?;
    ensure!(report.console.contains("using undionly"), "iPXE used another driver:\n{}", report.console);
    judge_thefts(&report, thief)?;
    let content = fs::read(&image).with_context(|| image.display().to_string())?;
    match disk_fault(&content, 0) {
        Some(fault) => bail!("{fault}"),
        None => Ok(()),
    }
}

fn reads(session: &mut Session) -> Result<()> {
    const STUCK: &str = "No bootable device";
    session.expect_any(&[BOOTED, STUCK], BOOT)?;
    match session.expect_any(&[WORKS, FAILED, STUCK], READING)? {
        0 => Ok(()),
        1 => bail!("the boot sector can't read or write its disk:\n{}", session.console_text()),
        _ => bail!("the disk does not boot:\n{}", session.console_text()),
    }
}

/// Puts another file in the place of one, at once and whole.
fn replace(bench: &Bench, name: &str, content: &str) -> Result<()> {
    let new = bench.add_file("new", content.as_bytes())?;
    let place: &Path = &bench.files().join(name);
    fs::rename(new, place).with_context(|| format!("can't replace {}", place.display()))
}

/// All thefts must have happened, and each but one by MSRs only makes us connect once, and the thief before.
fn judge_thefts(report: &Report, thief: Option<&Rom>) -> Result<()> {
    let thefts = thief.map_or(0, |thief| thief.thefts);
    let stolen = report.log.matches(STOLEN).count();
    ensure!(stolen == usize::from(thefts), "{stolen} thefts, not {thefts}:\n{}", report.log);
    let contacts_each = if thief.is_some_and(|thief| thief.theft == Theft::MsrsOnly) { 0 } else { 2 };
    let (contacts, most) = (initiated_contacts(report)?, CONTACTS + contacts_each * u64::from(thefts));
    ensure!(contacts <= most, "{contacts} times INITIATE_CONTACT for {thefts} thefts; at most {most} are needed");
    Ok(())
}
