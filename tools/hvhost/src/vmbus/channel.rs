//! One offered device and its channel.

use serde::{Deserialize, Serialize};

use super::device::{Device, Io, Rings, Stop};
use super::gpadl::{GpadlKey, Gpadls};
use super::messages::{NO_VP, Open};
use super::offers::Offer;
use super::ring::{Inbound, Outbound};
use crate::config::{Config, MS};
use crate::memory::GuestMemory;
use crate::report::Report;
use crate::saved::BadState;
use crate::violations::Breach;

/// OpenVMM wakes both ends this long after an open: some guests ignore what comes before OPENCHANNEL_RESULT.
const UNSTICK_AFTER: u64 = 100 * MS;
/// How long data may lie in an idle ring before the signal counts as missed; policy.
const SIGNAL_GRACE: u64 = 100 * MS;
/// How often the rings are looked at without a signal, to notice missed ones and overwritten rings; policy.
const RING_CHECK: u64 = 5 * MS;

/// Event flags of a SINT (TLFS).
const EVENT_FLAGS: u16 = 2048;

/// An open channel.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct OpenState {
    pub request: Open,
    rings: Rings,
    /// The guest signalled and the device has not run since.
    signalled: bool,
    opened_at: u64,
    unstuck: bool,
    dead: bool,
    next_check: u64,
    /// Since when unread data lie in the ring without a signal.
    unsignalled: Option<u64>,
}

/// A channel of the current connection.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) enum State {
    /// Not offered in this connection, or released by the guest.
    Released,
    Closed,
    Open(Box<OpenState>),
    /// The device is still busy closing; then the channel is opened again if the guest has asked for it.
    Closing {
        until: u64,
        reopen: Option<Open>,
    },
    /// Rescinded; the guest has not released it yet.
    Revoked,
    /// Rescinded and released by the guest, or by the end of its connection.
    Gone {
        since: u64,
    },
}

/// What is behind a channel, as far as switches tell devices apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub(crate) enum Kind {
    Nic,
    ScsiController,
    Other,
}

pub(crate) struct Channel {
    pub offer: Offer,
    pub kind: Kind,
    pub relid: u32,
    pub state: State,
    pub device: Box<dyn Device>,
    /// An open failed: the event port stays registered, and no later open succeeds (as seen on OpenVMM).
    pub poisoned: bool,
}

/// A channel among saved bytes: offer, id, state, whether it is poisoned, and the device's state.
pub(crate) type SavedChannel = (Offer, u32, State, bool, Vec<u8>);

impl Channel {
    /// The channel's state, in the form of [`SavedChannel`].
    pub fn save(&self) -> impl Serialize + '_ {
        let Self { offer, kind: _, relid, state, device, poisoned } = self;
        (offer, relid, state, poisoned, device.save())
    }

    /// Takes over the state of the same channel.
    ///
    /// # Errors
    /// When it is of another channel, or none.
    pub fn restore(&mut self, saved: SavedChannel) -> Result<(), BadState> {
        let (offer, relid, state, poisoned, device) = saved;
        if offer != self.offer {
            return Err(BadState::new("other devices"));
        }
        (self.relid, self.state, self.poisoned) = (relid, state, poisoned);
        self.device.restore(&device)
    }

    pub fn new(offer: Offer, kind: Kind, device: Box<dyn Device>) -> Self {
        Self { offer, kind, relid: 0, state: State::Released, device, poisoned: false }
    }

    /// Opens the channel.
    ///
    /// # Errors
    /// Why the host answers with a failure.
    pub fn open(
        &mut self,
        request: Open,
        vps: u32,
        gpadls: &Gpadls,
        mem: &mut dyn GuestMemory,
        report: &mut Report,
    ) -> Result<(), &'static str> {
        if self.poisoned {
            return Err("an earlier open of this channel failed");
        }
        if request.vp >= vps && request.vp != NO_VP {
            return Err("no such target VP");
        }
        if request.signal.is_some_and(|(_, flag)| flag >= EVENT_FLAGS) {
            return Err("no such event flag");
        }
        let pages = gpadls.pages(GpadlKey { relid: self.relid, id: request.gpadl }).ok_or("no such ring GPADL")?;
        let split = request.downstream as usize;
        if split < 2 || split + 2 > pages.len() {
            return Err("downstream offset leaves a ring without data page");
        }
        let inbound = Inbound::new(&pages[..split], mem).ok_or("outgoing ring not in RAM, or with a bad index")?;
        let outbound = Outbound::new(&pages[split..], mem).ok_or("incoming ring not in RAM, or with a bad index")?;
        // The worker does not run yet: no need to signal.
        inbound.set_masked(mem, true)?;
        self.device.open();
        self.state = State::Open(Box::new(OpenState {
            request,
            rings: Rings::new(inbound, outbound),
            signalled: true,
            opened_at: report.now,
            unstuck: false,
            dead: false,
            next_check: 0,
            unsignalled: None,
        }));
        report.log(format!("channel {} opened, events to VP {}", self.relid, request.vp as i32));
        Ok(())
    }

    /// The guest signals the host about this channel.
    pub fn signal(&mut self, mem: &dyn GuestMemory, report: &mut Report) {
        let State::Open(open) = &mut self.state else { return };
        let relid = self.relid;
        if open.dead {
            return;
        }
        if open.signalled && open.rings.inbound.is_empty(mem) == Ok(false) && open.unstuck_or_served() {
            report.breach(Breach::OverSignal { relid });
        } else if !open.signalled
            && !open.rings.consumed
            && !open.rings.blocked
            && open.rings.inbound.is_empty(mem) == Ok(true)
        {
            report.breach(Breach::SpuriousSignal { relid });
        }
        open.signalled = true;
        open.rings.consumed = false;
    }

    /// Lets the device work. Says whether the guest is to be signalled.
    pub fn service(
        &mut self,
        config: &Config,
        gpadls: &Gpadls,
        mem: &mut dyn GuestMemory,
        report: &mut Report,
    ) -> bool {
        let State::Open(open) = &mut self.state else {
            self.device.idle(report);
            return false;
        };
        if open.dead {
            self.device.idle(report);
            return false;
        }
        let mut unstick = false;
        if !open.unstuck && report.now >= open.opened_at + UNSTICK_AFTER {
            open.unstuck = true;
            unstick = true;
        }
        let woken = std::mem::take(&mut open.signalled) || unstick;
        let mut io = Io { relid: self.relid, config, gpadls, mem, report, signal_guest: unstick };
        let result = open.serve(self.device.as_mut(), woken, &mut io);
        let signal = io.signal_guest;
        if let Err(stop) = result {
            open.dead = true;
            if let Stop::Ring(why) = stop {
                report.breach(Breach::RingCorrupt { relid: self.relid, why });
            }
            report.log(format!("channel {}: the device stopped; silent until closed", self.relid));
        }
        signal
    }

    /// Whether the host may touch the memory of this GPADL.
    pub fn uses(&self, gpadl: u32) -> bool {
        match &self.state {
            State::Open(open) => open.request.gpadl == gpadl || self.device.holds(gpadl),
            State::Closing { .. } => true,
            _ => false,
        }
    }

    /// Closes the device side at once.
    pub fn close_device(&mut self, orderly: bool, report: &mut Report) {
        if matches!(self.state, State::Open(_)) {
            self.device.close(self.relid, orderly, report);
            report.log(format!("channel {} closed", self.relid));
        }
    }
}

impl OpenState {
    /// Whether the device had a chance to look at the ring since the open: before that a second signal is no excess.
    fn unstuck_or_served(&self) -> bool {
        self.unstuck || self.rings.drained
    }

    fn serve(&mut self, device: &mut dyn Device, woken: bool, io: &mut Io<'_>) -> Result<(), Stop> {
        if woken {
            self.unsignalled = None;
            self.rings.blocked = false;
            self.rings.inbound.set_masked(io.mem, true)?;
        }
        let result = device.service(&mut self.rings, woken, io);
        if woken {
            self.rings.inbound.set_masked(io.mem, false)?;
        } else if self.rings.drained && io.report.now >= self.next_check {
            self.next_check = io.report.now + RING_CHECK;
            self.rings.check(io)?;
            if self.rings.inbound.is_empty(io.mem)? {
                self.unsignalled = None;
            } else {
                let since = *self.unsignalled.get_or_insert(io.report.now);
                if since != u64::MAX && io.report.now >= since + SIGNAL_GRACE {
                    self.unsignalled = Some(u64::MAX); // said once
                    io.report.breach(Breach::MissedSignal { relid: io.relid });
                }
            }
        }
        result
    }
}
