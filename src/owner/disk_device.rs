//! The machine's synthetic disks as the disk service sees them, with VMBus taken and given back under them.

use heapless::Vec;

use crate::disk::{DiskError, Disks, Medium, Sink, Source};
use crate::error::Error;
use crate::hv::{Hypervisor, Partition};
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
struct Open<H: Hypervisor> {
    instance: Guid,
    controller: Controller<H>,
}

/// VMBus while we hold it, and the controllers on it.
struct Link<H: Hypervisor> {
    connection: Connection<H>,
    open: Vec<Open<H>, MAX_CONTROLLERS>,
}

/// A disk that has a number.
#[derive(Clone, Copy, Debug)]
struct Known {
    controller: Guid,
    unit: Unit,
}

/// The machine's synthetic disks.
///
/// Holds nothing of the hypervisor before the first [`open`](Self::open) and after [`release`](Self::release). A disk keeps
/// its number for ever: one that is gone, or has another size after a reconnect, is not there any more.
pub struct DiskDevice<H: Hypervisor> {
    hv: H,
    /// Kept after a release while the host holds memory of it.
    link: Option<Link<H>>,
    /// Opened, and not released since.
    in_use: bool,
    disks: Vec<Known, MAX_DISKS>,
}

impl<H: Hypervisor> DiskDevice<H> {
    /// The disks of the machine under `hv`. Touches nothing yet.
    #[must_use]
    pub const fn new(hv: H) -> Self {
        Self { hv, link: None, in_use: false, disks: Vec::new() }
    }

    /// Connects, and finds the disks. Those found before keep their numbers.
    ///
    /// # Errors
    /// Why VMBus can't be had. A controller that can't be used is only logged.
    pub fn open(&mut self) -> Result<(), Error> {
        if self.link.is_none() {
            let partition = Partition::claim(&self.hv)?;
            self.link = Some(Link { connection: Connection::new(&self.hv, partition), open: Vec::new() });
        }
        let Some(link) = &mut self.link else { return Err(Error::NotOpen) };
        let Link { connection, open } = link;
        let result = connection.with_synic(|connection| {
            if connection.version().is_none() {
                connection.connect()?;
            }
            connection.service()?;
            close_gone(connection, open);
            open_controllers(connection, open);
            Ok(())
        });
        if let Err(error) = result {
            let _ = self.let_go();
            return Err(error);
        }
        self.in_use = true;
        self.find();
        Ok(())
    }

    /// Closes all controllers and ends the connection.
    ///
    /// # Errors
    /// [`Error::HostTimeout`] when the host does not let go of our memory, [`Error::VmbusOwned`].
    pub fn release(&mut self) -> Result<(), Error> {
        if let Some(Link { connection, open }) = &mut self.link
            && connection.version().is_some()
        {
            let _ = connection.with_synic(|connection| {
                close_all(connection, open);
                Ok(())
            });
        }
        self.let_go()
    }

    /// Ends the connection, whatever state it is in. It is forgotten unless the host still holds memory of it.
    fn let_go(&mut self) -> Result<(), Error> {
        self.in_use = false;
        let Some(link) = &mut self.link else { return Ok(()) };
        let result = link.connection.disconnect();
        close_all(&mut link.connection, &mut link.open);
        if !link.connection.has_lent()
            && let Some(link) = self.link.take()
        {
            link.connection.free();
        }
        result
    }

    /// Gives numbers to disks that have none, and drops those from use that have changed.
    fn find(&mut self) {
        let Some(Link { connection, open }) = &mut self.link else { return };
        for Open { instance, controller } in open.iter_mut() {
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

    /// Whether what is at a disk's place is still what it was.
    fn is_unchanged(&mut self, known: &Known) -> Result<bool, DiskError> {
        let (connection, controller) = self.parts(known.controller)?;
        let units: Vec<Unit, MAX_DISKS> = controller.scan(connection)?;
        Ok(units.contains(&known.unit))
    }

    fn parts(&mut self, instance: Guid) -> Result<(&mut Connection<H>, &mut Controller<H>), DiskError> {
        let Link { connection, open } = self.link.as_mut().ok_or(DiskError::NotThere)?;
        let open = open.iter_mut().find(|open| open.instance == instance).ok_or(DiskError::NotThere)?;
        Ok((connection, &mut open.controller))
    }

    /// Connects anew after the connection was lost.
    fn start_over(&mut self) -> Result<(), Error> {
        if let Some(Link { connection, open }) = &mut self.link {
            // All channels are dead, and no teardown would be answered: their memory waits for the next connection.
            connection.mark_lost();
            close_all(connection, open);
        }
        let Some(Link { connection, open }) = &mut self.link else { return Err(Error::NotOpen) };
        connection.with_synic(|connection| {
            connection.connect()?;
            open_controllers(connection, open);
            Ok(())
        })
    }

    /// Does something with a disk; once more from the start after every reconnect that it takes.
    fn with_disk<T>(
        &mut self,
        number: usize,
        mut work: impl FnMut(&mut Connection<H>, &mut Controller<H>, &Unit) -> Result<T, DiskError>,
    ) -> Result<T, DiskError> {
        let known = *self.disks.get(number).ok_or(DiskError::NotThere)?;
        let mut result = Err(DiskError::NotThere);
        for _ in 0..=RECONNECTS {
            let Some(link) = self.link.as_ref().filter(|_| self.in_use) else { return Err(DiskError::NotThere) };
            if link.connection.version().is_none() || !link.connection.still_ours() {
                log::line(format_args!("owner: somebody else took VMBus; connecting again for the disks"));
                self.start_over()?;
                if !self.is_unchanged(&known)? {
                    return Err(DiskError::NotThere);
                }
            }
            if self.parts(known.controller).is_ok_and(|(connection, controller)| controller.is_gone(connection)) {
                log::line(format_args!("owner: a disk controller is gone; looking for it again"));
                self.open()?;
                if !self.is_unchanged(&known)? {
                    return Err(DiskError::NotThere);
                }
            }
            let (connection, controller) = self.parts(known.controller)?;
            result = work(connection, controller, &known.unit);
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

/// Opens the controllers that are offered and not open, as far as they can be.
fn open_controllers<H: Hypervisor>(connection: &mut Connection<H>, open: &mut Vec<Open<H>, MAX_CONTROLLERS>) {
    let offers: Vec<Offer, MAX_OFFERS> = connection.offers().controllers().copied().collect();
    for offer in offers {
        if open.is_full() || open.iter().any(|open| open.instance == offer.instance) {
            continue;
        }
        log::line(format_args!("storvsc: opening disk controller, channel {}", offer.relid));
        match open_controller(connection, &offer) {
            Ok(controller) => {
                // There is room: seen above.
                let _ = open.push(Open { instance: offer.instance, controller });
            }
            Err(error) => log::line(format_args!("storvsc: the disk controller does not open: {error:?}")),
        }
    }
}

fn open_controller<H: Hypervisor>(connection: &mut Connection<H>, offer: &Offer) -> Result<Controller<H>, Error> {
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

/// Closes the controllers that the host took back.
fn close_gone<H: Hypervisor>(connection: &mut Connection<H>, open: &mut Vec<Open<H>, MAX_CONTROLLERS>) {
    while let Some(index) = open.iter().position(|open| open.controller.is_gone(connection)) {
        open.swap_remove(index).controller.close(connection);
    }
}

fn close_all<H: Hypervisor>(connection: &mut Connection<H>, open: &mut Vec<Open<H>, MAX_CONTROLLERS>) {
    while let Some(Open { controller, .. }) = open.pop() {
        controller.close(connection);
    }
}

impl<H: Hypervisor> Disks for DiskDevice<H> {
    fn count(&self) -> usize {
        self.disks.len()
    }

    fn medium(&self, number: usize) -> Option<Medium> {
        self.disks.get(number).map(|known| known.unit.medium)
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
