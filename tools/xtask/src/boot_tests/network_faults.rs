//! A network that misbehaves: a message with a PXE-Exx code, and a return to the BIOS in bounded time.

use std::time::Duration;

use anyhow::Result;

use super::{BOOT, Bench, BootTest, finish, noise};
use crate::lab::clients::Client;

/// The tests of this file.
pub const TESTS: &[BootTest] = &[
    BootTest { name: "dhcp-silent", about: "no DHCP server: retries for a minute, then PXE-E51", run: dhcp_silent },
    BootTest { name: "lease-refused", about: "the DHCP server answers each request with DHCPNAK", run: lease_refused },
    BootTest { name: "tftp-silent", about: "the TFTP server does not answer", run: tftp_silent },
    BootTest { name: "file-missing", about: "the TFTP server has no such file", run: file_missing },
    BootTest {
        name: "file-too-large",
        about: "the boot file is larger than the memory free for it",
        run: file_too_large,
    },
    BootTest { name: "no-boot-file", about: "a lease without a boot file", run: no_boot_file },
    BootTest { name: "dhcp-garbage", about: "DHCP options that are random bytes", run: dhcp_garbage },
    BootTest { name: "tftp-stops", about: "the TFTP server falls silent in the middle of the file", run: tftp_stops },
    BootTest { name: "tftp-endless", about: "a file that goes on behind its announced size", run: tftp_endless },
    BootTest {
        name: "dhcp-truncated-option",
        about: "PXELINUX boots although a DHCP option runs past the packet",
        run: dhcp_truncated_option,
    },
    BootTest {
        name: "dhcp-overlong-option",
        about: "PXELINUX boots although DHCP options are longer than they may be",
        run: dhcp_overlong_option,
    },
];

/// DHCP is asked again after 4, 8, 16 and 32 seconds (PXE 2.1), and TFTP waits as long; with room for a slow machine.
const RETRIES: Duration = Duration::from_secs(240);

fn fails(bench: &Bench, switches: &[(&str, &str)], texts: &[&str], limit: Duration) -> Result<()> {
    let machine = bench.machine_with_disk(bench.server(switches), &[])?;
    bench.falls_through(&machine, texts, limit).map(drop)
}

fn dhcp_silent(bench: &Bench) -> Result<()> {
    fails(bench, &[("dhcp.fault", "silent")], &["PXE-E51"], RETRIES)
}

fn lease_refused(bench: &Bench) -> Result<()> {
    fails(
        bench,
        &[("dhcp.fault", "nak"), ("boot-file", "x.0")],
        &["PXE-E51: The DHCP server offered an address, then did not grant it"],
        RETRIES,
    )
}

fn tftp_silent(bench: &Bench) -> Result<()> {
    fails(bench, &[("tftp.fault", "silent"), ("boot-file", "x.0")], &["PXE-E32"], RETRIES)
}

fn file_missing(bench: &Bench) -> Result<()> {
    fails(bench, &[("boot-file", "none.0")], &["PXE-E3B", "no such file"], BOOT)
}

fn file_too_large(bench: &Bench) -> Result<()> {
    bench.add_file("big.0", &noise(700_000, 4))?;
    fails(bench, &[("boot-file", "big.0")], &["PXE-E79"], BOOT)
}

fn no_boot_file(bench: &Bench) -> Result<()> {
    fails(bench, &[], &["PXE-E53"], RETRIES)
}

fn dhcp_garbage(bench: &Bench) -> Result<()> {
    fails(bench, &[("dhcp.fault", "garbage"), ("boot-file", "x.0")], &["PXE-E5"], RETRIES)
}

fn tftp_stops(bench: &Bench) -> Result<()> {
    bench.add_file("big.0", &noise(100_000, 5))?;
    fails(bench, &[("tftp.fault", "silent-after 5"), ("boot-file", "big.0")], &["PXE-E35"], RETRIES)
}

fn tftp_endless(bench: &Bench) -> Result<()> {
    bench.add_file("big.0", &noise(100_000, 6))?;
    fails(bench, &[("tftp.fault", "endless"), ("boot-file", "big.0")], &["PXE-E79"], RETRIES)
}

/// A fault that leaves enough of the lease to boot from.
fn boots_all_the_same(bench: &Bench, dhcp_fault: &str) -> Result<()> {
    let bootfile = Client::Pxelinux.compose(&bench.lab.packages, bench.files())?;
    let network = bench.server(&[("dhcp.fault", dhcp_fault), ("boot-file", &bootfile)]);
    let mut session = bench.start(&bench.machine(network))?;
    session.expect("boot:", BOOT)?;
    finish(session).map(drop)
}

fn dhcp_truncated_option(bench: &Bench) -> Result<()> {
    boots_all_the_same(bench, "truncated-option")
}

fn dhcp_overlong_option(bench: &Bench) -> Result<()> {
    boots_all_the_same(bench, "overlong-option")
}
