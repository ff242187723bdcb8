//! The PXE client of DHCP: lease, proxyDHCP, boot-server discovery, boot menu.
//!
//! Sources: RFC 2131, RFC 2132, RFC 3396, RFC 4578; PXE 2.1, "Initiating a boot" and "DHCP options".

mod boot;
mod lease;
mod menu;
mod message;
mod renew;
mod request;
mod vendor;

use core::net::Ipv4Addr;

use heapless::Vec;

use crate::machine::Machine;
use crate::nic::Nic;
use crate::text::Printable;

use super::{Net, NetError};

pub use renew::Renewal;

/// Length of a cached packet in bytes (PXE 2.1, `BOOTPLAYER`: 236 bytes of BOOTP and 1024 of options).
pub const PACKET_LEN: usize = 1260;

/// Longest boot file name in bytes (what one option holds; BOOTP's `file` field has 128).
pub const MAX_FILE: usize = 255;

/// The name of a boot file: not empty once it is known, and without control characters.
pub type FileName = Vec<u8, MAX_FILE>;

/// A BOOTP packet as PXE clients see it (`BOOTPLAYER`). Options are whole, and option 255 is always inside.
pub type Packet = [u8; PACKET_LEN];

/// What the DHCP server granted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lease {
    /// Our address.
    pub address: Ipv4Addr,
    /// Our netmask, classful when the server names none.
    pub mask: Ipv4Addr,
    /// The first router.
    pub gateway: Option<Ipv4Addr>,
    /// The server, by its identifier.
    pub server: Ipv4Addr,
    /// Lease time in seconds; `u32::MAX` means for ever (RFC 2131, section 3.3).
    pub seconds: u32,
}

/// All that DHCP found out, and the packets that PXE clients ask for (`PXENV_GET_CACHED_INFO`).
pub struct BootInfo {
    /// The lease.
    pub lease: Lease,
    /// The TFTP server.
    pub next_server: Ipv4Addr,
    /// The boot file.
    pub file: FileName,
    /// Packet type 1: the DHCPDISCOVER that we sent.
    pub discover: Packet,
    /// Packet type 2: the DHCPACK.
    pub ack: Packet,
    /// Packet type 3: the reply of the proxyDHCP or boot server, else the DHCPACK again. Its `yiaddr` and `ciaddr` are
    /// ours in any case (boot programs of Windows read them there).
    pub reply: Packet,
}

impl BootInfo {
    /// Nothing found yet.
    #[must_use]
    pub const fn new() -> Self {
        const NONE: Ipv4Addr = Ipv4Addr::UNSPECIFIED;
        Self {
            lease: Lease { address: NONE, mask: NONE, gateway: None, server: NONE, seconds: 0 },
            next_server: NONE,
            file: FileName::new(),
            discover: [0; PACKET_LEN],
            ack: [0; PACKET_LEN],
            reply: [0; PACKET_LEN],
        }
    }
}

impl BootInfo {
    /// Back to nothing, but with packets that parsers accept: BOOTP replies without an address, a server or options.
    pub fn forget(&mut self) {
        *self = Self::new();
        for packet in [&mut self.discover, &mut self.ack, &mut self.reply] {
            packet[..3].copy_from_slice(&[2, 1, 6]); // reply, Ethernet, six bytes of address
            packet[236..241].copy_from_slice(&[0x63, 0x82, 0x53, 0x63, 0xff]); // RFC 2132: magic cookie, end
        }
    }
}

impl Default for BootInfo {
    fn default() -> Self {
        Self::new()
    }
}

/// How the search for something to boot ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// There is a file to load.
    File,
    /// The menu's choice is the local disk: leave the ROM, "next device".
    LocalBoot,
}

/// What happens, for whoever shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event<'a> {
    /// A DHCPDISCOVER went out; counts from 1.
    Discovering(u8),
    /// A server offered an address.
    Offer {
        /// The server.
        server: Ipv4Addr,
        /// The address.
        address: Ipv4Addr,
    },
    /// A proxyDHCP server offered boot information.
    ProxyOffer(Ipv4Addr),
    /// A DHCPREQUEST went out to this server.
    Requesting(Ipv4Addr),
    /// This server took its offer back (DHCPNAK).
    Refused(Ipv4Addr),
    /// The lease is ours.
    Leased(&'a Lease),
    /// This proxyDHCP server is asked on port 4011.
    AskingProxy(Ipv4Addr),
    /// The prompt of the boot menu: F8 opens the menu, any other key ends the wait.
    Prompt(Printable<'a>),
    /// The boot menu is drawn anew: items follow.
    Menu,
    /// One item of the menu.
    MenuItem {
        /// Its text.
        text: Printable<'a>,
        /// Whether Enter takes this one.
        selected: bool,
    },
    /// Boot servers of a type are looked for at this address (multicast, broadcast or a listed server).
    FindingBootServer {
        /// The type, as the server numbered it.
        kind: u16,
        /// Where the request went.
        address: Ipv4Addr,
    },
}

/// Gets a lease and finds the boot file. On success `net.stack` is configured and `info` is complete.
///
/// Takes up to 64 s when nobody answers, and is bounded for every behaviour of servers except a menu that waits for the
/// user for ever, as its author may ask.
///
/// # Errors
/// [`NetError::NoOffer`], [`ProxyOnly`](NetError::ProxyOnly), [`LeaseRefused`](NetError::LeaseRefused),
/// [`NoBootFile`](NetError::NoBootFile), [`ProxyTimeout`](NetError::ProxyTimeout), the menu's and discovery's errors,
/// [`Cancelled`](crate::error::Error::Cancelled), and the card's.
pub fn run<N: Nic, M: Machine>(
    net: &mut Net<'_, N, M>,
    info: &mut BootInfo,
    observer: &mut dyn FnMut(Event<'_>),
) -> Result<Outcome, NetError> {
    net.stack.unconfigure()?;
    let session = request::Session::new(net.machine);
    let has_proxy = lease::acquire(net, &session, info, observer)?;
    boot::find(net, &session, info, has_proxy, observer)
}
