//! The lab judged from outside: Debian's iPXE, with its own Hyper-V driver, must work on it.

use std::fs;

use anyhow::{Context, Result, ensure};

use super::{BOOT, Bench, BootTest, finish, noise, ram_holds};
use crate::lab::http::free_port;
use crate::lab::machine::{Kernel, Machine};
use crate::lab::network::{HOST_SEEN_BY_SLIRP, Network, SERVER};

/// The tests of this file.
pub const TESTS: &[BootTest] = &[
    BootTest {
        name: "ipxe-lkrn-slirp",
        about: "iPXE's own driver gets a lease and two files from QEMU's network",
        run: on_slirp,
    },
    BootTest {
        name: "ipxe-lkrn-server",
        about: "iPXE's own driver gets a lease and two files from our own server",
        run: on_server,
    },
];

/// Length of each file: over many packets, and not a multiple of any block size.
const FILE_LEN: usize = 300_007;

fn on_slirp(bench: &Bench) -> Result<()> {
    let port = free_port()?;
    two_files(bench, bench.slirp("", Some(port)), HOST_SEEN_BY_SLIRP, &format!("{HOST_SEEN_BY_SLIRP}:{port}"))
}

fn on_server(bench: &Bench) -> Result<()> {
    two_files(bench, bench.server(&[]), SERVER, SERVER)
}

/// iPXE fetches a file by TFTP and another by HTTP, and guest RAM must hold both, byte by byte.
fn two_files(bench: &Bench, network: Network, tftp: &str, http: &str) -> Result<()> {
    let (by_tftp, by_http) = (noise(FILE_LEN, 1), noise(FILE_LEN, 2));
    bench.add_file("tftp.bin", &by_tftp)?;
    bench.add_file("http.bin", &by_http)?;
    let script = format!(
        "#!ipxe\n\
         dhcp || goto failed\n\
         ifstat\n\
         imgfetch --name one tftp://{tftp}/tftp.bin || goto failed\n\
         imgfetch --name two http://{http}/http.bin || goto failed\n\
         imgstat\n\
         echo BOTH FILES ARE HERE\n\
         prompt\n\
         :failed\n\
         echo FETCH FAILED\n\
         prompt\n"
    );
    let kernel = Kernel {
        image: bench.lab.packages.join("usr/lib/ipxe/ipxe.lkrn"),
        initrd: bench.add_file("script.ipxe", script.as_bytes())?,
        command_line: String::new(),
    };
    let machine = Machine { rom: None, kernel: Some(kernel), ..bench.machine(network) };
    let mut session = bench.start(&machine)?;
    session.expect("BOTH FILES ARE HERE", BOOT)?;
    let ram = fs::read(session.ram()).context("can't read the guest's RAM")?;
    ensure!(ram_holds(&ram, &by_tftp), "the file fetched by TFTP is not in RAM as it was sent");
    ensure!(ram_holds(&ram, &by_http), "the file fetched by HTTP is not in RAM as it was sent");
    let report = finish(session)?;
    ensure!(report.console.contains("using netvsc"), "iPXE used another driver:\n{}", report.console);
    Ok(())
}
