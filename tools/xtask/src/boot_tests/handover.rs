//! Linux takes VMBus over from the ROM: loaded over the network by each of the usual boot programs, it brings up its own
//! drivers for the card and the disks, and finds nothing of ours in its way.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::linux::{LINUX, sha256};
use super::{Bench, BootTest, find, finish, noise};
use crate::lab::clients::{compose_grub, compose_syslinux, copy};
use crate::lab::linux;
use crate::lab::machine::{Kernel, Machine};
use crate::lab::network::SERVER;

/// The tests of this file.
pub const TESTS: &[BootTest] = &[
    BootTest { name: "handover-pxelinux", about: "PXELINUX unloads the stack and starts Linux", run: pxelinux },
    BootTest {
        name: "handover-pxelinux-keeppxe",
        about: "PXELINUX leaves the stack as it is and starts Linux",
        run: pxelinux_keeps_pxe,
    },
    BootTest { name: "handover-grub", about: "GRUB starts Linux", run: grub },
    BootTest { name: "handover-ipxe", about: "iPXE on our UNDI starts Linux", run: ipxe },
    BootTest {
        name: "handover-disk-service",
        about: "PXELINUX starts Linux while the ROM serves the disks, and keeps the stack",
        run: with_disk_service,
    },
];

/// Time for 20 MB of kernel and initial RAM disk, and then for Linux (policy).
const LONG: Duration = LINUX.saturating_add(Duration::from_secs(120));
/// Size of the disk in MiB.
const DISK_MIB: usize = 16;

/// Boots a machine, and has Linux do its work: a lease, a file by HTTP, a file system on the disk. `compose` gets Linux's
/// command line and makes the boot program and the server's switches; the server has `vmlinuz` and `initrd`.
fn hands_over(
    bench: &Bench,
    has_disk_service: bool,
    compose: impl FnOnce(&str) -> Result<Vec<(&'static str, String)>>,
) -> Result<()> {
    let file = noise(300_001, 8);
    let sum = sha256(&file);
    bench.add_file("file.bin", &file)?;
    let disk = bench.add_file("work.img", &vec![0; DISK_MIB << 20])?;
    let script = format!(
        "{fetch}\
         disk {blocks}\n\
         mke2fs $disk >/dev/null && mount -t ext4 $disk /mnt || fail mke2fs\n\
         cp /tmp/file /mnt/file && umount /mnt || fail cp\n\
         mount -t ext4 -o ro $disk /mnt && check {sum} /mnt/file && umount /mnt || fail again\n\
         ip link set eth0 down; rmmod hv_netvsc; rmmod hv_storvsc\n\
         echo LINUX IS CONTENT\n\
         sleep 100000\n",
        fetch = linux::fetch(&format!("http://{SERVER}/file.bin"), &sum),
        blocks = DISK_MIB << 11,
    );
    let Kernel { image, command_line, .. } = linux::kernel(&bench.lab.packages, bench.files(), &script)?;
    fs::copy(&image, bench.files().join("vmlinuz")).context("can't copy the kernel")?;
    let switches = compose(&command_line)?;
    let switches: Vec<_> = switches.iter().map(|(key, value)| (*key, value.as_str())).collect();
    let table = bench.add_file("ssdt.aml", &linux::vmbus_ssdt())?;
    let base = bench.machine(bench.server(&switches));
    let mut machine = Machine { memory_mib: 512, acpi_table: Some(table), ..base };
    if let Some(hyperv) = &mut machine.hyperv {
        hyperv.switches.push(format!("disk={}", disk.display()));
    }
    if has_disk_service {
        machine.rom = Some(bench.lab.disk_rom.clone());
        machine.settings = vec!["disks=on".to_owned()];
    }
    let mut session = bench.start(&machine)?;
    session.expect("LINUX IS CONTENT", LONG)?;
    let report = finish(session)?;
    ensure!(report.console.contains("hvpxe"), "the ROM did not boot:\n{}", report.console);
    let image = fs::read(&disk).context("can't read the disk's image")?;
    for block in file.chunks_exact(1024) {
        ensure!(find(&image, block).is_some(), "the disk's image does not hold what Linux wrote");
    }
    Ok(())
}

fn by_pxelinux(bench: &Bench, has_disk_service: bool, more: &str) -> Result<()> {
    hands_over(bench, has_disk_service, |arguments| {
        let config =
            format!("DEFAULT it\nPROMPT 0\nLABEL it\n  KERNEL vmlinuz\n  INITRD initrd\n  APPEND {arguments}{more}\n");
        let bootfile = compose_syslinux("pxelinux.0", &[], &config, &bench.lab.packages, bench.files())?;
        Ok(vec![("boot-file", bootfile)])
    })
}

fn pxelinux(bench: &Bench) -> Result<()> {
    by_pxelinux(bench, false, "")
}

fn pxelinux_keeps_pxe(bench: &Bench) -> Result<()> {
    by_pxelinux(bench, false, " keeppxe")
}

fn with_disk_service(bench: &Bench) -> Result<()> {
    by_pxelinux(bench, true, " keeppxe")
}

fn grub(bench: &Bench) -> Result<()> {
    hands_over(bench, false, |arguments| {
        let config = format!("linux (pxe)/vmlinuz {arguments}\ninitrd (pxe)/initrd\nboot\n");
        Ok(vec![("boot-file", compose_grub(&config, &bench.lab.packages, bench.files())?)])
    })
}

fn ipxe(bench: &Bench) -> Result<()> {
    hands_over(bench, false, |arguments| {
        let bootfile = copy(&bench.lab.packages.join("usr/lib/ipxe/undionly.kpxe"), bench.files())?;
        let script = format!(
            "#!ipxe\ninitrd http://{SERVER}/initrd\nkernel http://{SERVER}/vmlinuz initrd=initrd {arguments}\nboot\n"
        );
        bench.add_file("boot.ipxe", script.as_bytes())?;
        Ok(vec![("boot-file", bootfile), ("boot-file.ipxe", "boot.ipxe".to_owned())])
    })
}
