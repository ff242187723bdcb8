//! The lab judged from outside: Linux, with its own Hyper-V drivers, must work on it.
//!
//! Linux 6.12 asks for eight versions of VMBus, six of NVSP and three of VSTOR, from the newest down to what the host takes:
//! each of them is in one of the tests.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use sha2::{Digest, Sha256};

use super::{Bench, BootTest, find, finish, noise};
use crate::lab::linux;
use crate::lab::machine::Machine;
use crate::lab::network::SERVER;

/// The tests of this file.
pub const TESTS: &[BootTest] = &[
    BootTest {
        name: "linux-newest",
        about: "Linux's own drivers: lease, file, file system; newest protocols",
        run: newest,
    },
    BootTest { name: "linux-2016", about: "the same with VMBus 4.0, NVSP 5 and VSTOR 6.0", run: of_2016 },
    BootTest { name: "linux-2012", about: "the same with VMBus 4.1, NVSP 4 and VSTOR 5.1", run: of_2012 },
    BootTest { name: "linux-vmbus-5.2", about: "the same with VMBus 5.2, NVSP 6.0 and VSTOR 6.2", run: vmbus_5_2 },
    BootTest { name: "linux-vmbus-5.1", about: "the same with VMBus 5.1, NVSP 5 and VSTOR 6.0", run: vmbus_5_1 },
    BootTest { name: "linux-vmbus-5.0", about: "the same with VMBus 5.0, NVSP 4 and VSTOR 5.1", run: vmbus_5_0 },
    BootTest { name: "linux-vmbus-3.0", about: "the same with VMBus 3.0, NVSP 2 and VSTOR 5.1", run: vmbus_3_0 },
    BootTest { name: "linux-vmbus-2.4", about: "the same with VMBus 2.4, NVSP 1 and VSTOR 5.1", run: vmbus_2_4 },
    BootTest { name: "linux-slow-disk", about: "the same with slow, busy and interrupted disks", run: slow_disk },
];

/// Time for Linux to come up and to do its work (policy): half a minute on an idle machine.
pub(super) const LINUX: Duration = Duration::from_secs(240);
/// Sizes of the disks in MiB: the one that is written to, and one that may only be read.
const WORK_MIB: usize = 16;
const READ_ONLY_MIB: usize = 3;
/// Length of the file that goes from HTTP to the file system: many requests, and not a multiple of any block size.
const FILE_LEN: usize = 400_007;

fn newest(bench: &Bench) -> Result<()> {
    works(bench, "5.3", &[])
}

fn of_2016(bench: &Bench) -> Result<()> {
    works(bench, "4.0", &["max_vmbus_version=4.0", "max_nvsp_version=0x50000", "max_vstor_version=6.0"])
}

fn of_2012(bench: &Bench) -> Result<()> {
    let switches = [
        "max_vmbus_version=4.1",
        "max_nvsp_version=0x40000",
        "max_vstor_version=5.1",
        "rx_layout=compact",
        "underrun_status=on",
    ];
    works(bench, "4.1", &switches)
}

fn vmbus_5_2(bench: &Bench) -> Result<()> {
    works(bench, "5.2", &["max_vmbus_version=5.2", "max_nvsp_version=0x60000"])
}

fn vmbus_5_1(bench: &Bench) -> Result<()> {
    works(bench, "5.1", &["max_vmbus_version=5.1", "max_nvsp_version=0x50000", "max_vstor_version=6.0"])
}

fn vmbus_5_0(bench: &Bench) -> Result<()> {
    works(bench, "5.0", &["max_vmbus_version=5.0", "max_nvsp_version=0x40000", "max_vstor_version=5.1"])
}

fn vmbus_3_0(bench: &Bench) -> Result<()> {
    works(bench, "3.0", &["max_vmbus_version=3.0", "max_nvsp_version=0x30002", "max_vstor_version=5.1"])
}

fn vmbus_2_4(bench: &Bench) -> Result<()> {
    works(bench, "2.4", &["max_vmbus_version=2.4", "max_nvsp_version=2", "max_vstor_version=5.1"])
}

fn slow_disk(bench: &Bench) -> Result<()> {
    let switches = [
        "disk_delay=3ms",
        "disk_fault=busy*3@20",
        "disk_fault=attention*1@30",
        "disk_fault=reset*1@40",
        "disk_fault=abort*1@50",
        "unit_attention=on",
        "unsolicited_vstor=on",
    ];
    works(bench, "5.3", &switches)
}

/// A lease and a file over the synthetic NIC; the file onto a file system on the synthetic disk, and back, over a reload
/// of the disk's driver; a second disk's content. Afterwards the image must hold the file.
fn works(bench: &Bench, vmbus: &str, switches: &[&str]) -> Result<()> {
    let (file, other) = (noise(FILE_LEN, 3), noise(READ_ONLY_MIB << 20, 4));
    let (sum, other_sum) = (sha256(&file), sha256(&other));
    bench.add_file("http.bin", &file)?;
    let other = bench.add_file("other.img", &other)?;
    let work = bench.add_file("work.img", &vec![0; WORK_MIB << 20])?;
    let script = format!(
        "{fetch}\
         disk {other_blocks}; check {other_sum} $disk\n\
         dd if=/dev/zero of=$disk bs=512 count=1 2>/dev/null && fail \"the other disk is not protected\"\n\
         disk {work_blocks}\n\
         mke2fs $disk >/dev/null && mount -t ext4 $disk /mnt || fail mke2fs\n\
         cp /tmp/file /mnt/file && umount /mnt || fail cp\n\
         rmmod hv_storvsc && load hv_storvsc\n\
         disk {work_blocks}\n\
         mount -t ext4 $disk /mnt && check {sum} /mnt/file && rm /tmp/file\n\
         cp /mnt/file /mnt/again && umount /mnt || fail again\n\
         mount -t ext4 -o ro $disk /mnt && check {sum} /mnt/again && umount /mnt || fail umount\n\
         dmesg | grep 'Vmbus version'\n\
         dmesg | grep -i 'EXT4-fs.*error' && fail 'file system'\n\
         ip link set eth0 down; rmmod hv_netvsc; rmmod hv_storvsc\n\
         echo LINUX IS CONTENT\n\
         sleep 100000\n",
        fetch = linux::fetch(&format!("http://{SERVER}/http.bin"), &sum),
        other_blocks = READ_ONLY_MIB << 11,
        work_blocks = WORK_MIB << 11,
    );
    let kernel = linux::kernel(&bench.lab.packages, bench.files(), &script)?;
    let table = bench.add_file("ssdt.aml", &linux::vmbus_ssdt())?;
    let base = bench.machine(bench.server(&[]));
    let mut machine = Machine { memory_mib: 384, rom: None, kernel: Some(kernel), acpi_table: Some(table), ..base };
    if let Some(hyperv) = &mut machine.hyperv {
        hyperv.switches.push(format!("disk={}", work.display()));
        hyperv.switches.push(format!("disk={}:ro", other.display()));
        hyperv.switches.extend(switches.iter().map(|switch| (*switch).to_owned()));
    }
    let mut session = bench.start(&machine)?;
    session.expect("LINUX IS CONTENT", LINUX)?;
    let report = finish(session)?;
    ensure!(
        report.console.contains(&format!("Vmbus version:{vmbus}")),
        "Linux did not negotiate VMBus {vmbus}:\n{}",
        report.console
    );
    let image = fs::read(&work).context("can't read the disk's image")?;
    for block in file.chunks_exact(1024) {
        ensure!(find(&image, block).is_some(), "the disk's image does not hold what Linux wrote");
    }
    Ok(())
}

pub(super) fn sha256(content: &[u8]) -> String {
    Sha256::digest(content).iter().map(|byte| format!("{byte:02x}")).collect()
}
