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
}

/// What a request to a disk works with.
type Parts<'a, H> = (&'a mut Connection<H>, &'a mut Controller<H>, &'a Ties<H>);

/// A disk that has a number.
#[derive(Clone, Copy, Debug)]
struct Known {
    controller: Guid,
    unit: Unit,
}

/// The disks and what leads to them. A disk keeps its number for ever: one that is gone, or has another size after a
/// reconnect, is not there any more.
pub(super) struct DiskPart<H: Platform> {
    open: Vec<Open<H>, MAX_CONTROLLERS>,
    /// Opened, and not released since.
    pub(super) in_use: bool,
    disks: Vec<Known, MAX_DISKS>,
}

impl<H: Platform> DiskPart<H> {
    pub(super) const fn new() -> Self {
        Self { open: Vec::new(), in_use: false, disks: Vec::new() }
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
                    // There is room: seen above.
                    let _ = self.open.push(Open { instance: offer.instance, controller });
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
        for Open { instance, controller } in &mut self.open {
            let units: Vec<Unit, MAX_DISKS> = match controller.scan(connection) {
                Ok(units) => units,
                Err(error) => {
                    log::line(format_args!("owner: a disk controller shows no disks: {error:?}"));
                    continue;
                }
            };
            for unit in units {
                let same_place = |known: &&Known| known.controller == *instance && known.unit.lun == unit.lun;
                let known = self.disks.iter().find(same_place).map(|known| known.unit);
                if known.is_none() {
                    if self.disks.push(Known { controller: *instance, unit }).is_err() {
                        log::line(format_args!("owner: more than {MAX_DISKS} disks; the rest is not used"));
                    }
                } else if known != Some(unit) {
                    log::line(format_args!("owner: the disk at LUN {} is another one now; not used", unit.lun));
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

    /// Whether what is at a disk's place is still what it was.
    fn is_unchanged(&mut self, known: &Known) -> Result<bool, DiskError> {
        let (connection, controller, ties) = self.controller(known.controller)?;
        let units: Vec<Unit, MAX_DISKS> = ties.locked(connection, |connection| controller.scan(connection))?;
        Ok(units.contains(&known.unit))
    }

    fn controller(&mut self, instance: Guid) -> Result<Parts<'_, H>, DiskError> {
        let connection = self.connection.as_mut().ok_or(DiskError::NotThere)?;
        let open = self.disks.open.iter_mut().find(|open| open.instance == instance).ok_or(DiskError::NotThere)?;
        Ok((connection, &mut open.controller, &self.ties))
    }

    /// Makes sure that VMBus is ours, that the disk's controller is open, and that the disk is still the same one.
    fn ready(&mut self, known: &Known) -> Result<(), DiskError> {
        let connects = self.connects;
        self.check()?;
        if !self.is_connected() {
            self.start_over()?;
        }
        let mut is_new = self.connects != connects;
        if self.controller(known.controller).is_ok_and(|(connection, controller, _)| controller.is_gone(connection)) {
            log::line(format_args!("owner: a disk controller is gone; looking for it again"));
            self.open_disks()?;
            is_new = true;
        }
        if is_new && !self.is_unchanged(known)? {
            return Err(DiskError::NotThere);
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
            self.ready(&known)?;
            let (connection, controller, ties) = self.controller(known.controller)?;
            result = ties.locked(connection, |connection| work(connection, controller, &known.unit));
            match result {
                // It may come back at once, under another channel id.
                Err(DiskError::Host(Error::NicGone)) => {}
                Err(DiskError::Host(Error::VmbusOwned | Error::HostProtocol) | DiskError::Timeout) => {
                    // Another connection is the only way to make sure that the host is done with our memory.
                    connection.mark_lost();
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
