//! Devices that nobody asked for: offered, and rescinded at once.

use super::messages as msg;
use super::offers;
use super::server::{CHANNEL_CONNECTION, Context, Server, State};
use crate::config::Config;

impl Server {
    /// Offers and rescinds a device at the times that ask for it.
    pub(super) fn come_and_go_when_due(&mut self, cx: &Context<'_>) {
        let due = cx.config.faults.unsolicited_at.iter().filter(|at| cx.report.now >= **at).count();
        while self.came_and_went < due {
            self.came_and_went += 1;
            self.come_and_go(cx.config);
        }
    }

    /// Offers a device that nobody asked for, and rescinds it, once the guest has had the offers.
    pub(super) fn come_and_go(&mut self, config: &Config) {
        let State::Connected(connection) = self.state else { return };
        let Some(relid) = self.free_relid(config).filter(|_| connection.offers_sent) else { return };
        self.ghosts.insert(relid);
        self.ghosts_offered += 1;
        let ghost = offers::ghost(self.ghosts_offered);
        let offer = msg::offer_channel(&ghost, relid, CHANNEL_CONNECTION + relid, connection.version);
        self.outgoing.push_back((connection.vp, offer));
        self.outgoing.push_back((connection.vp, msg::build(msg::RESCIND_CHANNEL_OFFER, &[relid])));
    }
}
