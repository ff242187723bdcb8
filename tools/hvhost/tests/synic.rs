//! A scripted guest and the SynIC: slots, EOM, masks, interrupts, event flags.

mod guest;

use guest::{Guest, NIC, RINGS, SIEFP, SIMP, SLOT, u32s, vector};
use hvhost::{Interrupt, MS, SECOND};

const SINT2: u32 = 0x4000_0092;
const EOM: u32 = 0x4000_0084;

/// Connected with two messages under way: the first offer in the slot, more behind it.
fn with_offers_waiting() -> Guest {
    let mut guest = Guest::started(&[]);
    guest.post(1, &vector("initiate_contact_4_0"));
    guest.message().unwrap();
    guest.post(1, &vector("request_offers"));
    guest
}

#[test]
fn the_slot_says_that_more_is_pending_and_eom_brings_it() {
    let mut guest = with_offers_waiting();
    assert_eq!(guest.bytes(SLOT, 6), [1, 0, 0, 0, 196, 1]);
    guest.run(10 * MS);
    guest.put(SLOT, &[0; 4]);
    guest.run(10 * MS);
    assert_eq!(guest.u32_at(SLOT), 0, "nothing comes without EOM");
    guest.wrmsr(EOM, 0);
    assert_eq!(guest.u32_at(SLOT), 1);
    guest.assert_clean();
}

#[test]
fn a_forgotten_eom_is_reported() {
    let mut guest = with_offers_waiting();
    guest.put(SLOT, &[0; 4]);
    guest.run(SECOND);
    assert_eq!(guest.u32_at(SLOT), 0);
    assert_eq!(guest.violations(), ["VP 0: message slot 2 emptied with its pending flag set, but no EOM written"]);
}

#[test]
fn an_unread_message_stops_the_server_when_the_port_is_full() {
    let mut guest = with_offers_waiting();
    for id in 0..40 {
        guest.try_post(1, &u32s(&[8, 0, NIC, id, 0x1_0010, 4096, 0, 0x100 + id, 0]));
    }
    guest.run(MS);
    let served = guest.host.counters().vmbus_from_guest[&8];
    assert!((8..14).contains(&served), "{served} of 40 requests served with 16 buffers");
    let count = std::iter::from_fn(|| guest.message()).count();
    assert_eq!(count, 7 + 40, "nothing is lost");
}

#[test]
fn an_unmasked_sint_interrupts_for_messages() {
    let mut guest = Guest::started(&[]);
    guest.wrmsr(SINT2, 0x2_0075);
    guest.post(1, &vector("initiate_contact_4_0"));
    assert_eq!(guest.host.take_interrupts(), [Interrupt { vp: 0, vector: 0x75, auto_eoi: true }]);
    assert_eq!(guest.host.take_interrupts(), []);
    guest.assert_clean();
}

#[test]
fn auto_eoi_is_judged_by_the_recommendation() {
    let mut guest = Guest::new(&[("deprecate_auto_eoi", "on")]);
    guest.wrmsr(SINT2, 0x2_0075);
    assert_eq!(guest.violations(), ["SINT2 uses AutoEOI, which the host deprecates"]);
}

#[test]
fn a_masked_sint_holds_drops_or_writes() {
    for (mode, while_masked, after) in [("hold", false, true), ("drop", false, false), ("write", true, true)] {
        let mut guest = Guest::started(&[("masked_sint", mode)]);
        guest.wrmsr(SINT2, 0x1_0030);
        guest.post(1, &vector("initiate_contact_4_0"));
        guest.run(10 * MS);
        assert_eq!(guest.u32_at(SLOT) == 1, while_masked, "{mode}");
        assert_eq!(guest.host.take_interrupts(), []);
        guest.wrmsr(SINT2, 0x30);
        guest.run(10 * MS);
        assert_eq!(guest.u32_at(SLOT) == 1, after, "{mode}");
    }
}

#[test]
fn without_the_feature_the_polling_bit_does_nothing() {
    let mut guest = Guest::started(&[("polling", "off")]);
    guest.wrmsr(SINT2, 0x5_0030); // polling and masked
    guest.post(1, &vector("initiate_contact_4_0"));
    assert_eq!(guest.message(), None);
    guest.wrmsr(SINT2, 0x4_0030);
    guest.run(MS);
    assert_eq!(guest.host.take_interrupts().len(), 1);
}

#[test]
fn messages_wait_for_simp_and_scontrol() {
    let mut guest = Guest::started(&[("scontrol_reset", "0")]);
    guest.wrmsr(0x4000_0080, 0);
    guest.wrmsr(0x4000_0083, 0);
    guest.post(1, &vector("initiate_contact_4_0"));
    guest.run(MS);
    guest.wrmsr(0x4000_0083, SIMP | 1);
    guest.run(MS);
    assert_eq!(guest.u32_at(SLOT), 0);
    guest.wrmsr(0x4000_0080, 1);
    guest.run(MS);
    assert_eq!(guest.message().unwrap(), vector("version_response_4_0"));
    guest.assert_clean();
}

#[test]
fn taking_simp_away_with_a_reply_due_and_leaving_scontrol_zero_are_reported() {
    let mut guest = Guest::started(&[]);
    guest.try_post(1, &vector("initiate_contact_4_0"));
    guest.wrmsr(0x4000_0083, 0);
    guest.wrmsr(0x4000_0080, 0);
    guest.run(2 * SECOND);
    assert_eq!(guest.violations(), ["VP 0: SIMP taken away while a VMBus reply was due", "VP 0: SCONTROL was left 0"]);
}

#[test]
fn event_flags_are_set_once_and_interrupt_once() {
    let mut guest = Guest::connected(&[]);
    guest.gpadl(NIC, 1, RINGS, 4);
    guest.open(NIC, 1);
    guest.wrmsr(SINT2, 0x30);
    guest.host.take_interrupts();
    let init = vector("ring_nvsp_init_5");
    guest.put(RINGS + 4096, &init);
    guest.put(RINGS, &(init.len() as u32).to_le_bytes());
    assert_eq!(guest.signal(0x2000 + NIC), 0);
    assert_eq!(guest.bytes(SIEFP + 0x200, 1), [1 << NIC]);
    assert_eq!(guest.host.take_interrupts().len(), 1);
    guest.run(200 * MS); // the wake-up after an open finds the flag set
    assert_eq!(guest.host.take_interrupts().len(), 0);
}

#[test]
fn a_masked_ring_raises_no_event() {
    let mut guest = Guest::connected(&[]);
    guest.gpadl(NIC, 1, RINGS, 4);
    guest.open(NIC, 1);
    guest.put(RINGS + 2 * 4096 + 8, &[1]);
    let init = vector("ring_nvsp_init_5");
    guest.put(RINGS + 4096, &init);
    guest.put(RINGS, &(init.len() as u32).to_le_bytes());
    guest.signal(0x2000 + NIC);
    assert_eq!(guest.bytes(SIEFP + 0x200, 1), [0]);
    assert!(guest.packet().is_some());
}
