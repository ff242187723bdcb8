//! The boot, from the boot entry vector to the boot program or back to the BIOS.

use hvpxe::error::Error;
use hvpxe::machine::Key;
use hvpxe::pxe::BootOutcome;

use super::network::{CLIENT, NBP, SERVER, booted, file, rig};
use super::sim::{LAYOUT, MAC, RESIDENT, Rig};

/// Where a byte string is in memory below 1 MiB.
fn find(rig: &Rig, what: &[u8]) -> Vec<usize> {
    rig.mem.snapshot()[..0x10_0000]
        .windows(what.len())
        .enumerate()
        .filter(|(_, at)| *at == what)
        .map(|(at, _)| at)
        .collect()
}

/// Boots, which must fail with this text on the screen and leave nothing behind.
#[track_caller]
fn fails(rig: &mut Rig, text: &str) {
    assert_eq!(rig.api.boot(), BootOutcome::ReturnToBios);
    let screen = rig.machine.screen.borrow();
    assert!(screen.contains(text), "{text:?} is not on the screen:\n{screen}");
    for line in screen.lines().flat_map(|line| line.split('\r')) {
        assert!(line.len() < 80, "too long for the screen: {line}");
    }
    assert!(screen.ends_with("PXE-M0F: Leaving the network boot.\n"));
    assert!(!rig.machine.hooked.get() && !rig.card.held.get());
    assert!(find(rig, b"!PXE").is_empty() && find(rig, b"PXENV+").is_empty());
    assert!(rig.machine.seconds() < 120, "took {} s", rig.machine.seconds());
}

#[test]
fn a_boot_file_is_loaded_and_everything_is_in_place() {
    let (rig, _) = booted();
    assert_eq!(rig.mem.peek(0x7c00, NBP.len()), NBP);
    assert_eq!(find(&rig, b"!PXE"), [(RESIDENT + u32::from(LAYOUT.bang_pxe)) as usize]);
    assert_eq!(find(&rig, b"PXENV+"), [(RESIDENT + u32::from(LAYOUT.pxenv)) as usize]);
    assert!(rig.machine.hooked.get());
    assert!(rig.card.open.get());
    assert_eq!(rig.card.filter.get(), 0, "quiet until the program asks");
    for (packet, kind) in LAYOUT.cached.into_iter().zip([1_u8, 2, 2]) {
        let packet = rig.mem.peek(RESIDENT + u32::from(packet), 1260);
        assert_eq!(packet[..3], [kind, 1, 6]);
        assert_eq!(packet[0x1c..0x22], MAC);
        assert_eq!(packet[0xec..0xf0], [99, 130, 83, 99]);
        if kind == 2 {
            assert_eq!(packet[0x10..0x18], [CLIENT, SERVER].concat());
        }
    }
}

#[test]
fn the_screen_tells_each_step() {
    let (rig, _) = booted();
    let screen = rig.machine.screen.borrow();
    let mut rest = screen.as_str();
    for step in [
        concat!("hvpxe ", env!("CARGO_PKG_VERSION")),
        "NIC     00:15:5d:01:02:03\n",
        "Link    up\n",
        "DHCP    looking for servers\n",
        "10.0.2.2 offers 10.0.2.15\n",
        "Lease   10.0.2.15, mask 255.255.255.0, gateway 10.0.2.2\n",
        "Server  10.0.2.2\n",
        "File    boot.0\n",
        "1 of 1 KiB",
        "Starting the boot program.\n",
    ] {
        let at = rest.find(step).unwrap_or_else(|| panic!("{step:?} is missing or too early:\n{screen}"));
        rest = &rest[at + step.len()..];
    }
}

#[test]
fn each_failure_says_what_happened() {
    for (switches, text) in [
        (&[("dhcp.fault", "silent")][..], "PXE-E51"),
        (&[("dhcp.fault", "offer-only")], "PXE-E51"),
        (&[("dhcp.fault", "nak")], "PXE-E51"),
        (&[("boot-file", "")], "PXE-E53"),
        (&[("boot-file", "absent.0")], "PXE-E3B"),
        (&[("tftp", "off")], "PXE-E32"),
        (&[("tftp.fault", "error 2")], "PXE-E3C"),
        (&[("tftp.fault", "error 3")], "PXE-E36"),
        (&[("next-server", "10.0.2.77")], "PXE-E11"),
        (&[("boot-file", "https://10.0.2.2/boot.0")], "PXE-E53: The URL of the boot file"),
        (&[("boot-file", "http://10.0.2.2/absent.0")], "PXE-E3B: The HTTP server has no such file."),
        (&[("boot-file", "http://10.0.2.77/boot.0")], "PXE-E32: The HTTP server does not answer."),
        (&[("boot-file", "http://10.0.2.2:81/boot.0")], "PXE-E38: The HTTP server refused the connection."),
        (&[("boot-file", "http://10.0.2.2/boot.0"), ("http.fault", "status 500")], "PXE-E36"),
        (&[("boot-file", "http://10.0.2.2/boot.0"), ("http.fault", "status 403")], "PXE-E3C"),
        (&[("boot-file", "http://10.0.2.2/boot.0"), ("http.fault", "truncated")], "PXE-E39"),
        (&[("boot-file", "http://10.0.2.2/boot.0"), ("http.fault", "silent")], "PXE-E35"),
        (&[("boot-file", "http://boot.example/boot.0")], "PXE-E38: No name server answered."),
        (&[("boot-file", "http://boot.example/boot.0"), ("dns.server", "10.0.2.2")], "PXE-E53: The name server knows"),
    ] {
        let (mut rig, _) = rig(switches);
        fails(&mut rig, text);
    }
}

#[test]
fn files_that_are_no_boot_programs_are_refused() {
    for (contents, text) in [
        (b"MZ and the rest of an EFI program".to_vec(), "for UEFI machines"),
        (Vec::new(), "boot file is empty"),
        (file(RESIDENT as usize - 0x7c00 + 1), "PXE-E79"),
    ] {
        let (mut rig, server) = rig(&[]);
        server.borrow_mut().files().add("boot.0", contents);
        fails(&mut rig, text);
    }
}

/// A boot file by URL, in a packet as the switches say.
fn boots_by_http(switches: &[(&str, &str)]) {
    let (mut rig, server) = rig(switches);
    assert_eq!(rig.api.boot(), BootOutcome::StartNbp, "{}", rig.machine.screen.borrow());
    assert_eq!(rig.mem.peek(0x7c00, NBP.len()), NBP);
    let events = server.borrow_mut().take_events();
    assert!(events.contains(&netserver::Event::HttpRequest("/boot.0".into())), "{events:?}");
    assert!(!events.iter().any(|event| matches!(event, netserver::Event::TftpRequest(_))));
    assert!(rig.machine.screen.borrow().contains("1 of 1 KiB"));
}

#[test]
fn a_url_is_fetched_by_http() {
    boots_by_http(&[("boot-file", "http://10.0.2.2/boot.0")]);
    boots_by_http(&[("boot-file", "http://10.0.2.2/boot.0"), ("file-by-option", "yes")]);
    let name = [("dns.server", "10.0.2.3"), ("dns.name", "boot.example 10.0.2.2")];
    boots_by_http(&[&[("boot-file", "http://boot.example/boot.0")], &name[..]].concat());
    boots_by_http(&[("proxy", "complete"), ("proxy.boot-file", "http://10.0.2.2/boot.0"), ("boot-file", "")]);
    let long = format!("http://10.0.2.2/boot.0?{}", "x".repeat(200));
    boots_by_http(&[("boot-file", &long), ("file-by-option", "yes")]);
}

#[test]
fn the_limits_of_boot_files_are_the_same_by_http() {
    for (contents, text) in [
        (b"MZ and the rest of an EFI program".to_vec(), "for UEFI machines"),
        (Vec::new(), "boot file is empty"),
        (file(RESIDENT as usize - 0x7c00 + 1), "PXE-E79"),
    ] {
        for fault in ["none", "no-length", "chunked"] {
            let (mut rig, server) = rig(&[("boot-file", "http://10.0.2.2/boot.0"), ("http.fault", fault)]);
            server.borrow_mut().files().add("boot.0", contents.clone());
            fails(&mut rig, text);
        }
    }
}

#[test]
fn the_largest_boot_program_ends_where_our_block_begins() {
    let (mut rig, server) = rig(&[]);
    let contents = file(RESIDENT as usize - 0x7c00);
    server.borrow_mut().files().add("boot.0", contents.clone());
    assert_eq!(rig.api.boot(), BootOutcome::StartNbp);
    assert!(rig.mem.peek(0x7c00, contents.len()) == contents);
}

#[test]
fn a_card_that_does_not_come_up_is_explained() {
    for (error, text) in [
        (Error::NotHyperV, "PXE-EB0: Not a Hyper-V machine"),
        (Error::NoVmbus, "PXE-EB0: "),
        (Error::NoNic, "PXE-EB0: This machine has no synthetic network card."),
        (Error::VersionRefused, "PXE-E63: "),
        (Error::VmbusOwned, "PXE-E63: "),
        (Error::HostTimeout, "PXE-E63: The host does not answer."),
        (Error::HostRefused, "PXE-E63: "),
    ] {
        let mut rig = Rig::new();
        rig.card.open_error.set(Some(error));
        fails(&mut rig, text);
    }
}

#[test]
fn one_card_of_several_is_named() {
    let mut rig = Rig::new();
    rig.card.unplugged.set(true);
    rig.card.place.set(Some((2, 3)));
    fails(&mut rig, "NIC     00:15:5d:01:02:03, card 2 of 3\n");
}

#[test]
fn the_settings_say_how_long_to_wait() {
    // A DISCOVER goes out at the start, and after 4, 12, 28, 60, 92, ... seconds.
    for (seconds, discovers) in [(1, 1), (4, 1), (5, 2), (60, 4), (100, 6)] {
        let (mut rig, server) = rig(&[("dhcp.fault", "silent")]);
        rig.machine.waits.set(Some(seconds));
        fails(&mut rig, "PXE-E51");
        let took = rig.machine.seconds();
        assert!(took.abs_diff(seconds.into()) <= discovers, "{took} s, not {seconds}");
        let screen = rig.machine.screen.borrow();
        assert!(screen.contains("looking for servers"), "{screen}");
        drop(server);

        let mut unplugged = Rig::new();
        unplugged.card.unplugged.set(true);
        unplugged.machine.waits.set(Some(seconds));
        fails(&mut unplugged, "PXE-E61");
        assert_eq!(unplugged.machine.seconds(), u64::from(seconds));
    }
}

#[test]
fn a_card_without_link_is_waited_for_and_explained() {
    let mut rig = Rig::new();
    rig.card.unplugged.set(true);
    fails(&mut rig, "PXE-E61: The network card has no link.");
}

#[test]
fn the_cancel_key_ends_each_wait() {
    let without_link = Rig::new();
    without_link.card.unplugged.set(true);
    let (without_dhcp, _) = rig(&[("dhcp.fault", "silent")]);
    let (without_tftp, _) = rig(&[("tftp.fault", "silent")]);
    for mut rig in [without_link, without_dhcp, without_tftp] {
        rig.machine.key_after(1500, Key::Cancel);
        fails(&mut rig, "PXE-EA0: ");
        assert!(rig.machine.seconds() < 5);
    }
}

#[test]
fn a_second_attempt_starts_afresh() {
    let (mut rig, server) = rig(&[("boot-file", "absent.0")]);
    fails(&mut rig, "PXE-E3B");
    server.borrow_mut().set("boot-file", "boot.0").unwrap();
    assert_eq!(rig.api.boot(), BootOutcome::StartNbp);
    assert_eq!(rig.api.nbp_returned(0), hvpxe::pxe::Residency::Free);
    assert!(find(&rig, b"!PXE").is_empty() && find(&rig, b"PXENV+").is_empty());
    assert_eq!(rig.api.boot(), BootOutcome::StartNbp);
}
