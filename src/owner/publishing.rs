//! Our own connection, published while it stands (docs/vmbs.md).

use super::Platform;
use super::arbiter::Arbiter;
use super::record::Publisher;
use super::ties::Ties;
use crate::log;
use crate::wire::hv::HV_X64_MSR_GUEST_OS_ID;

impl<H: Platform> Arbiter<H> {
    /// Publishes the connection that was just made, where the machine has a place for the record.
    pub(super) fn publish(&mut self) {
        let Some(connection) = &mut self.connection else { return };
        let (Some(terms), Some(place)) = (connection.terms(), self.hv.record_place()) else { return };
        let vp = connection.partition().vp_index();
        let guest_os_id = self.hv.read_msr(HV_X64_MSR_GUEST_OS_ID);
        // The record that lies there says so, or another one takes its place.
        if !matches!(&self.ties, Ties::Host(publisher) if publisher.is_of(guest_os_id)) {
            self.ties.end();
            let serial = self.hv.cycles() as u32;
            match Publisher::new(&self.hv, place, serial, guest_os_id) {
                Ok(publisher) => self.ties = Ties::Host(publisher),
                Err(error) => return log::line(format_args!("owner: VMBus is not published: {error:?}")),
            }
        }
        if let Ties::Host(publisher) = &mut self.ties {
            // Our own memory: it can be written.
            let _ = publisher.stands(&self.hv, terms, vp, connection.offers());
        }
    }
}
