//! The other ways to start hvpxe: floppy, hard disk, CD, USB stick, virtual disk, another PXE ROM; and the settings.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use netserver::Event;
use romtool::medium::Medium;

use super::{BOOT, Bench, BootTest, finish};
use crate::images;
use crate::lab::clients::Client;
use crate::lab::disk::DISK_TEXT;
use crate::lab::drives::{Drive, OtherNic};
use crate::lab::machine::Machine;

/// The tests of this file.
pub const TESTS: &[BootTest] = &[
    BootTest { name: "nbp", about: "hvpxe.0, loaded by iPXE on an e1000, unloads it and boots PXELINUX", run: nbp },
    BootTest { name: "nbp-no-nic", about: "hvpxe.0 goes back to iPXE when there is no synthetic NIC", run: nbp_no_nic },
    BootTest { name: "nbp-not-hyperv", about: "hvpxe.0 goes back to iPXE on an ordinary PC", run: nbp_not_hyperv },
    BootTest { name: "floppy", about: "hvpxe.img as a floppy: PXELINUX, and on to the next device", run: floppy },
    BootTest { name: "hard-disk", about: "hvpxe.img as a hard disk: likewise", run: hard_disk },
    BootTest { name: "iso", about: "hvpxe.iso as a CD: likewise", run: cd },
    BootTest { name: "vhd", about: "hvpxe.vhd as a disk: likewise", run: vhd },
    BootTest { name: "floppy-not-hyperv", about: "hvpxe.img as a floppy of an ordinary PC", run: floppy_not_hyperv },
    BootTest { name: "iso-not-hyperv", about: "hvpxe.iso as a CD of an ordinary PC", run: cd_not_hyperv },
    BootTest { name: "iso-on-usb", about: "hvpxe.iso as a USB stick of an ordinary PC", run: usb_not_hyperv },
    BootTest { name: "vhd-not-hyperv", about: "hvpxe.vhd as a disk of an ordinary PC", run: vhd_not_hyperv },
    BootTest { name: "settings-enabled", about: "a floppy with enabled=off says so and leaves", run: settings_enabled },
    BootTest {
        name: "settings-quiet",
        about: "quiet=on: the screen stays empty, the log does not",
        run: settings_quiet,
    },
    BootTest {
        name: "settings-waits",
        about: "serial-log=com2 dhcp-wait=6: the log is on COM2, and DHCP is given up after two attempts",
        run: settings_waits,
    },
    BootTest { name: "settings-serial-log", about: "serial-log=com1: the log is on COM1", run: settings_serial_log },
    BootTest {
        name: "settings-fw-cfg",
        about: "settings by QEMU's fw_cfg go over those of the ROM",
        run: settings_fw_cfg,
    },
];

/// What the ROM says on an ordinary PC, on a Hyper-V machine without a NIC, and when it is switched off.
const NOT_HYPERV: &str = "Not a Hyper-V machine";
const NO_NIC: &str = "PXE-E";
const SWITCHED_OFF: &str = "hvpxe is switched off";
/// What iPXE says when its boot program has come back.
const PARENT_GOES_ON: &str = "No more network devices";
/// PXELINUX asks, and `disk` returns to whoever started it (PXE 2.1: AX = 0).
const PXELINUX_CONFIG: &str = "DEFAULT disk\nPROMPT 1\nTIMEOUT 0\nLABEL disk\n  LOCALBOOT 0\n";

/// Where a PXE stack may publish itself: base memory above the BIOS's own.
const BASE_MEMORY: std::ops::Range<usize> = 0x1_0000..0xa_0000;
/// BIOS data area: KiB of base memory; and what SeaBIOS has there without anybody's PXE stack.
const BDA_BASE_MEMORY: usize = 0x413;
const BASE_MEMORY_KIB: u16 = 639;
/// Length of the `!PXE` structure (PXE 2.1).
const BANG_PXE_LEN: usize = 0x58;

/// Puts an image with these settings into the bench's directory.
fn image(bench: &Bench, medium: Medium, settings: &[&str]) -> Result<PathBuf> {
    let mut image = images::build_one(medium, &bench.lab.full.elf, &bench.lab.full.rom)?;
    let settings: Vec<_> = settings.iter().map(|setting| (*setting).to_owned()).collect();
    romtool::inspect::configure(&mut image, &settings)?;
    bench.add_file(medium.file_name(), &image)
}

/// A Hyper-V machine that boots from this drive, then from `next`, and has PXELINUX on its network.
fn machine(bench: &Bench, drive: Drive, next: fn(PathBuf) -> Drive) -> Result<Machine> {
    let bootfile = Client::Pxelinux.compose(&bench.lab.packages, bench.files())?;
    fs::write(bench.files().join("pxelinux.cfg/default"), PXELINUX_CONFIG)?;
    let drives = vec![drive, next(bench.second_disk()?)];
    Ok(Machine { rom: None, drives, ..bench.machine(bench.slirp(&bootfile, None)) })
}

/// Boots PXELINUX, which then returns: the BIOS must boot its next device, and base memory must be whole again.
fn boots_and_comes_back(bench: &Bench, machine: &Machine) -> Result<()> {
    let mut session = bench.start_with_keyboard(machine)?;
    session.expect("boot:", BOOT)?;
    let ram = fs::read(session.ram()).context("can't read the guest's RAM")?;
    let stacks = pxe_stacks(&ram);
    ensure!(stacks.len() == 1, "while PXELINUX runs, there are PXE stacks at {stacks:x?}; one is right");
    session.type_text("disk\r")?;
    session.expect(DISK_TEXT, BOOT)?;
    let ram = fs::read(session.ram()).context("can't read the guest's RAM")?;
    let stacks = pxe_stacks(&ram);
    ensure!(stacks.is_empty(), "after the boot there are PXE stacks at {stacks:x?}; none is right");
    let base = u16::from_le_bytes([ram[BDA_BASE_MEMORY], ram[BDA_BASE_MEMORY + 1]]);
    ensure!(base == BASE_MEMORY_KIB, "after the boot there are {base} KiB of base memory, not {BASE_MEMORY_KIB}");
    finish(session).map(drop)
}

/// Addresses of all intact `!PXE` structures in base memory.
fn pxe_stacks(ram: &[u8]) -> Vec<usize> {
    let is_intact = |at: &usize| {
        ram.get(*at..at + BANG_PXE_LEN).is_some_and(|structure| {
            structure.starts_with(b"!PXE")
                && usize::from(structure[4]) == BANG_PXE_LEN
                && structure.iter().fold(0, |sum: u8, byte| sum.wrapping_add(*byte)) == 0
        })
    };
    BASE_MEMORY.step_by(16).filter(is_intact).collect()
}

/// Boots an ordinary PC: the text, then the next device.
fn says_and_leaves(bench: &Bench, drive: Drive, next: fn(PathBuf) -> Drive, text: &str) -> Result<()> {
    let machine = Machine { hyperv: None, ..machine(bench, drive, next)? };
    bench.falls_through(&machine, &[text], BOOT).map(drop)
}

fn floppy(bench: &Bench) -> Result<()> {
    let drive = Drive::Floppy(image(bench, Medium::Floppy, &[])?);
    boots_and_comes_back(bench, &machine(bench, drive, Drive::Disk)?)
}

fn hard_disk(bench: &Bench) -> Result<()> {
    let drive = Drive::Disk(image(bench, Medium::Floppy, &[])?);
    boots_and_comes_back(bench, &machine(bench, drive, Drive::Floppy)?)
}

fn cd(bench: &Bench) -> Result<()> {
    let drive = Drive::Cd(image(bench, Medium::Iso, &[])?);
    boots_and_comes_back(bench, &machine(bench, drive, Drive::Disk)?)
}

fn vhd(bench: &Bench) -> Result<()> {
    let drive = Drive::Vhd(image(bench, Medium::Vhd, &[])?);
    boots_and_comes_back(bench, &machine(bench, drive, Drive::Floppy)?)
}

fn floppy_not_hyperv(bench: &Bench) -> Result<()> {
    says_and_leaves(bench, Drive::Floppy(image(bench, Medium::Floppy, &[])?), Drive::Disk, NOT_HYPERV)
}

fn cd_not_hyperv(bench: &Bench) -> Result<()> {
    says_and_leaves(bench, Drive::Cd(image(bench, Medium::Iso, &[])?), Drive::Disk, NOT_HYPERV)
}

fn usb_not_hyperv(bench: &Bench) -> Result<()> {
    says_and_leaves(bench, Drive::Usb(image(bench, Medium::Iso, &[])?), Drive::Floppy, NOT_HYPERV)
}

fn vhd_not_hyperv(bench: &Bench) -> Result<()> {
    says_and_leaves(bench, Drive::Vhd(image(bench, Medium::Vhd, &[])?), Drive::Floppy, NOT_HYPERV)
}

/// A machine with iPXE on another NIC, which loads hvpxe.0.
fn chained(bench: &Bench) -> Result<Machine> {
    image(bench, Medium::Nbp, &[])?;
    let machine = machine(bench, Drive::Disk(bench.second_disk()?), Drive::Floppy)?;
    let other_nic = OtherNic {
        device: "e1000",
        rom: bench.lab.packages.join("usr/share/qemu/pxe-e1000.rom"),
        files: bench.files().to_owned(),
        bootfile: Medium::Nbp.file_name().to_owned(),
    };
    Ok(Machine { other_nic: Some(other_nic), ..machine })
}

fn nbp(bench: &Bench) -> Result<()> {
    boots_and_comes_back(bench, &chained(bench)?)
}

fn nbp_no_nic(bench: &Bench) -> Result<()> {
    let mut machine = chained(bench)?;
    if let Some(hyperv) = &mut machine.hyperv {
        hyperv.switches.push("no_nic=on".to_owned());
    }
    bench.falls_through(&machine, &[NO_NIC, PARENT_GOES_ON], BOOT).map(drop)
}

fn nbp_not_hyperv(bench: &Bench) -> Result<()> {
    let machine = Machine { hyperv: None, ..chained(bench)? };
    bench.falls_through(&machine, &[NOT_HYPERV, PARENT_GOES_ON], BOOT).map(drop)
}

fn settings_enabled(bench: &Bench) -> Result<()> {
    let drive = Drive::Floppy(image(bench, Medium::Floppy, &["enabled=off"])?);
    says_and_leaves(bench, drive, Drive::Disk, SWITCHED_OFF)
}

fn settings_quiet(bench: &Bench) -> Result<()> {
    let drive = Drive::Floppy(image(bench, Medium::Floppy, &["quiet=on"])?);
    let mut session = bench.start(&machine(bench, drive, Drive::Disk)?)?;
    session.expect("boot:", BOOT)?;
    let report = finish(session)?;
    ensure!(!report.console.contains("hvpxe"), "this is not quiet:\n{}", report.console);
    ensure!(report.log.contains("pxelinux.0"), "the log has nothing of it:\n{}", report.log);
    Ok(())
}

fn settings_serial_log(bench: &Bench) -> Result<()> {
    let drive = Drive::Floppy(image(bench, Medium::Floppy, &["quiet=on", "serial-log=com1"])?);
    let mut session = bench.start(&machine(bench, drive, Drive::Disk)?)?;
    session.expect("boot:", BOOT)?;
    let report = finish(session)?;
    for line in report.log.lines().filter(|line| line.starts_with("hvpxe: ")) {
        ensure!(report.console.contains(line), "`{line}` of the log is not on COM1:\n{}", report.console);
    }
    ensure!(report.log.contains("hvpxe: "), "the log is empty:\n{}", report.log);
    Ok(())
}

fn settings_fw_cfg(bench: &Bench) -> Result<()> {
    let mut machine = bench.machine_with_disk(bench.slirp("", None), &[])?;
    machine.settings = vec!["serial-log=com1".to_owned(), "enabled=off".to_owned()];
    let report = bench.falls_through(&machine, &[SWITCHED_OFF], BOOT)?;
    ensure!(report.console.contains("hvpxe: core at"), "the log is not on COM1:\n{}", report.console);
    Ok(())
}

/// DHCP message type (RFC 2132, option 53).
const DISCOVER: u8 = 1;

fn settings_waits(bench: &Bench) -> Result<()> {
    let mut machine = bench.machine_with_disk(bench.server(&[("dhcp.fault", "silent")]), &[])?;
    machine.settings = vec!["serial-log=com2".to_owned(), "dhcp-wait=6".to_owned()];
    let report = bench.falls_through(&machine, &["PXE-E51"], BOOT)?;
    let discovers = report.events.iter().filter(|event| matches!(event, Event::Dhcp(DISCOVER))).count();
    ensure!(discovers == 2, "{discovers} DISCOVERs in six seconds");
    ensure!(report.com2.contains("hvpxe: core at"), "the log is not on COM2:\n{}", report.com2);
    ensure!(!report.console.contains("hvpxe: core at"), "the log is on COM1:\n{}", report.console);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_intact_structures_count() {
        let mut ram = vec![0; 0xa_0000];
        let mut structure = [0; BANG_PXE_LEN];
        structure[..5].copy_from_slice(b"!PXE\x58");
        structure[5] = structure.iter().fold(0, |sum: u8, byte| sum.wrapping_add(*byte)).wrapping_neg();
        ram[0x9_c020..][..BANG_PXE_LEN].copy_from_slice(&structure);
        ram[0x9_0000..][..BANG_PXE_LEN].copy_from_slice(&structure);
        ram[0x9_0005] ^= 1;
        assert_eq!(pxe_stacks(&ram), [0x9_c020]);
    }
}
