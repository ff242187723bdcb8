//! The host under a schedule.

use hvhost::{Burst, Config, DiskFault, DiskFaults, MS, MaskedSint, OverlayMode, SECOND};

use crate::random::Random;

/// A host of any kind that exists, and its moods.
pub fn any_host(random: &mut Random) -> Config {
    let mut config = Config { other_offers: false, ..Config::default() };
    config.overlay = random.one_of(&[OverlayMode::Kept, OverlayMode::Zeroed, OverlayMode::Ram]);
    config.masked_sint = random.one_of(&[MaskedSint::Hold, MaskedSint::Drop, MaskedSint::Write]);
    config.scontrol_reset = random.below(2);
    config.max_vmbus_version = random.one_of(&[0x0006_0000, 0x0005_0003, 0x0004_0000, 0x0003_0000]);
    config.max_vstor_version = random.one_of(&[0x0602, 0x0501]);
    config.relid_step = random.one_of(&[0, 0, 1, 5]);
    config.close_delay = random.one_of(&[0, 0, 0, 0, SECOND, 50 * SECOND]);
    config.unload_delay = random.one_of(&[0, 0, 0, 0, SECOND, 50 * SECOND]);
    config.teardown_delay = random.one_of(&[0, 0, 0, MS, 500 * MS]);
    if random.once_in(4) {
        config.features &= !(1 << 17);
    }
    let faults = &mut config.faults;
    faults.stale_messages = random.once_in(3);
    faults.unsolicited = random.once_in(4);
    faults.disk_delay = random.one_of(&[0, 0, 3_000, 20 * MS]);
    faults.tx_completion_delay = random.one_of(&[0, 0, 5 * MS]);
    while random.once_in(3) {
        let status = random.one_of(&[0x0b, 0x12, 0x13, 0x78]);
        // The first post of all decides whether there is a VMBus.
        faults.post_bursts.push(Burst { status, count: 1 + random.below(5), after: 10 + random.below(100) });
    }
    // Fewer than a request is tried.
    while random.once_in(3) && faults.disk_faults.len() < 3 {
        let fault = random.one_of(&[DiskFault::Busy, DiskFault::Abort, DiskFault::Attention, DiskFault::Reset]);
        faults.disk_faults.push(DiskFaults { fault, count: 1 + random.below(2), after: random.below(30) });
    }
    if random.once_in(8) {
        faults.rescind_after = Some(random.below(6));
        faults.reoffer_after = Some(random.one_of(&[0, SECOND]));
    }
    config
}
