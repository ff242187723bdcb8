//! Debian's installer as people boot it from the network, up to its kernel's own messages.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use netserver::Event;

use super::{Bench, BootTest, finish};
use crate::lab::clients::{compose_syslinux, copy};
use crate::lab::machine::Machine;
use crate::lab::network::SERVER;

/// The tests of this file.
pub const TESTS: &[BootTest] = &[
    BootTest { name: "installer-pxelinux", about: "PXELINUX loads the installer by TFTP", run: by_pxelinux },
    BootTest { name: "installer-lpxelinux", about: "PXELINUX on UNDI loads the installer by HTTP", run: by_lpxelinux },
    BootTest { name: "installer-ipxe", about: "iPXE on UNDI loads the installer by HTTP", run: by_ipxe },
];

/// Where the package has kernel and initial RAM disk.
const INSTALLER: &str = "usr/lib/debian-installer/images/13/amd64/text/debian-installer/amd64";
/// Time for some 50 MB over an emulated card, with room for a slow machine (policy).
const LONG: Duration = Duration::from_secs(180);
/// The kernel unpacks its RAM disk to here.
const MEMORY_MIB: u32 = 512;
const ARGUMENTS: &str = "console=ttyS0,115200 priority=low";

fn installs(bench: &Bench, switches: &[(&str, &str)]) -> Result<Vec<Event>> {
    let from = bench.lab.packages.join(INSTALLER);
    copy(&from.join("linux"), bench.files())?;
    let initrd = bench.files().join(copy(&from.join("initrd.gz"), bench.files())?);
    let machine = Machine { memory_mib: MEMORY_MIB, ..bench.machine(bench.server(switches)) };
    let mut session = bench.start(&machine)?;
    session.expect("Linux version", LONG)?;
    // The kernel has found it where the boot program put it.
    session.expect("RAMDISK: [mem", LONG)?;
    session.expect("Memory: ", LONG)?;
    let report = finish(session)?;
    let len = std::fs::metadata(initrd)?.len();
    let found = ramdisk_len(&report.console).context("no size of the RAM disk in the kernel's messages")?;
    ensure!(found.abs_diff(len) < 4096, "the kernel found a RAM disk of {found} bytes, and it has {len}");
    Ok(report.events)
}

/// From `RAMDISK: [mem 0x1c000000-0x1effffff]`.
fn ramdisk_len(console: &str) -> Option<u64> {
    let range = console.split_once("RAMDISK: [mem ")?.1.split_once(']')?.0;
    let (start, end) = range.split_once('-')?;
    let number = |text: &str| u64::from_str_radix(text.strip_prefix("0x")?, 16).ok();
    Some(number(end)? + 1 - number(start)?)
}

fn syslinux_config(prefix: &str) -> String {
    format!(
        "DEFAULT it\nPROMPT 0\nLABEL it\n  KERNEL {prefix}linux\n  INITRD {prefix}initrd.gz\n  APPEND {ARGUMENTS}\n"
    )
}

fn by_pxelinux(bench: &Bench) -> Result<()> {
    let config = syslinux_config("");
    let bootfile = compose_syslinux("pxelinux.0", &[], &config, &bench.lab.packages, bench.files())?;
    let events = installs(bench, &[("boot-file", &bootfile)])?;
    ensure!(events.contains(&Event::TftpDone("initrd.gz".to_owned())), "not fetched by TFTP: {events:?}");
    Ok(())
}

fn by_lpxelinux(bench: &Bench) -> Result<()> {
    let config = syslinux_config(&format!("http://{SERVER}/"));
    let bootfile = compose_syslinux("lpxelinux.0", &[], &config, &bench.lab.packages, bench.files())?;
    let events = installs(bench, &[("boot-file", &bootfile)])?;
    ensure!(events.contains(&Event::HttpRequest("/initrd.gz".to_owned())), "not fetched by HTTP: {events:?}");
    Ok(())
}

fn by_ipxe(bench: &Bench) -> Result<()> {
    let bootfile = copy(&bench.lab.packages.join("usr/lib/ipxe/undionly.kpxe"), bench.files())?;
    let script = format!(
        "#!ipxe\ninitrd http://{SERVER}/initrd.gz\nkernel http://{SERVER}/linux initrd=initrd.gz {ARGUMENTS}\nboot\n"
    );
    bench.add_file("boot.ipxe", script.as_bytes())?;
    let events = installs(bench, &[("boot-file", &bootfile), ("boot-file.ipxe", "boot.ipxe")])?;
    ensure!(events.contains(&Event::HttpRequest("/initrd.gz".to_owned())), "not fetched by HTTP: {events:?}");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ram_disk_is_measured() {
        assert_eq!(ramdisk_len("[    0.0] RAMDISK: [mem 0x1000-0x2fff]\n"), Some(0x2000));
        assert_eq!(ramdisk_len("[    0.0] RAMDISK: none\n"), None);
    }
}
