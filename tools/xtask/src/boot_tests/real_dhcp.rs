//! Boots from dnsmasq on a LAN of network namespaces: leases, proxyDHCP, several servers. Needs root.

use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::{BOOT, Bench, BootTest, finish};
use crate::lab::lan::{Host, Lan};
use crate::lab::machine::Machine;
use crate::lab::nbp::announcing;
use crate::lab::session::Report;

/// The tests of this file.
pub const TESTS: &[BootTest] = &[
    BootTest { name: "real-dhcp", about: "dnsmasq: a lease and a boot file", run: plain },
    BootTest { name: "real-dhcp-vlan", about: "the same, and every frame has a VLAN tag", run: vlan },
    BootTest { name: "real-dhcp-overload", about: "options fill the packet and its sname and file", run: overload },
    BootTest { name: "real-dhcp-nak", about: "the server changes its mind between OFFER and REQUEST", run: nak },
    BootTest { name: "real-dhcp-offers", about: "two servers offer, one of them a boot file", run: several_offers },
    BootTest { name: "real-proxy-67", about: "a lease from one, the boot file in the proxy's offer", run: proxy_offer },
    BootTest { name: "real-proxy-4011", about: "a lease from one, the boot file from port 4011", run: proxy_port },
];

/// What the boot file prints.
pub const NBP_TEXT: &str = "THE BOOT FILE RUNS";
/// Its name.
pub const NBP: &str = "nbp.0";
/// The tag of the VLAN.
const VLAN: u16 = 5;
/// A range of leases.
pub const LEASES: &str = "--dhcp-range=10.0.2.100,10.0.2.120,255.255.255.0,1h";

/// Adds the boot file to what servers serve, and returns dnsmasq's options to serve it.
pub fn boot_file(bench: &Bench) -> Result<[String; 2]> {
    bench.add_file(NBP, &announcing(NBP_TEXT))?;
    Ok(["--enable-tftp".to_owned(), format!("--tftp-root={}", bench.files().display())])
}

/// Starts dnsmasq with the boot file and more options.
pub fn serve(bench: &Bench, host: &mut Host, options: &[&str]) -> Result<()> {
    let tftp = boot_file(bench)?;
    let all: Vec<&str> = tftp.iter().map(String::as_str).chain(options.iter().copied()).collect();
    host.dnsmasq(&bench.lab.packages, &all)
}

/// Boots until the boot file runs.
pub fn boots(bench: &Bench, lan: &Lan) -> Result<Report> {
    let mut session = bench.start(&bench.machine(lan.network(None)))?;
    session.expect(NBP_TEXT, BOOT)?;
    finish(session)
}

fn plain(bench: &Bench) -> Result<()> {
    let lan = Lan::create()?;
    let mut host = lan.attach("10.0.2.1/24")?;
    serve(bench, &mut host, &[LEASES, "--dhcp-boot=nbp.0"])?;
    let report = boots(bench, &lan)?;
    ensure!(report.console.contains("10.0.2.1 offers 10.0.2.1"), "no lease of dnsmasq's:\n{}", report.console);
    host.expect_log("dnsmasq", "DHCPACK(eth0)", 1, Duration::ZERO)
}

fn vlan(bench: &Bench) -> Result<()> {
    let lan = Lan::create()?;
    let mut host = lan.attach("10.0.2.1/24")?;
    serve(bench, &mut host, &[LEASES, "--dhcp-boot=nbp.0"])?;
    let network = lan.network(Some(VLAN));
    let machine = Machine { settings: vec![format!("vlan={VLAN}")], ..bench.machine(network) };
    let mut session = bench.start(&machine)?;
    session.expect(NBP_TEXT, BOOT)?;
    finish(session).map(drop)
}

fn overload(bench: &Bench) -> Result<()> {
    let lan = Lan::create()?;
    let mut host = lan.attach("10.0.2.1/24")?;
    // Five options of 200 bytes in a packet that may have 1,024 bytes of them.
    let fillers: Vec<_> = (0..5).map(|at| format!("--dhcp-option-force={},{}", 224 + at, "x".repeat(200))).collect();
    let mut options = vec![LEASES, "--dhcp-boot=nbp.0"];
    options.extend(fillers.iter().map(String::as_str));
    serve(bench, &mut host, &options)?;
    boots(bench, &lan)?;
    host.expect_log("dnsmasq", "option: 52 option-overload", 1, Duration::ZERO)
}

fn nak(bench: &Bench) -> Result<()> {
    let lan = Lan::create()?;
    let mut host = lan.attach("10.0.2.1/24")?;
    let reservations = bench.add_file("reservations", b"")?;
    let hosts = format!("--dhcp-hostsfile={}", reservations.display());
    serve(bench, &mut host, &[LEASES, "--dhcp-authoritative", "--dhcp-boot=nbp.0", &hosts])?;
    let mut session = bench.start(&bench.machine(lan.network(None)))?;
    // The ROM now waits for a proxy's offer: time for an administrator.
    let offer = "DHCPOFFER(eth0) ";
    host.expect_log("dnsmasq", offer, 1, BOOT)?;
    let log = host.log("dnsmasq");
    let offered = log.split_once(offer).and_then(|(_, rest)| rest.split_whitespace().next()).context("no address")?;
    bench.add_file("reservations", format!("02:00:00:00:00:01,{offered}\n").as_bytes())?;
    host.reload();
    session.expect(NBP_TEXT, BOOT)?;
    let report = finish(session)?;
    host.expect_log("dnsmasq", "address reserved", 1, Duration::ZERO)?;
    ensure!(report.console.contains("refused by 10.0.2.1"), "the refusal was not shown:\n{}", report.console);
    ensure!(!report.console.contains(&format!("Lease   {offered}")), "an address of another's:\n{}", report.console);
    Ok(())
}

fn several_offers(bench: &Bench) -> Result<()> {
    let lan = Lan::create()?;
    let mut poor = lan.attach("10.0.2.1/24")?;
    let mut rich = lan.attach("10.0.2.2/24")?;
    poor.dnsmasq(&bench.lab.packages, &["--dhcp-range=10.0.2.50,10.0.2.60,255.255.255.0,1h"])?;
    serve(bench, &mut rich, &[LEASES, "--dhcp-boot=nbp.0"])?;
    boots(bench, &lan)?;
    rich.expect_log("dnsmasq", "DHCPACK(eth0)", 1, Duration::ZERO)?;
    poor.expect_log("dnsmasq", "DHCPOFFER(eth0)", 1, Duration::ZERO)?;
    ensure!(!poor.log("dnsmasq").contains("DHCPACK"), "both servers gave a lease");
    Ok(())
}

/// A server for leases, and a host for the proxy.
fn lease_and_proxy(bench: &Bench) -> Result<(Lan, Host, Host)> {
    let lan = Lan::create()?;
    let mut leases = lan.attach("10.0.2.1/24")?;
    let proxy = lan.attach("10.0.2.2/24")?;
    leases.dnsmasq(&bench.lab.packages, &[LEASES])?;
    Ok((lan, leases, proxy))
}

fn proxy_offer(bench: &Bench) -> Result<()> {
    let (lan, _leases, mut proxy) = lease_and_proxy(bench)?;
    // A prompt makes dnsmasq a PXE server; without a menu it names the file in its offer.
    let prompt = "--pxe-prompt=Wait,0";
    serve(bench, &mut proxy, &["--dhcp-range=10.0.2.0,proxy", prompt, "--dhcp-boot=nbp.0,,10.0.2.2"])?;
    let report = boots(bench, &lan)?;
    ensure!(report.console.contains("proxyDHCP at 10.0.2.2"), "no proxy was met:\n{}", report.console);
    Ok(())
}

fn proxy_port(bench: &Bench) -> Result<()> {
    let (lan, _leases, mut proxy) = lease_and_proxy(bench)?;
    let service = format!("--pxe-service=x86PC,\"Start it\",{}", NBP.trim_end_matches(".0"));
    serve(bench, &mut proxy, &["--dhcp-range=10.0.2.0,proxy", &service])?;
    boots(bench, &lan)?;
    // The one on 67 is the offer; the boot server's answer comes from 4011.
    proxy.expect_log("dnsmasq", "PXE(eth0)", 2, Duration::ZERO)
}
