//! The BIOS's disks: a connection of its own, and the first controller on it.

use hvpxe::disk::{DiskError, Disks, Medium, Sink, Source};
use hvpxe::error::Error;
use hvpxe::hv::Partition;
use hvpxe::storvsc::{Controller, Unit};
use hvpxe::vmbus::{Channel, Connection};
use parties::bare::Bare;
use parties::options::Kind;
use parties::say::say;

/// Most disks (policy).
const MAX_DISKS: usize = 4;

/// A connection with an open controller.
struct Link {
    connection: Connection<Bare>,
    controller: Controller<Bare>,
}

/// The disks.
pub struct Drives {
    hv: Bare,
    who: &'static str,
    looks: bool,
    link: Option<Link>,
    units: heapless::Vec<Unit, MAX_DISKS>,
    /// The owner's registers after VMBus was taken.
    own: [u64; 5],
}

/// Where SIMP is among them.
const SIMP: usize = 3;

impl Drives {
    /// Takes VMBus, and finds the disks.
    ///
    /// # Errors
    /// When there are none, or the host does not do its part.
    pub fn open(hv: Bare, kind: Kind, who: &'static str) -> Result<Self, DiskError> {
        let mut drives =
            Self { hv, who, looks: kind == Kind::Careful, link: None, units: heapless::Vec::new(), own: [0; 5] };
        let connection = hv.take(|| Partition::claim(&hv).map(|partition| Connection::new(&hv, partition)))?;
        drives.connect(connection)?;
        if let Some(Link { connection, controller }) = &mut drives.link {
            drives.units = controller.scan(connection)?;
        }
        Ok(drives)
    }

    fn connect(&mut self, mut connection: Connection<Bare>) -> Result<(), Error> {
        let controller = self.hv.take(|| connection.with_synic(open_controller))?;
        self.link = Some(Link { connection, controller });
        self.own = self.hv.owner_msrs();
        Ok(())
    }

    /// The registers that name an owner are as this BIOS left them.
    pub fn is_untouched(&self) -> bool {
        self.hv.owner_msrs() == self.own
    }

    /// Where the message page is.
    pub fn message_page(&self) -> u64 {
        self.own[SIMP] & !0xfff
    }

    /// Takes the messages that wait, as far as it still gets any.
    pub fn take_messages(&mut self) {
        if let Some(link) = &mut self.link {
            // Whatever comes is none of a BIOS's business.
            let _ = link.connection.with_synic(Connection::service);
        }
    }

    /// Runs a request. A BIOS that looks connects again before, if VMBus is not its own any more.
    fn run<T>(
        &mut self,
        number: usize,
        request: impl FnOnce(&mut Connection<Bare>, &mut Controller<Bare>, &Unit) -> Result<T, DiskError>,
    ) -> Result<T, DiskError> {
        let unit = *self.units.get(number).ok_or(DiskError::NotThere)?;
        if self.looks && self.hv.owner_msrs()[SIMP] != self.own[SIMP] {
            say(self.who, format_args!("somebody took VMBus; connecting again"));
            if let Some(Link { mut connection, controller }) = self.link.take() {
                connection.mark_lost();
                controller.close(&mut connection);
                self.connect(connection)?;
            }
        }
        let link = self.link.as_mut().ok_or(DiskError::NotThere)?;
        let result = request(&mut link.connection, &mut link.controller, &unit);
        if let Err(error) = &result {
            say(self.who, format_args!("the disk does not work: {error:?}"));
        }
        result
    }
}

fn open_controller(connection: &mut Connection<Bare>) -> Result<Controller<Bare>, Error> {
    connection.connect()?;
    let offer = *connection.offers().controllers().next().ok_or(Error::NoNic)?;
    let channel = Channel::open(connection, &offer)?;
    let mut controller = Controller::new(connection, channel)?;
    controller.start(connection)?;
    Ok(controller)
}

impl Disks for Drives {
    fn count(&self) -> usize {
        self.units.len()
    }

    fn medium(&self, number: usize) -> Option<Medium> {
        self.units.get(number).map(|unit| unit.medium)
    }

    fn read(&mut self, number: usize, lba: u64, blocks: u32, to: &mut Sink<'_>) -> Result<(), DiskError> {
        self.run(number, |connection, controller, unit| controller.read(connection, unit, lba, blocks, to))
    }

    fn write(&mut self, number: usize, lba: u64, blocks: u32, from: &mut Source<'_>) -> Result<(), DiskError> {
        self.run(number, |connection, controller, unit| controller.write(connection, unit, lba, blocks, from))
    }

    fn flush(&mut self, number: usize) -> Result<(), DiskError> {
        self.run(number, |connection, controller, unit| controller.flush(connection, unit))
    }

    fn reset(&mut self, number: usize) -> Result<(), DiskError> {
        self.run(number, |_, _, _| Ok(()))
    }
}
