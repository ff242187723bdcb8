//! The network: ARP, IPv4, UDP and TCP by smoltcp, and the boot protocols over them (DHCP with PXE, TFTP, DNS, HTTP).
//!
//! [`Stack`](stack::Stack) holds all state between calls; [`Net`] lends it a card and a machine for the length of one
//! call. Nothing here prints and nothing knows far pointers or PXE codes: callers get [`NetError`] and progress events.

mod checksum;
pub mod dhcp;
pub mod dns;
pub mod error;
pub mod file;
pub mod http;
mod ingress;
pub mod phy;
pub mod reassembly;
pub mod sockets;
pub mod stack;
pub mod tcp;
pub mod tftp;
pub mod udp;
pub mod url;

use core::net::Ipv4Addr;

pub use error::NetError;

use crate::error::Error;
use crate::machine::{Key, Machine};
use crate::nic::Nic;
use crate::time::Ticks100ns;

use stack::Stack;
use udp::{Datagram, Filter, Slot};

/// Milliseconds in a second, the unit of the protocols' time-outs.
pub(crate) const SECOND: u64 = 1000;

/// Takes a piece of a file.
pub type Sink<'a> = dyn FnMut(&[u8]) -> Result<(), NetError> + 'a;

/// Takes a piece of a file and its offset, in bytes.
pub type FileSink<'a> = dyn FnMut(u64, &[u8]) -> Result<(), NetError> + 'a;

/// Everything that an exchange on the wire needs, borrowed for one call.
pub struct Net<'a, N, M> {
    /// Addresses, neighbours and queued datagrams.
    pub stack: &'a mut Stack,
    /// The card, open.
    pub nic: &'a mut N,
    /// Clock, keyboard, identity.
    pub machine: &'a M,
    /// Whether waits look at the keyboard. Off inside the PXE API, where the keys are the client's.
    pub watch_keys: bool,
}

impl<N: Nic, M: Machine> Net<'_, N, M> {
    /// Sends one datagram; waits for the neighbour's address if it isn't known yet.
    ///
    /// # Errors
    /// [`NetError::ArpTimeout`] after [`stack::ARP_TRIES`]; [`NetError::NoRoute`]; [`NetError::InvalidDatagram`] when
    /// the payload is over [`udp::MAX_PAYLOAD`] or the destination is 0.0.0.0; [`Error::Cancelled`]; the card's
    /// errors.
    pub fn send(&mut self, route: &udp::Route, payload: &[u8]) -> Result<(), NetError> {
        self.stack.prepare(route, payload)?;
        let deadline = self.machine.now().plus_millis(stack::ARP_TRIES * SECOND);
        loop {
            let now = self.machine.now();
            if now >= deadline {
                return Err(NetError::ArpTimeout);
            }
            if self.stack.transmit_prepared(self.nic, now)? {
                return Ok(());
            }
            if !self.stack.poll_one(self.nic, now)? {
                self.idle()?;
            }
        }
    }

    /// Takes the oldest datagram that matches, from the queue or from the wire, without waiting.
    ///
    /// # Errors
    /// The card's errors.
    pub fn receive(&mut self, filter: &Filter) -> Result<Option<Datagram<'_>>, NetError> {
        let now = self.machine.now();
        self.stack.receive(self.nic, now, filter)
    }

    /// Waits until `deadline` for a datagram that matches. After the deadline it takes nothing, so a loop around it
    /// ends however many datagrams come in.
    ///
    /// # Errors
    /// [`Error::Cancelled`]; the card's errors.
    pub fn wait(&mut self, filter: &Filter, deadline: Ticks100ns) -> Result<Option<Datagram<'_>>, NetError> {
        Ok(self.wait_slot(filter, deadline)?.map(|slot| self.stack.datagram(slot)))
    }

    /// As [`wait`](Self::wait), for callers that need the stack while they read the datagram.
    pub(crate) fn wait_slot(&mut self, filter: &Filter, deadline: Ticks100ns) -> Result<Option<Slot>, NetError> {
        loop {
            let now = self.machine.now();
            if now >= deadline {
                return Ok(None);
            }
            if let Some(slot) = self.stack.receive_slot(self.nic, now, filter)? {
                return Ok(Some(slot));
            }
            self.idle()?;
        }
    }

    /// Lets the BIOS live between two looks at the wire; notices the key that gives up.
    ///
    /// # Errors
    /// [`Error::Cancelled`].
    pub(crate) fn idle(&self) -> Result<(), NetError> {
        self.machine.idle();
        if self.watch_keys && self.machine.key() == Some(Key::Cancel) { Err(Error::Cancelled.into()) } else { Ok(()) }
    }

    /// A port for one conversation, from the dynamic range (RFC 6335: 49152-65535).
    #[must_use]
    pub fn ephemeral_port(&self) -> u16 {
        0xc000 | self.machine.random() as u16
    }
}

/// The netmask that an address implies when no option says otherwise (RFC 791, classes A to C).
#[must_use]
pub fn classful_mask(address: Ipv4Addr) -> Ipv4Addr {
    match address.octets()[0] {
        0..128 => Ipv4Addr::new(255, 0, 0, 0),
        128..192 => Ipv4Addr::new(255, 255, 0, 0),
        _ => Ipv4Addr::new(255, 255, 255, 0),
    }
}
