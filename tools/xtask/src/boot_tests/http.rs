//! HTTP by the ROM itself: boot files named by a URL, and files that a boot program asks for by one.

use std::time::Duration;

use anyhow::{Result, ensure};
use netserver::Event;

use super::probed::at_probe;
use super::syslinux::{add_floppy, config, start};
use super::{BOOT, Bench, BootTest, finish, noise};
use crate::lab::clients::compose_grub;
use crate::lab::network::SERVER;

/// The tests of this file.
pub const TESTS: &[BootTest] = &[
    BootTest { name: "http-silent", about: "the HTTP server says nothing to the request", run: silent },
    BootTest { name: "http-name-silent", about: "the name server does not answer", run: name_silent },
    BootTest { name: "http-stops", about: "the HTTP server falls silent in the middle of the file", run: stops },
    BootTest { name: "http-bad-wire", about: "a boot file by HTTP over a wire that loses and doubles", run: bad_wire },
    BootTest { name: "http-by-name", about: "http://name/path: DNS, progress, every byte in place", run: by_name },
    BootTest { name: "http-by-address", about: "http://a.b.c.d:port/path", run: by_address },
    BootTest {
        name: "http-no-length",
        about: "an answer without Content-Length ends with the connection",
        run: no_length,
    },
    BootTest { name: "http-chunked", about: "an answer in chunks", run: chunked },
    BootTest { name: "http-redirect", about: "an answer that says where else to ask", run: redirect },
    BootTest { name: "http-missing", about: "the HTTP server has no such file", run: missing },
    BootTest { name: "http-refused", about: "nobody listens on the port", run: refused },
    BootTest { name: "http-no-such-name", about: "the name server knows no such name", run: no_such_name },
    BootTest { name: "http-truncated", about: "the connection ends before the file does", run: truncated },
    BootTest { name: "http-too-large", about: "the boot file is larger than the memory free for it", run: too_large },
    BootTest { name: "http-other-scheme", about: "a scheme that the ROM doesn't have", run: https },
    BootTest {
        name: "http-pxelinux",
        about: "PXELINUX asks the stack for memdisk and 1.4 MB of floppy by their URLs",
        run: pxelinux,
    },
    BootTest { name: "http-grub", about: "GRUB on UNDI reads a file by HTTP", run: grub },
];

/// The longest silence that ends in an error is 20 seconds; with room for a slow machine.
const RETRIES: Duration = Duration::from_secs(240);
/// Where boot programs are loaded (PXE 2.1).
const NBP: usize = 0x7c00;
/// Length of the boot files: most of base memory.
const LEN: usize = 500_000;
/// The ROM's last word before it starts a boot program.
const STARTING: &str = "Starting the boot program.";

/// A boot program that does nothing for ever, and is followed by bytes that look like no other.
fn program(len: usize) -> Vec<u8> {
    let mut program = noise(len, 7);
    program[..2].copy_from_slice(&[0xeb, 0xfe]); // jmp to itself
    program
}

/// Boots from a URL, and compares what lies in memory with the file.
fn boots(bench: &Bench, url: &str, switches: &[(&str, &str)]) -> Result<(String, Vec<Event>)> {
    let program = program(LEN);
    bench.add_file("nbp.0", &program)?;
    let network = bench.server(&[&[("boot-file", url)], switches].concat());
    let mut session = bench.start(&bench.machine(network))?;
    session.expect(STARTING, RETRIES)?;
    let loaded = &session.low_memory()?[NBP..NBP + LEN];
    let wrong = loaded.iter().zip(&program).position(|(loaded, sent)| loaded != sent);
    let report = finish(session)?;
    ensure!(wrong.is_none(), "byte {} of the boot program is another one in memory", wrong.unwrap_or_default());
    Ok((report.console, report.events))
}

/// Boots from a URL in vain: says why, and the BIOS goes on to the disk.
fn fails(bench: &Bench, url: &str, switches: &[(&str, &str)], texts: &[&str]) -> Result<()> {
    bench.add_file("nbp.0", &program(LEN))?;
    let network = bench.server(&[&[("boot-file", url)], switches].concat());
    bench.falls_through(&bench.machine_with_disk(network, &[])?, texts, RETRIES).map(drop)
}

const BY_ADDRESS: &str = "http://10.0.2.2/nbp.0";
const BY_NAME: &str = "http://boot.example/nbp.0";

fn by_name(bench: &Bench) -> Result<()> {
    // The first name server is not there.
    let names = [("dns.server", "10.0.2.99"), ("dns.server", SERVER), ("dns.name", "boot.example 10.0.2.2")];
    let (console, events) = boots(bench, BY_NAME, &names)?;
    ensure!(events.contains(&Event::DnsQuery("boot.example".to_owned())), "nobody asked for the name: {events:?}");
    for text in [&format!("File    {BY_NAME}"), "489 of 489 KiB, "] {
        ensure!(console.contains(text), "no `{text}` on the console:\n{console}");
    }
    Ok(())
}

fn by_address(bench: &Bench) -> Result<()> {
    let (_, events) = boots(bench, "http://10.0.2.2:8080/nbp.0?query", &[("http.port", "8080")])?;
    ensure!(events.contains(&Event::HttpRequest("/nbp.0".to_owned())), "the file was not asked for: {events:?}");
    ensure!(!events.iter().any(|event| matches!(event, Event::DnsQuery(_))), "an address was looked up: {events:?}");
    Ok(())
}

fn no_length(bench: &Bench) -> Result<()> {
    let (console, _) = boots(bench, BY_ADDRESS, &[("http.fault", "no-length")])?;
    ensure!(console.contains("        489 KiB, "), "no progress without a total:\n{console}");
    Ok(())
}

fn chunked(bench: &Bench) -> Result<()> {
    boots(bench, BY_ADDRESS, &[("http.fault", "chunked")]).map(drop)
}

fn redirect(bench: &Bench) -> Result<()> {
    bench.add_file("other.0", b"not this one")?;
    boots(bench, "http://10.0.2.2/other.0", &[("http.fault", "redirect /nbp.0")]).map(drop)
}

fn bad_wire(bench: &Bench) -> Result<()> {
    let wire = [("loss-percent", "3"), ("duplicate-percent", "5"), ("reorder-percent", "5"), ("latency-ms", "1")];
    boots(bench, BY_ADDRESS, &wire).map(drop)
}

fn silent(bench: &Bench) -> Result<()> {
    fails(bench, BY_ADDRESS, &[("http.fault", "silent")], &["PXE-E35: The HTTP server stopped"])
}

fn stops(bench: &Bench) -> Result<()> {
    fails(bench, BY_ADDRESS, &[("http.fault", "stall-after 100000")], &["PXE-E35: The HTTP server stopped"])
}

fn missing(bench: &Bench) -> Result<()> {
    fails(bench, "http://10.0.2.2/none.0", &[], &["PXE-E3B: The HTTP server has no such file."])
}

fn refused(bench: &Bench) -> Result<()> {
    fails(bench, BY_ADDRESS, &[("http", "off")], &["PXE-E38: The HTTP server refused the connection."])
}

fn no_such_name(bench: &Bench) -> Result<()> {
    fails(bench, BY_NAME, &[("dns.server", SERVER)], &["PXE-E53: The name server knows no address"])
}

fn name_silent(bench: &Bench) -> Result<()> {
    let switches = [("dns.server", SERVER), ("dns.fault", "silent")];
    fails(bench, BY_NAME, &switches, &["PXE-E38: No name server answered."])
}

fn truncated(bench: &Bench) -> Result<()> {
    fails(bench, BY_ADDRESS, &[("http.fault", "truncated")], &["PXE-E39: The HTTP server broke off."])
}

fn too_large(bench: &Bench) -> Result<()> {
    bench.add_file("large.0", &program(2_000_000))?;
    fails(bench, "http://10.0.2.2/large.0", &[], &["PXE-E79"])
}

fn https(bench: &Bench) -> Result<()> {
    fails(bench, "https://10.0.2.2/nbp.0", &[], &["PXE-E53: The URL", "Only http and tftp are offered."])
}

/// PXELINUX can't fetch URLs itself, and uses the stack's FILE calls for them.
fn pxelinux(bench: &Bench) -> Result<()> {
    add_floppy(bench)?;
    let config = config(&format!("  KERNEL http://{SERVER}/memdisk\n  INITRD http://{SERVER}/floppy.img"));
    let (mut session, _) = start(bench, &[], &config)?;
    at_probe(&mut session, 2)?;
    let report = finish(session)?;
    ensure!(report.console.contains("MEMDISK"), "no word of memdisk:\n{}", report.console);
    for path in ["/memdisk", "/floppy.img"] {
        let asked = Event::HttpRequest(path.to_owned());
        ensure!(report.events.contains(&asked), "{path} did not come by HTTP: {:?}", report.events);
    }
    Ok(())
}

/// GRUB has its own TCP, on UNDI.
fn grub(bench: &Bench) -> Result<()> {
    bench.add_file("second.cfg", b"echo GRUB GOT THIS BY HTTP\n")?;
    let bootfile = compose_grub("source (http,10.0.2.2)/second.cfg\n", &bench.lab.packages, bench.files())?;
    let mut session = bench.start(&bench.machine(bench.server(&[("boot-file", &bootfile)])))?;
    session.expect("GRUB GOT THIS BY HTTP", BOOT)?;
    finish(session).map(drop)
}
