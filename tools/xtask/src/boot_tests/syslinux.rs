//! PXELINUX and what it starts: disks, disk images, other boot programs, a memory tester.

use anyhow::{Result, ensure};

use super::probed::{FLOPPY_LEN, Snapshot, at_probe};
use super::{BOOT, Bench, BootTest, finish};
use crate::lab::clients::{compose_syslinux, copy};
use crate::lab::session::Session;

/// The tests of this file.
pub const TESTS: &[BootTest] = &[
    BootTest {
        name: "chain-c32",
        about: "PXELINUX unloads the stack and starts a disk: memory and interrupts are as before",
        run: chain_c32,
    },
    BootTest { name: "localboot", about: "LOCALBOOT 0, 4, 5 and -1 back to the BIOS's next disk", run: localboot },
    BootTest { name: "memdisk", about: "memdisk boots a floppy image, the stack is gone", run: memdisk },
    BootTest {
        name: "memdisk-keeppxe",
        about: "memdisk hooks above the stack that is kept: STOP_UNDI says KEEP_UNDI",
        run: memdisk_keeps_pxe,
    },
    BootTest {
        name: "pxechn",
        about: "pxechn.c32 changes the cached packets and starts a second PXELINUX, which finds the changes",
        run: pxechn,
    },
    BootTest { name: "memtest", about: "PXELINUX loads memtest86+", run: memtest },
];

/// `PXENV_STATUS_KEEP_UNDI` (PXE 2.1), with `PXENV_EXIT_FAILURE` in AX.
const KEEP_UNDI: [u16; 2] = [1, 4];
const SUCCESS: [u16; 2] = [0, 0];

/// A configuration that starts the one label at once.
pub fn config(label: &str) -> String {
    format!("DEFAULT it\nPROMPT 0\nLABEL it\n{label}\n")
}

/// Starts a machine whose network boot is PXELINUX with this configuration.
pub fn start(bench: &Bench, modules: &[&str], config: &str) -> Result<(Session, Snapshot)> {
    let bootfile = compose_syslinux("pxelinux.0", modules, config, &bench.lab.packages, bench.files())?;
    bench.start_probed(&bench.probed_machine(bench.server(&[("boot-file", &bootfile)]))?)
}

fn chain_c32(bench: &Bench) -> Result<()> {
    let config = config("  KERNEL chain.c32\n  APPEND hd0");
    let (mut session, before) = start(bench, &["chain.c32"], &config)?;
    let after = at_probe(&mut session, 2)?;
    after.is_released(&before)?;
    ensure!(after.signatures() == 0, "{} signatures of PXE structures are left", after.signatures());
    is_not_the_floppy(session)
}

/// Ends a machine on which the probe must not have come from the floppy, the BIOS's next boot device.
fn is_not_the_floppy(session: Session) -> Result<()> {
    let console = finish(session)?.console;
    ensure!(!console.contains("Booting from Floppy"), "the boot program gave up:\n{console}");
    Ok(())
}

/// PXELINUX returns with the number in AX, or calls INT 18h for -1, which the ROM takes for a return with 0. 4 and 5 say that
/// the stack is to stay: then the next boot finds less memory, and all that is taken must be told to programs.
fn localboot(bench: &Bench) -> Result<()> {
    let labels = ["0", "4", "5", "-1"].map(|kind| format!("LABEL {kind}\n  LOCALBOOT {kind}\n"));
    let (mut session, before) = start(bench, &[], &format!("PROMPT 1\n{}", labels.concat()))?;
    let mut probes = 1;
    let mut already = 0;
    let kinds = [("0", false), ("4", true), ("5", true), ("-1", false), ("0", false)];
    for (boot, (kind, is_kept)) in kinds.into_iter().enumerate() {
        session.expect_times("boot: ", boot + 1, BOOT)?;
        session.type_text(&format!("{kind}\r"))?;
        probes += 1;
        let after = at_probe(&mut session, probes)?;
        if is_kept {
            after.is_held(&before, already)?;
        }
        let held = before.found.base_memory - after.found.base_memory;
        ensure!(is_kept || held == already, "LOCALBOOT {kind}: {held} KiB are held, {already} before");
        already = held;
        if already == 0 {
            after.is_released(&before)?;
        }
        // The boot order once more: the first disk, then the network.
        session.type_text("b")?;
        probes += 1;
        at_probe(&mut session, probes)?;
        session.type_text("n")?;
    }
    finish(session).map(drop)
}

pub fn add_floppy(bench: &Bench) -> Result<()> {
    let mut floppy = bench.probe()?;
    floppy.resize(FLOPPY_LEN, 0);
    bench.add_file("floppy.img", &floppy)?;
    copy(&bench.lab.packages.join("usr/lib/syslinux/memdisk"), bench.files()).map(drop)
}

fn memdisk(bench: &Bench) -> Result<()> {
    add_floppy(bench)?;
    let config = config("  KERNEL memdisk\n  INITRD floppy.img");
    let (mut session, before) = start(bench, &[], &config)?;
    let after = at_probe(&mut session, 2)?;
    // memdisk has taken memory and interrupts for itself.
    after.hides_what_is_taken()?;
    ensure!(after.found.pxenv.is_none() && after.signatures() == 0, "PXE is still there");
    ensure!(after.found.base_memory + 10 > before.found.base_memory, "the stack's memory has not come back");
    let report = finish(session)?;
    ensure!(report.console.contains("MEMDISK"), "no word of memdisk:\n{}", report.console);
    Ok(())
}

fn memdisk_keeps_pxe(bench: &Bench) -> Result<()> {
    add_floppy(bench)?;
    let config = config("  KERNEL memdisk\n  INITRD floppy.img\n  APPEND keeppxe");
    let (mut session, _) = start(bench, &[], &config)?;
    let running = at_probe(&mut session, 2)?;
    ensure!(running.found.pxenv.is_some(), "INT 1Ah AX=5650h is not answered");
    running.hides_what_is_taken()?;
    session.type_text("u")?;
    session.expect("UNLOADED", BOOT)?;
    let unloaded = Snapshot::take(&session)?.found.unloaded;
    ensure!(unloaded == [SUCCESS, SUCCESS, SUCCESS, KEEP_UNDI], "AX and status of the calls: {unloaded:x?}");
    finish(session).map(drop)
}

fn pxechn(bench: &Bench) -> Result<()> {
    bench.add_file("second.cfg", b"SAY THE SECOND PXELINUX\nPROMPT 1\n")?;
    let config = config("  KERNEL pxechn.c32\n  APPEND 10.0.2.2::pxelinux.0 -c second.cfg");
    let (mut session, _) = start(bench, &["pxechn.c32"], &config)?;
    session.expect("THE SECOND PXELINUX", BOOT)?;
    finish(session).map(drop)
}

fn memtest(bench: &Bench) -> Result<()> {
    copy(&bench.lab.packages.join("boot/memtest86+x64.bin"), bench.files())?;
    let config = config("  LINUX memtest86+x64.bin\n  APPEND console=ttyS0,115200");
    let (mut session, _) = start(bench, &[], &config)?;
    session.expect("Memtest86+", BOOT)?;
    session.expect("Testing", BOOT)?;
    finish(session).map(drop)
}
