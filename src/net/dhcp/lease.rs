//! DISCOVER, the choice among offers, and REQUEST.
//!
//! Sources: RFC 2131, sections 3.1 and 4.4; PXE 2.1, "Client behavior": DISCOVER after 4, 8, 16, 32 s, a random second
//! more or less; REQUEST after 1, 2, 3, 4 s.

use core::net::Ipv4Addr;

use crate::machine::Machine;
use crate::net::udp::{Filter, Slot};
use crate::net::{Net, NetError, SECOND, classful_mask};
use crate::nic::Nic;
use crate::time::Ticks100ns;

use super::message::{self, Message, code};
use super::request::{ACK, CLIENT_PORT, Contents, DISCOVER, NAK, OFFER, REQUEST, SERVER_PORT, Session};
use super::{BootInfo, Event, Lease, PACKET_LEN};

/// Seconds after the first DISCOVER; each next time it is twice as long.
const FIRST_WAIT: u64 = 4;

/// Most seconds after a DISCOVER.
const LONGEST_WAIT: u64 = 32;

/// Seconds after each REQUEST to any server.
pub(super) const REQUEST_WAITS: [u64; 4] = [1, 2, 3, 4];

/// How long to wait for a proxy when the lease names no boot file, in seconds (PXE 2.1: to the end of the second
/// DISCOVER's wait).
const PROXY_WAIT: u64 = 11;

/// The same when the lease names a boot file, which then is what the administrator meant (policy; iPXE waits as long).
const PROXY_WAIT_WITH_FILE: u64 = 2;

/// Rounds of DISCOVER and REQUEST before a server that offers and refuses is given up (policy).
const ROUNDS: u32 = 3;

/// What an offer is worth; a later one replaces the present one only if it is worth more.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Class {
    /// An address.
    Plain,
    /// And a boot file.
    WithFile,
    /// And PXE's own options: no proxy is needed.
    Pxe,
}

/// The chosen offer; its packet is in `BootInfo::ack`.
#[derive(Clone, Copy)]
struct Offer {
    class: Class,
    address: Ipv4Addr,
    server: Ipv4Addr,
    /// When to stop waiting for a proxy.
    proxy_deadline: Ticks100ns,
    /// A BOOTP reply: there is nothing to request.
    is_final: bool,
}

/// Offers seen so far.
#[derive(Default)]
struct Offers {
    lease: Option<Offer>,
    /// The proxy offer in `BootInfo::reply`: whether it is complete.
    proxy: Option<bool>,
}

/// Gets a lease and configures the stack. True when `info.reply` holds a proxyDHCP server's offer.
pub(super) fn acquire<N: Nic, M: Machine>(
    net: &mut Net<'_, N, M>,
    session: &Session,
    info: &mut BootInfo,
    observer: &mut dyn FnMut(Event<'_>),
) -> Result<bool, NetError> {
    for _ in 0..ROUNDS {
        let mut offers = Offers::default();
        discover(net, session, info, &mut offers, observer)?;
        let offer = match offers {
            Offers { lease: Some(offer), .. } => offer,
            Offers { lease: None, proxy: Some(_) } => return Err(NetError::ProxyOnly),
            Offers { lease: None, proxy: None } => return Err(NetError::NoOffer),
        };
        if offer.is_final || request(net, session, info, &offer, observer)? {
            commit(net, info, &offer)?;
            observer(Event::Leased(&info.lease));
            return Ok(offers.proxy.is_some());
        }
    }
    Err(NetError::LeaseRefused)
}

/// Collects offers until they suffice.
fn discover<N: Nic, M: Machine>(
    net: &mut Net<'_, N, M>,
    session: &Session,
    info: &mut BootInfo,
    offers: &mut Offers,
    observer: &mut dyn FnMut(Event<'_>),
) -> Result<(), NetError> {
    let contents = Contents { message_type: DISCOVER, ..Contents::default() };
    let seconds = net.machine.dhcp_wait_seconds().into();
    for (attempt, wait) in (1..).zip(discover_waits(seconds)) {
        observer(Event::Discovering(attempt));
        session.send(net, &contents, (Ipv4Addr::BROADCAST, SERVER_PORT), &mut info.discover)?;
        let random = u64::from(net.machine.random()) % (2 * SECOND);
        let end = net.machine.now().plus_millis(wait * SECOND + random - SECOND);
        loop {
            let deadline = offers.lease.map_or(end, |offer| offer.proxy_deadline.min(end));
            let Some(slot) = net.wait_slot(&Filter::port(CLIENT_PORT), deadline)? else { break };
            consider(net, session, info, offers, slot, observer);
            match offers {
                Offers { lease: Some(Offer { class: Class::Pxe, .. }), .. }
                | Offers { lease: Some(_), proxy: Some(_) } => return Ok(()),
                _ => {}
            }
        }
        if offers.lease.is_some_and(|offer| net.machine.now() >= offer.proxy_deadline) {
            break;
        }
    }
    Ok(())
}

/// The waits after each DISCOVER, in seconds; so many in all.
fn discover_waits(seconds: u64) -> impl Iterator<Item = u64> {
    let (mut left, mut next) = (seconds, FIRST_WAIT);
    core::iter::from_fn(move || {
        let wait = next.min(left);
        left -= wait;
        next = LONGEST_WAIT.min(2 * next);
        (wait > 0).then_some(wait)
    })
}

/// Looks at one datagram during DISCOVER, and keeps it if it is the best offer so far.
fn consider<N: Nic, M: Machine>(
    net: &Net<'_, N, M>,
    session: &Session,
    info: &mut BootInfo,
    offers: &mut Offers,
    slot: Slot,
    observer: &mut dyn FnMut(Event<'_>),
) {
    let datagram = net.stack.datagram(slot);
    if datagram.source_port != SERVER_PORT
        || !message::is_reply_to(datagram.payload(), session.transaction, net.stack.mac())
    {
        return;
    }
    let mut image = [0; PACKET_LEN];
    message::store(datagram.payload(), &mut image);
    let message = Message(&image);
    let server = server_of(message, datagram.source);
    let kind = message.message_type();
    let address = message.your_address();
    // BOOTP replies have no type.
    if kind != OFFER && kind != 0 {
        return;
    }
    if address.is_unspecified() {
        let complete = message.next_server().is_some() && message.boot_file().is_some();
        if message.is_pxe() && offers.proxy.is_none_or(|held| complete && !held) {
            offers.proxy = Some(complete);
            info.reply = image;
            observer(Event::ProxyOffer(server));
        }
        return;
    }
    let (class, wait) = if message.is_pxe() {
        (Class::Pxe, 0)
    } else if message.boot_file().is_some() {
        (Class::WithFile, PROXY_WAIT_WITH_FILE)
    } else {
        (Class::Plain, PROXY_WAIT)
    };
    if crate::net::stack::is_host(address) && offers.lease.is_none_or(|held| class > held.class) {
        let proxy_deadline = net.machine.now().plus_millis(wait * SECOND);
        offers.lease = Some(Offer { class, address, server, proxy_deadline, is_final: kind == 0 });
        info.ack = image;
        observer(Event::Offer { server, address });
    }
}

/// Asks for the offered address. True once it is ours, in `info.ack`; false when it was refused or nobody answered.
fn request<N: Nic, M: Machine>(
    net: &mut Net<'_, N, M>,
    session: &Session,
    info: &mut BootInfo,
    offer: &Offer,
    observer: &mut dyn FnMut(Event<'_>),
) -> Result<bool, NetError> {
    let contents =
        Contents { message_type: REQUEST, requested: Some(offer.address), server: Some(offer.server), boot_item: None };
    let mut image = [0; PACKET_LEN];
    observer(Event::Requesting(offer.server));
    for wait in REQUEST_WAITS {
        session.send(net, &contents, (Ipv4Addr::BROADCAST, SERVER_PORT), &mut image)?;
        let deadline = net.machine.now().plus_millis(wait * SECOND);
        while let Some(slot) = net.wait_slot(&Filter::port(CLIENT_PORT), deadline)? {
            let datagram = net.stack.datagram(slot);
            if !message::is_reply_to(datagram.payload(), session.transaction, net.stack.mac()) {
                continue;
            }
            message::store(datagram.payload(), &mut image);
            let message = Message(&image);
            // Other servers may still answer the DISCOVER; only the chosen one's word counts.
            if server_of(message, datagram.source) != offer.server {
                continue;
            }
            match message.message_type() {
                ACK if crate::net::stack::is_host(message.your_address()) => {
                    info.ack = image;
                    return Ok(true);
                }
                NAK => {
                    observer(Event::Refused(offer.server));
                    return Ok(false);
                }
                _ => {}
            }
        }
    }
    Ok(false)
}

/// Takes the lease in `info.ack` into use.
fn commit<N: Nic, M: Machine>(net: &mut Net<'_, N, M>, info: &mut BootInfo, offer: &Offer) -> Result<(), NetError> {
    let ack = Message(&info.ack);
    let address = ack.your_address();
    let mask = ack.mask().unwrap_or(classful_mask(address));
    net.stack.configure(address, Some(mask), ack.address(code::ROUTER))?;
    net.stack.set_name_servers(ack.addresses(code::NAME_SERVERS, &mut [0; 255]));
    info.lease = Lease {
        address,
        mask,
        gateway: net.stack.gateway(),
        server: offer.server,
        seconds: ack.number(code::LEASE_TIME).unwrap_or(u32::MAX),
    };
    Ok(())
}

/// Who sent a reply: option 54, or what comes nearest to it.
pub(super) fn server_of(message: Message<'_>, source: Ipv4Addr) -> Ipv4Addr {
    message.address(code::SERVER_ID).or(message.next_server()).unwrap_or(source)
}
