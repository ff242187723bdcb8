//! Boot programs that nobody here wrote, loaded by the ROM, working through its PXE API.

use anyhow::{Result, ensure};
use netserver::Event;

use super::{BOOT, Bench, BootTest, finish};
use crate::lab::clients::Client;
use crate::lab::disk::DISK_TEXT;

/// The tests of this file.
pub const TESTS: &[BootTest] = &[
    BootTest { name: "undionly", about: "iPXE on UNDI: its own lease, a script by HTTP", run: undionly },
    BootTest {
        name: "pxelinux",
        about: "PXELINUX on the UDP and TFTP API: modules, configuration, prompt",
        run: pxelinux,
    },
    BootTest { name: "lpxelinux", about: "PXELINUX with its own IP stack on UNDI", run: lpxelinux },
    BootTest { name: "grub", about: "GRUB on UNDI reads its configuration over TFTP", run: grub },
    BootTest {
        name: "pxelinux-to-ipxe",
        about: "PXELINUX hands over to iPXE, which finds the same API",
        run: pxelinux_to_ipxe,
    },
    BootTest {
        name: "pxelinux-to-disk",
        about: "LOCALBOOT: PXELINUX leaves, and the BIOS boots the disk",
        run: pxelinux_to_disk,
    },
    BootTest { name: "ipxe-to-disk", about: "iPXE's exit: the BIOS boots the disk", run: ipxe_to_disk },
];

fn undionly(bench: &Bench) -> Result<()> {
    let client = Client::Undionly;
    let bootfile = client.compose(&bench.lab.packages, bench.files())?;
    let switches = client.server_switches(&bootfile);
    let switches: Vec<_> = switches.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
    let mut session = bench.start(&bench.machine(bench.server(&switches)))?;
    session.expect("iPXE is ready", BOOT)?;
    let report = finish(session)?;
    ensure!(report.console.contains("using undionly"), "iPXE used another driver:\n{}", report.console);
    let script = Event::HttpRequest("/boot.ipxe".to_owned());
    ensure!(report.events.contains(&script), "the script was not fetched by HTTP: {:?}", report.events);
    Ok(())
}

/// Boots a client from QEMU's network until a text is there.
fn boots(bench: &Bench, client: &Client, text: &str) -> Result<()> {
    let bootfile = client.compose(&bench.lab.packages, bench.files())?;
    let mut session = bench.start(&bench.machine(bench.slirp(&bootfile, None)))?;
    session.expect(text, BOOT)?;
    finish(session).map(drop)
}

fn pxelinux(bench: &Bench) -> Result<()> {
    boots(bench, &Client::Pxelinux, "boot:")
}

fn lpxelinux(bench: &Bench) -> Result<()> {
    boots(bench, &Client::Lpxelinux, "boot:")
}

fn grub(bench: &Bench) -> Result<()> {
    boots(bench, &Client::Grub, "GRUB is ready")
}

fn pxelinux_to_ipxe(bench: &Bench) -> Result<()> {
    let bootfile = Client::Pxelinux.compose(&bench.lab.packages, bench.files())?;
    bench.add_file("boot.ipxe", b"#!ipxe\necho CHAINED TO IPXE\nshell\n")?;
    let switches = [("boot-file", bootfile.as_str()), ("boot-file.ipxe", "boot.ipxe")];
    let mut session = bench.start_with_keyboard(&bench.machine(bench.server(&switches)))?;
    session.expect("boot:", BOOT)?;
    session.type_text("ipxe\r")?;
    session.expect("CHAINED TO IPXE", BOOT)?;
    finish(session).map(drop)
}

fn pxelinux_to_disk(bench: &Bench) -> Result<()> {
    let bootfile = Client::Pxelinux.compose(&bench.lab.packages, bench.files())?;
    let machine = bench.machine_with_disk(bench.slirp(&bootfile, None), &[])?;
    let mut session = bench.start_with_keyboard(&machine)?;
    session.expect("boot:", BOOT)?;
    session.type_text("disk\r")?;
    session.expect(DISK_TEXT, BOOT)?;
    finish(session).map(drop)
}

fn ipxe_to_disk(bench: &Bench) -> Result<()> {
    let bootfile = Client::Undionly.compose(&bench.lab.packages, bench.files())?;
    bench.add_file("exit.ipxe", b"#!ipxe\necho LEAVING IPXE\nexit\n")?;
    let network = bench.server(&[("boot-file", &bootfile), ("boot-file.ipxe", "exit.ipxe")]);
    let mut session = bench.start(&bench.machine_with_disk(network, &[])?)?;
    session.expect("LEAVING IPXE", BOOT)?;
    session.expect(DISK_TEXT, BOOT)?;
    finish(session).map(drop)
}
