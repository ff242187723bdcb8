//! Runs a cell, and judges it.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use parties::disk::{BOOTED, FAILED, WORKS};
use parties::file::{BIG, SMALL};
use parties::options::{Kind, Rom, Theft, Thief};
use runtime::files::{ServedFile, byte_at};

use super::cell::{Cell, HostKind, Party, Way};
use crate::boot_tests::{BOOT, Bench, finish_but};
use crate::lab::clients::compose_syslinux;
use crate::lab::drives::Drive;
use crate::lab::machine::Machine;
use crate::lab::network::Network;
use crate::lab::party::{Programs, disk_fault};
use crate::lab::session::{Report, Session};

/// Names of the option ROMs: they make the machine's BIOS start the first one first, and both before hvpxe's.
const BIOS_ROM: &str = "party-bios.rom";
const THIEF_ROM: &str = "party-as-thief.rom";
/// The boot program's name on the server.
const THIEF: &str = "thief.0";
/// What it says last.
const THIEF_ENDED: &str = " skipped";
/// Thefts during a file, and between calls of each kind.
const FILE_THEFTS: u8 = 10;
const BETWEEN_THEFTS: u8 = 3;
/// How often the boot program checks the disk besides: at its start and at its end.
const DISK_CHECKS: u32 = 2;
/// Time for 20 MB with ten thefts (policy).
const LONG: Duration = Duration::from_secs(240);
/// What a host adds that needs 50 s to close a channel, each time (policy: four times).
const VERY_SLOW: Duration = Duration::from_secs(240);
/// Timer ticks of 55 ms after which the timer's thief strikes: behind the start of the card, and within a DHCP exchange of
/// some seconds, or a slow disk access.
const DHCP_TICKS: u8 = 20;
const DISK_TICKS: u8 = 9;
const DISK_THEFTS: u8 = 3;
/// The message type of INITIATE_CONTACT, and how often a boot without thefts posts it: to count the cards during POST, and to
/// boot.
const INITIATE_CONTACT: &str = "14";
const CONTACTS: u64 = 2;
/// What makes DHCP take some seconds, and each disk access half of one.
const SLOW_NETWORK: (&str, &str) = ("latency-ms", "700");
const SLOW_DISK: &str = "disk_delay=300ms";

/// What the boot program does in this way; `None`: it is not the boot program.
fn thief(cell: &Cell) -> Option<Thief> {
    let options = Thief { disk: true, ..Thief::default() };
    let during_file = FILE_THEFTS;
    match cell.way {
        Way::Network => Some(Thief { untouched: true, ..options }),
        Way::TheftDisk => Some(options),
        Way::TheftDhcp => Some(Thief { no_file: true, ..options }),
        Way::TheftFile => Some(Thief { during_file, ..options }),
        Way::TheftFileSimp => Some(Thief { during_file, theft: Theft::ContactKeepsSimp, ..options }),
        Way::TheftFileMsrs => Some(Thief { during_file, theft: Theft::MsrsOnly, ..options }),
        Way::TheftBetween => Some(Thief { between: BETWEEN_THEFTS, ..options }),
        Way::Fails | Way::Declines | Way::Attaches | Way::Localboot | Way::Chain => None,
    }
}

/// What the ROM says of an owner whom it leaves alone.
const LEFT_ALONE: &str = "uses VMBus, and was left alone";

/// What must be on the console for the way to be the way.
fn proof(cell: &Cell) -> &'static str {
    match (cell.way, cell.party) {
        (Way::Declines, party) if party != Party::Nobody => LEFT_ALONE,
        (Way::Attaches, Party::Naive | Party::Careful | Party::Interrupts) => LEFT_ALONE,
        (Way::Fails | Way::Declines, _) => "PXE-E3B",
        (Way::Attaches | Way::Localboot | Way::Chain, _) => "PXELINUX",
        _ => "thief: start",
    }
}

/// Runs it, and shows its console and log if that is wanted.
///
/// # Errors
/// Why the cell fails.
pub fn run(bench: &Bench, programs: &Programs, cell: &Cell, show: bool) -> Result<()> {
    let thief = thief(cell);
    let network = network(bench, programs, cell, thief.as_ref())?;
    let (machine, image) = machine(bench, programs, cell, network)?;
    let mut session = bench.start(&machine)?;
    let limit = if thief.is_some_and(|thief| thief.during_file > 0) { LONG } else { BOOT };
    let limit = if cell.host == HostKind::VerySlow { limit + VERY_SLOW } else { limit };
    let ended = to_the_end(&mut session, thief.is_some(), limit);
    let report = finish_but(session, |violation| is_allowed(cell, violation))?;
    if show {
        println!("======== {cell} ========\n{}\n-------- log --------\n{}", report.console, report.log);
    }
    judge_log(&report)?;
    ended?;
    let proof = proof(cell);
    ensure!(report.console.contains(proof), "no `{proof}` on the console:\n{}", report.console);
    judge_contacts(cell, thief.as_ref(), &report)?;
    if let Some(image) = image {
        let wrote = thief.map_or(0, |thief| DISK_CHECKS + u32::from(thief.between));
        let content = fs::read(&image).with_context(|| image.display().to_string())?;
        if let Some(fault) = disk_fault(&content, wrote) {
            bail!("{fault}");
        }
    }
    Ok(())
}

/// Whoever signals a channel that was taken from him learns by the refusal that it was, or asks by a GPADL whether the host
/// knows the channel.
pub fn is_late_signal(violation: &str) -> bool {
    violation.ends_with("0x5d got status 0x12: no such connection")
        || violation.contains("VMBus message 8 about") && violation.ends_with("no such channel")
}

/// A late signal is no fault. Where the hypercall page is plain RAM, the code for it is still in the page that was his.
fn is_allowed(cell: &Cell, violation: &str) -> bool {
    is_late_signal(violation)
        || cell.host == HostKind::SimpRam && violation.ends_with("hypercall outside the enabled hypercall page")
}

/// From the start to the boot sector's last word.
fn to_the_end(session: &mut Session, thief: bool, limit: Duration) -> Result<()> {
    const STUCK: [&str; 2] = ["No bootable device", "could not read the boot disk"];
    if thief {
        let which = session.expect_any(&[THIEF_ENDED, STUCK[0], BOOTED], limit)?;
        ensure!(which == 0, "the boot program did not come to its end");
    }
    match session.expect_any(&[WORKS, FAILED, STUCK[0]], limit)? {
        0 => Ok(()),
        1 => bail!("the boot sector can't read or write its disk"),
        _ => bail!("the disk does not boot"),
    }
}

/// The lines of all parties: none may say that something failed.
fn judge_log(report: &Report) -> Result<()> {
    let failed = report.log.lines().find(|line| line.starts_with("FAIL ") || line.contains(": FAIL: "));
    match failed {
        Some(line) => bail!("{line}"),
        None => Ok(()),
    }
}

/// How often INITIATE_CONTACT may be posted. Where nobody else owns VMBus, a theft makes us connect once, and one by MSRs only
/// not at all; a BIOS that publishes its connection connects once, and that is all where nobody steals it.
fn judge_contacts(cell: &Cell, thief: Option<&Thief>, report: &Report) -> Result<()> {
    let stealing_and_connecting = if thief.is_some_and(|thief| thief.theft == Theft::MsrsOnly) { 0 } else { 2 };
    let thefts = match (cell.way, thief) {
        (Way::TheftDhcp, _) => 1,
        (Way::TheftDisk, _) => u64::from(DISK_THEFTS),
        // Calls, disk and UNDI.
        (_, Some(thief)) => u64::from(thief.during_file) + 3 * u64::from(thief.between),
        (_, None) => 0,
    };
    // A host that speaks no 5.3 is asked for 4.0 as well.
    let messages = if cell.host == HostKind::Of2016 { 2 } else { 1 };
    let most = messages
        * match cell.party {
            Party::Nobody => CONTACTS + stealing_and_connecting * thefts,
            Party::Publishing if thefts == 0 => 1,
            // Both sides connect as often as they have to.
            _ => return Ok(()),
        };
    let contacts = initiated_contacts(report)?;
    ensure!(contacts <= most, "{contacts} times INITIATE_CONTACT for {thefts} thefts; at most {most} are needed");
    Ok(())
}

/// How often anybody posted INITIATE_CONTACT.
///
/// # Errors
/// When the host counted nothing.
pub fn initiated_contacts(report: &Report) -> Result<u64> {
    let counters: serde_json::Value = serde_json::from_str(&report.counters).context("the counters are no JSON")?;
    Ok(counters["vmbus_from_guest"][INITIATE_CONTACT].as_u64().unwrap_or(0))
}

fn network(bench: &Bench, programs: &Programs, cell: &Cell, thief: Option<&Thief>) -> Result<Network> {
    if let Some(thief) = thief {
        bench.add_file(THIEF, &programs.thief(thief)?)?;
        let files: &[ServedFile] = if thief.during_file > 0 { &[BIG, SMALL] } else { &[SMALL] };
        for file in files {
            bench.add_file(file.name, &(0..file.len).map(byte_at).collect::<Vec<u8>>())?;
        }
    }
    let pxelinux = |modules: &[&str], label: &str| {
        let config = format!("DEFAULT it\nPROMPT 0\nLABEL it\n{label}\n");
        compose_syslinux("pxelinux.0", modules, &config, &bench.lab.packages, bench.files())
    };
    Ok(match cell.way {
        Way::Fails | Way::Declines => bench.server(&[("boot-file", "missing.0")]),
        Way::Localboot | Way::Attaches => bench.server(&[("boot-file", &pxelinux(&[], "  LOCALBOOT 0")?)]),
        Way::Chain => bench.server(&[("boot-file", &pxelinux(&["chain.c32"], "  KERNEL chain.c32\n  APPEND hd0")?)]),
        Way::TheftDhcp => bench.server(&[("boot-file", THIEF), SLOW_NETWORK]),
        _ => bench.server(&[("boot-file", THIEF)]),
    })
}

/// The machine, and its disk's image if that is behind VMBus.
fn machine(bench: &Bench, programs: &Programs, cell: &Cell, network: Network) -> Result<(Machine, Option<PathBuf>)> {
    let mut machine = bench.machine(network);
    // Whoever takes VMBus from a BIOS has to serve its disk.
    machine.rom = Some(bench.lab.disk_rom.clone());
    let disk = bench.add_file("disk.img", &programs.disk())?;
    let mut switches: Vec<String> = cell.host.switches().iter().map(|switch| (*switch).to_owned()).collect();
    let mut add_rom = |name: &str, options: Rom| -> Result<()> {
        let rom = programs.option_rom(&options)?;
        machine.other_roms.push(bench.add_file(name, &rom)?);
        Ok(())
    };
    if let Some(kind) = cell.party.kind() {
        add_rom(BIOS_ROM, Rom { kind, ..Rom::default() })?;
    }
    match cell.way {
        Way::TheftDhcp => {
            add_rom(THIEF_ROM, Rom { kind: Kind::Thief, ticks: DHCP_TICKS, thefts: 1, ..Rom::default() })?;
        }
        Way::TheftDisk => {
            let thief = Rom { kind: Kind::Thief, ticks: DISK_TICKS, thefts: DISK_THEFTS, ..Rom::default() };
            add_rom(THIEF_ROM, thief)?;
            switches.push(SLOW_DISK.to_owned());
        }
        _ => {}
    }
    match cell.way {
        Way::Declines => machine.settings.push("vmbus-owner=decline".to_owned()),
        Way::Attaches => machine.settings.push("vmbus-owner=attach".to_owned()),
        _ => {}
    }
    let image = if cell.party == Party::Nobody {
        machine.drives.push(Drive::Disk(disk));
        None
    } else {
        switches.push(format!("disk={}", disk.display()));
        Some(disk)
    };
    if let Some(hyperv) = &mut machine.hyperv {
        hyperv.switches.extend(switches);
    }
    Ok((machine, image))
}
