//! A LAN of network namespaces: a switch with the machine's NIC, and hosts with servers that nobody here wrote.
//!
//! The switch is a bridge in a namespace of its own; QEMU runs there and has a tap device on it. Each host is another
//! namespace with one cable (a veth pair) to the bridge. No address of theirs exists outside.

mod host;
mod namespace;
mod vlan;

use std::cell::Cell;
use std::fmt;
use std::path::Path;
use std::process::Command;

use anyhow::Result;

use crate::process::capture;
use crate::setup::apt::in_path;

use super::network::Network;
pub use host::Host;
use namespace::Namespace;
pub use namespace::within;
pub use vlan::{End, TagBox};

/// The machine's port of the switch, for QEMU.
pub const TAP: &str = "nic";

/// Why a test can't run on this machine. Not a failure: whoever isn't root gets everything else.
#[derive(Debug)]
pub struct Unable(String);

impl Unable {
    /// The reason, in words.
    pub fn new(why: String) -> Self {
        Self(why)
    }
}

impl fmt::Display for Unable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Unable {}

/// The LAN. It ends when this value goes; hosts before it.
pub struct Lan {
    switch: Namespace,
    ports: Cell<u32>,
}

impl Lan {
    /// Makes a switch with nothing but the machine's port.
    ///
    /// # Errors
    /// [`Unable`] where namespaces can't be had.
    pub fn create() -> Result<Self> {
        check_means()?;
        let switch = Namespace::create()?;
        // Without snooping, multicast goes to every port, as through a plain switch.
        switch.ip("link add lan type bridge mcast_snooping 0")?;
        switch.ip("link set lan up")?;
        switch.ip(&format!("tuntap add dev {TAP} mode tap"))?;
        switch.ip(&format!("link set {TAP} master lan up"))?;
        Ok(Self { switch, ports: Cell::new(0) })
    }

    /// Plugs in a host with this address, `10.0.2.1/24`.
    ///
    /// # Errors
    /// When its namespace can't be made.
    pub fn attach(&self, address: &str) -> Result<Host> {
        let host = Namespace::create()?;
        let port = self.ports.replace(self.ports.get() + 1);
        self.switch.ip(&format!("link add port{port} type veth peer name eth0 netns {}", host.pid()))?;
        self.switch.ip(&format!("link set port{port} master lan up"))?;
        Host::configure(host, address)
    }

    /// The network for a machine; `vlan`: the machine's frames must have this tag, and the hosts don't see it.
    pub fn network(&self, vlan: Option<u16>) -> Network {
        Network::Lan { namespace: self.switch.path(), vlan }
    }
}

/// Whether this machine lets us make namespaces.
fn check_means() -> Result<(), Unable> {
    if !rustix::process::geteuid().is_root() {
        return Err(Unable("needs root, for network namespaces".to_owned()));
    }
    for tool in ["ip", "unshare", "nsenter", "setpriv"] {
        if !in_path(tool) {
            return Err(Unable(format!("needs `{tool}` (Debian: iproute2, util-linux)")));
        }
    }
    if !Path::new("/dev/net/tun").exists() {
        return Err(Unable("needs /dev/net/tun".to_owned()));
    }
    capture(Command::new("unshare").args(["--net", "true"]))
        .map_err(|_| Unable("this machine allows root no network namespaces".to_owned()))?;
    Ok(())
}
