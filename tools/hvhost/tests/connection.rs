//! A scripted guest and the VMBus connection: versions, offers, GPADLs, take-over, unload.

mod guest;

use guest::{Guest, INTERRUPT_PAGE, NIC, RINGS, u32s, vector, word};
use hvhost::{MS, SECOND};

fn contact(version: u32, page: u64) -> Vec<u8> {
    let mut bytes = u32s(&[14, 0, version, 0]);
    bytes.extend_from_slice(&page.to_le_bytes());
    bytes.resize(40, 0);
    bytes
}

#[test]
fn the_vectors_get_the_replies_of_the_vectors() {
    let mut guest = Guest::started(&[]);
    guest.post(1, &vector("initiate_contact_4_0"));
    assert_eq!(guest.bytes(guest::INPUT, 16), vector("post_message_head"));
    assert_eq!(guest.bytes(guest::SLOT, 8), vector("slot_head_16"));
    assert_eq!(guest.message().unwrap(), vector("version_response_4_0"));
    let offers = guest.request_offers();
    assert!(offers.iter().all(|offer| offer.len() == 196));
    let relids: Vec<u32> = offers.iter().map(|offer| word(offer, 184)).collect();
    assert_eq!(relids, [1, 2, 3, 4, 5, 6]);
    let nic = &offers[5];
    assert_eq!(
        nic[8..24],
        [0x63, 0x51, 0x61, 0xf8, 0x3e, 0xdf, 0xc5, 0x46, 0x91, 0x3f, 0xf2, 0xd2, 0xf9, 0x65, 0xed, 0x0e]
    );
    assert_eq!((nic[188], nic[190], word(nic, 192)), (0xff, 1, 0x2006));
    guest.post(1, &vector("gpadl_header_16_pages"));
    assert_eq!(guest.message().unwrap(), vector("gpadl_created"));
    guest.post(1, &vector("open_channel"));
    assert_eq!(guest.message().unwrap(), vector("open_channel_result"));
    guest.assert_clean();
}

#[test]
fn only_listed_versions_up_to_the_limit_are_taken() {
    let mut guest = Guest::started(&[("max_vmbus_version", "5.2")]);
    for version in [0x6_0000, 0x5_0003, 0x1_0000, 0x7_0000] {
        guest.post(1, &contact(version, 2));
        assert_eq!(guest.message().unwrap(), u32s(&[15, 0, 0, 0]), "{version:#x}");
    }
    guest.post(4, &contact(0x5_0002, 2));
    assert_eq!(guest.message().unwrap(), u32s(&[15, 0, 1, 1]));
    guest.assert_clean();
    guest.post(4, &contact(0x5_0002, 5));
    assert_eq!(guest.message(), None, "SINT 5 is nobody's");
    assert_eq!(guest.violations().len(), 1);
}

#[test]
fn connection_four_is_unknown_to_an_old_host() {
    let mut guest = Guest::started(&[("max_vmbus_version", "4.0")]);
    assert_eq!(guest.try_post(4, &contact(0x5_0000, 2)), 0x12);
    guest.assert_clean(); // asking is how one finds out
    assert_eq!(guest.try_post(5, &contact(0x5_0000, 2)), 0x12);
    assert_eq!(guest.violations(), ["hypercall 0x5c got status 0x12: no such connection"]);
}

#[test]
fn version_6_negotiates_features() {
    let mut guest = Guest::started(&[]);
    let mut message = contact(0x6_0000, 2 | 0xff << 32);
    guest.post(1, &message);
    assert_eq!(guest.message(), None, "a client id was announced but is missing");
    message.resize(56, 0x77);
    guest.post(1, &message);
    assert_eq!(guest.message().unwrap(), u32s(&[15, 0, 1, 1, 0x2f]));
    guest.request_offers();
    assert_eq!(guest.gpadl(NIC, 1, RINGS, 4), 0);
    let mut open = u32s(&[5, 0, NIC, 1, 1, 0, 2]);
    open.resize(148, 0);
    guest.post(1, &open);
    assert_eq!(guest.message(), None, "too short for these features");
    open.extend_from_slice(&u32s(&[0x1234, 99]));
    guest.post(1, &open);
    assert_eq!(word(&guest.message().unwrap(), 16), 0);
    assert_eq!(guest.signal(0x2006), 0x12);
    assert_eq!(guest.signal(0x1234), 0);
}

#[test]
fn three_zero_then_unload_then_zero_thirteen_as_ipxe_does() {
    let mut guest = Guest::started(&[]);
    guest.post(1, &contact(0x3_0000, 0));
    assert_eq!(guest.message().unwrap(), u32s(&[15, 0, 1, 0x3_0000]));
    guest.post(1, &u32s(&[16, 0]));
    assert_eq!(guest.message().unwrap(), u32s(&[17, 0]));
    guest.post(1, &contact(0x0000_000d, INTERRUPT_PAGE));
    assert_eq!(guest.message().unwrap(), u32s(&[15, 0, 1, 13]));
    assert!(guest.request_offers().iter().all(|offer| offer.len() == 190));
    guest.gpadl(NIC, 1, RINGS, 4);
    guest.open(NIC, 1);
    // NVSP INIT, signalled through the guest-to-host half of the interrupt page.
    let init = vector("ring_nvsp_init_5");
    guest.put(RINGS + 4096, &init);
    guest.put(RINGS, &(init.len() as u32).to_le_bytes());
    guest.put(INTERRUPT_PAGE + 2048, &[1 << NIC]);
    assert_eq!(guest.signal(2), 0);
    assert_eq!(guest.u32_at(INTERRUPT_PAGE + 2048), 0, "the host took the bit");
    assert_eq!(guest.bytes(INTERRUPT_PAGE, 1), [1 << NIC], "and answers through the other half");
    assert_eq!(guest.bytes(guest::SIEFP + 0x200, 1), [1], "with event flag 0");
    guest.assert_clean();
}

#[test]
fn a_second_request_for_offers_is_dropped() {
    let mut guest = Guest::connected(&[]);
    guest.post(1, &vector("request_offers"));
    assert_eq!(guest.message(), None);
    assert_eq!(guest.violations(), ["VMBus message 3 dropped: offers were already sent on this connection"]);
}

#[test]
fn senseless_requests_are_dropped() {
    let mut guest = Guest::started(&[]);
    for message in [u32s(&[3, 0]), u32s(&[16, 0]), u32s(&[8, 0, 1, 1, 0])] {
        guest.post(1, &message);
        assert_eq!(guest.message(), None, "not connected");
    }
    guest.post(1, &vector("initiate_contact_4_0"));
    guest.message().unwrap();
    guest.request_offers();
    let mut open = u32s(&[5, 0, 77, 1, 1, 0, 2]);
    open.resize(148, 0);
    for message in
        [open, u32s(&[7, 0, 77]), u32s(&[7, 0, NIC]), u32s(&[11, 0, NIC, 9]), u32s(&[9, 0, 0, 9]), u32s(&[27, 0])]
    {
        guest.post(1, &message);
        assert_eq!(guest.message(), None);
    }
    assert_eq!(guest.violations().len(), 9);
}

#[test]
fn a_gpadl_for_an_unknown_channel_is_refused_aloud() {
    let mut guest = Guest::connected(&[]);
    assert_eq!(guest.gpadl(77, 1, RINGS, 4), 0x8000_ffff);
    assert_eq!(guest.gpadl(NIC, 1, RINGS, 60), 0, "a header and two bodies");
    assert_eq!(guest.gpadl(NIC, 1, 0x80000, 4), 0x8000_ffff);
    assert_eq!(guest.violations().len(), 2);
}

#[test]
fn a_failed_open_spoils_the_channel() {
    let mut guest = Guest::connected(&[]);
    guest.gpadl(NIC, 1, RINGS, 4);
    assert_eq!(guest.open(NIC, 9), 0x8000_ffff);
    assert_eq!(guest.open(NIC, 1), 0x8000_ffff);
}

#[test]
fn teardown_of_a_ring_in_use_waits_for_the_close() {
    let mut guest = Guest::connected(&[("close_delay", "20ms")]);
    guest.gpadl(NIC, 1, RINGS, 4);
    guest.open(NIC, 1);
    guest.post(1, &u32s(&[11, 0, NIC, 1]));
    assert_eq!(guest.message(), None);
    guest.post(1, &u32s(&[7, 0, NIC]));
    guest.run(10 * MS);
    assert_eq!(guest.message(), None);
    guest.run(15 * MS);
    assert_eq!(guest.message().unwrap(), u32s(&[12, 0, 1]));
    assert_eq!(guest.violations(), ["VMBus message 11 about 0x1: torn down while the open channel uses it"]);
}

#[test]
fn close_and_open_back_to_back() {
    let mut guest = Guest::connected(&[("close_delay", "20ms")]);
    guest.gpadl(NIC, 1, RINGS, 4);
    guest.open(NIC, 1);
    guest.post(1, &u32s(&[7, 0, NIC]));
    let mut open = u32s(&[5, 0, NIC, 7, 1, 0, 2]);
    open.resize(148, 0);
    guest.post(1, &open);
    assert_eq!(guest.message(), None);
    guest.run(25 * MS);
    assert_eq!(guest.message().unwrap(), u32s(&[6, 0, NIC, 7, 0]));
    guest.assert_clean();
}

#[test]
fn a_new_contact_closes_everything_without_a_word_and_is_answered_when_the_devices_are_done() {
    let mut guest = Guest::connected(&[("close_delay", "1s"), ("relid_step", "10")]);
    guest.nic_up();
    guest.post(1, &vector("initiate_contact_4_0"));
    guest.run(500 * MS);
    assert_eq!(guest.message(), None);
    guest.post(1, &vector("request_offers"));
    guest.run(600 * MS);
    assert_eq!(guest.message().unwrap(), vector("version_response_4_0"));
    assert_eq!(guest.message(), None);
    let offers = guest.request_offers();
    assert_eq!(word(&offers[0], 184), 11, "numbered anew");
    assert_eq!(guest.violations(), ["VMBus message 3 dropped: the connection is being closed"]);
}

#[test]
fn unload_takes_its_time_and_replaces_a_pending_contact() {
    let mut guest = Guest::connected(&[("close_delay", "10ms"), ("unload_delay", "2s")]);
    guest.nic_up();
    guest.post(1, &vector("initiate_contact_4_0"));
    guest.post(1, &u32s(&[16, 0]));
    guest.run(SECOND);
    assert_eq!(guest.message(), None);
    guest.run(2 * SECOND);
    assert_eq!(guest.message().unwrap(), u32s(&[17, 0]));
    assert_eq!(guest.message(), None);
    guest.assert_clean();
}

#[test]
fn memory_is_shared_once() {
    let mut guest = Guest::connected(&[]);
    guest.gpadl(NIC, 1, RINGS, 4);
    guest.gpadl(NIC, 2, RINGS + 0x3000, 4);
    guest.gpadl(NIC, 3, guest::SIMP, 1);
    assert_eq!(
        guest.violations(),
        [
            "page 0x13000 is still shared with the host and used again",
            "page 0x2000 is still shared with the host and used again"
        ]
    );
}

#[test]
fn something_unsolicited_comes_before_a_reply() {
    let mut guest = Guest::connected(&[("unsolicited", "on")]);
    guest.post(1, &vector("gpadl_header_16_pages"));
    let kinds: Vec<u32> = std::iter::from_fn(|| guest.message()).map(|message| word(&message, 0)).collect();
    assert_eq!(kinds, [1, 2, 10]);
    guest.post(1, &u32s(&[13, 0, 7]));
    guest.assert_clean();
}

#[test]
fn something_unsolicited_comes_at_its_time() {
    let mut guest = Guest::connected(&[("unsolicited_at", "1s"), ("unsolicited_at", "2s")]);
    for at in [SECOND, 2 * SECOND] {
        guest.run(at - MS - guest.now);
        assert_eq!(guest.message(), None);
        guest.run(MS);
        let messages: Vec<Vec<u8>> = std::iter::from_fn(|| guest.message()).collect();
        assert_eq!(messages.iter().map(|message| word(message, 0)).collect::<Vec<_>>(), [1, 2]);
        let relid = word(&messages[1], 8);
        guest.post(1, &u32s(&[13, 0, relid]));
    }
    guest.assert_clean();
}

#[test]
fn a_host_can_be_silent_or_without_a_nic() {
    let mut guest = Guest::started(&[("silent", "on")]);
    guest.post(1, &vector("initiate_contact_4_0"));
    guest.run(SECOND);
    assert_eq!(guest.message(), None);

    let mut guest = Guest::started(&[("no_nic", "on"), ("other_offers", "off")]);
    guest.post(1, &vector("initiate_contact_4_0"));
    guest.message().unwrap();
    assert_eq!(guest.request_offers().len(), 0);
}

#[test]
fn posts_are_refused_in_bursts() {
    let mut guest = Guest::started(&[("post_burst", "0x13*2@0"), ("post_burst", "0x78*1@2")]);
    let statuses: Vec<u64> = (0..4).map(|_| guest.try_post(1, &vector("initiate_contact_4_0"))).collect();
    assert_eq!(statuses, [0x13, 0x13, 0x78, 0]);
    guest.assert_clean();
}

#[test]
fn a_machine_reset_forgets_the_connection_and_gives_the_pages_back() {
    let mut guest = Guest::connected(&[]);
    guest.nic_up();
    guest.host.reset(&mut guest.mem);
    assert_eq!(guest.host.hypercall_page(), None);
    assert_eq!(guest.bytes(guest::HYPERCALL_PAGE, 4), [0; 4]);
    let mut again = guest;
    for (msr, value) in [(0x4000_0083, guest::SIMP | 1), (0x4000_0092, 0x4_0030)] {
        again.wrmsr(msr, value);
    }
    again.post(1, &vector("initiate_contact_4_0"));
    again.message().unwrap();
    assert_eq!(again.request_offers().len(), 6);
    again.assert_clean();
}

#[test]
fn a_teardown_can_take_its_time_and_the_memory_is_the_hosts_until_then() {
    let mut guest = Guest::connected(&[("teardown_delay", "20ms")]);
    guest.gpadl(NIC, 1, RINGS, 4);
    guest.post(1, &u32s(&[11, 0, NIC, 1]));
    guest.run(10 * MS);
    assert_eq!(guest.message(), None);
    guest.assert_clean();
    guest.gpadl(NIC, 2, RINGS, 4);
    assert_eq!(guest.violations(), ["page 0x10000 is still shared with the host and used again"]);
    guest.run(15 * MS);
    assert_eq!(guest.message().unwrap(), u32s(&[12, 0, 1]));
    assert_eq!(guest.message(), None, "answered once");
}

#[test]
fn what_was_said_on_the_old_connection_comes_first() {
    let switches = [("stale_messages", "on"), ("teardown_delay", "20ms"), ("relid_step", "10")];
    let mut guest = Guest::connected(&switches);
    guest.gpadl(NIC, 1, RINGS, 4);
    guest.gpadl(NIC, 2, guest::RECEIVE, 4);
    guest.open(NIC, 1);
    guest.post(1, &u32s(&[11, 0, NIC, 2]));
    guest.post(1, &vector("initiate_contact_4_0"));
    assert_eq!(guest.message().unwrap(), u32s(&[2, 0, NIC]));
    assert_eq!(guest.message().unwrap(), vector("version_response_4_0"));
    let offers = guest.request_offers();
    assert!(offers.iter().all(|offer| word(offer, 184) > 10), "channel ids moved on");
    guest.run(25 * MS);
    assert_eq!(guest.message().unwrap(), u32s(&[12, 0, 2]), "of a GPADL that nobody knows any more");
    guest.assert_clean();

    let mut guest = Guest::connected(&switches[1..]);
    guest.gpadl(NIC, 2, guest::RECEIVE, 4);
    guest.post(1, &u32s(&[11, 0, NIC, 2]));
    guest.post(1, &vector("initiate_contact_4_0"));
    assert_eq!(guest.message().unwrap(), vector("version_response_4_0"));
    guest.run(25 * MS);
    assert_eq!(guest.message(), None);
}
