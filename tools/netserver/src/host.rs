//! The server as an IPv4 host: ARP, ICMP echo, and TCP for HTTP, by smoltcp.

use std::collections::VecDeque;
use std::net::Ipv4Addr;
use std::time::Duration;

use smoltcp::iface::{Config as InterfaceConfig, Interface, SocketHandle, SocketSet};
use smoltcp::phy::{Device, DeviceCapabilities, Medium, RxToken, TxToken};
use smoltcp::socket::tcp;
use smoltcp::time::Instant;
use smoltcp::wire::{EthernetAddress, HardwareAddress, IpCidr, Ipv4Cidr};

use crate::frame::SERVER_MAC;
use crate::http::Connection;
use crate::{Config, Event, Files};

/// Connections that wait for a client at the same time.
const CONNECTIONS: usize = 16;

/// Frames in both directions.
#[derive(Default)]
struct Frames {
    received: VecDeque<Vec<u8>>,
    sent: Vec<Vec<u8>>,
}

struct Received(Vec<u8>);

struct Transmit<'a>(&'a mut Vec<Vec<u8>>);

impl RxToken for Received {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, f: F) -> R {
        f(&self.0)
    }
}

impl TxToken for Transmit<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, f: F) -> R {
        let mut frame = vec![0; len];
        let result = f(&mut frame);
        frame.resize(len.max(60), 0);
        self.0.push(frame);
        result
    }
}

impl Device for Frames {
    type RxToken<'a> = Received;
    type TxToken<'a> = Transmit<'a>;

    fn receive(&mut self, _: Instant) -> Option<(Received, Transmit<'_>)> {
        self.received.pop_front().map(|frame| (Received(frame), Transmit(&mut self.sent)))
    }

    fn transmit(&mut self, _: Instant) -> Option<Transmit<'_>> {
        Some(Transmit(&mut self.sent))
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ethernet;
        capabilities.max_transmission_unit = 1514;
        capabilities
    }
}

/// The host.
pub struct Host {
    frames: Frames,
    interface: Interface,
    sockets: SocketSet<'static>,
    connections: Vec<(SocketHandle, Connection)>,
    addresses: [Ipv4Cidr; 2],
}

impl Host {
    /// A host with the configured addresses.
    pub fn new(config: &Config) -> Self {
        let mut frames = Frames::default();
        let address = HardwareAddress::Ethernet(EthernetAddress(SERVER_MAC));
        let interface = Interface::new(InterfaceConfig::new(address), &mut frames, Instant::ZERO);
        let mut sockets = SocketSet::new(Vec::new());
        let connections = (0..CONNECTIONS)
            .map(|_| {
                let buffer = |len| tcp::SocketBuffer::new(vec![0; len]);
                (sockets.add(tcp::Socket::new(buffer(8192), buffer(65_536))), Connection::default())
            })
            .collect();
        let mut host = Self { frames, interface, sockets, connections, addresses: addresses(config) };
        host.take_addresses();
        host
    }

    /// Takes new addresses over, if they are new.
    pub fn configure(&mut self, config: &Config) {
        if self.addresses != addresses(config) {
            self.addresses = addresses(config);
            self.take_addresses();
        }
    }

    /// Takes a frame.
    pub fn receive(&mut self, frame: &[u8]) {
        self.frames.received.push_back(frame.to_vec());
    }

    /// Does what is due.
    pub fn poll(
        &mut self,
        config: &Config,
        files: &Files,
        now: Duration,
        out: &mut Vec<Vec<u8>>,
        events: &mut Vec<Event>,
    ) {
        let now = instant(now);
        self.interface.poll(now, &mut self.frames, &mut self.sockets);
        if config.http {
            for (handle, connection) in &mut self.connections {
                connection.serve(config, self.sockets.get_mut(*handle), files, events);
            }
            self.interface.poll(now, &mut self.frames, &mut self.sockets);
        }
        out.append(&mut self.frames.sent);
    }

    /// When [`poll`](Self::poll) has something to do.
    pub fn next_due(&mut self, now: Duration) -> Option<Duration> {
        let due = self.interface.poll_at(instant(now), &self.sockets)?;
        Some(Duration::from_micros(due.total_micros().max(0) as u64).max(now))
    }

    fn take_addresses(&mut self) {
        let own = self.addresses;
        self.interface.update_ip_addrs(|list| {
            list.clear();
            for address in own {
                if !list.contains(&IpCidr::Ipv4(address)) {
                    list.push(IpCidr::Ipv4(address)).expect("two addresses fit");
                }
            }
        });
    }
}

fn addresses(config: &Config) -> [Ipv4Cidr; 2] {
    let mask = config.mask.unwrap_or(Ipv4Addr::new(255, 255, 255, 0));
    [config.server, config.proxy_address]
        .map(|address| Ipv4Cidr::from_netmask(address, mask).unwrap_or(Ipv4Cidr::new(address, 24)))
}

fn instant(now: Duration) -> Instant {
    Instant::from_micros(now.as_micros() as i64)
}
