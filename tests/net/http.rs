//! The HTTP client, and DNS before it, against the test network, in virtual time.

use std::net::Ipv4Addr;
use std::time::Duration;

use crate::lan::Lan;
use hvpxe::error::Error;
use hvpxe::machine::Key;
use hvpxe::net::{Net, NetError, dns, file};
use netserver::Event;

const SERVER: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 2);
const URL: &str = "http://10.0.2.2/dir/nbp";

/// Contents in which no two parts are alike.
fn contents(len: usize) -> Vec<u8> {
    (0..len as u32).flat_map(|word| word.wrapping_mul(2_654_435_761).to_le_bytes()).take(len).collect()
}

/// A network with the file `dir/nbp` of `len` bytes.
fn lan(len: usize, switches: &[(&str, &str)]) -> Lan {
    let lan = Lan::new(switches);
    lan.0.borrow_mut().server.files().add("dir/nbp", contents(len));
    lan
}

fn with_lease<R>(lan: &Lan, action: impl FnOnce(&mut Net<'_, Lan, Lan>) -> R) -> R {
    lan.with_net(|net| {
        net.stack.configure(Ipv4Addr::new(10, 0, 2, 15), Some(Ipv4Addr::new(255, 255, 255, 0)), Some(SERVER)).unwrap();
        net.stack.set_name_servers([SERVER].into_iter());
        action(net)
    })
}

fn fetch(net: &mut Net<'_, Lan, Lan>, url: &str, capacity: u64) -> Result<Vec<u8>, NetError> {
    let mut file = Vec::new();
    let sink = &mut |offset, bytes: &[u8]| {
        assert_eq!(offset, file.len() as u64, "pieces come in order");
        file.extend_from_slice(bytes);
        Ok(())
    };
    let len = file::download(net, SERVER, url.as_bytes(), capacity, sink, &mut |_, _| ())?;
    assert_eq!(len, file.len() as u64);
    Ok(file)
}

fn download(lan: &Lan, url: &str) -> Result<Vec<u8>, NetError> {
    with_lease(lan, |net| fetch(net, url, 16 << 20))
}

/// Downloads, compares, and sees that the client kept to the protocols.
fn check(len: usize, switches: &[(&str, &str)], url: &str) -> Duration {
    let lan = lan(len, switches);
    let file = download(&lan, url).unwrap_or_else(|error| panic!("{error:?} with {switches:?}"));
    assert!(file == contents(len), "wrong bytes with {switches:?}");
    let elapsed = lan.elapsed();
    assert_eq!(lan.violations(), [], "{switches:?}");
    elapsed
}

#[test]
fn files_of_every_kind_of_body_arrive_whole() {
    for len in [0, 1, 1459, 1460, 1461, 131_072, 400_000] {
        for fault in ["none", "no-length", "chunked"] {
            let time = check(len, &[("http.fault", fault), ("latency-ms", "1")], URL);
            assert!(time < Duration::from_secs(2), "{len} bytes, {fault}: {time:?}");
        }
    }
}

#[test]
fn losses_duplicates_and_disorder_are_repaired() {
    for seed in ["1", "2", "3", "4", "5"] {
        let link = [
            ("loss-percent", "1"),
            ("duplicate-percent", "1"),
            ("reorder-percent", "2"),
            ("latency-ms", "20"),
            ("http.fault", "chunked"),
            ("seed", seed),
        ];
        let time = check(500_000, &link, URL);
        assert!(time < Duration::from_secs(60), "{time:?}");
    }
}

#[test]
fn a_large_window_fills_a_long_line() {
    let time = check(2_000_000, &[("latency-ms", "10")], URL);
    // 20 ms there and back with at most the server's 64 KiB under way: 31 round trips.
    assert!(time < Duration::from_millis(1200), "{time:?}");
}

#[test]
fn several_files_are_fetched_one_after_another() {
    let lan = lan(5_000, &[]);
    with_lease(&lan, |net| (0..20).for_each(|_| assert!(fetch(net, URL, 5_000).unwrap() == contents(5_000))));
    assert_eq!(lan.violations(), []);
}

#[test]
fn the_status_decides() {
    for (code, error) in [
        ("404", NetError::HttpNotFound),
        ("410", NetError::HttpNotFound),
        ("401", NetError::HttpForbidden),
        ("403", NetError::HttpForbidden),
        ("500", NetError::HttpStatus),
        ("302", NetError::HttpStatus),
        ("206", NetError::HttpStatus),
    ] {
        assert_eq!(download(&lan(100, &[("http.fault", &format!("status {code}"))]), URL), Err(error), "{code}");
    }
    assert_eq!(download(&lan(100, &[]), "http://10.0.2.2/absent"), Err(NetError::HttpNotFound));
}

#[test]
fn redirections_are_followed_but_not_for_ever() {
    for target in ["http://10.0.2.3/dir/nbp", "/dir/nbp", "nbp"] {
        let lan = lan(3_000, &[("http.fault", &format!("redirect {target}"))]);
        lan.0.borrow_mut().server.files().add("dir/other", b"not this one".to_vec());
        assert!(download(&lan, "http://10.0.2.2/dir/other?x=1").unwrap() == contents(3_000), "{target}");
    }
    let around = lan(100, &[("http.fault", "redirect /dir/nbp?again")]);
    let url = "http://10.0.2.2/dir/nbp?first";
    assert!(download(&around, url).is_ok(), "once is enough");
    let around = lan(100, &[("http.fault", "redirect /dir/nbp#never")]);
    assert_eq!(download(&around, URL), Err(NetError::HttpStatus));
    let asked = around.events().iter().filter(|event| matches!(event, Event::HttpRequest(_))).count();
    assert_eq!(asked, 6, "five redirections");
    for target in ["https://10.0.2.2/dir/nbp", "ftp://x/", "http:///", &format!("/{}", "x".repeat(600))] {
        let away = lan(100, &[("http.fault", &format!("redirect {target}"))]);
        let error = download(&away, "http://10.0.2.2/dir/nbp?x").unwrap_err();
        assert!(matches!(error, NetError::BadUrl | NetError::HttpStatus), "{target}: {error:?}");
    }
}

#[test]
fn broken_answers_end_the_download() {
    for fault in [
        "close",
        "truncated",
        "chunked-garbage",
        "endless-head",
        "text SSH-2.0-OpenSSH",
        "text HTTP/1.1 abc",
        "text HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n12345",
    ] {
        let lan = lan(50_000, &[("http.fault", fault)]);
        assert_eq!(download(&lan, URL), Err(NetError::HttpBroken), "{fault}");
        assert!(lan.elapsed() < Duration::from_secs(5), "{fault}");
    }
}

#[test]
fn silence_ends_a_download() {
    for fault in ["silent", "stall-after 10000"] {
        let lan = lan(50_000, &[("http.fault", fault)]);
        assert_eq!(download(&lan, URL), Err(NetError::HttpReadTimeout), "{fault}");
        assert!((20..25).contains(&lan.elapsed().as_secs()), "{fault}: {:?}", lan.elapsed());
    }
}

#[test]
fn servers_that_are_not_there_are_told_apart() {
    let nobody = lan(100, &[]);
    assert_eq!(download(&nobody, "http://10.0.2.99/x"), Err(NetError::HttpConnectTimeout));
    assert_eq!(nobody.elapsed().as_secs(), 10);
    assert_eq!(download(&lan(100, &[]), "http://10.0.2.2:81/x"), Err(NetError::HttpRefused));
    let no_route = lan(100, &[]).with_net(|net| {
        net.stack.configure(Ipv4Addr::new(10, 0, 2, 15), None, None).unwrap();
        fetch(net, "http://192.0.2.1/x", 100)
    });
    assert_eq!(no_route, Err(NetError::NoRoute));
    for url in ["http://255.255.255.255/x", "http://0.0.0.0/x"] {
        assert!(download(&lan(100, &[]), url).is_err(), "{url}");
    }
}

#[test]
fn other_ports_are_reached() {
    check(1_000, &[("http.port", "8080")], "http://10.0.2.2:8080/dir/nbp");
}

#[test]
fn a_file_larger_than_its_room_is_refused() {
    for (fault, bytes) in [("none", 0), ("no-length", 4_999), ("chunked", 4_999)] {
        let lan = lan(5_000, &[("http.fault", fault)]);
        with_lease(&lan, |net| {
            let mut taken = 0;
            let sink = &mut |_, piece: &[u8]| {
                taken += piece.len();
                Ok(())
            };
            let result = file::download(net, SERVER, URL.as_bytes(), 4_999, sink, &mut |_, _| ());
            assert_eq!(result, Err(NetError::TftpTooBig), "{fault}");
            assert!(taken <= bytes, "{fault}: {taken} bytes");
        });
    }
    let lan = lan(5_000, &[]);
    let refused = with_lease(&lan, |net| {
        let sink = &mut |_, _: &[u8]| Err(Error::InvalidParameter.into());
        file::download(net, SERVER, URL.as_bytes(), 5_000, sink, &mut |_, _| ())
    });
    assert_eq!(refused, Err(NetError::Core(Error::InvalidParameter)));
}

#[test]
fn the_cancel_key_ends_each_wait() {
    for (fault, url, after) in [
        ("silent", URL, 500),
        ("stall-after 20000", URL, 700),
        ("none", "http://10.0.2.99/x", 1500),
        ("none", "http://nobody.example/x", 300),
    ] {
        let lan = lan(50_000, &[("http.fault", fault), ("dns.fault", "silent")]);
        lan.0.borrow_mut().keys.push_back((Duration::from_millis(after), Key::Cancel));
        assert_eq!(download(&lan, url), Err(NetError::Core(Error::Cancelled)), "{fault} {url}");
        assert!(lan.elapsed() < Duration::from_millis(after + 100));
    }
}

#[test]
fn urls_say_how_plain_names_and_tftp_are_fetched() {
    for name in ["dir/nbp", "tftp://10.0.2.2/dir/nbp", "TFTP://boot.example:69/dir/nbp"] {
        let lan = lan(3_000, &[("dns.name", "boot.example 10.0.2.2")]);
        assert!(download(&lan, name).unwrap() == contents(3_000), "{name}");
        assert!(lan.events().contains(&Event::TftpRequest("dir/nbp".into())), "{name}");
    }
    for name in ["https://10.0.2.2/x", "ftp://10.0.2.2/x", "http://", "http://a b/"] {
        assert_eq!(download(&lan(1, &[]), name), Err(NetError::BadUrl), "{name}");
    }
}

#[test]
fn names_are_resolved() {
    for fault in ["none", "alias", "garbage"] {
        let switches = [("dns.name", "Boot.Example 10.0.2.3"), ("dns.fault", fault)];
        let lan = lan(3_000, &switches);
        assert!(download(&lan, "http://boot.example/dir/nbp").unwrap() == contents(3_000), "{fault}");
        let events = lan.events();
        assert!(events.contains(&Event::DnsQuery("boot.example".into())), "{events:?}");
        assert_eq!(lan.violations(), []);
    }
}

#[test]
fn names_that_can_not_be_resolved_end_in_time() {
    let resolve = |lan: &Lan, name: &str| with_lease(lan, |net| dns::resolve(net, name.as_bytes()));
    assert_eq!(resolve(&lan(1, &[]), "absent.example"), Err(NetError::NameNotFound));
    for (fault, seconds) in [("silent", 7), ("failure", 0)] {
        let lan = lan(1, &[("dns.fault", fault)]);
        assert_eq!(resolve(&lan, "boot.example"), Err(NetError::NameTimeout), "{fault}");
        assert_eq!(lan.elapsed().as_secs(), seconds, "{fault}");
        let asked = lan.events().iter().filter(|event| matches!(event, Event::DnsQuery(_))).count();
        assert_eq!(asked, 3, "{fault}");
    }
    assert_eq!(resolve(&lan(1, &[]), "a..b"), Err(NetError::BadUrl));
    let nobody = lan(1, &[]).with_net(|net| dns::resolve(net, b"boot.example"));
    assert_eq!(nobody, Err(NetError::NameTimeout), "no name server is known");
}

#[test]
fn a_second_name_server_is_asked_when_the_first_is_gone() {
    let lan = lan(1, &[("dns.name", "boot.example 192.0.2.9")]);
    let found = with_lease(&lan, |net| {
        net.stack.set_name_servers([Ipv4Addr::new(10, 0, 2, 99), Ipv4Addr::new(10, 0, 2, 3)].into_iter());
        dns::resolve(net, b"boot.example")
    });
    assert_eq!(found, Ok(Ipv4Addr::new(192, 0, 2, 9)));
    assert!(lan.elapsed() < Duration::from_secs(6));
}
