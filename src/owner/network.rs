//! The network card as the services see it.

use super::Platform;
use super::arbiter::Arbiter;
use super::choose::{Chosen, Wanted, close};
use crate::error::Error;
use crate::hv::{Owner, detect};
use crate::log;
use crate::netvsc::Device;
use crate::nic::{MacAddress, Nic, NicStatistics, PacketFilter};
use crate::vmbus::Connection;
use crate::wire::vmbus::Guid;

/// Cycles between two looks at an MSR in receive polls without data (policy: 7 to 34 ms; each is an exit, and who waits for
/// a server is in no hurry to find that VMBus is lost).
const CHECK_CYCLES: u64 = 1 << 25;
/// Every so many looks in receive polls without data, the host's messages are fetched too: about once a second
/// (policy). A card that is taken back shows nowhere else.
const CHECKS_PER_SERVICE: u32 = 64;

/// Cycles without any confirmation of a sent frame after which the host counts as gone (policy: 7 to 34 s): somebody
/// may have used VMBus and put the MSRs back so well that nothing else shows it.
const SILENT_CYCLES: u64 = 1 << 35;

/// How long the host may take for each answer when we only count its cards, in milliseconds (policy).
const COUNT_MS: u64 = 1_000;

/// The card, and what must be known to bring it up again.
pub(super) struct Network<H: Platform> {
    pub(super) device: Option<Device<H>>,
    /// Why the card did not come up again; told once.
    trouble: Option<Error>,
    /// The card in use, or used last: its number in the order of the offers, and its instance.
    chosen: Option<(usize, Guid)>,
    /// The card that the user wants, counted from 0.
    preferred: Option<usize>,
    mac: MacAddress,
    filter: PacketFilter,
    vlan: u16,
    last_check: u64,
    /// A packet was found in the ring since: proof enough that nobody took VMBus.
    proven: bool,
    checks: u32,
    /// When the first frame went out that the host hasn't confirmed, or when it last confirmed one; in cycles.
    waiting_since: u64,
    /// Frames confirmed up to then.
    confirmed: u32,
}

impl<H: Platform> Network<H> {
    pub(super) const fn new() -> Self {
        Self {
            device: None,
            trouble: None,
            chosen: None,
            preferred: None,
            mac: [0; 6],
            filter: PacketFilter::empty(),
            vlan: 0,
            last_check: 0,
            proven: false,
            checks: 0,
            waiting_since: 0,
            confirmed: 0,
        }
    }

    pub(super) fn wanted(&self) -> Wanted {
        Wanted { instance: self.chosen.map(|(_, instance)| instance), preferred: self.preferred }
    }

    /// Takes a card that was just opened, at this many cycles.
    pub(super) fn begin(&mut self, chosen: Chosen<H>, now: u64) {
        let Chosen { index, instance, mut device } = chosen;
        device.set_vlan(self.vlan);
        self.mac = device.mac();
        self.chosen = Some((index, instance));
        self.device = Some(device);
        self.last_check = now;
    }
}

impl<H: Platform> Arbiter<H> {
    /// Sets the VLAN of all frames from the next open on; 0 for none. The tag is the card's affair: callers see plain frames.
    pub const fn set_vlan(&mut self, id: u16) {
        self.network.vlan = id;
    }

    /// The card in use, or used last: its number in the order of the offers (from 0), and its instance id.
    #[must_use]
    pub const fn card(&self) -> Option<(usize, Guid)> {
        self.network.chosen
    }

    /// True when there was a carrier at the last look; asks nobody.
    #[must_use]
    pub fn link_was_up(&self) -> bool {
        self.network.device.as_ref().is_some_and(Device::link_up)
    }

    /// The open card and its connection.
    fn parts(&mut self) -> Result<(&mut Connection<H>, &mut Device<H>), Error> {
        match (&mut self.connection, &mut self.network.device) {
            (Some(connection), Some(device)) => Ok((connection, device)),
            _ => Err(self.network.trouble.take().unwrap_or(Error::NotOpen)),
        }
    }

    /// Connects if need be, and opens the card.
    fn bring_up(&mut self) -> Result<(), Error> {
        let was_connected = self.is_connected();
        let result = self.establish().and_then(|()| match self.open_card() {
            // Somebody ended our connection without leaving a trace in the MSRs.
            Err(Error::HostTimeout) if was_connected => self.start_over().and_then(|()| self.open_card()),
            result => result,
        });
        if result.is_err() && !self.is_connected() {
            let _ = self.let_go();
        }
        result
    }

    /// Closes the card and brings it up again, on a connection that lives.
    ///
    /// # Errors
    /// Why there is no connection any more.
    pub(super) fn renew_card(&mut self) -> Result<(), Error> {
        let was_open = self.is_open();
        self.close()?;
        if was_open {
            self.reopen_card();
        }
        Ok(())
    }

    /// Brings the card up again as it was, after a reconnect.
    pub(super) fn reopen_card(&mut self) {
        let filter = self.network.filter;
        let result = self.open_card().and_then(|()| {
            let (connection, device) = self.parts()?;
            device.set_filter(connection, filter)
        });
        self.network.trouble = result.err();
    }

    /// After a receive poll without data. Once in a while it looks at one MSR: somebody who takes VMBus changes SIMP, or
    /// HYPERCALL, or both.
    fn idle(&mut self) -> Result<(), Error> {
        let now = self.hv.cycles();
        if core::mem::take(&mut self.network.proven) {
            self.network.last_check = now;
        }
        if now.wrapping_sub(self.network.last_check) < CHECK_CYCLES {
            return Ok(());
        }
        self.network.last_check = now;
        self.network.checks = self.network.checks.wrapping_add(1);
        let checks = self.network.checks;
        let (connection, _) = self.parts()?;
        let partition = connection.partition();
        let as_left =
            if checks.is_multiple_of(2) { partition.simp_is_as_left() } else { partition.calls_are_as_left() };
        let is_suspect = partition.is_suspect();
        if !as_left || !self.ties.is_current() {
            return self.reclaim();
        }
        if is_suspect {
            return self.look_into_refusal();
        }
        if self.is_silent()? {
            log::line(format_args!("owner: the host confirms no frames"));
            return self.start_over();
        }
        if !checks.is_multiple_of(CHECKS_PER_SERVICE) {
            return Ok(());
        }
        self.look_for_news()
    }

    /// True when frames went out long ago, and the ring is empty of confirmations.
    fn is_silent(&mut self) -> Result<bool, Error> {
        let now = self.hv.cycles();
        let (_, device) = self.parts()?;
        let statistics = device.statistics();
        let confirmed = statistics.transmitted.wrapping_add(statistics.dropped);
        if device.all_confirmed() || confirmed != self.network.confirmed {
            self.network.confirmed = confirmed;
            self.network.waiting_since = now;
            return Ok(false);
        }
        Ok(now.wrapping_sub(self.network.waiting_since) > SILENT_CYCLES)
    }

    /// A request to the card. When the host doesn't answer, somebody may have used VMBus and put the MSRs back so well
    /// that nothing shows: one more try on a new connection.
    fn request<T>(
        &mut self,
        work: impl Fn(&mut Device<H>, &mut Connection<H>) -> Result<T, Error>,
    ) -> Result<T, Error> {
        self.check()?;
        let (connection, device) = self.parts()?;
        let mut result = work(device, connection);
        if matches!(result, Err(Error::HostTimeout)) {
            log::line(format_args!("owner: the network card does not answer"));
            self.start_over()?;
            let (connection, device) = self.parts()?;
            result = work(device, connection);
        }
        self.verdict(result)
    }

    /// Closes a card that the host broke or took back, and passes the error on.
    fn verdict<T>(&mut self, result: Result<T, Error>) -> Result<T, Error> {
        if let Err(error @ (Error::NicGone | Error::HostProtocol)) = result {
            log::line(format_args!("netvsc: the network card is lost: {error:?}"));
            let _ = self.close();
        }
        result
    }
}

impl<H: Platform> Nic for Arbiter<H> {
    fn open(&mut self) -> Result<(), Error> {
        self.check()?;
        if self.is_open() {
            return Ok(());
        }
        self.network.trouble = None;
        self.network.filter = PacketFilter::empty();
        self.bring_up()
    }

    fn close(&mut self) -> Result<(), Error> {
        self.network.trouble = None;
        if !self.is_open() {
            return Ok(());
        }
        let may_close = self.may_close();
        let Some(connection) = &mut self.connection else { return Ok(()) };
        let Some(device) = self.network.device.take() else { return Ok(()) };
        if !may_close {
            device.close(connection);
            return Ok(());
        }
        let mut device = Some(device);
        let ties = &self.ties;
        let result = ties.exchange(connection, |connection| {
            if let Some(device) = device.take() {
                close(connection, ties, device);
            }
            Ok(())
        });
        if let Some(device) = device {
            // VMBus isn't ours any more: nothing is said to the host, and the memory stays reserved.
            device.close(connection);
        }
        log::line(format_args!("netvsc: closed"));
        result
    }

    fn release(&mut self) -> Result<(), Error> {
        let closed = self.close();
        self.let_go().and(closed)
    }

    fn is_open(&self) -> bool {
        self.network.device.is_some()
    }

    fn permanent_mac(&self) -> MacAddress {
        self.network.mac
    }

    fn set_filter(&mut self, filter: PacketFilter) -> Result<(), Error> {
        self.network.filter = filter;
        self.request(|device, connection| device.set_filter(connection, filter))
    }

    fn link_is_up(&mut self) -> Result<bool, Error> {
        self.request(Device::query_link)
    }

    fn receive(&mut self, buffer: &mut [u8]) -> Result<Option<usize>, Error> {
        let (connection, device) = self.parts()?;
        let result = match device.receive(connection, buffer) {
            Ok(None) => self.idle().map(|()| None),
            Ok(length) => {
                self.network.proven = true;
                Ok(length)
            }
            error => error,
        };
        self.verdict(result)
    }

    fn transmit(&mut self, pieces: &[&[u8]]) -> Result<(), Error> {
        let connects = self.connects;
        let result = self.send(pieces);
        let (connection, _) = self.parts()?;
        if connection.partition().is_suspect() {
            let looked = self.look_into_refusal();
            self.verdict(looked)?;
            if self.connects != connects {
                // The frame lay in the ring of a channel that is no more.
                return self.send(pieces);
            }
        }
        result
    }

    fn statistics(&self) -> NicStatistics {
        self.network.device.as_ref().map(Device::statistics).unwrap_or_default()
    }

    fn count(&mut self) -> Result<usize, Error> {
        if self.connection.is_none() {
            detect(&self.hv)?;
            if Owner::look(&self.hv) != Owner::Nobody && !self.attach_by_policy(false)? {
                // Not taken over only to count.
                return Err(Error::VmbusOwned);
            }
            let connected = self.establish_within(COUNT_MS);
            let count = self.card_count();
            // What the host didn't confirm stays on record.
            let _ = self.let_go();
            connected?;
            return Ok(count);
        }
        Ok(self.card_count())
    }

    fn prefer(&mut self, card: usize) {
        self.network.preferred = card.checked_sub(1);
        self.network.chosen = None;
    }

    fn place(&self) -> (usize, usize) {
        let (index, _) = self.network.chosen.unwrap_or_default();
        (index + 1, self.card_count())
    }
}

impl<H: Platform> Arbiter<H> {
    /// Sends a frame on the card as it is.
    fn send(&mut self, pieces: &[&[u8]]) -> Result<(), Error> {
        let (connection, device) = self.parts()?;
        let first = device.all_confirmed();
        let result = device.transmit(connection, pieces);
        if first {
            self.network.waiting_since = self.hv.cycles();
        }
        self.verdict(result)
    }
}
