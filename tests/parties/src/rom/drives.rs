//! The BIOS's disks: a connection of its own, and the first controller on it.

use hvpxe::disk::{DiskError, Disks, Medium, Sink, Source};
use hvpxe::error::Error;
use hvpxe::hv::{Hypervisor, Partition};
use hvpxe::storvsc::{Controller, Unit};
use hvpxe::vmbus::{Channel, Connection};
use hvpxe::wire::hv::HV_X64_MSR_VP_INDEX;
use hvpxe::wire::vmbus::Guid;
use parties::bare::Bare;
use parties::options::Kind;
use parties::say::say;

use super::record::{Record, Standing};

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
    /// How often it was.
    connected: u16,
    /// What a publishing BIOS keeps, and the generation that it made.
    record: Option<Record>,
    generation: Option<u32>,
}

/// Where HYPERCALL and SIMP are among the registers, and where those of the SynIC begin.
const HYPERCALL: usize = 1;
const SYNIC: usize = 2;
const SIMP: usize = 3;

impl Drives {
    /// Takes VMBus, and finds the disks.
    ///
    /// # Errors
    /// When there are none, or the host does not do its part.
    pub fn open(hv: Bare, kind: Kind, who: &'static str, record: Option<Record>) -> Result<Self, DiskError> {
        let looks = matches!(kind, Kind::Careful | Kind::Publishing);
        let (units, own) = (heapless::Vec::new(), [0; 5]);
        let mut drives = Self { hv, who, looks, link: None, units, own, connected: 0, record, generation: None };
        let connection = hv.take(|| Partition::claim(&hv).map(|partition| Connection::new(&hv, partition)))?;
        drives.connect(connection)?;
        if let Some(Link { connection, controller }) = &mut drives.link {
            drives.units = controller.scan(connection)?;
        }
        Ok(drives)
    }

    fn connect(&mut self, mut connection: Connection<Bare>) -> Result<(), Error> {
        if let Some(record) = self.record {
            record.ends();
        }
        let controller = self.hv.take(|| connection.with_synic(open_controller))?;
        self.own = self.hv.owner_msrs();
        self.connected += 1;
        if let Some(record) = self.record {
            let standing = Standing {
                version: connection.version().map_or(0, |version| version.0),
                message_connection: self.hv.posted_to(),
                vp: self.hv.read_msr(HV_X64_MSR_VP_INDEX) as u32,
                simp: self.own[SIMP],
                hypercall: self.own[HYPERCALL],
            };
            let own = connection.offers().controllers().next().map_or(Guid([0; 16]), |offer| offer.instance);
            record.stands(&standing, connection.offers().there(), &own);
            self.generation = record.generation();
        }
        self.link = Some(Link { connection, controller });
        Ok(())
    }

    /// VMBus is somebody else's now, as far as this BIOS can tell.
    fn is_lost(&self) -> bool {
        self.hv.owner_msrs()[SIMP] != self.own[SIMP]
            || self.record.is_some_and(|record| record.generation() != self.generation)
    }

    /// A publishing BIOS takes what an attached party has put by.
    fn drain(&self) {
        if let Some(record) = self.record
            && record.lock()
        {
            let count = record.drain();
            record.unlock();
            if count > 0 {
                say(self.who, format_args!("{count} messages were put by"));
            }
        }
    }

    /// The SynIC is as this BIOS left it. The hypercall page may be another one: it is anybody's.
    pub fn is_untouched(&self) -> bool {
        self.hv.owner_msrs()[SYNIC..] == self.own[SYNIC..]
    }

    /// How often this BIOS has taken VMBus.
    pub const fn times_connected(&self) -> u16 {
        self.connected
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
        self.drain();
        if self.looks && self.is_lost() {
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
