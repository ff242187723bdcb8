//! What the virtual NIC is connected to.
//!
//! The plugin sends and receives Ethernet frames on a pair of Unix datagram sockets. At the other end is QEMU, which
//! joins them to any of its netdevs by a hub, or a server of our own that answers the frames itself.

use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;
use std::process::Command;

use anyhow::Result;
use netserver::Event;

use super::http::FileServer;
use super::lan::{End, TAP, TagBox, within};
use super::machine::{SessionFiles, escaped, words};
use super::server::ServerThread;

/// Where QEMU's user network (slirp) shows the machine that QEMU runs on.
pub const HOST_SEEN_BY_SLIRP: &str = "10.0.2.2";

/// Where our own server has DHCP, TFTP and HTTP.
pub const SERVER: &str = "10.0.2.2";

/// A network.
#[derive(Clone, Debug)]
pub enum Network {
    /// QEMU's user network, with its DHCP and TFTP servers, and a HTTP server for the same files.
    Slirp {
        /// Directory of the TFTP server, and of the HTTP server.
        files: PathBuf,
        /// File that the DHCP server names.
        bootfile: String,
        /// Port of the HTTP server on [`HOST_SEEN_BY_SLIRP`]; `None`: no such server.
        http_port: Option<u16>,
    },
    /// Our own server, with switches for faults; HTTP is on port 80 of [`SERVER`].
    Server {
        /// Directory of its TFTP and HTTP servers.
        files: PathBuf,
        /// Switches, as in the table of the `netserver` crate.
        switches: Vec<(String, String)>,
    },
    /// The same server inside the plugin, in the machine's own time, which comes from its instructions: every run is the same.
    Inside {
        /// Directory of its TFTP and HTTP servers.
        files: PathBuf,
        /// Switches, as in the table of the `netserver` crate.
        switches: Vec<(String, String)>,
        /// An instruction takes 2^shift ns.
        shift: u8,
    },
    /// A switch with hosts in network namespaces: [`super::lan::Lan`].
    Lan {
        /// The switch's namespace, where QEMU runs.
        namespace: PathBuf,
        /// The tag of the machine's VLAN.
        vlan: Option<u16>,
    },
    /// A netdev as QEMU takes it, without its `id`.
    Netdev(String),
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Slirp { .. } => f.write_str("QEMU's user network (DHCP and TFTP)"),
            Self::Server { .. } => f.write_str("our own server (DHCP, TFTP and HTTP)"),
            Self::Inside { .. } => f.write_str("our own server (DHCP, TFTP and HTTP) in virtual time"),
            Self::Lan { .. } => f.write_str("a LAN of network namespaces"),
            Self::Netdev(netdev) => write!(f, "-netdev {netdev}"),
        }
    }
}

/// Servers that run beside QEMU. They end when this value goes.
#[derive(Default)]
pub struct Services {
    http: Option<FileServer>,
    server: Option<ServerThread>,
    tag_box: Option<TagBox>,
}

impl Services {
    /// What our own server saw; nothing when another one is in use.
    pub fn events(&self) -> Vec<Event> {
        self.server.as_ref().map(ServerThread::events).unwrap_or_default()
    }
}

impl Network {
    /// Starts what runs outside of QEMU.
    ///
    /// # Errors
    /// When a server can't have its address.
    pub fn start(&self, session: &SessionFiles) -> Result<Services> {
        let mut services = Services::default();
        match self {
            Self::Slirp { files, http_port: Some(port), .. } => {
                services.http = Some(FileServer::start(*port, files.clone())?);
            }
            Self::Server { files, switches } => {
                let (local, remote) = (session.network_socket(), session.nic_socket());
                services.server = Some(ServerThread::start(&local, remote, files, switches)?);
            }
            Self::Lan { vlan: Some(id), .. } => {
                let tagged = End { local: session.network_socket(), remote: session.nic_socket() };
                let plain = End { local: session.plain_nic_socket(), remote: session.plain_network_socket() };
                services.tag_box = Some(TagBox::start(*id, tagged, plain)?);
            }
            Self::Slirp { .. } | Self::Inside { .. } | Self::Lan { vlan: None, .. } | Self::Netdev(_) => {}
        }
        Ok(services)
    }

    /// Puts QEMU's command where the network is.
    pub fn place(&self, command: Command) -> Command {
        match self {
            Self::Lan { namespace, .. } => within(namespace, &command),
            _ => command,
        }
    }

    /// The plugin's arguments for it.
    pub fn plugin_arguments(&self, files: &SessionFiles) -> Vec<OsString> {
        let Self::Inside { files: directory, switches, shift } = self else {
            return vec![
                words([",net=".into(), escaped(&files.nic_socket())]),
                words([":".into(), escaped(&files.network_socket())]),
            ];
        };
        let mut arguments = vec![words([",server=".into(), escaped(directory)]), format!(",icount={shift}").into()];
        let switch = |(key, value): &(String, String)| format!(",server.{key}={}", value.replace(',', ",,")).into();
        arguments.extend(switches.iter().map(switch));
        arguments
    }

    /// Makes time a matter of instructions where the network asks for it. The date is fixed: boot programs make their
    /// random numbers from it.
    pub fn add_clock(&self, command: &mut Command) {
        if let Self::Inside { shift, .. } = self {
            command.arg("-icount").arg(format!("shift={shift},sleep=off"));
            command.args(["-rtc", "base=2026-01-01,clock=vm", "-seed", "1"]);
        }
    }

    /// Adds QEMU's side. Our own server has none: it sits on the plugin's socket itself.
    pub fn add_netdevs(&self, command: &mut Command, files: &SessionFiles) {
        let mut netdev = match self {
            Self::Slirp { files, bootfile, .. } => {
                let mut netdev = OsString::from("user,tftp=");
                netdev.push(escaped(files));
                netdev.push(format!(",bootfile={}", bootfile.replace(',', ",,")));
                netdev
            }
            Self::Server { .. } | Self::Inside { .. } => return,
            Self::Lan { .. } => format!("tap,ifname={TAP},script=no,downscript=no").into(),
            Self::Netdev(netdev) => netdev.into(),
        };
        let (local, remote) = match self {
            Self::Lan { vlan: Some(_), .. } => (files.plain_network_socket(), files.plain_nic_socket()),
            _ => (files.network_socket(), files.nic_socket()),
        };
        netdev.push(",id=outside");
        command.arg("-netdev").arg(netdev);
        command.args(["-netdev", "hubport,id=port0,hubid=0,netdev=outside"]);
        let mut cable = OsString::from("dgram,id=cable,local.type=unix,local.path=");
        cable.push(escaped(&local));
        cable.push(",remote.type=unix,remote.path=");
        cable.push(escaped(&remote));
        command.arg("-netdev").arg(cable);
        command.args(["-netdev", "hubport,id=port1,hubid=0,netdev=cable"]);
    }
}
