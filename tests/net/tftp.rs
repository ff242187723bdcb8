//! The TFTP client against the test network, in virtual time.

use std::net::Ipv4Addr;
use std::time::Duration;

use crate::lan::Lan;
use hvpxe::error::Error;
use hvpxe::machine::Key;
use hvpxe::net::tftp::{self, Request, Transfer};
use hvpxe::net::{Net, NetError};
use netserver::Event;

const SERVER: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 2);

const REQUEST: Request<'_> =
    Request { server: SERVER, gateway: None, port: 0, file: b"nbp", block_size: 1468, window: 16 };

/// Contents in which no two blocks are alike.
fn contents(len: usize) -> Vec<u8> {
    (0..len as u32).flat_map(|word| word.wrapping_mul(2_654_435_761).to_le_bytes()).take(len).collect()
}

/// A network with the file `nbp` of `len` bytes.
fn lan(len: usize, switches: &[(&str, &str)]) -> Lan {
    let lan = Lan::new(switches);
    lan.0.borrow_mut().server.files().add("nbp", contents(len));
    lan
}

fn with_lease<R>(lan: &Lan, action: impl FnOnce(&mut Net<'_, Lan, Lan>) -> R) -> R {
    lan.with_net(|net| {
        net.stack.configure(Ipv4Addr::new(10, 0, 2, 15), Some(Ipv4Addr::new(255, 255, 255, 0)), Some(SERVER)).unwrap();
        action(net)
    })
}

fn download(lan: &Lan, request: &Request<'_>) -> Result<Vec<u8>, NetError> {
    with_lease(lan, |net| {
        let mut file = Vec::new();
        let sink = &mut |offset, bytes: &[u8]| {
            assert_eq!(offset, file.len() as u64, "pieces come in order");
            file.extend_from_slice(bytes);
            Ok(())
        };
        let len = tftp::download(net, request, 16 << 20, sink, &mut |_, _| ())?;
        assert_eq!(len, file.len() as u64);
        Ok(file)
    })
}

/// Downloads, compares, and sees that the client kept to the protocol.
fn check(len: usize, switches: &[(&str, &str)], request: &Request<'_>) -> Duration {
    let lan = lan(len, switches);
    let file = download(&lan, request).unwrap_or_else(|error| panic!("{error:?} with {switches:?}"));
    assert!(file == contents(len), "wrong bytes with {switches:?}");
    assert_eq!(lan.violations(), [], "{switches:?}");
    lan.elapsed()
}

#[test]
fn files_of_every_length_around_a_block_arrive_whole() {
    for len in [0, 1, 511, 512, 513, 1467, 1468, 1469, 2936, 100_000] {
        check(len, &[], &REQUEST);
        check(len, &[], &Request { block_size: 512, window: 1, ..REQUEST });
    }
}

#[test]
fn blocks_in_ip_fragments_arrive_whole() {
    let large = Request { block_size: 16_384, window: 1, ..REQUEST };
    for len in [0, 1_468, 1_469, 16_383, 16_384, 16_385, 300_007] {
        check(len, &[], &large);
    }
    check(100_000, &[], &Request { block_size: 1_469, ..large });
    check(100_000, &[("duplicate-percent", "100")], &large);
    check(100_000, &[("reorder-percent", "50")], &large);
    // Two blocks in flight are all that the queue holds.
    check(100_000, &[], &Request { window: 2, ..large });
}

#[test]
fn a_lost_fragment_costs_one_repetition_of_its_block() {
    let lan = lan(200_000, &[]);
    let mut fragments = 0;
    lan.0.borrow_mut().tamper = Some(Box::new(move |frame: &mut Vec<u8>| {
        // Bytes 20-21 of the frame: flags and fragment offset.
        let is_fragment = frame.get(20..22).is_some_and(|flags| flags[0] & 0x3f != 0 || flags[1] != 0);
        fragments += u32::from(is_fragment && frame[12..14] == [8, 0]);
        if fragments == 40 {
            fragments += 1;
            frame.clear();
        }
    }));
    let file = download(&lan, &Request { block_size: 16_384, window: 1, ..REQUEST }).unwrap();
    assert!(file == contents(200_000));
    assert!(lan.elapsed() < Duration::from_secs(3), "{:?}", lan.elapsed());
}

#[test]
fn block_numbers_wrap() {
    check(70_000 * 512 / 8, &[("tftp.max-block", "64")], &REQUEST);
}

#[test]
fn options_the_server_cuts_or_lacks_are_taken_as_they_come() {
    for switches in [
        &[("tftp.max-block", "600"), ("tftp.max-window", "3")][..],
        &[("tftp.fault", "no-options")],
        &[("tftp.fault", "refuse-options")],
        &[("tftp.fault", "oack tsize x")],
        &[("tftp.fault", "oack tsize 99999999999999999999999")],
        &[("tftp.fault", "oack nonsense 1")],
    ] {
        check(20_000, switches, &REQUEST);
    }
}

#[test]
fn an_oack_that_grants_too_much_is_refused_and_the_file_fetched_without_options() {
    for fault in ["oack blksize 65464", "oack blksize 0", "oack blksize x", "oack windowsize 9999", "oack windowsize 0"]
    {
        let lan = lan(5_000, &[("tftp.fault", fault)]);
        assert!(download(&lan, &REQUEST).unwrap() == contents(5_000), "{fault}");
        assert!(lan.events().contains(&Event::TftpAborted(8)), "{fault}");
    }
}

#[test]
fn duplicates_strangers_garbage_and_disorder_do_no_harm() {
    for fault in ["wrong-tid", "duplicate", "garbage", "reorder"] {
        for window in [1, 4, 16] {
            check(40_000, &[("tftp.fault", fault), ("latency-ms", "2")], &Request { window, ..REQUEST });
        }
    }
}

#[test]
fn losses_are_repaired() {
    for seed in ["1", "2", "3", "4", "5"] {
        for window in [1, 16] {
            let link =
                [("loss-percent", "1"), ("duplicate-percent", "1"), ("reorder-percent", "1"), ("latency-ms", "50")];
            let switches = [&link[..], &[("seed", seed)]].concat();
            let time = check(300_000, &switches, &Request { window, ..REQUEST });
            assert!(time < Duration::from_secs(90), "{time:?}");
        }
    }
}

#[test]
fn duplicated_frames_do_not_breed_more_of_them() {
    let lan = lan(146_800, &[("duplicate-percent", "100"), ("latency-ms", "2")]);
    assert!(download(&lan, &REQUEST).is_ok());
    // 101 blocks in windows of 16 are 7 ACKs, the request, ARP; a breeding client sends hundreds of frames.
    let sent = lan.0.borrow().sent.len();
    assert!(sent < 40, "{sent} frames sent");
}

#[test]
fn a_window_of_16_is_several_times_as_fast_at_10_ms() {
    let time = |window| check(1_000_000, &[("latency-ms", "5")], &Request { window, ..REQUEST });
    let (single, windowed) = (time(1), time(16));
    assert!(windowed * 8 < single, "{windowed:?} against {single:?}");
}

#[test]
fn errors_of_the_server_come_through() {
    let refused = |fault: &str| download(&lan(100, &[("tftp.fault", fault)]), &REQUEST).unwrap_err();
    assert_eq!(refused("error 1"), NetError::TftpFileNotFound);
    assert_eq!(refused("error 2"), NetError::TftpAccessViolation);
    assert_eq!(refused("error 0"), NetError::TftpRefused);
    assert_eq!(download(&lan(5000, &[("tftp.fault", "error-after 2")]), &REQUEST), Err(NetError::TftpRefused));
    let missing = Request { file: b"missing", ..REQUEST };
    assert_eq!(download(&lan(100, &[]), &missing), Err(NetError::TftpFileNotFound));
}

#[test]
fn silence_ends_after_four_tries() {
    let lan_silent = lan(100, &[("tftp.fault", "silent")]);
    assert_eq!(download(&lan_silent, &REQUEST), Err(NetError::TftpOpenTimeout));
    assert_eq!(lan_silent.elapsed().as_secs(), 1 + 2 + 4 + 8);
    let asked = lan_silent.events();
    assert_eq!(asked.iter().filter(|event| matches!(event, Event::TftpRequest(_))).count(), 4);

    let lan_stopped = lan(50_000, &[("tftp.fault", "silent-after 3")]);
    assert_eq!(download(&lan_stopped, &REQUEST), Err(NetError::TftpReadTimeout));
    assert!(lan_stopped.elapsed().as_secs() < 20);
}

#[test]
fn a_server_that_is_not_there_fails_by_arp() {
    let lan = lan(100, &[]);
    let request = Request { server: Ipv4Addr::new(10, 0, 2, 99), ..REQUEST };
    assert_eq!(download(&lan, &request), Err(NetError::ArpTimeout));
    assert_eq!(lan.elapsed().as_secs(), 4);
    assert_eq!(lan.0.borrow().sent.len(), 4, "four ARP requests and nothing else");
}

#[test]
fn an_off_link_server_is_reached_through_the_gateway_or_the_callers_one() {
    let away = Ipv4Addr::new(192, 0, 2, 10);
    check(5_000, &[], &Request { server: away, ..REQUEST });
    let lan = lan(5_000, &[]);
    let fetch = |gateway| {
        lan.with_net(|net| {
            net.stack.configure(Ipv4Addr::new(10, 0, 2, 15), None, None).unwrap();
            tftp::download(
                net,
                &Request { server: away, gateway, ..REQUEST },
                5_000,
                &mut |_, _| Ok(()),
                &mut |_, _| (),
            )
        })
    };
    assert_eq!(fetch(None), Err(NetError::NoRoute));
    assert_eq!(fetch(Some(SERVER)), Ok(5_000));
}

#[test]
fn a_file_larger_than_its_room_is_refused_before_or_at_the_limit() {
    let fetch = |lan: &Lan, capacity| {
        with_lease(lan, |net| {
            let mut taken = 0;
            let sink = &mut |_, bytes: &[u8]| {
                taken += bytes.len() as u64;
                Ok(())
            };
            let result = tftp::download(net, &REQUEST, capacity, sink, &mut |_, _| ());
            (result, taken)
        })
    };
    assert_eq!(fetch(&lan(5_000, &[]), 5_000), (Ok(5_000), 5_000));
    assert_eq!(fetch(&lan(5_000, &[]), 4_999), (Err(NetError::TftpTooBig), 0), "the server tells the size");
    let (result, taken) = fetch(&lan(5_000, &[("tftp.fault", "no-options")]), 4_999);
    assert_eq!((result, taken), (Err(NetError::TftpTooBig), 4_608));
    let (result, taken) = fetch(&lan(5_000, &[("tftp.fault", "endless")]), 100_000);
    assert_eq!(result, Err(NetError::TftpTooBig));
    assert!(taken <= 100_000);
}

#[test]
fn sizes_are_asked_for_without_a_download() {
    let size = |lan: &Lan| with_lease(lan, |net| tftp::file_size(net, &REQUEST));
    let known = lan(123_456, &[]);
    assert_eq!(size(&known), Ok(123_456));
    assert!(known.events().contains(&Event::TftpAborted(0)));
    assert_eq!(size(&lan(1, &[("tftp.fault", "no-options")])), Err(NetError::TftpNoSize));
    assert_eq!(size(&lan(1, &[("tftp.fault", "error 1")])), Err(NetError::TftpFileNotFound));
}

#[test]
fn an_unread_empty_last_block_is_acknowledged_on_close() {
    for switches in [&[][..], &[("tftp.fault", "no-options")]] {
        let lan = lan(1024, switches);
        with_lease(&lan, |net| {
            let mut transfer = Transfer::closed();
            transfer.open(net, &Request { block_size: 512, window: 1, ..REQUEST }).unwrap();
            for number in 1..=2 {
                let block = transfer.read(net, &mut |_| Ok(())).unwrap();
                assert_eq!((block.number, block.len, block.last), (number, 512, false));
            }
            transfer.close(net);
            assert_eq!(transfer.read(net, &mut |_| Ok(())).unwrap_err(), NetError::TftpClosed);
        });
        let events = lan.events();
        assert!(events.contains(&Event::TftpDone("nbp".into())), "{events:?}");
    }
}

#[test]
fn reading_past_the_end_delivers_nothing() {
    with_lease(&lan(100, &[]), |net| {
        let mut transfer = Transfer::closed();
        transfer.open(net, &REQUEST).unwrap();
        assert_eq!((transfer.block_size(), transfer.size()), (1468, Some(100)));
        assert!(transfer.read(net, &mut |_| Ok(())).unwrap().last);
        let past = transfer.read(net, &mut |_| panic!("nothing to deliver")).unwrap();
        assert_eq!((past.number, past.len, past.last), (1, 0, true));
    });
}

#[test]
fn the_cancel_key_ends_a_download() {
    for (fault, after) in [("silent", 500), ("silent-after 2", 700), ("endless", 100)] {
        let lan = lan(50_000, &[("tftp.fault", fault), ("latency-ms", "1")]);
        lan.0.borrow_mut().keys.push_back((Duration::from_millis(after), Key::Cancel));
        assert_eq!(download(&lan, &REQUEST), Err(NetError::Core(Error::Cancelled)), "{fault}");
        assert!(lan.elapsed() < Duration::from_millis(after + 100));
    }
}

#[test]
fn requests_that_fit_no_packet_are_refused() {
    let refused = |request: &Request<'_>| download(&lan(1, &[]), request).unwrap_err();
    assert_eq!(refused(&Request { file: b"", ..REQUEST }), NetError::TftpInvalidRequest);
    assert_eq!(refused(&Request { file: b"a\0b", ..REQUEST }), NetError::TftpInvalidRequest);
    assert_eq!(refused(&Request { file: &[b'x'; 500], ..REQUEST }), NetError::TftpInvalidRequest);
    assert_eq!(refused(&Request { block_size: 7, ..REQUEST }), NetError::TftpInvalidRequest);
}

/// Time that a download of 10 MB with windows of 64 blocks takes, over a wire with 10 ms each way, in the mean of some seeds.
fn mean_time(loss_percent: &str) -> Duration {
    let seeds = ["1", "2", "3", "4"];
    let time = |seed| {
        let switches = [("latency-ms", "10"), ("loss-percent", loss_percent), ("seed", seed)];
        check(10_000_000, &switches, &Request { window: 64, ..REQUEST })
    };
    seeds.map(time).iter().sum::<Duration>() / seeds.len() as u32
}

#[test]
fn one_lost_frame_in_a_hundred_leaves_seven_tenths_of_the_rate() {
    // A lost block costs what the window has behind it: 47 of 64 blocks get through in the mean. Waits for the last
    // block and for ACKs that were lost come on top.
    let (whole, lossy) = (mean_time("0"), mean_time("1"));
    assert!(lossy * 7 < whole * 10, "{lossy:?} against {whole:?}");
}

#[test]
fn the_last_block_of_a_window_and_an_ack_are_missed_soon() {
    // Blocks 1 to 16, and 17 to 32: at 10 ms each way the window's end is missed after 60 ms instead of a second.
    for lost in [16, 32] {
        let lan = lan(100_000, &[("latency-ms", "10")]);
        let mut blocks = 0;
        lan.0.borrow_mut().tamper = Some(Box::new(move |frame: &mut Vec<u8>| {
            blocks += u32::from(frame.len() > 1000);
            if blocks == lost {
                blocks += 1000;
                frame.clear();
            }
        }));
        assert!(download(&lan, &REQUEST).unwrap() == contents(100_000));
        let whole = check(100_000, &[("latency-ms", "10")], &REQUEST);
        assert!(lan.elapsed() < whole + Duration::from_millis(100), "{:?}", lan.elapsed());
    }
}

#[test]
fn a_server_that_pauses_gets_no_flood_of_acks() {
    // Longer than we wait for a block: one ACK more, and then one after each of the long waits.
    let lan = lan(50_000, &[("tftp.fault", "silent-after 20"), ("latency-ms", "2")]);
    assert_eq!(download(&lan, &REQUEST), Err(NetError::TftpReadTimeout));
    let sent = lan.0.borrow().sent.len();
    assert!(sent < 14, "{sent} frames sent");
}
