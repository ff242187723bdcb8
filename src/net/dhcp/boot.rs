//! The boot file behind the lease: the DHCP server's, a proxy's, or a boot server's.
//!
//! Sources: PXE 2.1, "Proxy DHCP" and "Boot server discovery"; what servers do in fact: Intel's and iPXE's clients skip
//! port 4011 when the proxy's offer is complete, and dnsmasq relies on it; WDS beside a DHCP server says `PXEClient`
//! without a file and means port 4011.

use core::net::Ipv4Addr;

use crate::machine::Machine;
use crate::net::udp::Filter;
use crate::net::{Net, NetError, SECOND};
use crate::nic::Nic;

use super::lease::{REQUEST_WAITS, server_of};
use super::menu::{self, Choice};
use super::message::{self, FILE, Message, code};
use super::request::{ACK, CLIENT_PORT, Contents, OFFER, PXE_PORT, REQUEST, SERVER_PORT, Session};
use super::vendor::VendorOptions;
use super::{BootInfo, Event, Outcome, PACKET_LEN, Packet};

/// Finds the boot file once the lease is there. `has_proxy`: `info.reply` is a proxyDHCP server's offer.
pub(super) fn find<N: Nic, M: Machine>(
    net: &mut Net<'_, N, M>,
    session: &Session,
    info: &mut BootInfo,
    has_proxy: bool,
    observer: &mut dyn FnMut(Event<'_>),
) -> Result<Outcome, NetError> {
    if Message(&info.ack).is_pxe() || !has_proxy {
        info.reply = info.ack;
    }
    if Message(&info.reply).is_pxe() && !is_complete(&info.reply) {
        let server = server_of(Message(&info.reply), info.lease.server);
        observer(Event::AskingProxy(server));
        if !ask_proxy(net, session, server, &mut info.reply)? {
            // A lease with a file of its own is better than nothing.
            if Message(&info.ack).boot_file().is_none() {
                return Err(NetError::ProxyTimeout);
            }
            info.reply = info.ack;
        }
    }
    let mut buffer = [0; PACKET_LEN];
    let vendor = VendorOptions::of(Message(&info.reply), &mut buffer);
    let has_file = Message(&info.reply).boot_file().is_some();
    if !(has_file && vendor.skips_menu()) {
        match menu::choose(net, &vendor, observer)? {
            Choice::None if !has_file && vendor.has_prompt() => return Err(NetError::BadMenu),
            Choice::None => {}
            Choice::Local => return Ok(Outcome::LocalBoot),
            Choice::Server(kind) => discover(net, session, &vendor, kind, &mut info.reply, observer)?,
        }
    }
    complete(info)?;
    Ok(Outcome::File)
}

/// Whether a PXE packet says all that is needed: server and file, or a menu.
fn is_complete(packet: &Packet) -> bool {
    let message = Message(packet);
    let has_file = message.next_server().is_some() && message.boot_file().is_some();
    has_file || VendorOptions::of(message, &mut [0; PACKET_LEN]).has_menu()
}

/// Asks a proxy on port 4011; true when its answer is in `reply`.
fn ask_proxy<N: Nic, M: Machine>(
    net: &mut Net<'_, N, M>,
    session: &Session,
    server: Ipv4Addr,
    reply: &mut Packet,
) -> Result<bool, NetError> {
    let contents = Contents { message_type: REQUEST, server: Some(server), ..Contents::default() };
    let accepts = |port: u16, _: Ipv4Addr, message: Message<'_>| {
        // WDS answers with an offer, others with an ACK.
        port == PXE_PORT && matches!(message.message_type(), OFFER | ACK)
    };
    exchange(net, session, &contents, (server, PXE_PORT), &accepts, reply)
}

/// Finds a boot server of type `kind` by all allowed ways; its answer goes into `reply`.
fn discover<N: Nic, M: Machine>(
    net: &mut Net<'_, N, M>,
    session: &Session,
    vendor: &VendorOptions<'_>,
    kind: u16,
    reply: &mut Packet,
    observer: &mut dyn FnMut(Event<'_>),
) -> Result<(), NetError> {
    if vendor.only_listed() && !vendor.lists_any() {
        return Err(NetError::NoServerList);
    }
    let contents = Contents { message_type: REQUEST, boot_item: Some(kind), ..Contents::default() };
    let accepts = |port: u16, source: Ipv4Addr, message: Message<'_>| {
        let mut buffer = [0; PACKET_LEN];
        matches!(port, SERVER_PORT | PXE_PORT)
            && message.message_type() == ACK
            && message.is_pxe()
            && VendorOptions::of(message, &mut buffer).boot_item() == Some(kind)
            && (!vendor.only_listed() || vendor.accepts_server(kind, source))
    };
    let mut tried = false;
    let group = vendor.multicast().map(|group| (group, PXE_PORT));
    let broadcast = vendor.broadcast().then_some((Ipv4Addr::BROADCAST, SERVER_PORT));
    let listed = vendor.servers(kind).map(|server| (server, PXE_PORT));
    for to in group.into_iter().chain(broadcast).chain(listed) {
        tried = true;
        observer(Event::FindingBootServer { kind, address: to.0 });
        match exchange(net, session, &contents, to, &accepts, reply) {
            Ok(true) => return Ok(()),
            // One listed server that is gone, or a group without a route, is no reason not to ask the next.
            Ok(false) | Err(NetError::ArpTimeout | NetError::NoRoute | NetError::InvalidDatagram) => {}
            Err(error) => return Err(error),
        }
    }
    Err(if tried { NetError::NoBootServer } else { NetError::NoDiscoveryMethod })
}

/// Sends a request up to four times and stores the first answer that is accepted, by its port, sender and contents.
fn exchange<N: Nic, M: Machine>(
    net: &mut Net<'_, N, M>,
    session: &Session,
    contents: &Contents,
    to: (Ipv4Addr, u16),
    accepts: &dyn Fn(u16, Ipv4Addr, Message<'_>) -> bool,
    reply: &mut Packet,
) -> Result<bool, NetError> {
    let mut image = [0; PACKET_LEN];
    for wait in REQUEST_WAITS {
        session.send(net, contents, to, &mut image)?;
        let deadline = net.machine.now().plus_millis(wait * SECOND);
        while let Some(slot) = net.wait_slot(&Filter::port(CLIENT_PORT), deadline)? {
            let datagram = net.stack.datagram(slot);
            if !message::is_reply_to(datagram.payload(), session.transaction, net.stack.mac()) {
                continue;
            }
            message::store(datagram.payload(), &mut image);
            if accepts(datagram.source_port, datagram.source, Message(&image)) {
                *reply = image;
                return Ok(true);
            }
        }
    }
    Ok(false)
}

/// Fills in what follows from the packets, and makes the reply what clients expect of it.
fn complete(info: &mut BootInfo) -> Result<(), NetError> {
    let reply = Message(&info.reply);
    let from = if reply.boot_file().is_some() { reply } else { Message(&info.ack) };
    info.file = from.boot_file().ok_or(NetError::NoBootFile)?;
    info.next_server =
        from.next_server().or(from.tftp_server()).or(from.address(code::SERVER_ID)).unwrap_or(info.lease.server);
    let own_file = reply.overload() & 1 != 0 || info.reply[FILE.start] != 0;
    let own_server = reply.next_server().is_some();
    let address = info.lease.address.octets();
    info.reply[12..16].copy_from_slice(&address);
    info.reply[16..20].copy_from_slice(&address);
    if !own_server {
        info.reply[20..24].copy_from_slice(&info.next_server.octets());
    }
    // A URL may be longer than the field; who looks for it there finds it in option 67.
    if !own_file && info.file.len() <= FILE.len() {
        info.reply[FILE][..info.file.len()].copy_from_slice(&info.file);
    }
    Ok(())
}
