//! PXE boot menus and boot servers on a LAN of network namespaces. Needs root.

use std::net::Ipv4Addr;

use anyhow::{Result, ensure};

use super::real_dhcp::{LEASES, boots, serve};
use super::{BOOT, Bench, BootTest, finish};
use crate::lab::lan::{Host, Lan};
use crate::lab::nbp::announcing;
use crate::lab::session::{Report, Session};

/// The tests of this file.
pub const TESTS: &[BootTest] = &[
    BootTest { name: "real-menu-0", about: "prompt time-out 0: the first item at once", run: at_once },
    BootTest {
        name: "real-menu-n",
        about: "prompt time-out of seconds: the first item after them",
        run: after_seconds,
    },
    BootTest { name: "real-menu-f8", about: "F8 at the prompt, the second item by cursor keys", run: by_f8 },
    BootTest { name: "real-menu-255", about: "no time-out: the menu, Enter takes its second item", run: for_ever },
    BootTest { name: "real-menu-local", about: "the item of type 0 boots the disk", run: local },
    BootTest { name: "real-discovery-broadcast", about: "a boot server found by broadcast", run: broadcast },
    BootTest { name: "real-discovery-multicast", about: "a boot server found by multicast", run: multicast },
    BootTest { name: "real-discovery-unicast", about: "a boot server from the list, at its address", run: unicast },
];

/// Key sequences of a terminal (ECMA-48, xterm).
const F8: &str = "\x1b[19~";
const DOWN: &str = "\x1b[B";
const ENTER: &str = "\r";

/// What the second item's boot file prints.
const SECOND_TEXT: &str = "THE SECOND ONE RUNS";
/// The group of boot servers (the one of Intel's documentation).
const GROUP: Ipv4Addr = Ipv4Addr::new(224, 1, 1, 1);

/// dnsmasq's option for a proxy.
const PROXY: &str = "--dhcp-range=10.0.2.0,proxy";
/// Two items with boot files; dnsmasq adds `.0`, the layer.
const FIRST_ITEM: &str = "--pxe-service=x86PC,First item,nbp";
const SECOND_ITEM: &str = "--pxe-service=x86PC,Second item,second";

/// A LAN with leases from one host and a menu from another.
struct Menu {
    lan: Lan,
    _hosts: [Host; 2],
}

fn menu(bench: &Bench, options: &[&str]) -> Result<Menu> {
    let lan = Lan::create()?;
    let mut leases = lan.attach("10.0.2.1/24")?;
    let mut proxy = lan.attach("10.0.2.2/24")?;
    leases.dnsmasq(&bench.lab.packages, &[LEASES])?;
    bench.add_file("second.0", &announcing(SECOND_TEXT))?;
    serve(bench, &mut proxy, &[&[PROXY], options].concat())?;
    Ok(Menu { lan, _hosts: [leases, proxy] })
}

/// Starts the machine with a keyboard and waits until a text is on the console.
fn until(bench: &Bench, menu: &Menu, text: &str) -> Result<Session> {
    let mut session = bench.start_with_keyboard(&bench.machine(menu.lan.network(None)))?;
    session.expect(text, BOOT)?;
    Ok(session)
}

fn ends_with(mut session: Session, text: &str) -> Result<Report> {
    session.expect(text, BOOT)?;
    finish(session)
}

fn at_once(bench: &Bench) -> Result<()> {
    let menu = menu(bench, &["--pxe-prompt=Press F8,0", FIRST_ITEM, SECOND_ITEM])?;
    let report = boots(bench, &menu.lan)?;
    ensure!(!report.console.contains("First item"), "a menu was shown:\n{}", report.console);
    Ok(())
}

fn after_seconds(bench: &Bench) -> Result<()> {
    let menu = menu(bench, &["--pxe-prompt=Press F8 for a menu,2", FIRST_ITEM, SECOND_ITEM])?;
    let report = boots(bench, &menu.lan)?;
    ensure!(report.console.contains("Press F8 for a menu"), "no prompt:\n{}", report.console);
    Ok(())
}

fn by_f8(bench: &Bench) -> Result<()> {
    let menu = menu(bench, &["--pxe-prompt=Press F8 for a menu,30", FIRST_ITEM, SECOND_ITEM])?;
    let mut session = until(bench, &menu, "Press F8 for a menu")?;
    session.type_text(F8)?;
    session.expect("> First item", BOOT)?;
    session.type_text(DOWN)?;
    session.expect("> Second item", BOOT)?;
    session.type_text(ENTER)?;
    ends_with(session, SECOND_TEXT).map(drop)
}

fn for_ever(bench: &Bench) -> Result<()> {
    // Without `pxe-prompt` dnsmasq says 255 itself.
    let menu = menu(bench, &[FIRST_ITEM, SECOND_ITEM])?;
    let mut session = until(bench, &menu, "> First item")?;
    session.type_text(DOWN)?;
    session.expect("> Second item", BOOT)?;
    session.type_text(ENTER)?;
    ends_with(session, SECOND_TEXT).map(drop)
}

fn local(bench: &Bench) -> Result<()> {
    let menu = menu(bench, &["--pxe-prompt=Wait,0", "--pxe-service=x86PC,Local disk,0", FIRST_ITEM])?;
    let machine = bench.machine_with_disk(menu.lan.network(None), &[])?;
    bench.falls_through(&machine, &["Local boot chosen"], BOOT).map(drop)
}

/// Plugs a boot server in, which gives no leases, and sees that the machine boots from it. dnsmasq's first item with a
/// boot file has type 32768.
fn discovers(bench: &Bench, lan: &Lan, group: Option<Ipv4Addr>) -> Result<()> {
    let mut server = lan.attach("10.0.2.3/24")?;
    if let Some(group) = group {
        server.join_group(group)?;
    }
    serve(bench, &mut server, &["--dhcp-range=10.0.2.0,static", FIRST_ITEM])?;
    let report = boots(bench, lan)?;
    ensure!(report.console.contains("Server  10.0.2.3"), "another boot server:\n{}", report.console);
    Ok(())
}

fn broadcast(bench: &Bench) -> Result<()> {
    let menu = menu(bench, &["--pxe-prompt=Wait,0", "--pxe-service=x86PC,Elsewhere,32768"])?;
    discovers(bench, &menu.lan, None)
}

fn unicast(bench: &Bench) -> Result<()> {
    let menu = menu(bench, &["--pxe-prompt=Wait,0", "--pxe-service=x86PC,Elsewhere,32768,10.0.2.3"])?;
    discovers(bench, &menu.lan, None)
}

fn multicast(bench: &Bench) -> Result<()> {
    let lan = Lan::create()?;
    let mut host = lan.attach("10.0.2.1/24")?;
    // dnsmasq makes no such menu itself. PXE 2.1: 6 is what discovery may do (bit 0: no broadcast), 7 the group, 9 the
    // menu (type 32768, "Elsewhere"), 10 the prompt ("Wait" for 0 seconds).
    let group = format!("--dhcp-option=vendor:PXEClient,7,{GROUP}");
    let options = [
        LEASES,
        "--dhcp-option-force=option:vendor-class,PXEClient",
        "--dhcp-option=vendor:PXEClient,6,01",
        group.as_str(),
        "--dhcp-option=vendor:PXEClient,9,80:00:09:45:6c:73:65:77:68:65:72:65",
        "--dhcp-option=vendor:PXEClient,10,00:57:61:69:74",
    ];
    host.dnsmasq(&bench.lab.packages, &options)?;
    discovers(bench, &lan, Some(GROUP))
}
