//! The one connection, and the rules by which it is taken, kept, found lost, and given back.

use super::network::Network;
use super::record::Record;
use super::standing::{Company, Event, Standing, step};
use super::ties::Ties;
use super::{Platform, choose};
use crate::error::Error;
use crate::hv::{Owner, Partition, Sharing, detect};
use crate::log;
use crate::vmbus::{Connection, SETTLE_MS};
use crate::wire::hv::HV_X64_MSR_GUEST_OS_ID;
use crate::wire::vmbus::Version;

#[cfg(feature = "disk")]
use super::disks::DiskPart;

/// What to do when somebody else uses VMBus.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Policy {
    /// Leave it alone.
    #[default]
    Decline,
    /// Be a guest on the connection that he published, or else leave it alone.
    Attach,
    /// Be a guest likewise, or else take VMBus over, and put the owner's MSRs back after each exchange.
    TakeOver,
}

/// The machine's network card and disks, and the VMBus connection to them.
///
/// Holds nothing of the hypervisor before the first open and after the release of both.
pub struct Arbiter<H: Platform> {
    pub(super) hv: H,
    pub(super) policy: Policy,
    standing: Standing,
    /// Kept after a release while the host holds memory of it.
    pub(super) connection: Option<Connection<H>>,
    /// By what record the connection is shared.
    pub(super) ties: Ties<H>,
    pub(super) network: Network<H>,
    #[cfg(feature = "disk")]
    pub(super) disks: DiskPart<H>,
    /// The owner from whom VMBus was taken last, by his guest OS id.
    taken_from: Option<u64>,
    /// How often the connection was made; another number means that all channels are others.
    pub(super) connects: u32,
}

impl<H: Platform> Arbiter<H> {
    /// The machine under `hv`. Touches nothing yet.
    #[must_use]
    pub const fn new(hv: H) -> Self {
        Self {
            hv,
            policy: Policy::Decline,
            standing: Standing::Away,
            connection: None,
            ties: Ties::None,
            network: Network::new(),
            #[cfg(feature = "disk")]
            disks: DiskPart::new(),
            taken_from: None,
            connects: 0,
        }
    }

    /// Sets what happens with an owner that is live.
    pub const fn set_policy(&mut self, policy: Policy) {
        self.policy = policy;
    }

    /// How we stand to VMBus.
    #[must_use]
    pub const fn standing(&self) -> Standing {
        self.standing
    }

    /// The VMBus version agreed on; `None` without a connection.
    #[must_use]
    pub fn vmbus_version(&self) -> Option<Version> {
        self.connection.as_ref().and_then(Connection::version)
    }

    /// How many network cards the host offers; 0 before the first open.
    #[must_use]
    pub fn card_count(&self) -> usize {
        self.connection.as_ref().map_or(0, |connection| connection.offers().iter().count())
    }

    pub(super) fn is_connected(&self) -> bool {
        self.vmbus_version().is_some()
    }

    /// Moves the standing, and says so.
    pub(super) fn advance(&mut self, event: Event) {
        match step(self.standing, event) {
            Ok(standing) if standing == self.standing => {}
            Ok(standing) => {
                self.standing = standing;
                let os_id = self.hv.read_msr(HV_X64_MSR_GUEST_OS_ID);
                log::line(format_args!("owner: {}; guest OS id {os_id:#x}", event.text()));
            }
            Err(_) => debug_assert!(false, "{event:?} in {:?}", self.standing),
        }
    }

    /// Decides how to live with this owner.
    ///
    /// # Errors
    /// [`Error::VmbusOwned`] when VMBus is left to him.
    fn terms(&mut self, owner: Owner) -> Result<(Sharing, Company), Error> {
        match owner {
            Owner::Nobody => Ok((Sharing::Refused, Company::Alone)),
            Owner::Live(_) if self.policy == Policy::TakeOver => Ok((Sharing::TakenOver, Company::Owner)),
            _ => {
                self.advance(Event::Refused);
                Err(Error::VmbusOwned)
            }
        }
    }

    /// Makes sure that there is a connection. What was open on the last one is brought up again as it was.
    ///
    /// # Errors
    /// As [`detect`] and [`Connection::connect`]; [`Error::VmbusOwned`]. A card that does not come up again says why on its
    /// next use.
    pub(super) fn establish(&mut self) -> Result<(), Error> {
        if self.is_connected() {
            return Ok(());
        }
        let had_card = self.put_down();
        self.establish_within(SETTLE_MS)?;
        #[cfg(feature = "disk")]
        if self.disks.in_use {
            self.open_controllers()?;
        }
        if had_card {
            self.reopen_card();
        }
        Ok(())
    }

    /// [`establish`](Self::establish) for a caller who can't wait until another owner's devices have settled.
    pub(super) fn establish_within(&mut self, patience_ms: u64) -> Result<(), Error> {
        if self.is_connected() {
            return Ok(());
        }
        self.note_loss();
        if let (Some(record), Some(connection)) = (self.ties.guest(), &mut self.connection)
            && record.is_settled()
        {
            connection.settle();
        }
        let was_guest = self.ties.guest().is_some_and(Record::is_current);
        self.ties.suspend();
        if self.attach_by_policy(was_guest)? {
            return Ok(());
        }
        if self.connection.is_none() {
            detect(&self.hv)?;
        }
        let owner = Owner::look(&self.hv);
        let (sharing, company) = self.terms(owner)?;
        if let Owner::Live(id) = owner
            && self.taken_from != Some(id)
        {
            self.hv.about_to_take_over();
            self.taken_from = Some(id);
        }
        let connection = match &mut self.connection {
            Some(connection) => {
                connection.partition().share(sharing);
                connection
            }
            none => {
                let partition = Partition::claim_beside(&self.hv, sharing)?;
                none.insert(Connection::new(&self.hv, partition))
            }
        };
        let ours = self.hv.own_low_memory();
        Record::end_all(&self.hv, &self.hv, &ours);
        connection.with_synic(|connection| connection.connect_within(patience_ms))?;
        Record::settle_all(&self.hv, &ours);
        #[cfg(feature = "disk")]
        self.publish();
        self.connects = self.connects.wrapping_add(1);
        self.advance(Event::Connected(company));
        Ok(())
    }

    /// Becomes a guest if we may, and there is somebody to be a guest of. `again`: of the connection that we were a guest on
    /// last, as far as its record says.
    ///
    /// # Errors
    /// As [`attach`](Self::attach).
    pub(super) fn attach_by_policy(&mut self, again: bool) -> Result<bool, Error> {
        // An owner who shares VMBus serves the disks himself.
        let may = self.policy != Policy::Decline && !self.disks_in_use();
        if may { self.attach(again) } else { Ok(false) }
    }

    /// The entry check: is VMBus as we left it? If not, it is made ours again, and card and disks are as they were.
    ///
    /// # Errors
    /// Why there is no connection any more.
    pub(super) fn check(&mut self) -> Result<(), Error> {
        if !self.is_connected() {
            // It may have been found lost while the card was not asked for.
            return if self.network.device.is_some() { self.establish() } else { Ok(()) };
        }
        if self.is_as_left() { Ok(()) } else { self.reclaim() }
    }

    /// Whether nobody touched VMBus since our last call. Two MSR reads.
    fn is_as_left(&self) -> bool {
        self.ties.is_current() && self.connection.as_ref().is_some_and(Connection::still_ours)
    }

    /// After a sign that somebody used VMBus: goes on with the connection if it lives, and else makes another one.
    ///
    /// # Errors
    /// As [`check`](Self::check).
    pub(super) fn reclaim(&mut self) -> Result<(), Error> {
        if !self.is_connected() {
            return self.establish();
        }
        self.advance(Event::Changed);
        let terms = match self.ties.guest() {
            Some(record) if !record.holds(&self.hv) => return self.start_over(),
            Some(_) => Ok((Sharing::Guest, Company::Host)),
            None if !self.ties.is_current() => return self.start_over(),
            None => self.terms(Owner::look(&self.hv)),
        };
        let (sharing, company) = match terms {
            Ok(terms) => terms,
            // He may share it.
            Err(_) => return self.start_over(),
        };
        let Some(connection) = &mut self.connection else { return Ok(()) };
        connection.partition().share(sharing);
        connection.partition().note_synic();
        if connection.partition().reclaim().is_ok() && self.is_alive(false) {
            self.advance(Event::Resumed(company));
            return Ok(());
        }
        self.start_over()
    }

    /// After a signal that the host refused: most likely our channels are gone, but a host that throttles us does so, too.
    ///
    /// # Errors
    /// As [`check`](Self::check).
    pub(super) fn look_into_refusal(&mut self) -> Result<(), Error> {
        let connects = self.connects;
        self.check()?;
        if self.connects != connects || !self.is_connected() {
            return Ok(());
        }
        self.look_for_news()?;
        if self.is_alive(true) { Ok(()) } else { self.start_over() }
    }

    /// Handles what the host has to say.
    ///
    /// # Errors
    /// [`Error::NicGone`] when it took the card back; as [`exchange`].
    pub(super) fn look_for_news(&mut self) -> Result<(), Error> {
        let Some(connection) = &mut self.connection else { return Ok(()) };
        match self.ties.exchange(connection, Connection::service) {
            // The owner whose guest we are has no room for more of his messages: what there is waits.
            Ok(()) | Err(Error::OutOfResources) => {}
            Err(error) => return Err(error),
        }
        match &self.network.device {
            Some(device) if device.is_gone(connection) => Err(Error::NicGone),
            _ => Ok(()),
        }
    }

    /// Whether the host answers in a ring. Without an open channel nothing can be known. `patient`: also after it refused
    /// our signal.
    fn is_alive(&mut self, patient: bool) -> bool {
        let Some(connection) = &mut self.connection else { return false };
        if let Some(device) = &mut self.network.device {
            return device.is_alive(connection, patient);
        }
        #[cfg(feature = "disk")]
        if let Some(alive) = self.disks.is_alive(connection, patient) {
            return alive;
        }
        false
    }

    /// Before something is closed: when somebody else has VMBus, nothing must be said to the host, for it would be about his
    /// channels. True while the connection is ours.
    pub(super) fn may_close(&mut self) -> bool {
        let is_ours = match self.ties.guest() {
            Some(record) => record.holds(&self.hv),
            None => self.is_as_left(),
        };
        if let Some(connection) =
            self.connection.as_mut().filter(|connection| connection.version().is_some() && !is_ours)
        {
            connection.mark_lost();
            self.note_loss();
        }
        self.is_connected()
    }

    /// The connection is over, if there was one.
    fn note_loss(&mut self) {
        if matches!(self.standing, Standing::Connected(_) | Standing::Doubtful) {
            self.advance(Event::Gone);
        }
    }

    /// Forgets the connection and closes what was open on it. True when the card was open.
    fn put_down(&mut self) -> bool {
        let Some(connection) = &mut self.connection else { return false };
        // All channels are dead, and no teardown would be answered: their memory waits for the next connection.
        connection.mark_lost();
        #[cfg(feature = "disk")]
        self.disks.close_all(connection);
        let device = self.network.device.take();
        let was_open = device.is_some();
        if let Some(device) = device {
            device.close(connection);
        }
        was_open
    }

    /// Connects anew after the connection was lost.
    ///
    /// # Errors
    /// As [`establish`](Self::establish).
    pub(super) fn start_over(&mut self) -> Result<(), Error> {
        if self.ties.guest().is_some_and(|record| record.holds(&self.hv)) {
            // The connection is not ours to end: only the card gets another channel.
            return self.renew_card();
        }
        if let Some(connection) = &mut self.connection {
            connection.mark_lost();
        }
        self.establish()
    }

    /// Ends the connection when neither card nor disks need it, whatever state it is in. It is forgotten unless the host
    /// still holds memory of it.
    ///
    /// # Errors
    /// As [`Connection::disconnect`].
    pub(super) fn let_go(&mut self) -> Result<(), Error> {
        if self.is_in_use() {
            return Ok(());
        }
        self.may_close();
        let Some(connection) = &mut self.connection else { return Ok(()) };
        #[cfg(feature = "disk")]
        if let Ties::Host(publisher) = &mut self.ties {
            publisher.ends();
        }
        let result = connection.disconnect();
        #[cfg(feature = "disk")]
        self.ties.end();
        #[cfg(feature = "disk")]
        self.disks.close_all(connection);
        if !connection.has_lent()
            && let Some(connection) = self.connection.take()
        {
            connection.free();
        }
        if self.standing != Standing::Away {
            self.advance(Event::Released);
        }
        result
    }

    fn is_in_use(&self) -> bool {
        self.network.device.is_some() || self.disks_in_use()
    }

    /// True while the disks are in use: the connection stays then, whatever happens to the card.
    #[must_use]
    pub const fn disks_in_use(&self) -> bool {
        #[cfg(feature = "disk")]
        {
            self.disks.in_use
        }
        #[cfg(not(feature = "disk"))]
        {
            false
        }
    }

    /// Opens the card that was in use last, or the one that will do.
    pub(super) fn open_card(&mut self) -> Result<(), Error> {
        let Some(connection) = &mut self.connection else { return Err(Error::NotOpen) };
        let wanted = self.network.wanted();
        let ties = &self.ties;
        let chosen = ties.exchange(connection, |connection| {
            connection.service()?;
            choose::open_card(connection, ties, wanted)
        })?;
        self.network.begin(chosen, self.hv.cycles());
        Ok(())
    }
}
