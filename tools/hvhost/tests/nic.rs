//! A scripted guest and the NIC: handshake, traffic, link, and what ends a channel.

mod guest;

use guest::{Guest, NIC, RECEIVE, u32s, vector, word};
use hvhost::{MS, SECOND};

fn frame(tag: u8) -> [u8; 60] {
    let mut frame = [tag; 60];
    frame[..6].copy_from_slice(&[0xff; 6]);
    frame
}

#[test]
fn a_frame_goes_out_and_comes_back() {
    let mut guest = Guest::connected(&[]);
    guest.nic_up();
    guest.send_frame(&frame(0x11));
    let sent = std::mem::take(&mut guest.net.0.lock().unwrap().sent);
    assert_eq!(sent, [frame(0x11).to_vec()]);

    guest.net.0.lock().unwrap().waiting.extend(sent);
    let (transaction, channel_type, ranges) = guest.received().expect("the echo");
    assert_eq!((transaction, channel_type, ranges.len()), (16, 0, 1));
    assert_eq!(ranges[0].len(), 1806);
    assert_eq!(ranges[0][..16], u32s(&[1, 1806, 0xf8, 60])[..]);
    assert_eq!(ranges[0][256..316], frame(0x11));
    guest.complete(transaction);

    assert_eq!(word(&guest.request(&u32s(&[5, 32, 9, 0x0001_010e, 4, 20, 0, 0])), 12), 0);
    guest.post(1, &u32s(&[7, 0, NIC]));
    for gpadl in [0x5200_0001, 0x5200_0002] {
        guest.post(1, &u32s(&[11, 0, NIC, gpadl]));
        assert_eq!(guest.message().unwrap(), u32s(&[12, 0, gpadl]));
    }
    guest.run(SECOND);
    guest.assert_clean();
    let counters = guest.host.counters();
    assert_eq!((counters.tx_frames, counters.rx_frames, counters.interrupts), (1, 1, 0));
}

#[test]
fn forty_frames_come_in_two_packets_of_twenty() {
    let mut guest = Guest::connected(&[]);
    guest.nic_up();
    guest.net.0.lock().unwrap().waiting.extend((0..40).map(|tag| frame(tag).to_vec()));
    let (first, _, ranges) = guest.received().unwrap();
    assert_eq!((first, ranges.len(), ranges[19][256 + 6]), (16, 20, 19));
    assert!(guest.received().is_none(), "all buffers are with the guest");
    guest.complete(first);
    let (second, _, ranges) = guest.received().unwrap();
    assert_eq!((ranges.len(), ranges[0][256 + 6]), (20, 20));
    guest.complete(second);
    guest.assert_clean();
}

#[test]
fn without_a_filter_frames_are_dropped() {
    let mut guest = Guest::connected(&[]);
    guest.nic_up();
    guest.request(&u32s(&[5, 32, 9, 0x0001_010e, 4, 20, 0, 0]));
    guest.net.0.lock().unwrap().waiting.push_back(frame(1).to_vec());
    assert!(guest.received().is_none());
    assert_eq!(guest.host.counters().rx_filtered, 1);
}

#[test]
fn a_halted_nic_receives_nothing_and_may_be_closed() {
    let mut guest = Guest::connected(&[]);
    guest.nic_up();
    guest.rndis(77, 1, &u32s(&[3, 12, 9]));
    guest.net.0.lock().unwrap().waiting.push_back(frame(1).to_vec());
    assert!(guest.received().is_none());
    guest.post(1, &u32s(&[7, 0, NIC]));
    guest.assert_clean();
}

#[test]
fn an_empty_completion_is_fatal_only_on_a_strict_host() {
    for (switch, alive) in [("on", true), ("off", false)] {
        let mut guest = Guest::connected(&[("lenient_rx_completion", switch)]);
        guest.nic_up();
        guest.net.0.lock().unwrap().waiting.push_back(frame(1).to_vec());
        let (transaction, ..) = guest.received().unwrap();
        guest.send(11, 0, transaction, &[], &[]);
        guest.net.0.lock().unwrap().waiting.push_back(frame(2).to_vec());
        assert_eq!(guest.received().is_some(), alive);
        assert_eq!(guest.violations().is_empty(), alive);
    }
}

#[test]
fn a_second_completion_kills_the_channel_and_a_reopen_revives_it() {
    let mut guest = Guest::connected(&[]);
    guest.nic_up();
    guest.net.0.lock().unwrap().waiting.push_back(frame(1).to_vec());
    let (transaction, ..) = guest.received().unwrap();
    guest.complete(transaction);
    guest.complete(transaction);
    assert_eq!(guest.violations(), ["channel 6: completion of transaction 0x10: nothing with this id was outstanding"]);
    guest.net.0.lock().unwrap().waiting.push_back(frame(1).to_vec());
    assert!(guest.received().is_none());

    guest.post(1, &u32s(&[7, 0, NIC]));
    for gpadl in [0x5200_0001, 0x5200_0002] {
        guest.post(1, &u32s(&[11, 0, NIC, gpadl]));
        guest.message().unwrap();
    }
    guest.nic_up();
    guest.send_frame(&frame(2));
    assert_eq!(guest.net.0.lock().unwrap().sent.len(), 1);
}

#[test]
fn the_handshake_has_an_order() {
    // RECV_BUF before NDIS_CONFIG: no completion, and silence from then on.
    let mut guest = Guest::connected(&[]);
    guest.gpadl(NIC, 1, guest::RINGS, 4);
    guest.gpadl(NIC, 2, RECEIVE, 16);
    guest.open(NIC, 1);
    guest.nvsp(1, &[1, 0x5_0000, 0x5_0000]);
    guest.send(6, 1, 2, &[], &u32s(&[101, 2, 0xbead, 0, 0, 0, 0, 0]));
    assert!(guest.packet().is_none());
    assert_eq!(guest.violations(), ["channel 6: NVSP message 101: before SEND_NDIS_CONFIG"]);
}

#[test]
fn an_unknown_nvsp_version_may_be_followed_by_another() {
    let mut guest = Guest::connected(&[("max_nvsp_version", "0x40000")]);
    guest.gpadl(NIC, 1, guest::RINGS, 4);
    guest.open(NIC, 1);
    assert_eq!(word(&guest.nvsp(1, &[1, 0x5_0000, 0x5_0000]), 12), 0);
    assert_eq!(word(&guest.nvsp(2, &[1, 0x4_0000, 0x4_0000]), 12), 1);
    assert_eq!(guest.nvsp(3, &[125, 1514, 0, 0, 0]).len(), 0);
    guest.assert_clean();
}

#[test]
fn a_packet_through_the_send_buffer() {
    let mut guest = Guest::connected(&[]);
    guest.gpadl(NIC, 3, 0x80000, 3);
    guest.nic_up_with_send_buffer(3);
    let mut message = vector("rndis_packet_60");
    message.extend_from_slice(&frame(7));
    guest.put(0x80000 + 6144, &message);
    let status = guest.nvsp(9, &[107, 0, 1, message.len() as u32]);
    assert_eq!(status[..8], u32s(&[108, 1])[..]);
    assert_eq!(guest.net.0.lock().unwrap().sent, [frame(7).to_vec()]);
    guest.assert_clean();
    // Section 2 starts in the last page and would end behind it.
    guest.send(6, 1, 10, &[], &u32s(&[107, 0, 2, 6144, 0, 0, 0, 0]));
    assert!(guest.packet().is_none());
    assert_eq!(guest.violations().len(), 1);
}

#[test]
fn a_malformed_frame_fails_but_the_channel_lives() {
    let mut guest = Guest::connected(&[]);
    guest.nic_up();
    let mut message = vector("rndis_packet_60");
    message[12] = 61; // one byte more than there is
    message.extend_from_slice(&frame(7));
    guest.put(guest::SEND, &message);
    let mut extra = u32s(&[0, 1, message.len() as u32, 0]);
    extra.extend_from_slice(&(guest::SEND / 4096).to_le_bytes());
    guest.send(9, 1, 5, &extra, &u32s(&[107, 0, u32::MAX, 0, 0, 0, 0, 0]));
    let (_, _, _, payload) = guest.packet().unwrap();
    assert_eq!(payload[..8], u32s(&[108, 2])[..]);
    assert_eq!(guest.violations(), ["channel 6: RNDIS message 0x1: data beyond the message"]);
    guest.send_frame(&frame(8));
}

#[test]
fn link_changes_are_indicated() {
    let mut guest = Guest::connected(&[("link_change", "down@20ms"), ("link_change", "up@40ms")]);
    guest.nic_up();
    for (time, status) in [(25 * MS, 0x4001_000c), (20 * MS, 0x4001_000b)] {
        guest.run(time);
        let (transaction, channel_type, ranges) = guest.received().expect("an indication");
        assert_eq!(channel_type, 1);
        assert_eq!(ranges[0], u32s(&[7, 20, status, 0, 0]));
        guest.complete(transaction);
    }
    guest.assert_clean();
}

#[test]
fn the_nic_is_rescinded_after_some_frames() {
    let mut guest = Guest::connected(&[("rescind_after", "1")]);
    guest.nic_up();
    guest.send_frame(&frame(1));
    guest.run(MS);
    assert_eq!(guest.message().unwrap(), u32s(&[2, 0, NIC]));
    guest.net.0.lock().unwrap().waiting.push_back(frame(1).to_vec());
    assert!(guest.packet().is_none());
    guest.post(1, &u32s(&[7, 0, NIC]));
    guest.post(1, &u32s(&[11, 0, NIC, 0x5200_0001]));
    assert_eq!(guest.message().unwrap(), u32s(&[12, 0, 0x5200_0001]));
    guest.post(1, &u32s(&[13, 0, NIC]));
    guest.assert_clean();
    // It is gone for good.
    guest.post(1, &vector("initiate_contact_4_0"));
    guest.message().unwrap();
    assert_eq!(guest.request_offers().len(), 5);
}

#[test]
fn signals_are_judged() {
    let mut guest = Guest::connected(&[]);
    guest.nic_up();
    guest.run(200 * MS);
    guest.assert_clean();

    let keepalive = u32s(&[8, 12, 1]);
    guest.put(guest::SEND, &keepalive);
    let mut extra = u32s(&[0, 1, 12, 0]);
    extra.extend_from_slice(&(guest::SEND / 4096).to_le_bytes());
    let header = u32s(&[107, 1, u32::MAX, 0, 0, 0, 0, 0]);
    let signal = hvhost::Hypercall { control: 0x1_005d, input: 0x2006, output: 0 };

    assert!(guest.send_packet(9, 1, 1, &extra, &header));
    guest.host.hypercall(0, signal, &mut guest.mem);
    assert!(!guest.send_packet(9, 1, 2, &extra, &header), "the ring was not empty");
    guest.host.hypercall(0, signal, &mut guest.mem);
    assert_eq!(guest.violations().pop().unwrap(), "channel 6: signalled a ring that was not empty");
    guest.run(MS);

    guest.signal(0x2006); // after the host has read, this one may be late
    guest.signal(0x2006);
    assert_eq!(guest.violations().pop().unwrap(), "channel 6: signalled, but nothing happened in the ring");

    guest.send_packet(9, 1, 3, &extra, &header);
    guest.run(SECOND);
    assert_eq!(guest.violations().pop().unwrap(), "channel 6: data put into an idle ring without a signal");
    assert_eq!(guest.violations().len(), 3);
}

#[test]
fn a_ring_full_of_completions_holds_the_host_back_until_the_guest_signals() {
    let mut guest = Guest::connected(&[]);
    guest.nic_up();
    // Requests whose replies the guest does not fetch: 56 bytes of completion each, and a transfer packet.
    let mut extra = u32s(&[0, 1, 12, 0]);
    extra.extend_from_slice(&(guest::SEND / 4096).to_le_bytes());
    guest.put(guest::SEND, &u32s(&[8, 12, 1]));
    for transaction in 0..100 {
        guest.send(9, 1, transaction, &extra, &u32s(&[107, 0, u32::MAX, 0, 0, 0, 0, 0]));
        if guest.u32_at(guest::RINGS + 2 * 4096 + 12) != 0 {
            break;
        }
    }
    let wanted = guest.u32_at(guest::RINGS + 2 * 4096 + 12);
    assert!(wanted >= 64, "the host asks for room: {wanted}");
    let mut packets = 0;
    while guest.packet().is_some() {
        packets += 1;
    }
    assert_eq!(guest.signal(0x2006), 0);
    assert!(packets > 40 && guest.packet().is_some(), "after the signal it goes on");
}

#[test]
fn completions_can_be_late_and_replies_early() {
    let mut guest = Guest::connected(&[("tx_completion_delay", "20ms"), ("reply_first", "on")]);
    guest.gpadl(NIC, 1, guest::RINGS, 4);
    guest.gpadl(NIC, 0x5200_0002, RECEIVE, 16);
    guest.open(NIC, 1);
    guest.nvsp(1, &[1, 2, 2]);
    guest.nvsp(2, &[100, 6, 1]);
    guest.nvsp(3, &[101, 0x5200_0002, 0xbead]);
    let send = |guest: &mut Guest, channel_type, message: Vec<u8>| {
        guest.put(guest::SEND, &message);
        let mut extra = u32s(&[0, 1, message.len() as u32, 0]);
        extra.extend_from_slice(&(guest::SEND / 4096).to_le_bytes());
        guest.send(9, 1, 5, &extra, &u32s(&[107, channel_type, u32::MAX, 0, 0, 0, 0, 0]));
    };
    send(&mut guest, 1, vector("rndis_initialize_1"));
    let kinds: Vec<u16> = std::iter::from_fn(|| guest.packet()).map(|packet| packet.0).collect();
    assert_eq!(kinds, [7, 11], "the reply, then the completion");
    let mut message = vector("rndis_packet_60");
    message.extend_from_slice(&frame(1));
    send(&mut guest, 0, message);
    assert!(guest.packet().is_none());
    guest.run(10 * MS);
    assert!(guest.packet().is_none());
    guest.run(15 * MS);
    assert_eq!(guest.packet().unwrap().0, 11);
    guest.assert_clean();
}

#[test]
fn unasked_messages_and_a_wrong_indication() {
    let mut guest = Guest::connected(&[("unsolicited_nvsp", "on"), ("wrong_indication", "on")]);
    guest.gpadl(NIC, 1, guest::RINGS, 4);
    guest.gpadl(NIC, 0x5200_0002, RECEIVE, 16);
    guest.open(NIC, 1);
    guest.nvsp(1, &[1, 0x5_0000, 0x5_0000]);
    guest.nvsp(2, &[125, 1514, 0, 0, 0]);
    guest.nvsp(3, &[100, 6, 30]);
    guest.nvsp(4, &[101, 0x5200_0002, 0xbead]);
    guest.rndis(5, 1, &vector("rndis_initialize_1"));
    let (kind, _, _, payload) = guest.packet().unwrap();
    assert_eq!((kind, word(&payload, 0)), (6, 128));
    let (kind, _, _, payload) = guest.packet().unwrap();
    assert_eq!((kind, payload.len(), payload[..12].to_vec()), (6, 80, u32s(&[134, 16, 12])));
    let (reply, ..) = guest.received().unwrap();
    let (indication, _, ranges) = guest.received().unwrap();
    assert_eq!(ranges[0], u32s(&[7, 255, 0x4002_0006, 0x100, 12]));
    guest.complete(reply);
    guest.complete(indication);
    guest.assert_clean();
}

#[test]
fn frames_can_be_limited_to_some_a_packet() {
    let mut guest = Guest::connected(&[("max_rx_ranges", "3"), ("rx_layout", "openvmm")]);
    guest.nic_up();
    guest.net.0.lock().unwrap().waiting.extend((0..4).map(|tag| frame(tag).to_vec()));
    assert_eq!(guest.received().unwrap().2.len(), 3);
    assert_eq!(guest.received().unwrap().2.len(), 1);
}

#[test]
fn rings_that_are_used_for_something_else_are_noticed() {
    let mut guest = Guest::connected(&[]);
    guest.nic_up();
    guest.run(200 * MS);
    guest.assert_clean();
    guest.put(guest::RINGS + 2 * 4096, &[0x41; 16]);
    guest.run(20 * MS);
    assert_eq!(guest.violations(), ["channel 6: ring corrupt: an index of the host's was overwritten"]);
}

#[test]
fn a_rescinded_nic_comes_back_as_a_new_offer() {
    let mut guest = Guest::connected(&[("rescind_at", "20ms"), ("reoffer_after", "50ms")]);
    guest.nic_up();
    guest.run(30 * MS);
    assert_eq!(guest.message().unwrap(), u32s(&[2, 0, NIC]));
    guest.run(SECOND);
    assert_eq!(guest.message(), None, "not before the guest let go of it");
    guest.post(1, &u32s(&[13, 0, NIC]));
    guest.run(100 * MS);
    let offer = guest.message().unwrap();
    assert_eq!((word(&offer, 0), word(&offer, 184)), (1, NIC));
    guest.nic_up();
    guest.send_frame(&frame(1));
    guest.post(1, &vector("initiate_contact_4_0"));
    guest.message().unwrap();
    assert_eq!(guest.request_offers().len(), 6, "and stays over a reconnect");
    guest.assert_clean();
}

#[test]
fn every_step_can_be_refused_or_ignored() {
    let mut guest = Guest::connected(&[("fail_gpadl", "on")]);
    assert_eq!(guest.gpadl(NIC, 1, guest::RINGS, 40), 0x8000_ffff);
    guest.assert_clean();

    let mut guest = Guest::connected(&[("fail_open", "on")]);
    guest.gpadl(NIC, 1, guest::RINGS, 4);
    assert_eq!(guest.open(NIC, 1), 0x8000_ffff);
    guest.assert_clean();

    let mut guest =
        Guest::connected(&[("fail_receive_buffer", "on"), ("ignore_nvsp", "104"), ("ignore_message", "22")]);
    guest.gpadl(NIC, 1, guest::RINGS, 4);
    guest.gpadl(NIC, 2, RECEIVE, 16);
    guest.open(NIC, 1);
    guest.nvsp(1, &[1, 2, 2]);
    assert_eq!(guest.nvsp(2, &[101, 2, 0xbead])[..8], u32s(&[102, 2])[..]);
    guest.send(6, 1, 3, &[], &u32s(&[104, 2, 0, 0, 0, 0, 0, 0]));
    assert!(guest.packet().is_none());
    guest.post(1, &u32s(&[22, 0, NIC, 0]));
    assert_eq!(guest.message(), None);
    guest.assert_clean();
}

#[test]
fn a_receive_buffer_that_the_guest_uses_for_itself_is_noticed() {
    let mut guest = Guest::connected(&[]);
    guest.nic_up();
    let receive = |guest: &mut Guest| {
        guest.net.0.lock().unwrap().waiting.push_back(frame(1).to_vec());
        let (transaction, _, _) = guest.received().expect("a frame");
        transaction
    };
    // Each of the 20 data buffers once; while the guest holds one it may do with it what it likes.
    let first = receive(&mut guest);
    let address = RECEIVE + first * 1806;
    guest.put(address, b"scratch");
    guest.complete(first);
    for _ in 1..20 {
        let next = receive(&mut guest);
        guest.complete(next);
    }
    assert_eq!(receive(&mut guest), first);
    guest.assert_clean();
    guest.complete(first);
    guest.put(address + 300, b"mine");
    for _ in 0..20 {
        let next = receive(&mut guest);
        guest.complete(next);
    }
    let expected = format!("channel 6: memory at {address:#x} was used while the host could still write it");
    assert_eq!(guest.violations(), [expected]);
}
