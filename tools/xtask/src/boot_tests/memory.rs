//! What the ROM takes from the machine, what it tells programs about it, and what it gives back.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use romtool::settings::Settings;

use super::probed::{Snapshot, at_probe};
use super::{BOOT, Bench, BootTest, finish};
use crate::lab::clients::{compose_grub, compose_syslinux, copy};
use crate::lab::machine::Machine;

/// The tests of this file.
pub const TESTS: &[BootTest] = &[
    BootTest {
        name: "nbp-returns",
        about: "a boot program returns with 0, an error, 4 and 5, boot after boot in one POST",
        run: nbp_returns,
    },
    BootTest {
        name: "boot-again",
        about: "the first attempt fails, the boot entry is tried again in the same POST, and boots",
        run: boot_again,
    },
    BootTest {
        name: "rom-area",
        about: "the option-ROM area is the same after POST and when a boot program runs",
        run: rom_area,
    },
    BootTest {
        name: "no-pmm",
        about: "without PMM: INT 15h hides the core's block from E820h, E801h and 88h",
        run: without_pmm,
    },
    BootTest {
        name: "no-pmm-linux",
        about: "without PMM: Linux, started by PXELINUX beside the stack, keeps off the core's block",
        run: without_pmm_linux,
    },
    BootTest {
        name: "no-pmm-grub-linux",
        about: "without PMM: Linux, started by GRUB, which leaves the hooks, keeps off the core's block",
        run: without_pmm_grub_linux,
    },
];

/// `PXENV_STATUS` values that a boot program may return.
const RETURNED: [(&str, bool); 5] = [("0", false), ("7", false), ("4", true), ("5", true), ("0", false)];

fn nbp_returns(bench: &Bench) -> Result<()> {
    bench.add_file("probe.0", &bench.probe()?)?;
    let (mut session, before) =
        bench.start_probed(&bench.probed_machine(bench.server(&[("boot-file", "probe.0")]))?)?;
    let (mut probes, mut already) = (1, 0);
    for (verdict, is_kept) in RETURNED {
        probes += 1;
        at_probe(&mut session, probes)?.is_held(&before, already)?;
        session.type_text(verdict)?;
        // It goes on with the floppy.
        probes += 1;
        let after = at_probe(&mut session, probes)?;
        let held = before.found.base_memory - after.found.base_memory;
        if is_kept {
            after.is_held(&before, already)?;
            already = held;
        }
        ensure!(held == already, "returned {verdict}: {held} KiB are held, {already} before");
        if already == 0 {
            after.is_released(&before)?;
        }
        session.type_text("b")?;
        probes += 1;
        at_probe(&mut session, probes)?;
        session.type_text("n")?;
    }
    let report = finish(session)?;
    ensure!(report.console.contains("The boot program failed: 0x0007"), "no word of the error:\n{}", report.console);
    Ok(())
}

fn boot_again(bench: &Bench) -> Result<()> {
    let (mut session, before) =
        bench.start_probed(&bench.probed_machine(bench.server(&[("boot-file", "probe.0")]))?)?;
    at_probe(&mut session, 2)?.is_released(&before)?;
    bench.add_file("probe.0", &bench.probe()?)?;
    session.type_text("b")?;
    at_probe(&mut session, 3)?.is_released(&before)?;
    session.type_text("n")?;
    at_probe(&mut session, 4)?.is_held(&before, 0)?;
    let report = finish(session)?;
    ensure!(report.console.contains("PXE-E3B"), "the first attempt did not fail:\n{}", report.console);
    Ok(())
}

/// Where SeaBIOS puts option ROMs. What follows, up to F0000, are its own variables: they change while it works.
const ROM_AREA: std::ops::Range<usize> = 0xc_0000..0xe_8000;

fn rom_area(bench: &Bench) -> Result<()> {
    bench.add_file("probe.0", &bench.probe()?)?;
    let (mut session, before) =
        bench.start_probed(&bench.probed_machine(bench.server(&[("boot-file", "probe.0")]))?)?;
    let running = at_probe(&mut session, 2)?;
    finish(session)?;
    let differs: Vec<_> = ROM_AREA.filter(|at| before.memory[*at] != running.memory[*at]).collect();
    ensure!(differs.is_empty(), "bytes that differ: {differs:x?}");
    Ok(())
}

/// The ROM, set to take its memory as on a BIOS without PMM.
fn rom_without_pmm(bench: &Bench) -> Result<PathBuf> {
    let mut rom = fs::read(&bench.lab.rom).context("can't read the ROM")?;
    let mut settings = Settings::default();
    settings.set("without-pmm=on")?;
    romtool::pack::configure(&mut rom, settings)?;
    bench.add_file("without-pmm.rom", &rom)
}

/// Address of the core's block, from the ROM's log.
fn core_block(log: &str) -> Result<u64> {
    let (_, rest) = log.split_once("core at 0x").context("the ROM's log does not say where the core is")?;
    let digits = rest.split(',').next().unwrap_or_default();
    u64::from_str_radix(digits, 16).with_context(|| format!("no address: {digits}"))
}

fn without_pmm(bench: &Bench) -> Result<()> {
    bench.add_file("probe.0", &bench.probe()?)?;
    let mut machine = bench.probed_machine(bench.server(&[("boot-file", "probe.0")]))?;
    machine.rom = Some(rom_without_pmm(bench)?);
    // Little enough that all of it is below 64 MiB, where 88h and E801h still tell exactly.
    machine.memory_mib = 48;
    let (mut session, before) = bench.start_probed(&machine)?;
    let running = at_probe(&mut session, 2)?;
    running.is_held(&before, 0)?;
    session.type_text("0")?;
    at_probe(&mut session, 3)?.is_released(&before)?;
    let core = core_block(&finish(session)?.log)?;
    hides(&running, core)?;
    ensure!(before.found.ram_between(core, core + 4096) == 4096, "the core is not in what was RAM before");
    Ok(())
}

/// Checks that none of the BIOS's three maps has RAM at or behind this address.
fn hides(running: &Snapshot, core: u64) -> Result<()> {
    let found = &running.found;
    ensure!(found.ram_between(core, 1 << 32) == 0, "E820h has RAM behind {core:#x}: {:x?}", found.map);
    let by_e801 = (16 << 20) + u64::from(found.e801.above_16_mib) * 0x1_0000;
    ensure!(found.e801.below_16_mib == 15 * 1024, "E801h has {} KiB below 16 MiB", found.e801.below_16_mib);
    ensure!(by_e801 <= core && by_e801 + 0x1_0000 > core, "E801h has RAM up to {by_e801:#x}, the core is at {core:#x}");
    let by_88 = (1 << 20) + u64::from(found.ah88) * 1024;
    ensure!(by_88 <= core && by_88 + 1024 > core, "88h has RAM up to {by_88:#x}, the core is at {core:#x}");
    Ok(())
}

/// Linux's arguments: its messages on the console, and an end.
const LINUX: &str = "console=ttyS0,115200 panic=-1";

fn add_linux(bench: &Bench) -> Result<String> {
    let boot = bench.lab.packages.join("boot");
    let kernel = fs::read_dir(&boot)?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .find(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("vmlinuz-")));
    copy(&kernel.with_context(|| format!("no kernel in {}", boot.display()))?, bench.files())
}

/// Boots Linux and checks its map of memory against where the core is.
fn keeps_off_the_core(bench: &Bench, bootfile: &str) -> Result<()> {
    let machine =
        Machine { rom: Some(rom_without_pmm(bench)?), ..bench.machine(bench.server(&[("boot-file", bootfile)])) };
    let mut session = bench.start(&machine)?;
    session.expect("BIOS-e820", BOOT)?;
    session.expect("Hypervisor detected: Microsoft Hyper-V", BOOT)?;
    let report = finish(session)?;
    let core = core_block(&report.log)?;
    let ranges = usable_ranges(&report.console);
    ensure!(ranges.len() >= 2, "Linux's map of memory is not on the console:\n{}", report.console);
    let inside = ranges.iter().find(|(_, end)| *end >= core);
    ensure!(inside.is_none(), "Linux uses {inside:x?}, and the core is at {core:#x}");
    let highest = ranges.iter().map(|(_, end)| end + 1).max();
    ensure!(highest == Some(core), "Linux uses RAM up to {highest:x?} only, and the core is at {core:#x}");
    Ok(())
}

/// From lines such as `BIOS-e820: [mem 0x0000000000100000-0x0000000007fdffff] usable`.
fn usable_ranges(console: &str) -> Vec<(u64, u64)> {
    let number = |text: &str| u64::from_str_radix(text.strip_prefix("0x")?, 16).ok();
    let range = |line: &str| {
        let (start, rest) = line.split_once("BIOS-e820: [mem ")?.1.split_once('-')?;
        let (end, kind) = rest.split_once(']')?;
        (kind.trim() == "usable").then_some((number(start)?, number(end)?))
    };
    console.lines().filter_map(range).collect()
}

fn without_pmm_linux(bench: &Bench) -> Result<()> {
    let kernel = add_linux(bench)?;
    let config = format!("DEFAULT it\nPROMPT 0\nLABEL it\n  KERNEL {kernel}\n  APPEND keeppxe {LINUX}\n");
    let bootfile = compose_syslinux("pxelinux.0", &[], &config, &bench.lab.packages, bench.files())?;
    keeps_off_the_core(bench, &bootfile)
}

fn without_pmm_grub_linux(bench: &Bench) -> Result<()> {
    let kernel = add_linux(bench)?;
    let config = format!("linux (pxe)/{kernel} {LINUX}\nboot\n");
    let bootfile = compose_grub(&config, &bench.lab.packages, bench.files())?;
    keeps_off_the_core(bench, &bootfile)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn linux_messages_are_read() {
        let console = "[    0.0] BIOS-e820: [mem 0x0000000000000000-0x000000000009fbff] usable\n\
                       [    0.0] BIOS-e820: [mem 0x00000000000f0000-0x00000000000fffff] reserved\n";
        assert_eq!(usable_ranges(console), [(0, 0x9fbff)]);
    }

    #[test]
    fn the_core_is_found_in_the_log() {
        assert_eq!(core_block("x\ncore at 0x7ec0000, resident block at 0x9c400\n").unwrap(), 0x7ec_0000);
        assert!(core_block("").is_err());
    }
}
