//! Bringing the card up, on every kind of host, and leaving no trace.

use hvpxe::error::Error;
use hvpxe::hv::Hypervisor;
use hvpxe::nic::{Nic, PacketFilter};
use hvpxe::wire::vmbus::Version;

use crate::lab::{Lab, config};
use crate::wire::Wire;

const MAC: [u8; 6] = [0x00, 0x15, 0x5d, 0x12, 0x34, 0x56];

/// A frame of this length to everybody, with content that differs by `seed`.
pub fn frame(length: usize, seed: usize) -> Vec<u8> {
    let mut frame: Vec<u8> = (0..length).map(|at| (at * 7 + seed * 13) as u8).collect();
    frame[..6].fill(0xff);
    frame
}

/// Receives one frame within 20 ms of the machine's time.
#[track_caller]
pub fn receive_one(lab: &Lab, nic: &mut impl Nic) -> Vec<u8> {
    let mut buffer = [0; 1514];
    for _ in 0..2000 {
        if let Some(length) = nic.receive(&mut buffer).unwrap() {
            return buffer[..length].to_vec();
        }
        lab.step();
    }
    panic!("no frame");
}

#[test]
fn the_newest_version_that_both_speak_is_used() {
    for (host, agreed) in
        [("5.3", Version::V5_3), ("5.2", Version::V4_0), ("4.0", Version::V4_0), ("3.0", Version::V3_0)]
    {
        let (lab, _wire) = Lab::with(&[("max_vmbus_version", host)]);
        let mut nic = lab.net_device();
        assert_eq!(nic.vmbus_version(), None);
        nic.open().unwrap();
        assert_eq!(nic.vmbus_version(), Some(agreed));
        nic.release().unwrap();
        assert_eq!(nic.vmbus_version(), None);
    }
}

/// Opens the card, sends a frame that the wire echoes, and releases everything.
#[track_caller]
fn boots(settings: &[(&str, &str)]) -> Lab {
    let mut settings = settings.to_vec();
    settings.push(("mac", "00:15:5d:12:34:56"));
    let (lab, wire) = Lab::with(&settings);
    let found = lab.owner_msrs();
    let mut nic = lab.net_device();
    nic.open().unwrap();
    assert_eq!(nic.permanent_mac(), MAC, "{settings:?}");
    assert_eq!(lab.synic_msrs(), found[2..], "the SynIC is as found while the card is open");
    assert_eq!(nic.link_is_up(), Ok(true));
    nic.set_filter(PacketFilter::DIRECTED | PacketFilter::BROADCAST).unwrap();
    let sent = frame(200, 1);
    nic.transmit(&[&sent]).unwrap();
    assert_eq!(receive_one(&lab, &mut nic), sent);
    assert_eq!(wire.taken(), [sent]);
    nic.release().unwrap();
    lab.pass_millis(10);
    assert_eq!(lab.owner_msrs(), found, "{settings:?}");
    assert_eq!(lab.msr(0x4000_0080), 1, "SCONTROL is never left 0");
    assert_eq!(lab.pages_in_use(), 0, "{settings:?}");
    lab.assert_no_violation();
    lab
}

#[test]
fn every_vmbus_version_that_we_speak_works() {
    for version in ["5.3", "5.2", "4.1", "4.0", "3.0"] {
        boots(&[("max_vmbus_version", version)]);
    }
}

#[test]
fn every_nvsp_version_works() {
    for version in ["0x60001", "0x60000", "0x50000", "0x40000", "0x30002", "2"] {
        boots(&[("max_nvsp_version", version)]);
    }
}

#[test]
fn every_kind_of_synic_works() {
    for polling in ["on", "off"] {
        for overlay in ["kept", "zeroed", "ram"] {
            for masked in ["hold", "drop", "write"] {
                boots(&[("polling", polling), ("overlay", overlay), ("masked_sint", masked)]);
            }
        }
    }
}

#[test]
fn hosts_that_tell_little_or_start_switched_off_work() {
    boots(&[("post_privilege", "off")]);
    boots(&[("scontrol_reset", "0")]);
    boots(&[("polling", "off"), ("deprecate_auto_eoi", "on")]);
    boots(&[("other_offers", "off")]);
    boots(&[("rx_layout", "compact")]);
    boots(&[("lenient_rx_completion", "off"), ("revoke_completes", "off")]);
}

#[test]
fn a_machine_without_hyper_v_says_so() {
    let lab = Lab::bare();
    assert_eq!(lab.net_device().open(), Err(Error::NotHyperV));
    assert_eq!(lab.pages_in_use(), 0);
}

#[test]
fn hyper_v_without_synic_has_no_vmbus() {
    let mut config = config(&[]);
    config.privileges_low &= !(1 << 2);
    let lab = Lab::new(config, &[Wire::echo()]);
    assert_eq!(lab.net_device().open(), Err(Error::NoVmbus));
    assert_eq!(lab.counters().exits(), lab.counters().cpuid, "nothing but CPUID was touched");
}

#[test]
fn the_first_card_with_a_link_is_chosen() {
    let wires = [Wire::unplugged(), Wire::unplugged(), Wire::echo(), Wire::echo()];
    let lab = Lab::new(config(&[("mac", "00:15:5d:12:34:56")]), &wires);
    let mut nic = lab.net_device();
    nic.open().unwrap();
    assert_eq!(nic.card_count(), 4);
    assert_eq!(nic.card().unwrap().0, 2);
    assert_eq!(nic.permanent_mac()[5], 0x58);
    nic.release().unwrap();
    assert_eq!(lab.pages_in_use(), 0);
    lab.assert_no_violation();
}

#[test]
fn without_any_link_the_first_card_is_chosen() {
    let lab = Lab::new(config(&[]), &[Wire::unplugged(), Wire::unplugged()]);
    let mut nic = lab.net_device();
    nic.open().unwrap();
    assert_eq!(nic.card().unwrap().0, 0);
    assert_eq!(nic.link_is_up(), Ok(false));
    nic.release().unwrap();
    lab.assert_no_violation();
}

#[test]
fn two_hundred_offers_do_no_harm() {
    let wires = vec![Wire::echo(); 200];
    let lab = Lab::new(config(&[]), &wires);
    let mut nic = lab.net_device();
    nic.open().unwrap();
    assert_eq!(nic.card_count(), 8);
    nic.release().unwrap();
    assert_eq!(lab.pages_in_use(), 0);
    lab.assert_no_violation();
}

#[test]
fn cards_are_counted_without_opening_one() {
    for count in [0, 1, 3] {
        let lab = Lab::new(crate::lab::config(&[]), &vec![Wire::echo(); count]);
        let found = lab.owner_msrs();
        let mut nic = lab.net_device();
        assert_eq!(nic.count(), Ok(count));
        assert!(!nic.is_open());
        assert_eq!(lab.counters().vmbus_from_guest.get(&5), None, "an OPENCHANNEL went out");
        assert_eq!(lab.owner_msrs(), found);
        assert_eq!(lab.pages_in_use(), 0);
        lab.assert_no_violation();
    }
}

#[test]
fn counting_gives_up_soon_on_a_host_that_never_answers() {
    let (lab, _wire) = Lab::with(&[("silent", "on")]);
    let found = lab.owner_msrs();
    let mut nic = lab.net_device();
    assert!(nic.count().is_err());
    assert!(lab.now().0 < 3 * 10_000_000, "took {} ms", lab.now().0 / 10_000);
    assert_eq!(lab.owner_msrs(), found);
}
