//! A network for one boot client: DHCP, proxyDHCP, boot servers, TFTP, HTTP, DNS, ARP and ping over bare Ethernet frames.
//!
//! No sockets and no threads: frames go in by [`NetServer::handle`] and come out of [`NetServer::poll`], and time is
//! what the caller says it is. So a test runs minutes of retries in milliseconds and gets the same result each time,
//! and `xtask` runs the same server in real time behind QEMU's datagram socket.
//!
//! ```
//! use std::time::Duration;
//! let mut server = netserver::NetServer::new();
//! server.set("boot-file", "pxelinux.0").unwrap();
//! server.files().add("pxelinux.0", vec![0x90; 4096]);
//! server.set("latency-ms", "5").unwrap();
//! let mut now = Duration::ZERO;
//! # let frame_from_the_client: Vec<u8> = vec![0; 60];
//! server.handle(&frame_from_the_client, now);
//! now += Duration::from_millis(10);
//! while let Some(frame) = server.poll(now) {
//!     // give it to the client
//! #   drop(frame);
//! }
//! ```
//!
//! # What is on the wire
//! One machine (MAC 52:55:0a:00:02:02) with two addresses: `server` (10.0.2.2: DHCP, TFTP, HTTP on port 80, gateway)
//! and `proxy-address` (10.0.2.3: proxyDHCP on 67 and 4011, boot servers). TFTP answers for any address that is sent
//! to this MAC, so a server behind the gateway can be played too. TFTP and HTTP serve the same [`Files`].
//!
//! # Switches
//! [`NetServer::set`] takes text, so that tests, command lines and files say it alike.
//!
//! | key | value (default) |
//! |---|---|
//! | `server`, `proxy-address` | the two addresses (10.0.2.2, 10.0.2.3) |
//! | `client` | the address to lease (10.0.2.15) |
//! | `mask`, `gateway` | options 1 and 3 (255.255.255.0, 10.0.2.2); `none` leaves one out |
//! | `next-server` | siaddr of the lease (10.0.2.2), `none` for 0 |
//! | `boot-file` | file name for clients that no other rule names; empty for none (empty) |
//! | `boot-file.ipxe` | for user class `iPXE`: what iPXE gets once it runs |
//! | `boot-file.arch.N` | for architecture N (option 93) |
//! | `boot-file.vendor.TEXT` | for vendor classes that begin with TEXT (option 60) |
//! | `file-by-option` | `yes`: the name goes in option 67, the server in option 66 (`no`) |
//! | `pxe-class` | `yes`: option 60 `PXEClient` in the DHCP server's replies: lease and PXE in one (`no`) |
//! | `lease-seconds` | lease time (3600) |
//! | `dhcp.fault` | see [`DhcpFault`] (`none`) |
//! | `proxy` | `off`, `complete` (all in the offer), `4011` (file only on request), `silent-4011` (`off`) |
//! | `proxy.boot-file` | the proxy's file |
//! | `menu.item` | `TYPE TEXT`, adds an item (option 43.9); `menu.clear` forgets menu and servers |
//! | `menu.prompt` | `SECONDS TEXT` (option 43.10) |
//! | `menu.control` | discovery control bits (option 43.6) |
//! | `menu.multicast` | discovery group (option 43.7) |
//! | `menu.server` | `TYPE ADDRESS...` (option 43.8) |
//! | `menu.file` | `TYPE FILE`: the boot server of that type answers with this file |
//! | `tftp` | `on` or `off` (`on`) |
//! | `tftp.max-block`, `tftp.max-window` | largest values granted (65464, 64); blocks over 1468 bytes go in IP fragments |
//! | `tftp.fault` | see [`TftpFault`] (`none`) |
//! | `http` | `on` or `off` (`on`) |
//! | `http.port` | the port (80) |
//! | `http.fault` | see [`HttpFault`] (`none`) |
//! | `dns.server` | adds an address to option 6; queries to port 53 of any address are answered |
//! | `dns.name` | `NAME ADDRESS`: adds a name |
//! | `dns.fault` | see [`DnsFault`] (`none`) |
//! | `latency-ms` | one way, in milliseconds (0) |
//! | `loss-percent`, `duplicate-percent`, `reorder-percent` | of frames, each way (0) |
//! | `seed` | of the random numbers behind them (1) |

mod config;
mod dhcp;
mod dns;
mod files;
mod frame;
mod host;
mod http;
mod link;
mod options;
mod tftp;

pub use config::{Config, ConfigError, DhcpFault, DnsFault, HttpFault, Proxy, TftpFault};
pub use files::Files;

use std::time::Duration;

use dhcp::DhcpServer;
use frame::Udp;
use host::Host;
use link::Link;
use tftp::TftpServer;

/// Something that a test or a log wants to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A DHCP message of this type (option 53; 0 for BOOTP) came from a client.
    Dhcp(u8),
    /// A DHCPREQUEST came to port 4011 or for boot-server discovery.
    BootServer(u16),
    /// A file was asked for by TFTP.
    TftpRequest(String),
    /// A file was fetched to its end by TFTP.
    TftpDone(String),
    /// The client ended a TFTP transfer with this error code.
    TftpAborted(u16),
    /// A file was asked for by HTTP.
    HttpRequest(String),
    /// The client has confirmed the last byte of an answer.
    HttpDone(String),
    /// An address was asked for by DNS.
    DnsQuery(String),
    /// The client sent something that the protocols forbid.
    Violation(String),
}

/// The network. See the [crate] documentation.
pub struct NetServer {
    config: Config,
    files: Files,
    link: Link,
    host: Host,
    dhcp: DhcpServer,
    tftp: TftpServer,
    /// Packets sent, for their identification.
    packets: u16,
    events: Vec<Event>,
}

impl NetServer {
    /// A network with the default configuration and no files.
    #[must_use]
    pub fn new() -> Self {
        let config = Config::default();
        Self {
            host: Host::new(&config),
            link: Link::new(),
            dhcp: DhcpServer::default(),
            tftp: TftpServer::new(),
            files: Files::default(),
            packets: 0,
            events: Vec::new(),
            config,
        }
    }

    /// Changes one switch; see the table in the [crate] documentation.
    ///
    /// # Errors
    /// An unknown key, or a value that it can't have.
    pub fn set(&mut self, key: &str, value: &str) -> Result<(), ConfigError> {
        self.config.set(key, value)?;
        self.host.configure(&self.config);
        self.link.configure(&self.config);
        Ok(())
    }

    /// The switches as they are.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// What TFTP and HTTP serve.
    pub fn files(&mut self) -> &mut Files {
        &mut self.files
    }

    /// Takes a frame from the client.
    pub fn handle(&mut self, frame: &[u8], now: Duration) {
        self.link.send_to_server(frame, now);
    }

    /// Does what is due, and returns a frame for the client; `None` when nothing more is due at `now`.
    pub fn poll(&mut self, now: Duration) -> Option<Vec<u8>> {
        while let Some((frame, due)) = self.link.next_arrival(now) {
            self.receive(&frame, due);
        }
        let mut out = Vec::new();
        self.tftp.tick(&self.config, now, &mut out);
        self.host.poll(&self.config, &self.files, now, &mut out, &mut self.events);
        self.send(out, now);
        self.link.next_delivery(now)
    }

    /// When [`poll`](Self::poll) has something to do next, if no frame comes in before.
    pub fn next_deadline(&mut self, now: Duration) -> Option<Duration> {
        [self.link.next_due(), self.tftp.next_due(), self.host.next_due(now)].into_iter().flatten().min()
    }

    /// What happened since the last call.
    pub fn take_events(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.events)
    }

    fn receive(&mut self, frame: &[u8], now: Duration) {
        let mut out = Vec::new();
        match Udp::parse(frame) {
            Ok(Some(udp)) => match udp.destination.port() {
                53 => dns::handle(&self.config, &udp, &mut out, &mut self.events),
                67 | 4011 => self.dhcp.handle(&self.config, &udp, &mut out, &mut self.events),
                _ => self.tftp.handle(&self.config, &self.files, &udp, now, &mut out, &mut self.events),
            },
            Ok(None) => self.host.receive(frame),
            Err(violation) => self.events.push(Event::Violation(violation)),
        }
        self.send(out, now);
    }

    /// Puts frames on the wire; those that are too long for it in fragments.
    fn send(&mut self, frames: Vec<Vec<u8>>, now: Duration) {
        let mut out = Vec::with_capacity(frames.len());
        for frame in frames {
            self.packets = self.packets.wrapping_add(1);
            out.append(&mut frame::fragments(frame, self.packets));
        }
        self.link.send_to_client(out, now);
    }
}

impl Default for NetServer {
    fn default() -> Self {
        Self::new()
    }
}
