//! A BIOS whose disk nobody can stand in for: every way back to it is a start of the machine from the beginning, without the
//! network.

use anyhow::{Result, ensure};
use parties::disk::WORKS;
use parties::options::{Kind, Rom};

use super::owner::programs;
use super::{BOOT, Bench, BootTest, finish};
use crate::lab::clients::compose_syslinux;
use crate::lab::network::Network;

/// The tests of this file.
pub const TESTS: &[BootTest] = &[
    BootTest {
        name: "restart-network-fails",
        about: "a ROM without the disk service has taken VMBus from a BIOS, and the network boot fails",
        run: network_fails,
    },
    BootTest { name: "restart-int13", about: "the same, and the boot program reads the BIOS's disk", run: int13 },
    BootTest {
        name: "restart-alike",
        about: "the BIOS has two disks that look alike: neither is stood in for",
        run: alike,
    },
];

const LOST: &str = "the BIOS has lost its drive 80h";
const STARTS_ANEW: &str = "starting the machine anew";
const LEFT_OUT: &str = "the network boot is left out once";

/// Boots a machine whose BIOS has this many disks behind VMBus, all the same, up to the boot sector's last word.
fn restarts(bench: &Bench, network: Network, has_disk_service: bool, disks: usize) -> Result<()> {
    let programs = programs()?;
    let party = programs.option_rom(&Rom { kind: Kind::Naive, ..Rom::default() })?;
    let mut machine = bench.machine(network);
    machine.restarts = true;
    machine.other_roms.push(bench.add_file("party-bios.rom", &party)?);
    if has_disk_service {
        machine.rom = Some(bench.lab.disk_rom.clone());
    }
    for number in 0..disks {
        let disk = bench.add_file(&format!("disk{number}.img"), &programs.disk())?;
        if let Some(hyperv) = &mut machine.hyperv {
            hyperv.switches.push(format!("disk={}", disk.display()));
        }
    }
    let mut session = bench.start(&machine)?;
    session.expect(LOST, BOOT)?;
    session.expect(STARTS_ANEW, BOOT)?;
    session.expect(LEFT_OUT, BOOT)?;
    session.expect(WORKS, BOOT)?;
    let report = finish(session)?;
    ensure!(report.console.matches(STARTS_ANEW).count() == 1, "more than one restart:\n{}", report.console);
    Ok(())
}

fn network_fails(bench: &Bench) -> Result<()> {
    restarts(bench, bench.server(&[("boot-file", "missing.0")]), false, 1)
}

fn int13(bench: &Bench) -> Result<()> {
    let config = "DEFAULT it\nPROMPT 0\nLABEL it\n  KERNEL chain.c32\n  APPEND hd0\n";
    let bootfile = compose_syslinux("pxelinux.0", &["chain.c32"], config, &bench.lab.packages, bench.files())?;
    restarts(bench, bench.server(&[("boot-file", &bootfile)]), false, 1)
}

fn alike(bench: &Bench) -> Result<()> {
    restarts(bench, bench.server(&[("boot-file", "missing.0")]), true, 2)
}
