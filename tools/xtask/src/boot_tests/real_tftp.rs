//! A boot program reads a file through the TFTP functions, from three servers. Needs root.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::real_dhcp::{LEASES, serve};
use super::{BOOT, Bench, BootTest, finish, noise, ram_holds};
use crate::lab::lan::{Host, Lan};
use crate::lab::nbp::{FILE_READ, PACKET_SIZE_AT, reading};

/// The tests of this file.
pub const TESTS: &[BootTest] = &[
    BootTest { name: "real-tftp-dnsmasq", about: "dnsmasq, which cuts blocks to its MTU", run: by_dnsmasq },
    BootTest { name: "real-tftp-hpa", about: "tftpd-hpa, blocks of 16384 bytes", run: by_tftpd_hpa },
    BootTest {
        name: "real-tftp-atftpd",
        about: "atftpd, blocks of 16384 bytes, and a window for the ROM",
        run: by_atftpd,
    },
    BootTest { name: "real-tftp-small", about: "tftpd-hpa, blocks of 512 bytes", run: small_blocks },
];

/// The file that the boot program reads: its last block is not full.
const FILE: &str = "file.bin";
/// Its length in bytes.
const FILE_LEN: usize = 300_007;
/// What follows the boot program in its file, in bytes.
const TAIL_LEN: usize = 80_003;
/// Blocks in twelve IP fragments each.
const LARGE_BLOCK: u16 = 16_384;
/// Blocks in one frame each.
const FRAME_BLOCK: u16 = 1_468;

/// Boots a program that asks for the file in packets of one size and must get it in those of another, and compares it in
/// the guest's RAM.
fn reads(
    bench: &Bench,
    packet_size: u16,
    granted: u16,
    start: impl FnOnce(&mut Host, &Path, &Path) -> Result<()>,
) -> Result<Host> {
    let lan = Lan::create()?;
    let mut dhcp = lan.attach("10.0.2.1/24")?;
    let mut tftp = lan.attach("10.0.2.2/24")?;
    dhcp.dnsmasq(&bench.lab.packages, &[LEASES, "--dhcp-boot=read.0,,10.0.2.2"])?;
    let content = noise(FILE_LEN, 5);
    bench.add_file(FILE, &content)?;
    // Over three windows of the ROM's own transfer, and still below the place of the file that the program reads.
    let tail = noise(TAIL_LEN, 6);
    bench.add_file("read.0", &[reading(tftp.address(), FILE, packet_size), tail.clone()].concat())?;
    start(&mut tftp, &bench.lab.packages, bench.files())?;
    let mut session = bench.start(&bench.machine(lan.network(None)))?;
    session.expect(FILE_READ, BOOT)?;
    let ram = fs::read(session.ram()).context("can't read the guest's RAM")?;
    let found = u16::from_le_bytes([ram[PACKET_SIZE_AT], ram[PACKET_SIZE_AT + 1]]);
    ensure!(found == granted, "packets of {found} bytes, not {granted}");
    ensure!(ram_holds(&ram, &tail), "the boot program is not in RAM as it was sent");
    ensure!(ram_holds(&ram, &content), "the file is not in RAM as it was sent");
    finish(session)?;
    Ok(tftp)
}

fn by_dnsmasq(bench: &Bench) -> Result<()> {
    let host = reads(bench, LARGE_BLOCK, FRAME_BLOCK, |host, _, _| serve(bench, host, &[]))?;
    host.expect_log("dnsmasq", "sent ", 2, Duration::from_secs(5))
}

fn by_tftpd_hpa(bench: &Bench) -> Result<()> {
    reads(bench, LARGE_BLOCK, LARGE_BLOCK, Host::tftpd_hpa).map(drop)
}

fn by_atftpd(bench: &Bench) -> Result<()> {
    let host = reads(bench, LARGE_BLOCK, LARGE_BLOCK, Host::atftpd)?;
    host.expect_log("atftpd", "windowsize option -> 64", 1, Duration::from_secs(5))?;
    host.expect_log("atftpd", "blksize option -> 16384", 1, Duration::from_secs(5))
}

fn small_blocks(bench: &Bench) -> Result<()> {
    reads(bench, 512, 512, Host::tftpd_hpa).map(drop)
}
