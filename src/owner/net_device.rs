//! The network card as the services see it, with VMBus taken and given back under it.

use super::choose::{Chosen, open_card};
use crate::error::Error;
use crate::hv::{Hypervisor, Partition};
use crate::log;
use crate::netvsc::Device;
use crate::nic::{MacAddress, Nic, NicStatistics, PacketFilter};
use crate::vmbus::Connection;
use crate::wire::vmbus::{Guid, Version};

/// Cycles between two looks at the MSRs in the data path: about a millisecond (policy; 1 to 4 ms on real machines).
const CHECK_CYCLES: u64 = 1 << 22;
/// Every so many looks in receive polls without data, the host's messages are fetched too: about once a second
/// (policy). A card that is taken back shows nowhere else.
const CHECKS_PER_SERVICE: u32 = 512;

/// Cycles without any confirmation of a sent frame after which the host counts as gone (policy: 7 to 34 s): somebody
/// may have used VMBus and put the MSRs back so well that nothing else shows it.
const SILENT_CYCLES: u64 = 1 << 35;

/// How long the host may take for each answer when we only count its cards, in milliseconds (policy).
const COUNT_MS: u64 = 1_000;

/// VMBus while we hold it; the card on it while that is open.
struct Link<H: Hypervisor> {
    connection: Connection<H>,
    device: Option<Device<H>>,
}

/// The machine's synthetic network card.
///
/// Holds nothing of the hypervisor before the first [`open`](Nic::open) and after [`release`](Nic::release).
pub struct NetDevice<H: Hypervisor> {
    hv: H,
    link: Option<Link<H>>,
    /// The card in use, or used last: its number in the order of the offers, and its instance.
    chosen: Option<(usize, Guid)>,
    /// The card that the user wants, counted from 0.
    preferred: Option<usize>,
    mac: MacAddress,
    filter: PacketFilter,
    vlan: u16,
    last_check: u64,
    checks: u32,
    /// When the first frame went out that the host hasn't confirmed, or when it last confirmed one; in cycles.
    waiting_since: u64,
    /// Frames confirmed up to then.
    confirmed: u32,
}

impl<H: Hypervisor> NetDevice<H> {
    /// The card of the machine under `hv`. Touches nothing yet.
    #[must_use]
    pub const fn new(hv: H) -> Self {
        Self {
            hv,
            link: None,
            chosen: None,
            preferred: None,
            mac: [0; 6],
            filter: PacketFilter::empty(),
            vlan: 0,
            last_check: 0,
            checks: 0,
            waiting_since: 0,
            confirmed: 0,
        }
    }

    /// Sets the VLAN of all frames from the next open on; 0 for none. The tag is the card's affair: callers see plain frames.
    pub const fn set_vlan(&mut self, id: u16) {
        self.vlan = id;
    }

    /// How many network cards the host offers; 0 before the first open.
    #[must_use]
    pub fn card_count(&self) -> usize {
        self.link.as_ref().map_or(0, |link| link.connection.offers().iter().count())
    }

    /// The card in use, or used last: its number in the order of the offers (from 0), and its instance id.
    #[must_use]
    pub const fn card(&self) -> Option<(usize, Guid)> {
        self.chosen
    }

    /// The VMBus version agreed on; `None` without a connection.
    #[must_use]
    pub fn vmbus_version(&self) -> Option<Version> {
        self.link.as_ref().and_then(|link| link.connection.version())
    }

    /// True when there was a carrier at the last look; asks nobody.
    #[must_use]
    pub fn link_was_up(&self) -> bool {
        self.device().is_some_and(Device::link_up)
    }

    fn device(&self) -> Option<&Device<H>> {
        self.link.as_ref().and_then(|link| link.device.as_ref())
    }

    /// The open card and its connection.
    fn parts(&mut self) -> Result<(&mut Connection<H>, &mut Device<H>), Error> {
        match &mut self.link {
            Some(Link { connection, device: Some(device) }) => Ok((connection, device)),
            _ => Err(Error::NotOpen),
        }
    }

    /// Connects if need be, and opens the card.
    fn bring_up(&mut self) -> Result<(), Error> {
        if self.link.is_none() {
            let partition = Partition::claim(&self.hv)?;
            self.link = Some(Link { connection: Connection::new(&self.hv, partition), device: None });
        }
        let Some(link) = &mut self.link else { return Err(Error::NotOpen) };
        let (wanted, preferred) = (self.chosen.map(|(_, instance)| instance), self.preferred);
        let opened = link.connection.with_synic(|connection| {
            if connection.version().is_some() {
                connection.service()?;
                match open_card(connection, wanted, preferred) {
                    // Somebody ended our connection without leaving a trace in the MSRs.
                    Err(Error::HostTimeout) => connection.mark_lost(),
                    result => return result,
                }
            }
            connection.connect()?;
            open_card(connection, wanted, preferred)
        });
        match opened {
            Ok(Chosen { index, instance, mut device }) => {
                device.set_vlan(self.vlan);
                self.mac = device.mac();
                self.chosen = Some((index, instance));
                link.device = Some(device);
                self.last_check = self.hv.cycles();
                Ok(())
            }
            Err(error) => {
                if link.connection.version().is_none() {
                    let _ = self.let_go();
                }
                Err(error)
            }
        }
    }

    /// Ends the connection, whatever state it is in. It is forgotten unless the host still holds memory of it.
    fn let_go(&mut self) -> Result<(), Error> {
        let Some(link) = &mut self.link else { return Ok(()) };
        let result = link.connection.disconnect();
        if !link.connection.has_lent()
            && let Some(link) = self.link.take()
        {
            link.connection.free();
        }
        result
    }

    /// The entry check: has somebody else had VMBus since the last call? Then start over.
    ///
    /// # Errors
    /// Why the card did not come up again; it is closed then.
    fn ensure_ours(&mut self) -> Result<(), Error> {
        let Some(link) = &mut self.link else { return Ok(()) };
        self.last_check = self.hv.cycles();
        if link.connection.version().is_none() || link.connection.still_ours() {
            return Ok(());
        }
        log::line(format_args!("owner: somebody else took VMBus; connecting again"));
        self.start_over()
    }

    /// Connects anew after the connection was lost, and brings an open card up again as it was.
    ///
    /// # Errors
    /// Why the card did not come up again; it is closed then.
    fn start_over(&mut self) -> Result<(), Error> {
        let Some(link) = &mut self.link else { return Ok(()) };
        // All channels are dead, and no teardown would be answered: their memory waits for the next connection.
        link.connection.mark_lost();
        let Some(device) = link.device.take() else { return Ok(()) };
        device.close(&mut link.connection);
        self.bring_up()?;
        let filter = self.filter;
        let (connection, device) = self.parts()?;
        device.set_filter(connection, filter)
    }

    /// The entry check in the data path: at most about once a millisecond. True when it looked.
    fn ensure_ours_now_and_then(&mut self) -> Result<bool, Error> {
        if self.hv.cycles().wrapping_sub(self.last_check) < CHECK_CYCLES {
            return Ok(false);
        }
        self.ensure_ours().map(|()| true)
    }

    /// After a receive poll without data.
    fn idle(&mut self) -> Result<(), Error> {
        if !self.ensure_ours_now_and_then()? {
            return Ok(());
        }
        if self.is_silent()? {
            log::line(format_args!("owner: the host confirms no frames; connecting again"));
            return self.start_over();
        }
        self.checks = self.checks.wrapping_add(1);
        if !self.checks.is_multiple_of(CHECKS_PER_SERVICE) {
            return Ok(());
        }
        let (connection, device) = self.parts()?;
        connection.with_synic(Connection::service)?;
        if device.is_gone(connection) { Err(Error::NicGone) } else { Ok(()) }
    }

    /// True when frames went out long ago, and the ring is empty of confirmations.
    fn is_silent(&mut self) -> Result<bool, Error> {
        let now = self.hv.cycles();
        let (_, device) = self.parts()?;
        let statistics = device.statistics();
        let confirmed = statistics.transmitted.wrapping_add(statistics.dropped);
        if device.all_confirmed() || confirmed != self.confirmed {
            self.confirmed = confirmed;
            self.waiting_since = now;
            return Ok(false);
        }
        Ok(now.wrapping_sub(self.waiting_since) > SILENT_CYCLES)
    }

    /// A request to the card. When the host doesn't answer, somebody may have used VMBus and put the MSRs back so well
    /// that nothing shows: one more try on a new connection.
    fn request<T>(
        &mut self,
        work: impl Fn(&mut Device<H>, &mut Connection<H>) -> Result<T, Error>,
    ) -> Result<T, Error> {
        self.ensure_ours()?;
        let (connection, device) = self.parts()?;
        let mut result = work(device, connection);
        if matches!(result, Err(Error::HostTimeout)) {
            log::line(format_args!("owner: the network card does not answer; connecting again"));
            self.start_over()?;
            let (connection, device) = self.parts()?;
            result = work(device, connection);
        }
        self.check(result)
    }

    /// Closes a card that the host broke or took back, and passes the error on.
    fn check<T>(&mut self, result: Result<T, Error>) -> Result<T, Error> {
        if let Err(error @ (Error::NicGone | Error::HostProtocol)) = result {
            log::line(format_args!("netvsc: the network card is lost: {error:?}"));
            let _ = self.close();
        }
        result
    }
}

impl<H: Hypervisor> Nic for NetDevice<H> {
    fn open(&mut self) -> Result<(), Error> {
        self.ensure_ours()?;
        if self.is_open() {
            return Ok(());
        }
        self.filter = PacketFilter::empty();
        self.bring_up()
    }

    fn close(&mut self) -> Result<(), Error> {
        let Some(link) = &mut self.link else { return Ok(()) };
        let Some(device) = link.device.take() else { return Ok(()) };
        if !link.connection.still_ours() {
            link.connection.mark_lost();
        }
        if link.connection.version().is_none() {
            device.close(&mut link.connection);
            return Ok(());
        }
        let mut device = Some(device);
        let result = link.connection.with_synic(|connection| {
            if let Some(device) = device.take() {
                device.close(connection);
            }
            Ok(())
        });
        if let Some(device) = device {
            // VMBus isn't ours any more: nothing is said to the host, and the memory stays reserved.
            device.close(&mut link.connection);
        }
        log::line(format_args!("netvsc: closed"));
        result
    }

    fn release(&mut self) -> Result<(), Error> {
        let closed = self.close();
        self.let_go().and(closed)
    }

    fn is_open(&self) -> bool {
        self.device().is_some()
    }

    fn permanent_mac(&self) -> MacAddress {
        self.mac
    }

    fn set_filter(&mut self, filter: PacketFilter) -> Result<(), Error> {
        self.filter = filter;
        self.request(|device, connection| device.set_filter(connection, filter))
    }

    fn link_is_up(&mut self) -> Result<bool, Error> {
        self.request(Device::query_link)
    }

    fn receive(&mut self, buffer: &mut [u8]) -> Result<Option<usize>, Error> {
        let (connection, device) = self.parts()?;
        let result = match device.receive(connection, buffer) {
            Ok(None) => self.idle().map(|()| None),
            result => result,
        };
        self.check(result)
    }

    fn transmit(&mut self, pieces: &[&[u8]]) -> Result<(), Error> {
        self.ensure_ours_now_and_then()?;
        let (connection, device) = self.parts()?;
        let first = device.all_confirmed();
        let result = device.transmit(connection, pieces);
        if first {
            self.waiting_since = self.hv.cycles();
        }
        self.check(result)
    }

    fn statistics(&self) -> NicStatistics {
        self.device().map(Device::statistics).unwrap_or_default()
    }

    fn count(&mut self) -> Result<usize, Error> {
        if self.link.is_some() {
            return Ok(self.card_count());
        }
        let partition = Partition::claim(&self.hv)?;
        let mut connection = Connection::new(&self.hv, partition);
        let counted = connection.with_synic(|connection| {
            connection.connect_within(COUNT_MS)?;
            Ok(connection.offers().iter().count())
        });
        self.link = Some(Link { connection, device: None });
        // What the host didn't confirm stays on record.
        let _ = self.let_go();
        counted
    }

    fn prefer(&mut self, card: usize) {
        self.preferred = card.checked_sub(1);
        self.chosen = None;
    }

    fn place(&self) -> (usize, usize) {
        let (index, _) = self.chosen.unwrap_or_default();
        (index + 1, self.card_count())
    }
}
