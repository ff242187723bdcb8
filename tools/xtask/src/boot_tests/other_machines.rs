//! Machines that the ROM has nothing to do on: it says so in one line, and the BIOS boots the next device.

use anyhow::Result;

use super::{BOOT, Bench, BootTest};

/// The tests of this file.
pub const TESTS: &[BootTest] = &[
    BootTest { name: "not-hyperv", about: "an ordinary PC: the ROM leaves, the disk boots", run: not_hyperv },
    BootTest { name: "no-nic", about: "a Hyper-V machine without a NIC on VMBus", run: no_nic },
];

fn not_hyperv(bench: &Bench) -> Result<()> {
    let mut machine = bench.machine_with_disk(bench.slirp("", None), &[])?;
    machine.hyperv = None;
    bench.falls_through(&machine, &["PXE-EB0: Not a Hyper-V machine"], BOOT).map(drop)
}

fn no_nic(bench: &Bench) -> Result<()> {
    let machine = bench.machine_with_disk(bench.slirp("", None), &["no_nic=on"])?;
    bench.falls_through(&machine, &["PXE-EB0: This machine has no synthetic network card"], BOOT).map(drop)
}
