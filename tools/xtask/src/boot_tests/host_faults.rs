//! A Hyper-V host that misbehaves: a message with a PXE-Exx code, and a return to the BIOS in bounded time.

use std::time::Duration;

use anyhow::{Result, ensure};

use super::{BOOT, Bench, BootTest, finish, noise};
use crate::lab::clients::Client;

/// The tests of this file.
pub const TESTS: &[BootTest] = &[
    BootTest { name: "host-silent", about: "VMBus never answers", run: host_silent },
    BootTest { name: "host-refuses-version", about: "no VMBus version is good enough", run: host_refuses_version },
    BootTest { name: "link-down", about: "the NIC has no carrier", run: link_down },
    BootTest {
        name: "nic-rescinded",
        about: "the host takes the NIC back in the middle of a download",
        run: nic_rescinded,
    },
    BootTest {
        name: "host-saved",
        about: "the host is saved and restored six times while PXELINUX is loaded and loads its modules",
        run: host_saved,
    },
];

/// Time for a boot against a host that leaves every question open (policy): each wait of the ROM ends.
const SILENCE: Duration = Duration::from_secs(150);

fn fails(bench: &Bench, switch: &str, texts: &[&str]) -> Result<()> {
    let machine = bench.machine_with_disk(bench.slirp("", None), &[switch])?;
    bench.falls_through(&machine, texts, SILENCE).map(drop)
}

fn host_silent(bench: &Bench) -> Result<()> {
    fails(bench, "silent=on", &["PXE-E63: The host does not answer"])
}

fn host_refuses_version(bench: &Bench) -> Result<()> {
    fails(bench, "max_vmbus_version=0.0", &["PXE-E63: The host speaks no VMBus version"])
}

fn link_down(bench: &Bench) -> Result<()> {
    fails(bench, "link=off", &["PXE-E61"])
}

fn nic_rescinded(bench: &Bench) -> Result<()> {
    bench.add_file("big.0", &noise(400_000, 3))?;
    // DHCP and ARP take half a dozen frames; the download is under way by the thirtieth acknowledgement.
    let network = bench.server(&[("boot-file", "big.0"), ("tftp.max-block", "512"), ("tftp.max-window", "1")]);
    let machine = bench.machine_with_disk(network, &["rescind_after=30"])?;
    let texts = ["of 391 KiB", "PXE-E63: The host has taken the network card away"];
    bench.falls_through(&machine, &texts, SILENCE).map(drop)
}

fn host_saved(bench: &Bench) -> Result<()> {
    let bootfile = Client::Pxelinux.compose(&bench.lab.packages, bench.files())?;
    // In the handshake; at DHCP; in the ROM's download; in PXELINUX's.
    let switches = ["0", "2", "10", "25", "80", "150"].map(|after| format!("save_restore_after={after}"));
    let switches = switches.each_ref().map(String::as_str);
    let machine = bench.machine_with_disk(bench.server(&[("boot-file", &bootfile)]), &switches)?;
    let mut session = bench.start(&machine)?;
    session.expect("boot:", BOOT)?;
    let report = finish(session)?;
    let counters: String = report.counters.split_whitespace().collect();
    ensure!(counters.contains("\"restores\":6,"), "not saved and restored six times:\n{}", report.counters);
    Ok(())
}
