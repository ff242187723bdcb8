//! The DHCP server, the proxyDHCP server and the boot servers.
//!
//! Sources: RFC 2131, RFC 2132, RFC 3396; PXE 2.1 for option 43 and port 4011.

use std::net::{Ipv4Addr, SocketAddrV4};

use crate::frame::{self, Udp};
use crate::options::{Reply, Request};
use crate::{Config, DhcpFault, Event, Proxy};

const DISCOVER: u8 = 1;
const OFFER: u8 = 2;
const REQUEST: u8 = 3;
const ACK: u8 = 5;
const NAK: u8 = 6;

/// The servers on ports 67 and 4011.
#[derive(Default)]
pub struct DhcpServer {
    /// A DHCPNAK went out.
    refused: bool,
}

impl DhcpServer {
    /// Answers a datagram to port 67 or 4011.
    pub fn handle(&mut self, config: &Config, udp: &Udp<'_>, out: &mut Vec<Vec<u8>>, events: &mut Vec<Event>) {
        let request = match Request::parse(udp.payload) {
            Ok(request) => request,
            Err(violation) => return events.push(Event::Violation(violation)),
        };
        events.extend(request.complaint().map(Event::Violation));
        let reply_port = udp.source.port();
        if let Some(kind) = boot_item(&request) {
            events.push(Event::BootServer(kind));
            if let Some((_, file)) = config.menu_files.iter().find(|&&(other, _)| other == kind) {
                let to = SocketAddrV4::new(*udp.source.ip(), reply_port);
                out.push(frame::build(
                    udp.mac,
                    proxy_end(config, 4011),
                    to,
                    &boot_server_ack(config, &request, kind, file),
                ));
            }
            return;
        }
        if udp.destination.port() == 4011 {
            events.push(Event::BootServer(0));
            if let Some(bytes) = reply_on_4011(config, &request, *udp.destination.ip()) {
                let from = SocketAddrV4::new(*udp.destination.ip(), 4011);
                out.push(frame::build(udp.mac, from, udp.source, &bytes));
            }
            return;
        }
        events.push(Event::Dhcp(request.message_type()));
        let to_ip = if request.wants_broadcast() { Ipv4Addr::BROADCAST } else { config.client };
        let mac = if request.wants_broadcast() { [0xff; 6] } else { udp.mac };
        let to = SocketAddrV4::new(to_ip, reply_port);
        if let Some(bytes) = self.lease_reply(config, &request) {
            out.push(frame::build(mac, SocketAddrV4::new(config.server, 67), to, &bytes));
        }
        if request.message_type() == DISCOVER && config.proxy != Proxy::Off && is_pxe(&request) {
            out.push(frame::build(mac, proxy_end(config, 67), to, &proxy_offer(config, &request)));
        }
    }

    /// What the DHCP server answers: a lease, a refusal, or nothing.
    fn lease_reply(&mut self, config: &Config, request: &Request<'_>) -> Option<Vec<u8>> {
        let fault = config.dhcp_fault;
        let kind = match request.message_type() {
            DISCOVER => OFFER,
            REQUEST => {
                let chosen = request.option(54).is_none_or(|id| id == config.server.octets());
                if !chosen {
                    return None;
                }
                let wrong = request.option(50).is_some_and(|address| address != config.client.octets());
                if wrong || fault == DhcpFault::Nak || (fault == DhcpFault::NakOnce && !self.refused) {
                    NAK
                } else {
                    ACK
                }
            }
            _ => return None,
        };
        if fault == DhcpFault::Silent || (fault == DhcpFault::OfferOnly && kind == ACK) {
            return None;
        }
        if kind == NAK {
            self.refused = true;
            let mut reply = Reply::new(request, Ipv4Addr::UNSPECIFIED, Ipv4Addr::UNSPECIFIED);
            reply.option(53, &[NAK]);
            reply.address(54, Some(config.server));
            return Some(reply.finish());
        }
        let mut reply = Reply::new(request, config.client, config.next_server.unwrap_or(Ipv4Addr::UNSPECIFIED));
        if fault != DhcpFault::Bootp {
            reply.option(53, &[kind]);
        }
        if fault != DhcpFault::NoServerId {
            reply.address(54, Some(config.server));
        }
        match fault {
            DhcpFault::Garbage => {
                // Bytes without a pattern that any parser expects; the same each time.
                reply.bytes.extend((0..400_u32).map(|index| (index.wrapping_mul(2_654_435_761) >> 13) as u8));
                return Some(reply.bytes);
            }
            DhcpFault::OverlongOption => [1, 3, 51, 54, 66].into_iter().for_each(|code| reply.option(code, &[10; 200])),
            DhcpFault::Huge => (0..5).for_each(|_| reply.option(224, &[0xaa; 230])),
            _ => {}
        }
        reply.option(51, &config.lease_seconds.to_be_bytes());
        if !config.dns_servers.is_empty() {
            reply.option(6, &config.dns_servers.iter().flat_map(|server| server.octets()).collect::<Vec<_>>());
        }
        reply.address(1, config.mask);
        reply.address(3, config.gateway);
        if config.pxe_class {
            reply.option(60, b"PXEClient");
            pxe_options(config, &mut reply);
        }
        name_file(config, &mut reply, boot_file(config, request));
        Some(finish(fault, reply))
    }
}

fn proxy_end(config: &Config, port: u16) -> SocketAddrV4 {
    SocketAddrV4::new(config.proxy_address, port)
}

fn is_pxe(request: &Request<'_>) -> bool {
    request.option(60).is_some_and(|class| class.starts_with(b"PXEClient"))
}

/// The type in option 43.71, when the request looks for a boot server.
fn boot_item(request: &Request<'_>) -> Option<u16> {
    let mut rest = request.option(43)?;
    while let [tag, len, tail @ ..] = rest {
        if *tag == 71 {
            return tail.first_chunk().map(|&kind| u16::from_be_bytes(kind));
        }
        rest = tail.get(usize::from(*len)..)?;
    }
    None
}

/// Puts the boot file where the switches want it.
fn name_file(config: &Config, reply: &mut Reply, file: &str) {
    if file.is_empty() {
        return;
    }
    let server = config.next_server.unwrap_or(config.server).to_string();
    match config.dhcp_fault {
        DhcpFault::Overload => {
            let inside = |code: u8, text: &str| [&[code, text.len() as u8], text.as_bytes(), &[255]].concat();
            reply.option(52, &[3]);
            reply.field(108, 128, &inside(67, file));
            reply.field(44, 64, &inside(66, &server));
        }
        DhcpFault::Split => {
            let (first, second) = file.as_bytes().split_at(file.len() / 2);
            reply.option(67, first);
            reply.option(12, b"between");
            reply.option(67, second);
        }
        _ if config.file_by_option => {
            reply.option(66, server.as_bytes());
            reply.option(67, file.as_bytes());
        }
        _ => reply.field(108, 128, file.as_bytes()),
    }
}

/// Ends a lease, with the fault that concerns its bytes.
fn finish(fault: DhcpFault, mut reply: Reply) -> Vec<u8> {
    match fault {
        DhcpFault::TruncatedOption => {
            reply.bytes.extend([43, 250, 6, 200]);
            reply.bytes
        }
        DhcpFault::NoEnd => {
            reply.bytes.resize(reply.bytes.len().max(300), 0);
            reply.bytes
        }
        DhcpFault::WrongXid => {
            reply.bytes[7] ^= 1;
            reply.finish()
        }
        DhcpFault::WrongChaddr => {
            reply.bytes[33] ^= 1;
            reply.finish()
        }
        _ => reply.finish(),
    }
}

/// The boot file for this client: user class before architecture before vendor class before the general one.
fn boot_file<'c>(config: &'c Config, request: &Request<'_>) -> &'c str {
    let vendor = request.option(60).unwrap_or_default();
    let by_class = config.ipxe_boot_file.as_ref().filter(|_| request.has_user_class("iPXE"));
    let by_arch = || {
        let arch = request.architecture()?;
        config.arch_boot_files.iter().find(|&&(other, _)| other == arch).map(|(_, file)| file)
    };
    let by_vendor = || {
        config.vendor_boot_files.iter().find(|(start, _)| vendor.starts_with(start.as_bytes())).map(|(_, file)| file)
    };
    by_class.or_else(by_arch).or_else(by_vendor).unwrap_or(&config.boot_file)
}

fn proxy_offer(config: &Config, request: &Request<'_>) -> Vec<u8> {
    let complete = config.proxy == Proxy::Complete;
    let next = if complete { config.proxy_address } else { Ipv4Addr::UNSPECIFIED };
    let mut reply = Reply::new(request, Ipv4Addr::UNSPECIFIED, next);
    reply.option(53, &[OFFER]);
    reply.address(54, Some(config.proxy_address));
    reply.option(60, b"PXEClient");
    if complete {
        reply.field(108, 128, config.proxy_boot_file.as_bytes());
        pxe_options(config, &mut reply);
    }
    reply.finish()
}

/// The answer on port 4011: the proxy's, or the DHCP server's own where both are one (as WDS does it).
fn reply_on_4011(config: &Config, request: &Request<'_>, at: Ipv4Addr) -> Option<Vec<u8>> {
    if config.proxy == Proxy::Silent4011 || request.message_type() != REQUEST || config.proxy_boot_file.is_empty() {
        return None;
    }
    let mut reply = Reply::new(request, Ipv4Addr::UNSPECIFIED, at);
    reply.field(108, 128, config.proxy_boot_file.as_bytes());
    reply.option(53, &[ACK]);
    reply.address(54, Some(at));
    reply.option(60, b"PXEClient");
    pxe_options(config, &mut reply);
    Some(reply.finish())
}

fn boot_server_ack(config: &Config, request: &Request<'_>, kind: u16, file: &str) -> Vec<u8> {
    let mut reply = Reply::new(request, Ipv4Addr::UNSPECIFIED, config.proxy_address);
    reply.field(108, 128, file.as_bytes());
    reply.option(53, &[ACK]);
    reply.address(54, Some(config.proxy_address));
    reply.option(60, b"PXEClient");
    let mut item = vec![71, 4];
    item.extend(kind.to_be_bytes());
    item.extend([0, 0, 255]);
    reply.option(43, &item);
    reply.finish()
}

/// Option 43, when anything of the menu is set.
fn pxe_options(config: &Config, reply: &mut Reply) {
    let mut inside = Vec::new();
    let mut add = |tag: u8, value: &[u8]| {
        if !value.is_empty() {
            inside.extend([tag, value.len() as u8]);
            inside.extend(value);
        }
    };
    add(6, config.menu_control.as_slice());
    add(
        7,
        &config.menu_multicast.map(|group| group.octets()).unwrap_or_default()
            [..config.menu_multicast.map_or(0, |_| 4)],
    );
    let mut servers = Vec::new();
    for (kind, addresses) in &config.menu_servers {
        servers.extend(kind.to_be_bytes());
        servers.push(addresses.len() as u8);
        servers.extend(addresses.iter().flat_map(|address| address.octets()));
    }
    add(8, &servers);
    let mut items = Vec::new();
    for (kind, text) in &config.menu_items {
        items.extend(kind.to_be_bytes());
        items.push(text.len() as u8);
        items.extend(text.as_bytes());
    }
    add(9, &items);
    let prompt = config.menu_prompt.as_ref().map(|(seconds, text)| [&[*seconds], text.as_bytes()].concat());
    add(10, &prompt.unwrap_or_default());
    if !inside.is_empty() {
        inside.push(255);
        reply.option(43, &inside);
    }
}
