//! Saving and restoring the machine: what is in the bytes, and what is taken for such bytes.

mod guest;

use guest::{Guest, Net};
use hvhost::{Config, Host, MS, MemoryDisk, Parts};

/// A machine that was saved, made anew from parts of its kind.
fn restored(state: &[u8], config: Config, nics: usize, disks: usize) -> Result<Host, String> {
    let mut parts = Parts::default();
    parts.nics.extend((0..nics).map(|_| Box::new(Net::default()) as _));
    if disks > 0 {
        parts.controllers.push((0..disks).map(|_| Box::new(MemoryDisk::new(vec![0; 512])) as _).collect());
    }
    Host::restore(config, parts, state).map_err(|error| error.to_string())
}

/// In the middle of its life: the card is up, the guest holds a received frame, and messages of VMBus wait for their slot.
fn busy() -> Guest {
    let mut guest = Guest::connected(&[]);
    guest.nic_up();
    guest.net.0.lock().unwrap().waiting.push_back(vec![7; 60]);
    guest.run(MS);
    for message in [guest::u32s(&[11, 0, guest::NIC, 999]), guest::u32s(&[13, 0, 77])] {
        guest.post(1, &message);
    }
    for id in 1..=3 {
        let header: [u32; 10] = [8, 0, guest::NIC, 0x100 + id, 1 << 16 | 16, 4096, 0, 0x300 + id, 0, 0];
        guest.post(1, &guest::u32s(&header));
    }
    guest
}

#[test]
fn a_restored_machine_saves_the_same_bytes() {
    let guest = busy();
    let state = guest.host.save();
    assert!(state.len() < 64 * 1024, "{} bytes", state.len());
    assert!(restored(&state, Config::default(), 1, 0).unwrap().save() == state);
}

#[test]
fn the_record_stays_with_the_engine() {
    let mut guest = busy();
    let (violations, counters) = (guest.violations(), guest.host.counters().clone());
    assert!(!violations.is_empty(), "a release of channel 77");
    guest.host.save_and_restore();
    assert_eq!(guest.violations(), violations);
    assert_eq!(guest.host.counters(), &hvhost::Counters { restores: 1, ..counters });
}

#[test]
fn other_bytes_and_other_machines_are_refused() {
    let state = busy().host.save();
    for len in (0..state.len()).step_by(state.len() / 97 + 1) {
        assert!(restored(&state[..len], Config::default(), 1, 0).is_err(), "cut off at {len}");
    }
    let longer = [&state[..], &[0]].concat();
    assert!(restored(&longer, Config::default(), 1, 0).err().unwrap().contains("bytes behind its end"));
    let mut older = state.clone();
    older[7] = 0;
    assert!(restored(&older, Config::default(), 1, 0).err().unwrap().contains("no mark of this version"));
    for (nics, disks, vps) in [(0, 0, 1), (2, 0, 1), (1, 1, 1), (1, 0, 2)] {
        let config = Config { vps, ..Config::default() };
        assert!(restored(&state, config, nics, disks).is_err(), "{nics} NICs, {disks} disks, {vps} processors");
    }
    assert!(restored(&state, Config::default(), 1, 0).is_ok());
}

#[test]
fn damaged_bytes_are_an_error_or_a_machine_but_no_panic() {
    let state = busy().host.save();
    let mut random = 0x9e37_79b9_7f4a_7c15u64;
    for _ in 0..2000 {
        let mut damaged = state.clone();
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let at = (random >> 33) as usize % damaged.len();
        damaged[at] ^= (random >> 20) as u8 | 1;
        let _either = restored(&damaged, Config::default(), 1, 0);
    }
}
