//! A network that misbehaves: a message with a PXE-Exx code, and a return to the BIOS in bounded time.

use std::time::Duration;

use anyhow::Result;

use super::{BOOT, Bench, BootTest, noise};

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
    BootTest {
        name: "dhcp-truncated-option",
        about: "an option that runs past the packet",
        run: dhcp_truncated_option,
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
    fails(bench, &[("dhcp.fault", "nak"), ("boot-file", "x.0")], &["PXE-E", "did not grant it"], RETRIES)
}

fn tftp_silent(bench: &Bench) -> Result<()> {
    fails(bench, &[("tftp.fault", "silent"), ("boot-file", "x.0")], &["PXE-E32"], RETRIES)
}

fn file_missing(bench: &Bench) -> Result<()> {
    fails(bench, &[("boot-file", "none.0")], &["PXE-E3B", "no such file"], BOOT)
}

fn file_too_large(bench: &Bench) -> Result<()> {
    bench.add_file("big.0", &noise(700_000, 4))?;
    fails(bench, &[("boot-file", "big.0")], &["PXE-E"], BOOT)
}

fn no_boot_file(bench: &Bench) -> Result<()> {
    fails(bench, &[], &["PXE-E53"], RETRIES)
}

fn dhcp_truncated_option(bench: &Bench) -> Result<()> {
    fails(bench, &[("dhcp.fault", "truncated-option"), ("boot-file", "x.0")], &["PXE-E"], RETRIES)
}
