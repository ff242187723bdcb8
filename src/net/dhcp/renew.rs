//! Keeping the lease while a boot program uses the base code: RENEW to the server from T1 on, REBIND to all from T2 on.
//!
//! It never waits: each call does what is due. A lease that nobody renews is used to the end and beyond, since a boot
//! program can't be told to stop (policy; vendors' ROMs never renew).
//!
//! Source: RFC 2131, sections 4.4.5 and 4.3.2 (no option 50, no option 54, our address in `ciaddr`).

use core::net::Ipv4Addr;

use crate::machine::Machine;
use crate::net::udp::{Filter, Route};
use crate::net::{Net, NetError, SECOND};
use crate::nic::Nic;
use crate::time::Ticks100ns;

use super::message::{self, Message, code};
use super::request::{ACK, CLIENT_PORT, Contents, NAK, REQUEST, SERVER_PORT, Session};
use super::{BootInfo, PACKET_LEN};

/// Shortest time to the first request, in seconds (policy: a server can't have us ask without pause).
const SHORTEST_T1: u64 = 4;

/// Shortest time between two requests, in seconds (RFC 2131, section 4.4.5).
const SHORTEST_REPEAT: u64 = 60;

/// The lease being kept, if any. Plain data: it lies still between two calls.
#[derive(Default)]
pub struct Renewal(Option<Kept>);

#[derive(Clone, Copy)]
struct Kept {
    address: Ipv4Addr,
    server: Ipv4Addr,
    /// When to ask next.
    due: Ticks100ns,
    /// From when on any server will do.
    t2: Ticks100ns,
    end: Ticks100ns,
    /// The request that is out, and when it went.
    asked: Option<(Session, Ticks100ns)>,
}

impl Renewal {
    /// Nothing to keep.
    #[must_use]
    pub const fn none() -> Self {
        Self(None)
    }

    /// Begins with a fresh lease. One that lasts for ever needs no renewal.
    pub fn begin(&mut self, info: &BootInfo, now: Ticks100ns) {
        self.0 = Kept::new(info.lease.address, info.lease.server, Message(&info.ack), now);
    }

    /// Does what is due at `now`: takes an answer, or sends a request.
    ///
    /// # Errors
    /// The card's errors.
    pub fn keep<N: Nic, M: Machine>(&mut self, net: &mut Net<'_, N, M>, now: Ticks100ns) -> Result<(), NetError> {
        let Some(kept) = &mut self.0 else { return Ok(()) };
        // A boot program that took an address of its own looks after that one itself.
        if net.stack.address() != kept.address {
            self.0 = None;
            return Ok(());
        }
        if let Answer::Final(next) = kept.answer(net, now)? {
            self.0 = next;
        }
        match &mut self.0 {
            Some(kept) if now >= kept.end => self.0 = None,
            Some(kept) if now >= kept.due => kept.ask(net, now)?,
            _ => {}
        }
        Ok(())
    }
}

impl Kept {
    /// The times of a lease granted by `ack`, counted from `start`.
    fn new(address: Ipv4Addr, server: Ipv4Addr, ack: Message<'_>, start: Ticks100ns) -> Option<Self> {
        let seconds = ack.number(code::LEASE_TIME).filter(|&seconds| seconds != u32::MAX)?;
        // What contradicts the lease time is replaced by the defaults (RFC 2131, section 4.4.5).
        let option = |code, least: u64, default| {
            ack.number(code).map(u64::from).filter(|time| (least..=seconds.into()).contains(time)).unwrap_or(default)
        };
        let half = u64::from(seconds) / 2;
        let t1 = option(code::T1, 1, half).max(SHORTEST_T1);
        let t2 = option(code::T2, t1, half + half / 4 * 3).max(t1);
        let at = |time: u64| start.plus_millis(time * SECOND);
        Some(Self { address, server, due: at(t1), t2: at(t2), end: at(seconds.into()), asked: None })
    }

    /// Sends a request. Without the server's station address it goes with one of the next calls.
    fn ask<N: Nic, M: Machine>(&mut self, net: &mut Net<'_, N, M>, now: Ticks100ns) -> Result<(), NetError> {
        let (session, asked_at) = self.asked.unwrap_or((Session::new(net.machine), now));
        let is_rebinding = now >= self.t2;
        let destination = if is_rebinding { Ipv4Addr::BROADCAST } else { self.server };
        let route =
            Route { source: None, source_port: CLIENT_PORT, destination, destination_port: SERVER_PORT, gateway: None };
        let mut image = [0; PACKET_LEN];
        let len = session.build(net, &Contents { message_type: REQUEST, ..Contents::default() }, &mut image);
        net.stack.prepare(&route, &image[..len])?;
        if net.stack.transmit_prepared(net.nic, now)? {
            let until = if is_rebinding { self.end } else { self.t2 };
            let wait = (until.millis_since(now) / 2).max(SHORTEST_REPEAT * SECOND);
            self.due = now.plus_millis(wait);
            self.asked = Some((session, asked_at));
        }
        Ok(())
    }

    /// Looks for the answer to the request that is out. Other traffic to the DHCP client's port stays: it is the boot
    /// program's, or another station's.
    fn answer<N: Nic, M: Machine>(&self, net: &mut Net<'_, N, M>, now: Ticks100ns) -> Result<Answer, NetError> {
        let Some((session, asked_at)) = self.asked else { return Ok(Answer::None) };
        let filter = Filter { source_port: Some(SERVER_PORT), ..Filter::port(CLIENT_PORT) };
        let mac = net.stack.mac();
        let is_ours = |payload: &[u8]| message::is_reply_to(payload, session.transaction, mac);
        let Some(slot) = net.stack.receive_if(net.nic, now, &filter, &is_ours)? else { return Ok(Answer::None) };
        let mut image = [0; PACKET_LEN];
        message::store(net.stack.datagram(slot).payload(), &mut image);
        let message = Message(&image);
        Ok(match message.message_type() {
            ACK if message.your_address() == self.address => {
                Answer::Final(Self::new(self.address, self.server, message, asked_at))
            }
            NAK => Answer::Final(None),
            _ => Answer::None,
        })
    }
}

/// What a server said to a request.
enum Answer {
    /// Nothing yet, or nothing that counts.
    None,
    /// Granted, with the new times, or refused.
    Final(Option<Kept>),
}
