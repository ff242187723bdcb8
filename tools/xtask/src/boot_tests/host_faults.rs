//! A Hyper-V host that misbehaves: a message with a PXE-Exx code, and a return to the BIOS in bounded time.

use std::time::Duration;

use anyhow::Result;

use super::{Bench, BootTest, noise};

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
