//! Streams: TCP by smoltcp, with waits that end.
//!
//! A stream is named by its number; it is free again as soon as it was aborted or another connection begins on it.

use core::net::Ipv4Addr;

use smoltcp::iface::Interface;
use smoltcp::socket::tcp;

use crate::error::Error;
use crate::machine::Machine;
use crate::nic::Nic;
use crate::time::Ticks100ns;

use super::phy::Phy;
use super::sockets::{STREAMS, Sockets};
use super::stack::{Stack, instant};
use super::{Net, NetError, SECOND};

/// Seconds until a connection must stand (policy: the first SYN and three repetitions, after 1, 2 and 4 s).
const CONNECT_WAIT: u64 = 10;

/// Frames taken in before what they call for goes out (policy: an ACK for some tens of kilobytes).
const FRAMES_PER_ACK: usize = 16;

/// What a stream has for its reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Received {
    /// The reader got bytes.
    Bytes,
    /// Nothing yet.
    Nothing,
    /// The other side has said that nothing more comes.
    End,
}

impl<N: Nic, M: Machine> Net<'_, N, M> {
    /// Connects a stream.
    ///
    /// # Errors
    /// [`NetError::HttpRefused`]; [`NetError::HttpConnectTimeout`]; [`NetError::NoRoute`];
    /// [`NetError::InvalidDatagram`] for an address that no host has; [`Error::Cancelled`]; the card's errors.
    pub(super) fn connect(&mut self, stream: usize, to: (Ipv4Addr, u16)) -> Result<(), NetError> {
        self.disconnect(stream);
        self.stack.check_route(to.0, None)?;
        let port = self.ephemeral_port();
        self.socket(stream)?.abort();
        let (interface, sockets) = self.stack.interface_and_sockets()?;
        sockets.stream(stream).connect(interface.context(), to, port).map_err(|_| NetError::InvalidDatagram)?;
        let deadline = self.machine.now().plus_millis(CONNECT_WAIT * SECOND);
        loop {
            self.exchange()?;
            let socket = self.socket(stream)?;
            if socket.may_send() {
                return Ok(());
            }
            if !socket.is_open() {
                return Err(NetError::HttpRefused);
            }
            if self.machine.now() >= deadline {
                return Err(NetError::HttpConnectTimeout);
            }
            self.idle()?;
        }
    }

    /// Sends on a stream that has just been connected: what it takes is what its buffer holds.
    ///
    /// # Errors
    /// [`NetError::BadUrl`] when the bytes are more than [`SEND_LEN`], or the connection is gone.
    pub(super) fn send_stream(&mut self, stream: usize, bytes: &[u8]) -> Result<(), NetError> {
        match self.socket(stream)?.send_slice(bytes) {
            Ok(len) if len == bytes.len() => Ok(()),
            _ => Err(NetError::BadUrl),
        }
    }

    /// Hands what has come in to `reader`, which says how much of it it took, and goes on with the network. Does not
    /// wait.
    ///
    /// # Errors
    /// [`NetError::HttpBroken`] when the connection was reset; the card's errors.
    pub(super) fn receive_stream(
        &mut self,
        stream: usize,
        reader: &mut dyn FnMut(&[u8]) -> usize,
    ) -> Result<Received, NetError> {
        if self.socket(stream)?.recv_queue() == 0 {
            self.exchange()?;
        }
        let socket = self.socket(stream)?;
        if socket.recv_queue() == 0 && socket.may_recv() {
            return Ok(Received::Nothing);
        }
        match socket.recv(|bytes| (reader(bytes), ())) {
            Ok(()) => Ok(Received::Bytes),
            Err(tcp::RecvError::Finished) => Ok(Received::End),
            Err(tcp::RecvError::InvalidState) => Err(NetError::HttpBroken),
        }
    }

    /// Ends a stream: in order when the other side has ended it too, else by a reset. Best effort: the other side's
    /// time-out does the rest.
    pub(super) fn disconnect(&mut self, stream: usize) {
        let Ok(socket) = self.socket(stream) else { return };
        match socket.state() {
            tcp::State::Closed => return,
            tcp::State::CloseWait => socket.close(),
            _ => socket.abort(),
        }
        let _ = self.exchange();
    }

    /// Takes frames in, and sends what is due.
    fn exchange(&mut self) -> Result<(), NetError> {
        let now = self.machine.now();
        for _ in 0..FRAMES_PER_ACK {
            if !self.stack.poll_one(self.nic, now)? {
                break;
            }
        }
        self.stack.transmit_streams(self.nic, now)
    }

    fn socket(&mut self, stream: usize) -> Result<&mut tcp::Socket<'static>, NetError> {
        let (_, sockets) = self.stack.interface_and_sockets()?;
        if stream < STREAMS { Ok(sockets.stream(stream)) } else { Err(Error::OutOfResources.into()) }
    }
}

impl Stack {
    /// What streams work with.
    fn interface_and_sockets(&mut self) -> Result<(&mut Interface, &mut Sockets), NetError> {
        match self {
            Self { interface: Some(interface), sockets: Some(sockets), .. } => Ok((interface, sockets)),
            _ => Err(NetError::NotConfigured),
        }
    }

    /// Sends what the streams have to send by now.
    fn transmit_streams<N: Nic>(&mut self, nic: &mut N, now: Ticks100ns) -> Result<(), NetError> {
        let Self { interface: Some(interface), sockets: Some(sockets), transmit, .. } = self else {
            return Err(NetError::NotConfigured);
        };
        let mut phy = Phy::new(nic, None, transmit);
        interface.poll_egress(instant(now), &mut phy, &mut sockets.set);
        phy.sent()?;
        Ok(())
    }
}
