//! One transfer: from the request to the last block.

use core::net::Ipv4Addr;

use crate::machine::Machine;
use crate::net::udp::{Filter, Route, Slot};
use crate::net::{Net, NetError, SECOND, Sink};
use crate::nic::Nic;
use crate::time::Ticks100ns;

use super::packet::{self, ERROR_OPTION, ERROR_UNKNOWN_TID, Granted, Packet};
use super::{Block, MAX_FRAGMENTED_BLOCK, Request};

/// Waits for an answer, in seconds, one after each try (PXE 2.1: 4 tries).
const WAITS: [u64; 4] = [1, 2, 4, 8];

/// Round trips of silence within a transfer after which the ACK is repeated for the first time (policy): the window's last
/// block was lost, or the ACK itself. The server would notice after a second or more.
const PATIENCE: u64 = 3;

/// Least and most milliseconds of that wait (policy: a server that reads its disk for longer sends the window twice, no more;
/// that of the first try).
const LEAST_PATIENCE: u64 = 50;
const MOST_PATIENCE: u64 = WAITS[0] * SECOND;

/// A repeated block is acknowledged again when our last ACK is at least this old, in milliseconds (policy: above any
/// round trip, below any server's time-out). An answer to every copy would double all later blocks ("Sorcerer's
/// apprentice", RFC 1123, section 4.2.3.1).
const REPEAT_AGE: u64 = 250;

/// The well-known port.
const TFTP_PORT: u16 = 69;

/// An open transfer, or a closed one. Plain data: it may lie still between two calls.
#[derive(Debug, Default)]
pub struct Transfer(Option<Open>);

#[derive(Clone, Copy, Debug)]
struct Open {
    server: Ipv4Addr,
    gateway: Option<Ipv4Addr>,
    /// The server's transfer id: its port.
    server_port: u16,
    /// Our transfer id.
    local_port: u16,
    granted: Granted,
    /// Last block taken in sequence; 0 before the first.
    last: u16,
    /// Blocks taken since the last ACK.
    unacked: u16,
    /// When the last ACK went out.
    acked_at: Ticks100ns,
    /// Silence in milliseconds after which the ACK is repeated for the first time.
    patience: u64,
    /// The server was told of the present gap.
    gap_reported: bool,
    /// The last block was taken.
    finished: bool,
    /// The server ended it with an error.
    refused: bool,
    /// While a block is awaited: how often the ACK was repeated, and when it is to be repeated next.
    silence: Option<(usize, Ticks100ns)>,
}

impl Transfer {
    /// No transfer.
    #[must_use]
    pub const fn closed() -> Self {
        Self(None)
    }

    /// Whether there is one.
    #[must_use]
    pub const fn is_open(&self) -> bool {
        self.0.is_some()
    }

    /// Asks for a file, and waits for the first answer. An open transfer is closed first.
    ///
    /// A server that refuses options, or answers them wrongly, is asked again without.
    ///
    /// # Errors
    /// [`NetError::TftpOpenTimeout`], the server's refusal, [`NetError::TftpInvalidRequest`], or what sending can fail
    /// with.
    pub fn open<N: Nic, M: Machine>(&mut self, net: &mut Net<'_, N, M>, request: &Request<'_>) -> Result<(), NetError> {
        self.close(net);
        let (mut open, has_options) = Open::ask(net, request)?;
        if has_options {
            // The server holds its first block back until its OACK is acknowledged.
            open.acknowledge(net)?;
        }
        self.0 = Some(open);
        Ok(())
    }

    /// The negotiated block size in bytes, never more than asked for; 0 when closed.
    #[must_use]
    pub fn block_size(&self) -> u16 {
        self.0.map_or(0, |open| open.granted.block_size)
    }

    /// Length of the file in bytes, if the server told.
    #[must_use]
    pub fn size(&self) -> Option<u64> {
        self.0?.granted.size
    }

    /// Waits for the next block in sequence and hands it to `sink`; never the same one twice. After the last block it
    /// delivers nothing, with success.
    ///
    /// # Errors
    /// [`NetError::TftpReadTimeout`], [`NetError::TftpClosed`], the server's error, what `sink` reports. The transfer
    /// is closed then.
    pub fn read<N: Nic, M: Machine>(
        &mut self,
        net: &mut Net<'_, N, M>,
        sink: &mut Sink<'_>,
    ) -> Result<Block, NetError> {
        let open = self.0.as_mut().ok_or(NetError::TftpClosed)?;
        let result = open.next_block(net, sink);
        self.checked(net, result)
    }

    /// As [`read`](Self::read), without waiting: `None` when the block isn't there yet. Who asks seldom gets it late:
    /// the server is asked again in here alone.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn poll<N: Nic, M: Machine>(
        &mut self,
        net: &mut Net<'_, N, M>,
        sink: &mut Sink<'_>,
    ) -> Result<Option<Block>, NetError> {
        let open = self.0.as_mut().ok_or(NetError::TftpClosed)?;
        let result = open.poll_block(net, sink);
        self.checked(net, result)
    }

    /// Closes the transfer after an error.
    fn checked<T, N: Nic, M: Machine>(
        &mut self,
        net: &mut Net<'_, N, M>,
        result: Result<T, NetError>,
    ) -> Result<T, NetError> {
        if let (Err(error), Some(open)) = (&result, &self.0) {
            // Who is gone or has given up himself needs no farewell.
            if !matches!(error, NetError::TftpReadTimeout | NetError::ArpTimeout) && !open.refused {
                open.say_error(net, open.server_port, 0);
            }
            self.0 = None;
        }
        result
    }

    /// Ends the transfer; tells the server if it isn't complete.
    pub fn close<N: Nic, M: Machine>(&mut self, net: &mut Net<'_, N, M>) {
        let Some(mut open) = self.0.take() else { return };
        // Clients that know the file's length leave an empty last block unread; it wants its ACK all the same.
        for _ in 0..=open.granted.window {
            if open.finished {
                return;
            }
            let now = net.machine.now();
            match net.stack.receive_slot(net.nic, now, &open.filter()) {
                Ok(Some(slot)) => {
                    if open.accept(net, slot, &mut |_| Ok(())).is_err() {
                        break;
                    }
                }
                Ok(None) | Err(_) => break,
            }
        }
        if !open.finished && !open.refused {
            open.say_error(net, open.server_port, 0);
        }
    }
}

/// Asks for the length of a file in bytes without fetching it.
///
/// # Errors
/// [`NetError::TftpNoSize`] when the server doesn't tell; those of [`Transfer::open`].
pub fn file_size<N: Nic, M: Machine>(net: &mut Net<'_, N, M>, request: &Request<'_>) -> Result<u64, NetError> {
    let (open, _) = Open::ask(net, request)?;
    open.say_error(net, open.server_port, 0);
    open.granted.size.ok_or(NetError::TftpNoSize)
}

impl Open {
    /// Requests the file, with options and then, if these are the trouble, without. True when the server granted some.
    fn ask<N: Nic, M: Machine>(net: &mut Net<'_, N, M>, request: &Request<'_>) -> Result<(Self, bool), NetError> {
        let request = Request {
            block_size: request.block_size.min(MAX_FRAGMENTED_BLOCK),
            window: request.window.max(1),
            ..*request
        };
        if request.block_size < 8 {
            return Err(NetError::TftpInvalidRequest);
        }
        let mut open = Self {
            server: request.server,
            gateway: request.gateway,
            server_port: if request.port == 0 { TFTP_PORT } else { request.port },
            local_port: 0,
            granted: Granted::NOTHING,
            last: 0,
            unacked: 0,
            acked_at: net.machine.now(),
            patience: MOST_PATIENCE,
            gap_reported: false,
            finished: false,
            refused: false,
            silence: None,
        };
        let has_options = match open.ask_once(net, &request, true) {
            Err(NetError::TftpOptionsRefused) => open.ask_once(net, &request, false)?,
            other => other?,
        };
        Ok((open, has_options))
    }

    /// Requests the file from a port of our own that nobody knows yet, and waits for the first answer.
    fn ask_once<N: Nic, M: Machine>(
        &mut self,
        net: &mut Net<'_, N, M>,
        request: &Request<'_>,
        with_options: bool,
    ) -> Result<bool, NetError> {
        let packet = packet::read_request(request, with_options).ok_or(NetError::TftpInvalidRequest)?;
        self.local_port = net.ephemeral_port();
        for wait in WAITS {
            self.send(net, self.server_port, &packet)?;
            let deadline = net.machine.now().plus_millis(wait * SECOND);
            while let Some(slot) = net.wait_slot(&self.filter(), deadline)? {
                let datagram = net.stack.datagram(slot);
                let from = datagram.source_port;
                match Packet::parse(datagram.payload()) {
                    Packet::Oack(options) => match Granted::parse(options, request) {
                        Some(granted) if with_options => {
                            (self.server_port, self.granted) = (from, granted);
                            return Ok(true);
                        }
                        _ => {
                            self.say_error(net, from, ERROR_OPTION);
                            return Err(NetError::TftpOptionsRefused);
                        }
                    },
                    Packet::Data { number: 1, .. } if request.block_size >= self.granted.block_size => {
                        net.stack.put_back(slot);
                        self.server_port = from;
                        return Ok(false);
                    }
                    Packet::Data { number: 1, .. } => {
                        self.say_error(net, from, ERROR_OPTION);
                        return Err(NetError::TftpInvalidRequest);
                    }
                    Packet::Error(code) => return Err(packet::refusal(code)),
                    Packet::Data { .. } | Packet::Other => {}
                }
            }
        }
        Err(NetError::TftpOpenTimeout)
    }

    fn next_block<N: Nic, M: Machine>(
        &mut self,
        net: &mut Net<'_, N, M>,
        sink: &mut Sink<'_>,
    ) -> Result<Block, NetError> {
        self.silence = None;
        loop {
            if let Some(block) = self.poll_block(net, sink)? {
                return Ok(block);
            }
            net.idle()?;
        }
    }

    /// The next block if it is there, without waiting; repeats the last ACK when it is due.
    fn poll_block<N: Nic, M: Machine>(
        &mut self,
        net: &mut Net<'_, N, M>,
        sink: &mut Sink<'_>,
    ) -> Result<Option<Block>, NetError> {
        if self.finished {
            return Ok(Some(Block { number: self.last, len: 0, last: true }));
        }
        let mut now = net.machine.now();
        let (tries, deadline) = self.silence.unwrap_or((0, now.plus_millis(self.patience)));
        self.silence = Some((tries, deadline));
        while let Some(slot) = net.stack.receive_slot(net.nic, now, &self.filter())? {
            if let Some(block) = self.accept(net, slot, sink)? {
                self.silence = None;
                return Ok(Some(block));
            }
            now = net.machine.now();
            // Whatever else keeps coming in is no answer.
            if now >= deadline {
                break;
            }
        }
        if now >= deadline {
            let wait = WAITS.get(tries).ok_or(NetError::TftpReadTimeout)?;
            self.acknowledge(net)?;
            self.silence = Some((tries + 1, net.machine.now().plus_millis(wait * SECOND)));
        }
        Ok(None)
    }

    /// Takes a datagram to our port; a block when it was the next one.
    fn accept<N: Nic, M: Machine>(
        &mut self,
        net: &mut Net<'_, N, M>,
        slot: Slot,
        sink: &mut Sink<'_>,
    ) -> Result<Option<Block>, NetError> {
        let datagram = net.stack.datagram(slot);
        let from = datagram.source_port;
        let packet = Packet::parse(datagram.payload());
        if from != self.server_port {
            if !matches!(packet, Packet::Error(_)) {
                self.say_error(net, from, ERROR_UNKNOWN_TID);
            }
            return Ok(None);
        }
        let ahead = match packet {
            Packet::Data { number, bytes } if bytes.len() <= usize::from(self.granted.block_size) => {
                let ahead = number.wrapping_sub(self.last);
                if ahead == 1 {
                    sink(bytes)?;
                    let len = bytes.len() as u16;
                    return self.advance(net, len).map(Some);
                }
                ahead
            }
            Packet::Error(code) => {
                self.refused = true;
                return Err(packet::refusal(code));
            }
            Packet::Oack(_) if self.last == 0 => 0,
            Packet::Data { .. } | Packet::Oack(_) | Packet::Other => return Ok(None),
        };
        // Less than half the number space ahead: blocks are missing, and the server goes back to our ACK (RFC 7440,
        // section 4). Otherwise it is a block that we have.
        let is_gap = (2..0x8000).contains(&ahead);
        let is_old_ack = net.machine.now().millis_since(self.acked_at) >= REPEAT_AGE;
        if is_old_ack || (is_gap && !self.gap_reported) {
            self.gap_reported = is_gap;
            self.acknowledge(net)?;
        }
        Ok(None)
    }

    /// Counts the next block in sequence as taken.
    fn advance<N: Nic, M: Machine>(&mut self, net: &mut Net<'_, N, M>, len: u16) -> Result<Block, NetError> {
        if self.unacked == 0 {
            let round_trip = net.machine.now().millis_since(self.acked_at);
            self.patience = (PATIENCE * round_trip).clamp(LEAST_PATIENCE, MOST_PATIENCE);
        }
        self.last = self.last.wrapping_add(1);
        self.unacked += 1;
        self.gap_reported = false;
        self.finished = len < self.granted.block_size;
        if self.finished || self.unacked >= self.granted.window {
            self.acknowledge(net)?;
        }
        Ok(Block { number: self.last, len, last: self.finished })
    }

    /// Confirms everything up to the last block in sequence.
    fn acknowledge<N: Nic, M: Machine>(&mut self, net: &mut Net<'_, N, M>) -> Result<(), NetError> {
        self.unacked = 0;
        self.acked_at = net.machine.now();
        self.send(net, self.server_port, &packet::ack(self.last))
    }

    /// Tells a port of the server what is wrong. Best effort: the server's time-out says it too.
    fn say_error<N: Nic, M: Machine>(&self, net: &mut Net<'_, N, M>, port: u16, code: u16) {
        let _ = self.send(net, port, &packet::error(code));
    }

    fn send<N: Nic, M: Machine>(&self, net: &mut Net<'_, N, M>, port: u16, payload: &[u8]) -> Result<(), NetError> {
        let route = Route {
            source: None,
            source_port: self.local_port,
            destination: self.server,
            destination_port: port,
            gateway: self.gateway,
        };
        net.send(&route, payload)
    }

    fn filter(&self) -> Filter {
        Filter { source: Some(self.server), ..Filter::port(self.local_port) }
    }
}
