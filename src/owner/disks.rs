//! The machine's synthetic disks as the disk service sees them.

use heapless::Vec;

use super::Platform;
use super::arbiter::Arbiter;
use super::ties::Ties;
use crate::disk::{DiskError, Disks, Medium, Sink, Source};
use crate::error::Error;
use crate::log;
use crate::storvsc::{Controller, Unit};
use crate::vmbus::{Channel, Connection, MAX_OFFERS, Offer};
use crate::wire::vmbus::Guid;

/// Most controllers that are used (policy: memory for the rings and data of two).
const MAX_CONTROLLERS: usize = 2;
/// Most disks that are used (policy).
pub const MAX_DISKS: usize = 8;
/// How often one request may make us connect again (policy).
const RECONNECTS: u32 = 3;

/// An open controller.
struct Open<H: Platform> {
    instance: Guid,
    controller: Controller<H>,
    /// Which opening of a controller this is, counted from 1.
    opening: u32,
}

/// What a request to a disk works with.
type Parts<'a, H> = (&'a mut Connection<H>, &'a mut Controller<H>, &'a Ties<H>);

/// A disk that has a number.
#[derive(Clone, Copy, Debug)]
struct Known {
    controller: Guid,
    unit: Unit,
    /// The opening of its controller on which it was last seen to be the same.
    seen: u32,
}

impl Known {
    fn log_change(&self) {
        log::line(format_args!("owner: the disk at LUN {} is gone, or another one now; not used", self.unit.lun));
    }
}

/// The disks and what leads to them. A disk keeps its number for ever: one that is gone, or has another size after a
/// reconnect, is not there any more.
pub(super) struct DiskPart<H: Platform> {
    open: Vec<Open<H>, MAX_CONTROLLERS>,
    /// How often controllers were opened.
    openings: u32,
    /// Opened, and not released since.
    pub(super) in_use: bool,
    disks: Vec<Known, MAX_DISKS>,
}

impl<H: Platform> DiskPart<H> {
    pub(super) const fn new() -> Self {
        Self { open: Vec::new(), openings: 0, in_use: false, disks: Vec::new() }
    }

    /// Closes all controllers.
    pub(super) fn close_all(&mut self, connection: &mut Connection<H>) {
        while let Some(Open { controller, .. }) = self.open.pop() {
            controller.close(connection);
        }
    }

    /// Whether the host still serves the disks; `None` when no controller is open.
    pub(super) fn is_alive(&mut self, connection: &mut Connection<H>, patient: bool) -> Option<bool> {
        let open = self.open.first_mut()?;
        let unit = self.disks.iter().find(|known| known.controller == open.instance).map(|known| known.unit.lun);
        Some(open.controller.is_alive(connection, unit.unwrap_or_default(), patient))
    }

    /// Opens the controllers that are offered and not open, as far as they can be.
    fn open_controllers(&mut self, connection: &mut Connection<H>, ties: &Ties<H>) {
        let offers: Vec<Offer, MAX_OFFERS> = connection.offers().controllers().copied().collect();
        for offer in offers {
            if self.open.is_full() || self.open.iter().any(|open| open.instance == offer.instance) {
                continue;
            }
            log::line(format_args!("storvsc: opening disk controller, channel {}", offer.relid));
            match ties.claim(offer.relid).and_then(|()| open_controller(connection, &offer)) {
                Ok(controller) => {
                    self.openings = self.openings.wrapping_add(1);
                    // There is room: seen above.
                    let _ = self.open.push(Open { instance: offer.instance, controller, opening: self.openings });
                }
                Err(error) => log::line(format_args!("storvsc: the disk controller does not open: {error:?}")),
            }
        }
    }

    /// Closes the controllers that the host took back.
    fn close_gone(&mut self, connection: &mut Connection<H>) {
        while let Some(index) = self.open.iter().position(|open| open.controller.is_gone(connection)) {
            self.open.swap_remove(index).controller.close(connection);
        }
    }

    /// Gives numbers to disks that have none, and drops those from use that have changed.
    fn find(&mut self, connection: &mut Connection<H>) {
        for Open { instance, controller, opening } in &mut self.open {
            let units: Vec<Unit, MAX_DISKS> = match controller.scan(connection) {
                Ok(units) => units,
                Err(error) => {
                    log::line(format_args!("owner: a disk controller shows no disks: {error:?}"));
                    continue;
                }
            };
            for unit in units {
                let same_place = |known: &&mut Known| known.controller == *instance && known.unit.lun == unit.lun;
                match self.disks.iter_mut().find(same_place) {
                    Some(known) if known.unit == unit => known.seen = *opening,
                    Some(known) => known.log_change(),
                    None => {
                        if self.disks.push(Known { controller: *instance, unit, seen: *opening }).is_err() {
                            log::line(format_args!("owner: more than {MAX_DISKS} disks; the rest is not used"));
                        }
                    }
                }
            }
        }
    }
}

fn open_controller<H: Platform>(connection: &mut Connection<H>, offer: &Offer) -> Result<Controller<H>, Error> {
    let channel = Channel::open(connection, offer)?;
    let mut controller = Controller::new(connection, channel)?;
    match controller.start(connection) {
        Ok(()) => Ok(controller),
        Err(error) => {
            controller.close(connection);
            Err(error)
        }
    }
}

impl<H: Platform> Arbiter<H> {
    /// Connects, and finds the disks. Those found before keep their numbers. From then on the connection stays until
    /// [`release_disks`](Self::release_disks).
    ///
    /// # Errors
    /// Why VMBus can't be had. A controller that can't be used is only logged.
    pub fn open_disks(&mut self) -> Result<(), Error> {
        let was_connected = self.is_connected();
        let mut result = self.check().and_then(|()| self.establish()).and_then(|()| self.open_controllers());
        if result.is_ok() && was_connected && self.no_controller_opened() {
            // Somebody may have ended our connection without leaving a trace in the MSRs.
            result = self.start_over().and_then(|()| self.open_controllers());
        }
        if let Err(error) = result {
            self.disks.in_use = false;
            let _ = self.let_go();
            return Err(error);
        }
        self.disks.in_use = true;
        if let Some(connection) = &mut self.connection {
            let disks = &mut self.disks;
            let _ = self.ties.locked(connection, |connection| {
                disks.find(connection);
                Ok::<_, Error>(())
            });
        }
        Ok(())
    }

    /// Closes all controllers, and ends the connection when the card doesn't need it.
    ///
    /// # Errors
    /// [`Error::HostTimeout`] when the host does not let go of our memory, [`Error::VmbusOwned`].
    pub fn release_disks(&mut self) -> Result<(), Error> {
        self.disks.in_use = false;
        if self.may_close()
            && let Some(connection) = &mut self.connection
        {
            let disks = &mut self.disks;
            let _ = self.ties.exchange(connection, |connection| {
                disks.close_all(connection);
                Ok(())
            });
        }
        self.let_go()
    }

    /// Opens the controllers on offer, and closes those that the host took back.
    pub(super) fn open_controllers(&mut self) -> Result<(), Error> {
        if self.ties.guest().is_some() {
            // The owner whose guest we are serves them.
            return Err(Error::VmbusOwned);
        }
        let Some(connection) = &mut self.connection else { return Err(Error::NotOpen) };
        let (ties, disks) = (&self.ties, &mut self.disks);
        ties.exchange(connection, |connection| {
            connection.service()?;
            disks.close_gone(connection);
            disks.open_controllers(connection, ties);
            Ok(())
        })
    }

    /// True when there are controllers, and none of them is open.
    fn no_controller_opened(&self) -> bool {
        let is_offered = |connection: &Connection<H>| connection.offers().controllers().next().is_some();
        self.disks.open.is_empty() && self.connection.as_ref().is_some_and(is_offered)
    }

    /// Makes sure that what is at a disk's place is still what it was: once for each opening of its controller.
    fn check_unchanged(&mut self, number: usize) -> Result<(), DiskError> {
        let connection = self.connection.as_mut().ok_or(DiskError::NotThere)?;
        let known = self.disks.disks.get_mut(number).ok_or(DiskError::NotThere)?;
        let open = self.disks.open.iter_mut().find(|open| open.instance == known.controller);
        let open = open.ok_or(DiskError::NotThere)?;
        if known.seen != open.opening {
            let units: Vec<Unit, MAX_DISKS> =
                self.ties.locked(connection, |connection| open.controller.scan(connection))?;
            if !units.contains(&known.unit) {
                known.log_change();
                return Err(DiskError::NotThere);
            }
            known.seen = open.opening;
        }
        Ok(())
    }

    fn controller(&mut self, instance: Guid) -> Result<Parts<'_, H>, DiskError> {
        let connection = self.connection.as_mut().ok_or(DiskError::NotThere)?;
        let open = self.disks.open.iter_mut().find(|open| open.instance == instance).ok_or(DiskError::NotThere)?;
        Ok((connection, &mut open.controller, &self.ties))
    }

    /// Makes sure that VMBus is ours, and that the disk's controller is open.
    fn ready(&mut self, controller: Guid) -> Result<(), DiskError> {
        self.check()?;
        if !self.is_connected() {
            self.start_over()?;
        }
        if self.controller(controller).is_ok_and(|(connection, controller, _)| controller.is_gone(connection)) {
            log::line(format_args!("owner: a disk controller is gone; looking for it again"));
            self.open_disks()?;
        }
        Ok(())
    }

    /// Does something with a disk; once more from the start after every reconnect that it takes.
    fn with_disk<T>(
        &mut self,
        number: usize,
        mut work: impl FnMut(&mut Connection<H>, &mut Controller<H>, &Unit) -> Result<T, DiskError>,
    ) -> Result<T, DiskError> {
        let known = *self.disks.disks.get(number).ok_or(DiskError::NotThere)?;
        let mut result = Err(DiskError::NotThere);
        for _ in 0..=RECONNECTS {
            if !self.disks.in_use {
                return Err(DiskError::NotThere);
            }
            self.ready(known.controller)?;
            result = self.check_unchanged(number).and_then(|()| {
                let (connection, controller, ties) = self.controller(known.controller)?;
                ties.locked(connection, |connection| work(connection, controller, &known.unit))
            });
            match result {
                // It may come back at once, under another channel id.
                Err(DiskError::Host(Error::NicGone)) => {}
                Err(DiskError::Host(Error::VmbusOwned | Error::HostProtocol) | DiskError::Timeout) => {
                    // Another connection is the only way to make sure that the host is done with our memory.
                    if let Some(connection) = &mut self.connection {
                        connection.mark_lost();
                    }
                }
                _ => return result,
            }
        }
        if result.as_ref().err() != Some(&DiskError::Host(Error::NicGone)) {
            // So that the host lets go of what the lost request used.
            let _ = self.start_over();
        }
        result
    }
}

impl<H: Platform> Disks for Arbiter<H> {
    fn count(&self) -> usize {
        self.disks.disks.len()
    }

    fn medium(&self, number: usize) -> Option<Medium> {
        self.disks.disks.get(number).map(|known| known.unit.medium)
    }

    fn read(&mut self, number: usize, lba: u64, blocks: u32, to: &mut Sink<'_>) -> Result<(), DiskError> {
        self.with_disk(number, |connection, controller, unit| controller.read(connection, unit, lba, blocks, to))
    }

    fn write(&mut self, number: usize, lba: u64, blocks: u32, from: &mut Source<'_>) -> Result<(), DiskError> {
        self.with_disk(number, |connection, controller, unit| controller.write(connection, unit, lba, blocks, from))
    }

    fn flush(&mut self, number: usize) -> Result<(), DiskError> {
        self.with_disk(number, |connection, controller, unit| controller.flush(connection, unit))
    }

    fn reset(&mut self, number: usize) -> Result<(), DiskError> {
        self.with_disk(number, |connection, controller, _| {
            connection.with_synic(|connection| controller.reset(connection)).map_err(DiskError::from)
        })
    }
}
