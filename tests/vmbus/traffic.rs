//! Frames both ways, under load, and what they cost.

use hvpxe::error::Error;
use hvpxe::nic::{MAX_FRAME_LEN, Nic, PacketFilter};
use hvpxe::owner::Arbiter;

use crate::handshake::{frame, receive_one};
use crate::lab::Lab;
use crate::wire::Wire;

fn open(settings: &[(&str, &str)]) -> (Lab, Wire, Arbiter<Lab>) {
    let (lab, wire) = Lab::with(settings);
    let mut nic = lab.net_device();
    nic.open().unwrap();
    nic.set_filter(PacketFilter::DIRECTED | PacketFilter::BROADCAST).unwrap();
    (lab, wire, nic)
}

fn release(lab: &Lab, nic: &mut Arbiter<Lab>) {
    nic.release().unwrap();
    assert_eq!(lab.pages_in_use(), 0);
    lab.assert_no_violation();
}

#[test]
fn frames_of_every_size_go_there_and_come_back() {
    for layout in ["openvmm", "compact"] {
        let (lab, wire, mut nic) = open(&[("rx_layout", layout)]);
        for length in 14..=MAX_FRAME_LEN {
            let sent = frame(length, length);
            // In pieces, as the services give it.
            nic.transmit(&[&sent[..14], &sent[14..14 + (length - 14) / 3], &sent[14 + (length - 14) / 3..]]).unwrap();
            let mut padded = sent;
            padded.resize(length.max(60), 0);
            assert_eq!(receive_one(&lab, &mut nic), padded);
            assert_eq!(wire.taken(), [padded]);
        }
        release(&lab, &mut nic);
    }
}

#[test]
fn impossible_frames_are_refused_before_anything_is_sent() {
    let (lab, wire, mut nic) = open(&[]);
    for length in [0, 13, 1515, 9000] {
        assert_eq!(nic.transmit(&[&vec![0; length]]), Err(Error::InvalidParameter), "{length}");
    }
    lab.pass_millis(5);
    assert!(wire.taken().is_empty());
    release(&lab, &mut nic);
}

#[test]
fn thousands_of_frames_both_ways_lose_none_and_keep_their_order() {
    let (lab, wire, mut nic) = open(&[]);
    let (mut sent, mut received) = (0, 0);
    let mut buffer = [0; 1514];
    while received < 10_000 {
        // Bursts of changing length, more than there are sections.
        for _ in 0..sent % 37 + 1 {
            if sent == 10_000 {
                break;
            }
            match nic.transmit(&[&frame(60 + sent % 1455, sent)]) {
                Ok(()) => sent += 1,
                Err(error) => {
                    assert_eq!(error, Error::RingFull);
                    break;
                }
            }
        }
        lab.step();
        while let Some(length) = nic.receive(&mut buffer).unwrap() {
            assert_eq!(buffer[..length], frame(60 + received % 1455, received));
            received += 1;
        }
    }
    assert_eq!(wire.taken().len(), 10_000);
    lab.step();
    assert_eq!(nic.receive(&mut buffer), Ok(None));
    let statistics = nic.statistics();
    assert_eq!((statistics.received, statistics.dropped), (10_000, 0));
    release(&lab, &mut nic);
}

#[test]
fn a_burst_larger_than_the_receive_buffer_arrives_whole() {
    let (lab, wire, mut nic) = open(&[]);
    for seed in 0..1000 {
        wire.give(frame(1000, seed));
    }
    for seed in 0..1000 {
        assert_eq!(receive_one(&lab, &mut nic), frame(1000, seed));
    }
    release(&lab, &mut nic);
}

#[test]
fn a_full_send_buffer_is_an_answer_and_drains_when_the_host_works() {
    let (lab, wire, mut nic) = open(&[]);
    let mut sent = 0;
    while nic.transmit(&[&frame(100, sent)]).is_ok() {
        sent += 1;
        assert!(sent < 10_000);
        if sent > 100 {
            break;
        }
    }
    lab.pass_millis(1);
    nic.transmit(&[&frame(100, sent)]).unwrap();
    lab.pass_millis(1);
    assert_eq!(wire.taken().len(), sent + 1);
    release(&lab, &mut nic);
}

#[test]
fn polling_without_data_costs_nothing() {
    let (lab, _wire, mut nic) = open(&[]);
    let mut buffer = [0; 1514];
    assert_eq!(nic.receive(&mut buffer), Ok(None));
    let before = lab.counters().exits();
    for _ in 0..100_000 {
        assert_eq!(nic.receive(&mut buffer), Ok(None));
    }
    assert_eq!(lab.counters().exits(), before);
    release(&lab, &mut nic);
}

#[test]
fn a_received_frame_costs_no_exit_and_a_sent_one_at_most_a_signal() {
    let (lab, wire, mut nic) = open(&[]);
    for seed in 0..500 {
        wire.give(frame(700, seed));
    }
    let mut received = 0;
    let mut buffer = [0; 1514];
    let before = lab.counters();
    while received < 500 {
        match nic.receive(&mut buffer).unwrap() {
            Some(_) => received += 1,
            None => lab.step(),
        }
    }
    let after = lab.counters();
    // The looks at the MSRs of polls without data, two at most per millisecond or so; completions into an idle ring.
    let reads = |c: &hvhost::Counters| c.msr_reads.values().sum::<u64>();
    assert!(reads(&after) - reads(&before) <= 20, "{}", reads(&after) - reads(&before));
    assert_eq!(after.posts, before.posts);
    assert!(after.rx_frames - before.rx_frames >= 500);
    assert!(after.signals - before.signals <= after.rx_packets - before.rx_packets);

    for seed in 0..200 {
        let before = lab.counters().exits();
        nic.transmit(&[&frame(700, seed)]).unwrap();
        assert!(lab.counters().exits() - before <= 1);
        lab.step();
        while nic.receive(&mut buffer).unwrap().is_some() {}
    }
    release(&lab, &mut nic);
}

#[test]
fn a_frame_longer_than_the_callers_buffer_is_dropped_and_counted() {
    let (lab, wire, mut nic) = open(&[]);
    wire.give(frame(1000, 1));
    wire.give(frame(100, 2));
    lab.pass_millis(1);
    let mut small = [0; 500];
    assert_eq!(nic.receive(&mut small), Ok(Some(100)));
    assert_eq!(nic.statistics().dropped, 1);
    release(&lab, &mut nic);
}

#[test]
fn nothing_is_delivered_while_the_filter_is_empty() {
    let (lab, wire, mut nic) = open(&[]);
    nic.set_filter(PacketFilter::empty()).unwrap();
    wire.give(frame(100, 1));
    lab.pass_millis(5);
    assert_eq!(nic.receive(&mut [0; 1514]), Ok(None));
    nic.set_filter(PacketFilter::PROMISCUOUS | PacketFilter::ALL_MULTICAST).unwrap();
    wire.give(frame(100, 2));
    assert_eq!(receive_one(&lab, &mut nic), frame(100, 2));
    release(&lab, &mut nic);
}

#[test]
fn requests_while_frames_wait_keep_the_frames() {
    let (lab, wire, mut nic) = open(&[]);
    for seed in 0..100 {
        wire.give(frame(300, seed));
    }
    lab.pass_millis(2);
    assert_eq!(nic.link_is_up(), Ok(true));
    for seed in 0..100 {
        assert_eq!(receive_one(&lab, &mut nic), frame(300, seed));
    }
    release(&lab, &mut nic);
}

#[test]
fn a_closed_card_neither_sends_nor_receives() {
    let (lab, _wire, mut nic) = open(&[]);
    nic.close().unwrap();
    assert_eq!(nic.receive(&mut [0; 1514]), Err(Error::NotOpen));
    assert_eq!(nic.transmit(&[&[0; 60]]), Err(Error::NotOpen));
    assert_eq!(nic.set_filter(PacketFilter::BROADCAST), Err(Error::NotOpen));
    assert_eq!(nic.link_is_up(), Err(Error::NotOpen));
    release(&lab, &mut nic);
}

/// A frame as the wire has it, with a tag of priority 3.
fn tagged(frame: &[u8], id: u8) -> Vec<u8> {
    [&frame[..12], &[0x81, 0x00, 0x60, id], &frame[12..]].concat()
}

#[test]
fn in_a_vlan_frames_have_its_tag_on_the_wire_and_none_here() {
    for layout in ["openvmm", "compact"] {
        let (lab, wire) = Lab::with(&[("rx_layout", layout)]);
        let mut nic = lab.net_device();
        nic.set_vlan(5);
        nic.open().unwrap();
        nic.set_filter(PacketFilter::DIRECTED | PacketFilter::BROADCAST).unwrap();
        for length in [60, 61, 1000, MAX_FRAME_LEN] {
            let sent = frame(length, length);
            nic.transmit(&[&sent]).unwrap();
            assert_eq!(receive_one(&lab, &mut nic), sent, "it came back with its tag");
            let expected = [&sent[..12], &[0x81, 0x00, 0, 5], &sent[12..]].concat();
            assert_eq!(wire.taken(), [expected]);
        }
        let ours = frame(80, 1);
        wire.give(frame(80, 2));
        wire.give(tagged(&frame(80, 3), 6));
        wire.give(tagged(&frame(80, 4), 0));
        wire.give(tagged(&ours, 5));
        assert_eq!(receive_one(&lab, &mut nic), ours, "the others were dropped");
        assert_eq!(nic.statistics().dropped, 3);
        release(&lab, &mut nic);
    }
}

#[test]
fn without_a_vlan_frames_of_vlans_are_dropped() {
    let (lab, wire, mut nic) = open(&[]);
    wire.give(tagged(&frame(80, 1), 5));
    wire.give(tagged(&frame(80, 2), 0));
    assert_eq!(receive_one(&lab, &mut nic), frame(80, 2), "priority alone is no VLAN");
    assert_eq!(nic.statistics().dropped, 1);
    release(&lab, &mut nic);
}
