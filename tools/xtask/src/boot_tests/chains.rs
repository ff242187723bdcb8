//! Boot programs that start boot programs, and the ways back to the BIOS.

use anyhow::{Result, ensure};

use super::probed::{Snapshot, at_probe};
use super::{BOOT, Bench, BootTest, finish};
use crate::lab::clients::{compose_grub, compose_syslinux, copy};
use crate::lab::session::Session;

/// The tests of this file.
pub const TESTS: &[BootTest] = &[
    BootTest {
        name: "grub-pxelinux-ipxe-back",
        about: "GRUB, by pxechainloader PXELINUX, by PXE iPXE, from there back to the BIOS's disk",
        run: grub_pxelinux_ipxe,
    },
    BootTest {
        name: "grub-chainloader",
        about: "GRUB unloads the stack without STOP_UNDI and starts a disk: the hooks go on, memory stays hidden",
        run: grub_chainloader,
    },
    BootTest {
        name: "kpxe-exit",
        about: "iPXE that unloads the base code, then UNDI: nothing is left",
        run: kpxe_exit,
    },
    BootTest {
        name: "kkpxe-exit",
        about: "iPXE that keeps the stack returns into it: nothing is left",
        run: kkpxe_exit,
    },
    BootTest {
        name: "ipxe-pxe-exit",
        about: "iPXE that stops the stack takes VMBus for its own driver, and the ROM boots a second time after that",
        run: ipxe_pxe_exit,
    },
];

/// Starts a machine whose network boot is iPXE, which then runs this script.
fn start_ipxe(bench: &Bench, program: &str, script: &str) -> Result<(Session, Snapshot)> {
    let bootfile = copy(&bench.lab.packages.join("usr/lib/ipxe").join(program), bench.files())?;
    bench.add_file("boot.ipxe", script.as_bytes())?;
    let switches = [("boot-file", bootfile.as_str()), ("boot-file.ipxe", "boot.ipxe")];
    bench.start_probed(&bench.probed_machine(bench.server(&switches))?)
}

/// The way back is a boot from the disk: iPXE's `exit` would return to the address on its stack, and GRUB puts none there.
fn grub_pxelinux_ipxe(bench: &Bench) -> Result<()> {
    let packages = &bench.lab.packages;
    copy(&packages.join("usr/lib/ipxe/undionly.kpxe"), bench.files())?;
    bench.add_file("boot.ipxe", b"#!ipxe\necho IPXE IN THE CHAIN\nsanboot --no-describe --drive 0x80\n")?;
    let config = "SAY PXELINUX IN THE CHAIN\nDEFAULT it\nPROMPT 0\nLABEL it\n  PXE undionly.kpxe\n";
    compose_syslinux("pxelinux.0", &[], config, packages, bench.files())?;
    let config = "echo GRUB IN THE CHAIN\npxechainloader (pxe)/pxelinux.0\nboot\n";
    let bootfile = compose_grub(config, packages, bench.files())?;
    let switches = [("boot-file", bootfile.as_str()), ("boot-file.ipxe", "boot.ipxe")];
    let (mut session, _) = bench.start_probed(&bench.probed_machine(bench.server(&switches))?)?;
    for program in ["GRUB", "PXELINUX", "IPXE"] {
        session.expect(&format!("{program} IN THE CHAIN"), BOOT)?;
    }
    // iPXE stays in memory for the disk that it booted, and our UNDI with it.
    at_probe(&mut session, 2)?.hides_what_is_taken()?;
    let report = finish(session)?;
    ensure!(report.console.contains("using undionly"), "iPXE used another driver:\n{}", report.console);
    ensure!(!report.console.contains("Booting from Floppy"), "the chain broke:\n{}", report.console);
    Ok(())
}

fn grub_chainloader(bench: &Bench) -> Result<()> {
    let bootfile = compose_grub("chainloader (hd0)+1\nboot\n", &bench.lab.packages, bench.files())?;
    let (mut session, before) =
        bench.start_probed(&bench.probed_machine(bench.server(&[("boot-file", &bootfile)]))?)?;
    let after = at_probe(&mut session, 2)?;
    after.is_held(&before, 0)?;
    ensure!(after.signatures() == 2, "{} signatures of PXE structures", after.signatures());
    // Whoever comes later may still stop it.
    session.type_text("u")?;
    session.expect("UNLOADED", BOOT)?;
    let unloaded = Snapshot::take(&session)?.found.unloaded;
    ensure!(unloaded == [[0; 2]; 4], "AX and status of the calls: {unloaded:x?}");
    finish(session).map(drop)
}

fn kpxe_exit(bench: &Bench) -> Result<()> {
    let (mut session, before) = start_ipxe(bench, "undionly.kpxe", "#!ipxe\nexit\n")?;
    at_probe(&mut session, 2)?.is_released(&before)?;
    finish(session).map(drop)
}

fn kkpxe_exit(bench: &Bench) -> Result<()> {
    let (mut session, before) = start_ipxe(bench, "undionly.kkpxe", "#!ipxe\nexit\n")?;
    at_probe(&mut session, 2)?.is_released(&before)?;
    finish(session).map(drop)
}

fn ipxe_pxe_exit(bench: &Bench) -> Result<()> {
    let (mut session, before) = start_ipxe(bench, "ipxe.pxe", "#!ipxe\nexit\n")?;
    at_probe(&mut session, 2)?.is_released(&before)?;
    session.type_text("b")?;
    at_probe(&mut session, 3)?;
    session.type_text("n")?;
    at_probe(&mut session, 4)?.is_released(&before)?;
    let report = finish(session)?;
    ensure!(report.console.contains("using netvsc"), "iPXE used another driver:\n{}", report.console);
    Ok(())
}
