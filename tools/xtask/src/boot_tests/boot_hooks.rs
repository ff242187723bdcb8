//! The ROM on a BIOS that knows no boot entries, as an image without a PnP header is taken by every BIOS: it hooks INT 19h
//! or INT 18h.

use std::fs;

use anyhow::{Context, Result, ensure};
use romtool::inspect;

use super::{BOOT, Bench, BootTest};
use crate::lab::disk;
use crate::lab::machine::Machine;

/// The tests of this file.
pub const TESTS: &[BootTest] = &[
    BootTest { name: "hook-int19", about: "no PnP header: the network before the disk", run: network_first },
    BootTest { name: "hook-int18", about: "no PnP header: the disk before the network", run: network_last },
    BootTest { name: "hook-off", about: "no PnP header, no hook: the disk alone", run: no_network },
];

/// What the ROM says on an ordinary PC, which is enough to tell when it ran.
const NETWORK_TEXT: &str = "PXE-EB0: Not a Hyper-V machine";

fn network_first(bench: &Bench) -> Result<()> {
    let machine = machine(bench, "int19")?;
    bench.falls_through(&machine, &[NETWORK_TEXT], BOOT).map(drop)
}

fn network_last(bench: &Bench) -> Result<()> {
    let mut machine = machine(bench, "int18")?;
    let console = disk_boots(bench, &machine)?;
    ensure!(!console.contains(NETWORK_TEXT), "the network came before a disk that boots:\n{console}");

    machine.drives.clear();
    let mut session = bench.start(&machine)?;
    session.expect("Boot failed: could not read the boot disk", BOOT)?;
    session.expect(NETWORK_TEXT, BOOT)?;
    session.expect("No bootable device", BOOT)?;
    let console = super::finish(session)?.console;
    ensure!(console.matches(NETWORK_TEXT).count() == 1, "the network was tried more than once:\n{console}");
    Ok(())
}

fn no_network(bench: &Bench) -> Result<()> {
    let console = disk_boots(bench, &machine(bench, "off")?)?;
    ensure!(!console.contains(NETWORK_TEXT), "the ROM ran without a hook:\n{console}");
    Ok(())
}

/// An ordinary PC with a disk, and the ROM without its PnP header.
fn machine(bench: &Bench, hook: &str) -> Result<Machine> {
    let mut rom = fs::read(&bench.lab.rom).with_context(|| bench.lab.rom.display().to_string())?;
    inspect::configure(&mut rom, &["pnp=off".to_owned(), format!("hook={hook}")])?;
    let mut machine = bench.machine_with_disk(bench.slirp("", None), &[])?;
    machine.rom = Some(bench.add_file("hook.rom", &rom)?);
    machine.hyperv = None;
    Ok(machine)
}

/// Boots to the disk, and returns what was on the console.
fn disk_boots(bench: &Bench, machine: &Machine) -> Result<String> {
    let mut session = bench.start(machine)?;
    session.expect(disk::DISK_TEXT, BOOT)?;
    Ok(super::finish(session)?.console)
}
