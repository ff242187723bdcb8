//! The lease after the boot, in virtual time: RENEW, REBIND, and what a boot program on the same port keeps.

use std::net::Ipv4Addr;
use std::time::Duration;

use hvpxe::machine::Machine;
use hvpxe::net::Net;
use hvpxe::net::dhcp::{self, BootInfo, Renewal};
use hvpxe::net::udp::Filter;
use netserver::Event;

use crate::lan::{Lan, MAC};
use crate::stack::datagram;

const REQUEST: Event = Event::Dhcp(3);

/// Gets a lease, and idles in steps of a second for `seconds`, as a boot program that polls. `change` gets the
/// network after the lease.
fn idle(lan: &Lan, seconds: u64, change: &[(&str, &str)], mut each: impl FnMut(&mut Net<'_, Lan, Lan>)) -> Vec<Event> {
    lan.with_net(|net| {
        let mut info = BootInfo::new();
        dhcp::run(net, &mut info, &mut |_| ()).unwrap();
        lan.events();
        for (key, value) in change {
            lan.0.borrow_mut().server.set(key, value).unwrap();
        }
        let mut renewal = Renewal::none();
        renewal.begin(&info, net.machine.now());
        for _ in 0..seconds {
            lan.0.borrow_mut().now += Duration::from_secs(1);
            let now = net.machine.now();
            renewal.keep(net, now).unwrap();
            net.stack.poll(net.nic, now).unwrap();
            each(net);
        }
    });
    lan.events()
}

fn lan(lease_seconds: &str) -> Lan {
    Lan::new(&[("boot-file", "nbp"), ("lease-seconds", lease_seconds)])
}

#[test]
fn half_the_lease_later_the_server_is_asked_by_unicast() {
    let lan = lan("200");
    lan.0.borrow_mut().sent.clear();
    assert_eq!(idle(&lan, 98, &[], |_| ()), [], "too early");
    let lan = self::lan("200");
    let events = idle(&lan, 110, &[], |_| ());
    assert_eq!(events, [REQUEST]);
    let world = lan.0.borrow();
    let request = world.sent.iter().rev().find(|frame| frame[12..14] == [8, 0]).unwrap();
    assert_eq!(request[30..34], [10, 0, 2, 2], "to the server alone");
    let message = &request[42..];
    assert_eq!(message[12..16], [10, 0, 2, 15], "ciaddr");
    let options = &message[240..];
    assert_eq!(options[..3], [53, 1, 3]);
    assert!(!options.windows(2).any(|pair| pair == [50, 4] || pair == [54, 4]), "RFC 2131, section 4.3.2");
}

#[test]
fn each_acknowledgement_starts_the_lease_anew() {
    let events = idle(&lan("200"), 520, &[], |_| ());
    assert_eq!(events, [REQUEST; 5]);
}

#[test]
fn a_silent_server_is_asked_again_and_then_all_servers() {
    let lan = lan("600");
    let events = idle(&lan, 700, &[("dhcp.fault", "silent")], |_| ());
    // T1 300 s: 300 and 412 (half of what is left to T2), 474; T2 525 s: 534 by broadcast, nothing after the end.
    assert!((3..=6).contains(&events.len()), "{events:?}");
    let world = lan.0.borrow();
    let last = world.sent.iter().rev().find(|frame| frame[12..14] == [8, 0]).unwrap();
    assert_eq!(last[30..34], [255; 4], "the last one went to all");
}

#[test]
fn a_refusal_ends_it() {
    let events = idle(&lan("200"), 500, &[("dhcp.fault", "nak")], |_| ());
    assert_eq!(events, [REQUEST]);
}

#[test]
fn an_endless_lease_and_one_without_time_are_left_alone() {
    assert_eq!(idle(&lan("4294967295"), 300, &[], |_| ()), []);
    let events = idle(&lan("0"), 100, &[], |_| ());
    assert!(events.len() <= 1, "{events:?}");
}

#[test]
fn replies_to_other_stations_neither_hide_ours_nor_get_lost() {
    let lan = lan("200");
    let mut injected = false;
    let other = [&[2, 1, 6, 0][..], &[9; 232], &[0x63, 0x82, 0x53, 0x63, 53, 1, 5, 255]].concat();
    let events = idle(&lan, 320, &[], |net| {
        if !injected {
            injected = true;
            let frame = datagram(Ipv4Addr::BROADCAST, 67, 68, &other);
            lan.0.borrow_mut().injected.push_back([&MAC[..], &frame[6..]].concat());
        }
        if net.machine.now().0 > 310 * 10_000_000 {
            assert!(net.receive(&Filter::port(68)).unwrap().is_none_or(|datagram| datagram.payload() == other));
        }
    });
    assert_eq!(events, [REQUEST; 3]);
}
