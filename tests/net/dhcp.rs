//! The DHCP client and PXE's search for a boot file against the test network, in virtual time.

use std::net::Ipv4Addr;
use std::time::Duration;

use hvpxe::error::Error;
use hvpxe::machine::Key;
use hvpxe::net::NetError;
use hvpxe::net::dhcp::{self, BootInfo, Event, Outcome, PACKET_LEN, Packet};
use netserver::Event as Seen;

use crate::lan::{Lan, MAC};

const SERVER: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 2);
const PROXY: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 3);
const CLIENT: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 15);

/// What came of a search.
struct Found {
    result: Result<Outcome, NetError>,
    info: Box<BootInfo>,
    told: Vec<String>,
    lan: Lan,
}

impl Found {
    /// Server and file, if the search found one.
    fn file(&self) -> Result<(Ipv4Addr, &str), NetError> {
        assert_eq!(self.result?, Outcome::File);
        Ok((self.info.next_server, str::from_utf8(&self.info.file).unwrap()))
    }

    fn seconds(&self) -> u64 {
        self.lan.elapsed().as_secs()
    }

    fn was_told(&self, event: &str) -> bool {
        self.told.iter().any(|told| told.starts_with(event))
    }
}

fn search_on(lan: Lan) -> Found {
    let mut info = Box::new(BootInfo::new());
    let mut told = Vec::new();
    let result = lan.with_net(|net| dhcp::run(net, &mut info, &mut |event: Event<'_>| told.push(format!("{event:?}"))));
    Found { result, info, told, lan }
}

fn search(switches: &[(&str, &str)]) -> Found {
    let found = search_on(Lan::new(switches));
    for packet in [&found.info.discover, &found.info.ack, &found.info.reply] {
        if packet[0] != 0 {
            assert_well_formed(packet);
        }
    }
    assert_eq!(found.lan.violations(), [], "{switches:?}");
    found
}

/// As a client reads it: options one after another up to 255, inside the packet.
fn assert_well_formed(packet: &Packet) {
    let mut at = 240;
    while packet[at] != 255 {
        at += if packet[at] == 0 { 1 } else { 2 + usize::from(packet[at + 1]) };
        assert!(at < PACKET_LEN, "no end inside the packet");
    }
}

/// The value of an option in a cached packet.
fn option(packet: &Packet, code: u8) -> Option<&[u8]> {
    let mut rest = &packet[240..];
    while let [other, len, tail @ ..] = rest {
        let (value, tail) = tail.split_at(usize::from(*len));
        if *other == code {
            return Some(value);
        }
        rest = tail;
        if rest[0] == 255 {
            return None;
        }
    }
    None
}

const NBP: (&str, &str) = ("boot-file", "pxelinux.0");

#[test]
fn a_plain_lease_with_a_file_boots_after_two_seconds_of_waiting_for_a_proxy() {
    let found = search(&[NBP]);
    assert_eq!(found.file(), Ok((SERVER, "pxelinux.0")));
    let lease = found.info.lease;
    assert_eq!((lease.address, lease.mask), (CLIENT, Ipv4Addr::new(255, 255, 255, 0)));
    assert_eq!((lease.gateway, lease.server, lease.seconds), (Some(SERVER), SERVER, 3600));
    assert_eq!(found.seconds(), 2);
    assert_eq!(
        found.told,
        [
            "Discovering(1)".to_string(),
            format!("Offer {{ server: {SERVER}, address: {CLIENT} }}"),
            format!("Requesting({SERVER})"),
            format!("Leased({lease:?})"),
        ]
    );
}

#[test]
fn the_cached_packets_are_what_clients_expect() {
    let Found { info, .. } = search(&[NBP, ("next-server", "none")]);
    let vendor_class = b"PXEClient:Arch:00000:UNDI:002001";
    assert_eq!(info.discover[240..243], [53, 1, 1], "the message type comes first");
    assert_eq!(option(&info.discover, 60), Some(&vendor_class[..]));
    assert_eq!(option(&info.discover, 93), Some(&[0, 0][..]));
    assert_eq!(option(&info.discover, 94), Some(&[1, 2, 1][..]));
    assert_eq!(option(&info.discover, 97), Some(&b"\0hvpxe-test-uuid!"[..]));
    assert_eq!(option(&info.discover, 61), Some(&[&[1][..], &MAC].concat()[..]));
    assert_eq!(option(&info.discover, 77), None, "no user class: servers would take us for iPXE");
    let asked = option(&info.discover, 55).unwrap();
    assert!(
        [1, 3, 43, 60, 66, 67].iter().chain(&[128, 129, 130, 131, 132, 133, 134, 135]).all(|code| asked.contains(code))
    );
    assert_eq!((info.ack[0], &info.ack[16..20]), (2, &CLIENT.octets()[..]));
    assert_eq!(option(&info.ack, 53), Some(&[5][..]));
    // Type 3 is complete even where the server's packet is not.
    assert_eq!(info.reply[12..16], CLIENT.octets());
    assert_eq!(info.reply[16..20], CLIENT.octets());
    assert_eq!(info.reply[20..24], SERVER.octets());
    assert_eq!(&info.reply[108..119], b"pxelinux.0\0");
}

#[test]
fn a_file_in_option_67_reaches_the_field_of_the_reply() {
    let Found { info, .. } = search(&[NBP, ("file-by-option", "yes"), ("next-server", "none")]);
    assert_eq!((info.next_server, &info.file[..]), (SERVER, &b"pxelinux.0"[..]));
    assert_eq!(&info.reply[108..119], b"pxelinux.0\0");
}

#[test]
fn lease_and_pxe_in_one_packet_need_no_waiting() {
    let found = search(&[NBP, ("pxe-class", "yes")]);
    assert_eq!(found.file(), Ok((SERVER, "pxelinux.0")));
    assert_eq!(found.seconds(), 0);
}

#[test]
fn a_complete_proxy_offer_is_taken_without_port_4011() {
    let found = search(&[NBP, ("proxy", "complete"), ("proxy.boot-file", "proxied.0")]);
    assert_eq!(found.file(), Ok((PROXY, "proxied.0")));
    assert!(!found.was_told("AskingProxy"));
    assert_eq!(found.seconds(), 0);
    assert_eq!(found.info.ack[20..24], SERVER.octets(), "the ACK is the DHCP server's still");
}

#[test]
fn an_incomplete_proxy_offer_leads_to_port_4011() {
    let found = search(&[("proxy", "4011"), ("proxy.boot-file", "proxied.0")]);
    assert_eq!(found.file(), Ok((PROXY, "proxied.0")));
    assert!(found.was_told("AskingProxy"));
    assert_eq!(option(&found.info.reply, 54), Some(&PROXY.octets()[..]));
}

#[test]
fn a_silent_proxy_is_an_error_unless_the_lease_has_a_file() {
    let alone = search(&[("proxy", "silent-4011"), ("proxy.boot-file", "x")]);
    assert_eq!(alone.result, Err(NetError::ProxyTimeout));
    assert_eq!(alone.seconds(), 1 + 2 + 3 + 4);
    assert_eq!(search(&[NBP, ("proxy", "silent-4011"), ("proxy.boot-file", "x")]).file(), Ok((SERVER, "pxelinux.0")));
}

#[test]
fn a_pxe_server_without_a_file_is_asked_on_port_4011() {
    let found = search(&[("pxe-class", "yes"), ("proxy.boot-file", "wdsnbp.com")]);
    assert_eq!(found.file(), Ok((SERVER, "wdsnbp.com")));
}

#[test]
fn servers_that_answer_one_half_get_their_own_errors() {
    let nobody = search(&[("dhcp.fault", "silent")]);
    assert_eq!(nobody.result, Err(NetError::NoOffer));
    assert!((56..=64).contains(&nobody.seconds()), "{} s", nobody.seconds());
    assert_eq!(nobody.told, ["Discovering(1)", "Discovering(2)", "Discovering(3)", "Discovering(4)"]);
    let proxy_only = [("dhcp.fault", "silent"), ("proxy", "complete"), ("proxy.boot-file", "x")];
    assert_eq!(search(&proxy_only).result, Err(NetError::ProxyOnly));
    let no_file = search(&[]);
    assert_eq!(no_file.result, Err(NetError::NoBootFile));
    assert!((11..=13).contains(&no_file.seconds()), "a proxy gets its time: {} s", no_file.seconds());
}

#[test]
fn refusals_are_bounded_and_a_second_try_is_made() {
    assert_eq!(search(&[NBP, ("dhcp.fault", "nak-once")]).file(), Ok((SERVER, "pxelinux.0")));
    let refused = search(&[NBP, ("dhcp.fault", "nak")]);
    assert_eq!(refused.result, Err(NetError::LeaseRefused));
    assert!(refused.seconds() < 10);
    let never = search(&[NBP, ("dhcp.fault", "offer-only")]);
    assert_eq!(never.result, Err(NetError::LeaseRefused));
    assert!(never.seconds() < 40);
}

#[test]
fn odd_packets_that_mean_something_are_understood() {
    for fault in ["no-server-id", "truncated-option", "overlong-option", "no-end", "overload", "split", "bootp", "huge"]
    {
        assert_eq!(search(&[NBP, ("dhcp.fault", fault)]).file(), Ok((SERVER, "pxelinux.0")), "{fault}");
    }
}

#[test]
fn packets_for_others_and_garbage_are_nothing() {
    assert_eq!(search(&[NBP, ("dhcp.fault", "wrong-xid")]).result, Err(NetError::NoOffer));
    assert_eq!(search(&[NBP, ("dhcp.fault", "wrong-chaddr")]).result, Err(NetError::NoOffer));
    let garbage = search(&[NBP, ("dhcp.fault", "garbage")]);
    assert!(garbage.seconds() < 70, "{:?} after {} s", garbage.result, garbage.seconds());
}

#[test]
fn a_bad_wire_only_takes_longer() {
    for seed in ["1", "2", "3", "4", "5", "6"] {
        let link = [("loss-percent", "20"), ("duplicate-percent", "20"), ("latency-ms", "50"), ("seed", seed), NBP];
        let proxy = [("proxy", "4011"), ("proxy.boot-file", "proxied.0")];
        let found = search(&[&link[..], &proxy].concat());
        let (_, file) = found.file().unwrap();
        // Without the proxy's offer, which was lost then, it is the lease's file.
        assert!(["proxied.0", "pxelinux.0"].contains(&file), "seed {seed}: {file}");
    }
}

#[test]
fn every_client_gets_the_file_for_its_kind() {
    let rules = [
        ("boot-file.ipxe", "script.ipxe"),
        ("boot-file.arch.7", "boot.efi"),
        ("boot-file.vendor.PXEClient:Arch:00000", "bios.0"),
        NBP,
    ];
    assert_eq!(search(&rules).file(), Ok((SERVER, "bios.0")));
}

/// A menu of two entries and a local one, on a proxy.
const MENU: [(&str, &str); 7] = [
    ("proxy", "complete"),
    ("menu.item", "1 First"),
    ("menu.item", "32770 Second"),
    ("menu.item", "0 Local disk"),
    ("menu.control", "3"),
    ("menu.file", "1 first.0"),
    ("menu.file", "32770 second.0"),
];
const SERVERS: [(&str, &str); 2] = [("menu.server", "1 10.0.2.3"), ("menu.server", "32770 10.0.2.3")];

fn menu(more: &[(&str, &str)], keys: &[(u64, Key)]) -> Found {
    let lan = Lan::new(&[&MENU[..], more].concat());
    let keys = keys.iter().map(|&(millis, key)| (Duration::from_millis(millis), key));
    lan.0.borrow_mut().keys.extend(keys);
    let found = search_on(lan);
    assert_eq!(found.lan.violations(), []);
    found
}

#[test]
fn a_menu_without_a_wait_takes_its_first_entry() {
    let found = menu(&[&SERVERS[..], &[("menu.prompt", "0 F8")]].concat(), &[]);
    assert_eq!(found.file(), Ok((PROXY, "first.0")));
    assert!(!found.was_told("Prompt"));
    assert_eq!(&found.info.reply[108..115], b"first.0");
}

#[test]
fn a_prompt_waits_its_time_and_any_key_ends_it() {
    let prompt = [&SERVERS[..], &[("menu.prompt", "5 Press F8\x1b[2J for a menu")]].concat();
    let waited = menu(&prompt, &[]);
    assert_eq!(waited.file(), Ok((PROXY, "first.0")));
    assert_eq!(waited.seconds(), 5);
    assert!(waited.was_told("Prompt(\"Press F8?[2J for a menu\")"), "{:?}", waited.told);
    let skipped = menu(&prompt, &[(1000, Key::Other(b' '))]);
    assert_eq!((skipped.file(), skipped.seconds()), (Ok((PROXY, "first.0")), 1));
}

#[test]
fn keys_move_through_the_menu() {
    let prompt = [&SERVERS[..], &[("menu.prompt", "5 F8")]].concat();
    let second = menu(&prompt, &[(1000, Key::F8), (1500, Key::Down), (2000, Key::Enter)]);
    assert_eq!(second.file(), Ok((PROXY, "second.0")));
    assert!(second.was_told("MenuItem { text: \"Second\", selected: true }"));
    let keys = [(1000, Key::F8), (1100, Key::Down), (1200, Key::Down), (1300, Key::Down), (1400, Key::Enter)];
    assert_eq!(menu(&prompt, &keys).result, Ok(Outcome::LocalBoot));
    let for_ever = [&SERVERS[..], &[("menu.prompt", "255 Choose")]].concat();
    assert_eq!(menu(&for_ever, &[(400_000, Key::Enter)]).file(), Ok((PROXY, "first.0")));
    assert_eq!(menu(&for_ever, &[(3_000, Key::Cancel)]).result, Err(NetError::Core(Error::Cancelled)));
}

#[test]
fn boot_servers_are_found_by_group_by_broadcast_and_by_list() {
    let now = ("menu.prompt", "0 F8");
    let by_group = menu(&[now, ("menu.control", "1"), ("menu.multicast", "224.0.1.2")], &[]);
    assert_eq!(by_group.file(), Ok((PROXY, "first.0")));
    assert!(by_group.was_told("FindingBootServer { kind: 1, address: 224.0.1.2 }"));
    let by_broadcast = menu(&[now, ("menu.control", "2")], &[]);
    assert_eq!(by_broadcast.file(), Ok((PROXY, "first.0")));
    let second_of_list = [now, ("menu.server", "1 10.0.2.77 10.0.2.3"), ("menu.control", "7")];
    assert_eq!(menu(&second_of_list, &[]).file(), Ok((PROXY, "first.0")));
}

#[test]
fn discovery_that_can_not_work_says_why() {
    let now = ("menu.prompt", "0 F8");
    assert_eq!(menu(&[now], &[]).result, Err(NetError::NoDiscoveryMethod));
    assert_eq!(menu(&[now, ("menu.control", "4")], &[]).result, Err(NetError::NoServerList));
    let elsewhere = [now, ("menu.control", "6"), ("menu.server", "1 10.0.2.77")];
    assert_eq!(menu(&elsewhere, &[]).result, Err(NetError::NoBootServer), "only listed servers count");
    let unknown = [now, ("menu.control", "0"), ("menu.clear", ""), ("menu.item", "9 Nobody has this"), now];
    let none = menu(&unknown, &[]);
    assert_eq!(none.result, Err(NetError::NoBootServer));
    assert_eq!(none.seconds(), 10);
}

#[test]
fn a_file_with_control_bit_3_goes_before_the_menu() {
    let found = menu(&[("menu.control", "8"), ("proxy.boot-file", "direct.0")], &[]);
    assert_eq!(found.file(), Ok((PROXY, "direct.0")));
}

#[test]
fn the_cancel_key_ends_every_wait() {
    let cases: [&[(&str, &str)]; 3] = [
        &[("dhcp.fault", "silent")],
        &[NBP, ("dhcp.fault", "offer-only")],
        &[("proxy", "silent-4011"), ("proxy.boot-file", "x")],
    ];
    for switches in cases {
        let lan = Lan::new(switches);
        lan.0.borrow_mut().keys.push_back((Duration::from_millis(3500), Key::Cancel));
        let found = search_on(lan);
        assert_eq!(found.result, Err(NetError::Core(Error::Cancelled)), "{switches:?}");
        assert!(found.lan.elapsed() < Duration::from_millis(3700));
    }
}

#[test]
fn a_lease_of_one_address_reaches_its_gateway() {
    let found = search(&[NBP, ("mask", "255.255.255.255"), ("server", "10.0.0.1"), ("gateway", "10.0.0.1")]);
    assert!(found.file().is_ok());
}

#[test]
fn the_server_saw_a_client_that_keeps_the_order_of_messages() {
    let found = search_on(Lan::new(&[NBP]));
    assert_eq!(found.lan.events(), [Seen::Dhcp(1), Seen::Dhcp(3)]);
}
