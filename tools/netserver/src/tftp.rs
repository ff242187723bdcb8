//! The TFTP server. Sources: RFC 1350, RFC 2347, RFC 2348, RFC 2349, RFC 7440.

use std::net::SocketAddrV4;
use std::sync::Arc;
use std::time::Duration;

use crate::frame::{self, Udp};
use crate::{Config, Event, Files, TftpFault};

/// Time without an answer after which the server sends again.
const RETRY: Duration = Duration::from_secs(1);

/// How often it does so.
const MAX_RETRIES: u32 = 5;

/// First port of transfers; each transfer gets the next one.
const FIRST_TID: u16 = 50_000;

/// Where a transfer stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// The OACK waits for ACK 0.
    Oack,
    /// Blocks flow.
    Data,
}

struct Transfer {
    mac: [u8; 6],
    client: SocketAddrV4,
    server: SocketAddrV4,
    name: String,
    contents: Arc<[u8]>,
    oack: Vec<u8>,
    stage: Stage,
    block_size: usize,
    window: u64,
    /// Blocks that the client has confirmed.
    acked: u64,
    retries: u32,
    due: Duration,
}

/// All transfers.
pub struct TftpServer {
    transfers: Vec<Transfer>,
    next_tid: u16,
}

impl TftpServer {
    /// No transfers.
    pub fn new() -> Self {
        Self { transfers: Vec::new(), next_tid: FIRST_TID }
    }

    /// Takes a datagram to any port that isn't DHCP's.
    pub fn handle(
        &mut self,
        config: &Config,
        files: &Files,
        udp: &Udp<'_>,
        now: Duration,
        out: &mut Vec<Vec<u8>>,
        events: &mut Vec<Event>,
    ) {
        if !config.tftp {
            return;
        }
        if udp.destination.port() == 69 {
            return self.request(config, files, udp, now, out, events);
        }
        let Some(index) = self
            .transfers
            .iter()
            .position(|transfer| transfer.client == udp.source && transfer.server == udp.destination)
        else {
            // An ACK that crossed the end of its transfer is no mistake, but data and requests are.
            if udp.destination.port() >= FIRST_TID && !matches!(udp.payload, [0, 4 | 5, ..]) {
                events.push(Event::Violation("a TFTP packet to no transfer".into()));
            }
            return;
        };
        match *udp.payload {
            [0, 4, high, low] => {
                if !self.transfers[index].acknowledge(u16::from_be_bytes([high, low])) {
                    return;
                }
                if self.transfers[index].is_done(config) {
                    events.push(Event::TftpDone(self.transfers.remove(index).name));
                } else {
                    self.transfers[index].send(config, now, out);
                }
            }
            [0, 5, high, low, ..] => {
                events.push(Event::TftpAborted(u16::from_be_bytes([high, low])));
                self.transfers.remove(index);
            }
            _ => events.push(Event::Violation(format!(
                "TFTP packet {:02x?} in a transfer",
                &udp.payload[..udp.payload.len().min(8)]
            ))),
        }
    }

    /// Sends again what was not answered in time.
    pub fn tick(&mut self, config: &Config, now: Duration, out: &mut Vec<Vec<u8>>) {
        self.transfers.retain(|transfer| transfer.due > now || transfer.retries < MAX_RETRIES);
        for transfer in self.transfers.iter_mut().filter(|transfer| transfer.due <= now) {
            transfer.retries += 1;
            transfer.send(config, now, out);
        }
    }

    /// When [`tick`](Self::tick) has something to do.
    pub fn next_due(&self) -> Option<Duration> {
        self.transfers.iter().map(|transfer| transfer.due).min()
    }

    fn request(
        &mut self,
        config: &Config,
        files: &Files,
        udp: &Udp<'_>,
        now: Duration,
        out: &mut Vec<Vec<u8>>,
        events: &mut Vec<Event>,
    ) {
        let fault = &config.tftp_fault;
        let Some(request) = ReadRequest::parse(udp.payload) else {
            return events.push(Event::Violation("a TFTP request that can't be read".into()));
        };
        events.push(Event::TftpRequest(request.name.clone()));
        if *fault == TftpFault::Silent {
            return;
        }
        // A repeated request begins a second transfer: the client knows which one it answers.
        let server = SocketAddrV4::new(*udp.destination.ip(), self.next_tid);
        self.next_tid = self.next_tid.checked_add(1).unwrap_or(FIRST_TID);
        let refusal = match *fault {
            TftpFault::Error(code) => Some((code, "as configured")),
            TftpFault::RefuseOptions if !request.options.is_empty() => Some((8, "no options here")),
            _ => None,
        };
        let contents = files.get(&request.name);
        let (Some(contents), None) = (contents, refusal) else {
            let (code, text) = refusal.unwrap_or((1, "file not found"));
            out.push(frame::build(udp.mac, server, udp.source, &error_packet(code, text)));
            return;
        };
        let mut transfer = Transfer {
            mac: udp.mac,
            client: udp.source,
            server,
            oack: Vec::new(),
            stage: Stage::Data,
            block_size: 512,
            window: 1,
            acked: 0,
            retries: 0,
            due: now,
            name: request.name.clone(),
            contents,
        };
        if *fault != TftpFault::NoOptions && !request.options.is_empty() {
            transfer.negotiate(config, &request.options);
        }
        transfer.send(config, now, out);
        self.transfers.push(transfer);
    }
}

impl Transfer {
    /// Grants options, and builds the OACK if there are any.
    fn negotiate(&mut self, config: &Config, options: &[(String, String)]) {
        let mut granted: Vec<(String, String)> = Vec::new();
        for (name, value) in options {
            let number: u64 = value.parse().unwrap_or(0);
            let answer = match name.as_str() {
                "blksize" => number.min(config.tftp_max_block.into()),
                "tsize" => self.contents.len() as u64,
                "windowsize" => number.min(config.tftp_max_window.into()),
                _ => continue,
            };
            match name.as_str() {
                "blksize" => self.block_size = answer.max(8) as usize,
                "windowsize" => self.window = answer.max(1),
                _ => {}
            }
            granted.push((name.clone(), answer.to_string()));
        }
        if let TftpFault::Oack(name, value) = &config.tftp_fault {
            granted.retain(|(other, _)| other != name);
            granted.push((name.clone(), value.clone()));
        }
        if !granted.is_empty() {
            self.stage = Stage::Oack;
            self.oack = vec![0, 6];
            for (name, value) in granted {
                self.oack.extend(name.as_bytes().iter().chain(&[0]).chain(value.as_bytes()).chain(&[0]));
            }
        }
    }

    /// Number of blocks, the short last one included.
    fn blocks(&self, config: &Config) -> u64 {
        if config.tftp_fault == TftpFault::Endless {
            u64::MAX
        } else {
            (self.contents.len() / self.block_size) as u64 + 1
        }
    }

    fn is_done(&self, config: &Config) -> bool {
        self.stage == Stage::Data && self.acked >= self.blocks(config)
    }

    /// Takes an ACK; false when nothing must be sent for it.
    fn acknowledge(&mut self, number: u16) -> bool {
        if self.stage == Stage::Oack {
            if number == 0 {
                (self.stage, self.retries) = (Stage::Data, 0);
            }
            return number == 0;
        }
        let ahead = u64::from(number.wrapping_sub(self.acked as u16));
        if ahead > self.window {
            return false;
        }
        if ahead == 0 {
            // Sorcerer's apprentice: without a window, a repeated ACK is never answered (RFC 1123, 4.2.3.1). Within
            // one it means a gap (RFC 7440, section 4).
            return self.window > 1;
        }
        self.acked += ahead;
        self.retries = 0;
        true
    }

    /// Sends the OACK, or the window behind the last confirmed block.
    fn send(&mut self, config: &Config, now: Duration, out: &mut Vec<Vec<u8>>) {
        self.due = now + RETRY;
        let mut packets: Vec<(SocketAddrV4, Vec<u8>)> = Vec::new();
        if self.stage == Stage::Oack {
            packets.push((self.server, self.oack.clone()));
        } else {
            let endless = config.tftp_fault == TftpFault::Endless;
            let last = self.blocks(config).min(self.acked + self.window);
            for number in self.acked + 1..=last {
                match config.tftp_fault {
                    TftpFault::SilentAfter(blocks) if number > blocks => continue,
                    TftpFault::ErrorAfter(blocks) if number > blocks => {
                        packets.push((self.server, error_packet(0, "as configured")));
                        continue;
                    }
                    TftpFault::WrongTid => {
                        let other = SocketAddrV4::new(*self.server.ip(), self.server.port() ^ 0x1000);
                        packets.push((other, self.data(number, endless, |byte| !byte)));
                    }
                    TftpFault::Garbage => {
                        for junk in [&[][..], &[0], &[0, 3], &[0, 3, 0], &[0, 99, 1, 2], &[0, 1, b'x', 0], &[7; 600]] {
                            packets.push((self.server, junk.to_vec()));
                        }
                    }
                    _ => {}
                }
                packets.push((self.server, self.data(number, endless, |byte| byte)));
            }
            if config.tftp_fault == TftpFault::Reorder {
                packets.reverse();
            }
        }
        for (from, packet) in packets {
            let frame = frame::build(self.mac, from, self.client, &packet);
            if config.tftp_fault == TftpFault::Duplicate {
                out.push(frame.clone());
            }
            out.push(frame);
        }
    }

    /// Block `number`, counted from 1, with each byte changed by `change`; an endless file goes on with padding.
    fn data(&self, number: u64, endless: bool, change: fn(u8) -> u8) -> Vec<u8> {
        let start = self.contents.len().min((number - 1).saturating_mul(self.block_size as u64) as usize);
        let end = self.contents.len().min(start + self.block_size);
        let mut packet = vec![0, 3];
        packet.extend((number as u16).to_be_bytes());
        packet.extend(self.contents[start..end].iter().map(|&byte| change(byte)));
        if endless {
            packet.resize(4 + self.block_size, 0x5a);
        }
        packet
    }
}

fn error_packet(code: u16, text: &str) -> Vec<u8> {
    let mut packet = vec![0, 5];
    packet.extend(code.to_be_bytes());
    packet.extend(text.as_bytes());
    packet.push(0);
    packet
}

/// A request to read in octet mode.
struct ReadRequest {
    name: String,
    options: Vec<(String, String)>,
}

impl ReadRequest {
    fn parse(packet: &[u8]) -> Option<Self> {
        let body = packet.strip_prefix(&[0, 1])?.strip_suffix(&[0])?;
        let mut texts = body.split(|&byte| byte == 0).map(|text| String::from_utf8_lossy(text).into_owned());
        let name = texts.next()?;
        if !texts.next()?.eq_ignore_ascii_case("octet") {
            return None;
        }
        let mut options = Vec::new();
        while let Some(option) = texts.next() {
            options.push((option.to_ascii_lowercase(), texts.next()?));
        }
        Some(Self { name, options })
    }
}
