//! The disk service: machines that reach their disks through the ROM alone.

use std::fs;

use anyhow::{Context, Result, ensure};

use super::linux::{LINUX, sha256};
use super::{BOOT, Bench, BootTest, find, finish, noise};
use crate::lab::clients::{compose_grub, compose_syslinux};
use crate::lab::disk::DISK_TEXT;
use crate::lab::machine::Machine;
use crate::lab::network::{Network, SERVER};
use crate::lab::{grub_disk, linux};

/// The tests of this file.
pub const TESTS: &[BootTest] = &[
    BootTest {
        name: "disk-grub-linux",
        about: "no network boot, no disk that the BIOS knows: GRUB and Linux from the synthetic disk, by INT 13h",
        run: grub_linux,
    },
    BootTest { name: "disk-localboot", about: "PXELINUX's LOCALBOOT starts the synthetic disk", run: localboot },
    BootTest {
        name: "disk-grub-by-network",
        about: "GRUB from the network reads the synthetic disk by INT 13h, while its own network works",
        run: grub_by_network,
    },
    BootTest { name: "disk-off", about: "without the setting the machine's disks are left alone", run: off },
];

/// Size of the partition in MiB.
const PARTITION_MIB: usize = 16;

/// A machine whose ROM has the disk service, with this disk on the synthetic controller.
fn machine(bench: &Bench, network: Network, disk: &std::path::Path, setting: &str) -> Machine {
    let mut machine = bench.machine(network);
    machine.rom = Some(bench.lab.disk_rom.clone());
    machine.settings = vec![setting.to_owned()];
    if let Some(hyperv) = &mut machine.hyperv {
        hyperv.switches.push(format!("disk={}", disk.display()));
    }
    machine
}

fn grub_linux(bench: &Bench) -> Result<()> {
    let file = noise(300_001, 8);
    let sum = sha256(&file);
    bench.add_file("file.bin", &file)?;
    let script = format!(
        "await /dev/sda1; disk=/dev/sda\n\
         {fetch}\
         mke2fs ${{disk}}1 >/dev/null && mount -t ext4 ${{disk}}1 /mnt || fail mke2fs\n\
         cp /tmp/file /mnt/file && umount /mnt || fail cp\n\
         mount -t ext4 -o ro ${{disk}}1 /mnt && check {sum} /mnt/file && umount /mnt || fail again\n\
         ip link set eth0 down; rmmod hv_netvsc; rmmod hv_storvsc\n\
         echo LINUX IS CONTENT\n\
         sleep 100000\n",
        fetch = linux::fetch(&format!("http://{SERVER}/file.bin"), &sum),
    );
    let kernel = linux::kernel(&bench.lab.packages, bench.files(), &script)?;
    let disk = grub_disk::compose(&kernel, PARTITION_MIB, &bench.lab.packages, bench.files())?;
    let table = bench.add_file("ssdt.aml", &linux::vmbus_ssdt())?;
    // No boot file: the network boot ends at once.
    let base = machine(bench, bench.server(&[]), &disk, "disks=on");
    let machine = Machine { memory_mib: 384, acpi_table: Some(table), ..base };
    let mut session = bench.start(&machine)?;
    session.expect("GRUB CAME FROM THE DISK", BOOT)?;
    session.expect("LINUX IS CONTENT", LINUX)?;
    let report = finish(session)?;
    ensure!(report.log.contains("drive 80h is synthetic disk 0"), "the ROM's log:\n{}", report.log);
    let image = fs::read(&disk).context("can't read the disk's image")?;
    for block in file.chunks_exact(1024) {
        ensure!(find(&image, block).is_some(), "the disk's image does not hold what Linux wrote");
    }
    Ok(())
}

fn localboot(bench: &Bench) -> Result<()> {
    let config = "DEFAULT it\nPROMPT 0\nLABEL it\n  LOCALBOOT 0\n";
    let bootfile = compose_syslinux("pxelinux.0", &[], config, &bench.lab.packages, bench.files())?;
    let disk = bench.second_disk()?;
    let mut session = bench.start(&machine(bench, bench.server(&[("boot-file", &bootfile)]), &disk, "disks=on"))?;
    session.expect(DISK_TEXT, BOOT)?;
    finish(session).map(drop)
}

fn grub_by_network(bench: &Bench) -> Result<()> {
    let config = "cat (hd0)0+1\nsource (pxe)/grub/second.cfg\n";
    let bootfile = compose_grub(config, &bench.lab.packages, bench.files())?;
    bench.add_file("grub/second.cfg", b"echo GRUB STILL HAS ITS NETWORK\nchainloader (hd0)+1\nboot\n")?;
    let disk = bench.second_disk()?;
    let mut session = bench.start(&machine(bench, bench.server(&[("boot-file", &bootfile)]), &disk, "disks=on"))?;
    session.expect("GRUB STILL HAS ITS NETWORK", BOOT)?;
    // Once as text of the sector, once by the sector itself: but for its last letter, which the console shows at the next tick
    // of the clock, and GRUB starts disks with interrupts off.
    session.expect_times(&DISK_TEXT[..DISK_TEXT.len() - 1], 2, BOOT)?;
    finish(session).map(drop)
}

fn off(bench: &Bench) -> Result<()> {
    let disk = bench.second_disk()?;
    let mut session = bench.start(&machine(bench, bench.server(&[]), &disk, "disks=off"))?;
    session.expect("No bootable device", BOOT)?;
    let report = finish(session)?;
    ensure!(!report.console.contains(DISK_TEXT), "the synthetic disk was started:\n{}", report.console);
    Ok(())
}
