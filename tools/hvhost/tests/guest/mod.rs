//! A guest written out by hand: it knows offsets and bytes, and shares nothing with the host model but its public API.
#![allow(dead_code)] // each test file uses its part

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use hvhost::{Config, FlatMemory, GuestMemory, Host, Hypercall, MS, MsrWrite, NetBackend};

/// Where the guest keeps things in its 4 MiB of RAM.
pub const HYPERCALL_PAGE: u64 = 0x1000;
pub const SIMP: u64 = 0x2000;
pub const SIEFP: u64 = 0x3000;
pub const INPUT: u64 = 0x4000;
pub const INTERRUPT_PAGE: u64 = 0x5000;
/// SINT2's slot.
pub const SLOT: u64 = SIMP + 0x200;
/// Rings: 2 + 2 pages.
pub const RINGS: u64 = 0x10000;
/// Receive buffer, 64 KiB.
pub const RECEIVE: u64 = 0x20000;
/// Data to send.
pub const SEND: u64 = 0x40000;

/// The channel id of the NIC behind the five integration services.
pub const NIC: u32 = 6;

/// The bytes of a vector in tests/vectors/hyperv.hex.
pub fn vector(name: &str) -> Vec<u8> {
    let text = include_str!("../../../../tests/vectors/hyperv.hex");
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(" = "));
    let line = line.unwrap_or_else(|| panic!("no vector {name}"));
    line.split_whitespace().filter(|word| *word != "|").map(|word| u8::from_str_radix(word, 16).unwrap()).collect()
}

/// The cable's other end.
#[derive(Default)]
pub struct Wire {
    pub sent: Vec<Vec<u8>>,
    pub waiting: VecDeque<Vec<u8>>,
}

#[derive(Clone, Default)]
pub struct Net(pub Arc<Mutex<Wire>>);

impl NetBackend for Net {
    fn send(&mut self, frame: &[u8]) {
        self.0.lock().unwrap().sent.push(frame.to_vec());
    }

    fn receive(&mut self) -> Option<Vec<u8>> {
        self.0.lock().unwrap().waiting.pop_front()
    }
}

pub struct Guest {
    pub host: Host,
    pub mem: FlatMemory,
    pub net: Net,
    pub now: u64,
    /// Own in index of the outgoing and out index of the incoming ring.
    ring_in: u32,
    ring_out: u32,
    pub data_size: u32,
    /// The open channel.
    channel: u32,
}

pub fn u32s(fields: &[u32]) -> Vec<u8> {
    fields.iter().flat_map(|field| field.to_le_bytes()).collect()
}

pub fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap())
}

impl Guest {
    pub fn new(switches: &[(&str, &str)]) -> Self {
        let mut config = Config::default();
        for (key, value) in switches {
            config.set(key, value).unwrap();
        }
        let net = Net::default();
        let host = Host::new(config, vec![Box::new(net.clone())]);
        Self {
            host,
            mem: FlatMemory::new(4 << 20),
            net,
            now: 0,
            ring_in: 0,
            ring_out: 0,
            data_size: 4096,
            channel: NIC,
        }
    }

    /// As `new`, with SynIC and hypercall page set up and SINT2 polled.
    pub fn started(switches: &[(&str, &str)]) -> Self {
        let mut guest = Self::new(switches);
        for (msr, value) in [
            (0x4000_0000, 0x8765 << 48),
            (0x4000_0001, HYPERCALL_PAGE | 1),
            (0x4000_0083, SIMP | 1),
            (0x4000_0082, SIEFP | 1),
            (0x4000_0080, 1),
            (0x4000_0092, 0x4_0030), // vector 0x30, polling
        ] {
            guest.wrmsr(msr, value);
        }
        guest
    }

    /// As `started`, connected with 4.0 and with all offers taken.
    pub fn connected(switches: &[(&str, &str)]) -> Self {
        let mut guest = Self::started(switches);
        guest.post(1, &vector("initiate_contact_4_0"));
        assert_eq!(guest.message().unwrap(), vector("version_response_4_0"));
        guest.request_offers();
        guest
    }

    pub fn wrmsr(&mut self, msr: u32, value: u64) {
        assert_eq!(self.host.wrmsr(0, msr, value, &mut self.mem), MsrWrite::Done, "{msr:#x}");
    }

    pub fn bytes(&self, gpa: u64, len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len];
        self.mem.read(gpa, &mut bytes).unwrap();
        bytes
    }

    pub fn u32_at(&self, gpa: u64) -> u32 {
        word(&self.bytes(gpa, 4), 0)
    }

    pub fn put(&mut self, gpa: u64, bytes: &[u8]) {
        self.mem.write(gpa, bytes).unwrap();
    }

    pub fn run(&mut self, time: u64) {
        for _ in 0..time.div_ceil(MS) {
            self.now += MS;
            self.host.set_time(self.now);
            self.host.poll(&mut self.mem);
        }
    }

    pub fn try_post(&mut self, connection: u32, message: &[u8]) -> u64 {
        let mut input = u32s(&[connection, 0, 1, message.len() as u32]);
        input.extend_from_slice(message);
        input.resize(256, 0);
        self.put(INPUT, &input);
        self.host.hypercall(0, Hypercall { control: 0x5c, input: INPUT, output: 0 }, &mut self.mem)
    }

    pub fn post(&mut self, connection: u32, message: &[u8]) {
        assert_eq!(self.try_post(connection, message), 0);
        self.host.poll(&mut self.mem);
    }

    pub fn signal(&mut self, connection: u32) -> u64 {
        let call = Hypercall { control: 0x1_005d, input: connection.into(), output: 0 };
        let status = self.host.hypercall(0, call, &mut self.mem);
        self.host.poll(&mut self.mem);
        status
    }

    /// The next message in SINT2's slot, taken as TLFS says.
    pub fn message(&mut self) -> Option<Vec<u8>> {
        self.host.poll(&mut self.mem);
        if self.u32_at(SLOT) == 0 {
            return None;
        }
        let head = self.bytes(SLOT, 16);
        let payload = self.bytes(SLOT + 16, head[4].into());
        self.put(SLOT, &[0; 4]);
        if self.bytes(SLOT + 5, 1)[0] & 1 != 0 {
            self.wrmsr(0x4000_0084, 0);
        }
        Some(payload)
    }

    pub fn request_offers(&mut self) -> Vec<Vec<u8>> {
        self.post(1, &vector("request_offers"));
        let mut offers = Vec::new();
        loop {
            let message = self.message().expect("an offer");
            match word(&message, 0) {
                1 => offers.push(message),
                4 => return offers,
                other => panic!("message {other} among offers"),
            }
        }
    }

    /// Shares `pages` pages from `gpa` and gives the status.
    pub fn gpadl(&mut self, relid: u32, id: u32, gpa: u64, pages: u32) -> u32 {
        let words: Vec<u64> = std::iter::once(u64::from(pages) * 4096)
            .chain((0..pages).map(|page| gpa / 4096 + u64::from(page)))
            .collect();
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        let lens = u32::from((words.len() * 8) as u16) | 1 << 16;
        let mut header = u32s(&[8, 0, relid, id, lens]);
        header.extend_from_slice(&bytes[..bytes.len().min(27 * 8)]);
        self.post(1, &header);
        for chunk in bytes[bytes.len().min(27 * 8)..].chunks(28 * 8) {
            let mut body = u32s(&[9, 0, 0, id]);
            body.extend_from_slice(chunk);
            self.post(1, &body);
        }
        let created = self.message().expect("GPADL_CREATED");
        assert_eq!(created[..16], u32s(&[10, 0, relid, id])[..]);
        word(&created, 16)
    }

    /// Opens a channel over fresh rings at [`RINGS`] and gives the status.
    pub fn open(&mut self, relid: u32, gpadl: u32) -> u32 {
        self.put(RINGS, &[0; 4 * 4096]);
        self.put(RINGS + 64, &[1]); // we honour the pending send size
        (self.ring_in, self.ring_out, self.channel) = (0, 0, relid);
        let mut open = u32s(&[5, 0, relid, 0xabcd, gpadl, 0, 2]);
        open.resize(148, 0);
        self.post(1, &open);
        let result = self.message().expect("OPENCHANNEL_RESULT");
        assert_eq!(result[..16], u32s(&[6, 0, relid, 0xabcd])[..]);
        word(&result, 16)
    }

    /// Puts a packet into the outgoing ring, without a signal; says whether one is due.
    pub fn send_packet(&mut self, kind: u16, flags: u16, transaction: u64, extra: &[u8], payload: &[u8]) -> bool {
        let (header, len) = (16 + extra.len(), 16 + extra.len() + payload.len().next_multiple_of(8));
        let mut bytes = Vec::new();
        for field in [kind, (header / 8) as u16, (len / 8) as u16, flags] {
            bytes.extend_from_slice(&field.to_le_bytes());
        }
        bytes.extend_from_slice(&transaction.to_le_bytes());
        bytes.extend_from_slice(extra);
        bytes.extend_from_slice(payload);
        bytes.resize(len, 0);
        bytes.extend_from_slice(&u32s(&[0, self.ring_in]));
        let was_empty = self.u32_at(RINGS + 4) == self.ring_in;
        for (at, byte) in bytes.iter().enumerate() {
            let offset = (self.ring_in + at as u32) % self.data_size;
            self.put(RINGS + 4096 + u64::from(offset), &[*byte]);
        }
        self.ring_in = (self.ring_in + bytes.len() as u32) % self.data_size;
        self.put(RINGS, &self.ring_in.to_le_bytes());
        was_empty && self.u32_at(RINGS + 8) == 0
    }

    /// Sends a packet and signals if that is due.
    pub fn send(&mut self, kind: u16, flags: u16, transaction: u64, extra: &[u8], payload: &[u8]) {
        if self.send_packet(kind, flags, transaction, extra, payload) {
            assert_eq!(self.signal(0x2000 + self.channel), 0);
        } else {
            self.host.poll(&mut self.mem);
        }
    }

    /// The next packet of the incoming ring: type, transaction id, type-specific header, payload.
    pub fn packet(&mut self) -> Option<(u16, u64, Vec<u8>, Vec<u8>)> {
        self.host.poll(&mut self.mem);
        let control = RINGS + 2 * 4096;
        if self.u32_at(control) == self.ring_out {
            return None;
        }
        let byte = |at: u32| {
            let offset = (self.ring_out + at) % self.data_size;
            self.bytes(control + 4096 + u64::from(offset), 1)[0]
        };
        let head: Vec<u8> = (0..16).map(byte).collect();
        let field = |at: usize| u16::from_le_bytes([head[at], head[at + 1]]);
        let (offset, len) = (u32::from(field(2)) * 8, u32::from(field(4)) * 8);
        let (extra, payload) = ((16..offset).map(byte).collect(), (offset..len).map(byte).collect());
        let transaction = u64::from_le_bytes(head[8..16].try_into().unwrap());
        let kind = field(0);
        self.ring_out = (self.ring_out + len + 8) % self.data_size;
        self.put(control + 4, &self.ring_out.to_le_bytes());
        Some((kind, transaction, extra, payload))
    }

    /// Sends an NVSP message and gives its completion.
    pub fn nvsp(&mut self, transaction: u64, fields: &[u32]) -> Vec<u8> {
        let mut message = u32s(fields);
        message.resize(32, 0);
        self.send(6, 1, transaction, &[], &message);
        let (kind, id, _, payload) = self.packet().expect("completion");
        assert_eq!((kind, id), (11, transaction));
        payload
    }

    /// Sends an RNDIS message from [`SEND`] in one GPA-direct range; channel type 0 data, 1 control.
    pub fn rndis(&mut self, transaction: u64, channel_type: u32, message: &[u8]) {
        self.put(SEND, message);
        let mut extra = u32s(&[0, 1, message.len() as u32, 0]);
        extra.extend_from_slice(&(SEND / 4096).to_le_bytes());
        let mut header = u32s(&[107, channel_type, u32::MAX, 0]);
        header.resize(32, 0);
        self.send(9, 1, transaction, &extra, &header);
        let (kind, id, _, payload) = self.packet().expect("completion");
        assert_eq!((kind, id, word(&payload, 0)), (11, transaction, 108));
        assert_eq!(word(&payload, 4), 1);
    }

    /// The next packet from the receive buffer: transaction, channel type and the ranges' bytes.
    pub fn received(&mut self) -> Option<(u64, u32, Vec<Vec<u8>>)> {
        let (kind, transaction, extra, payload) = self.packet()?;
        assert_eq!((kind, word(&payload, 0)), (7, 107));
        assert_eq!(extra[..2], [0xad, 0xbe]);
        let ranges = (0..word(&extra, 4) as usize)
            .map(|n| self.bytes(RECEIVE + u64::from(word(&extra, 12 + 8 * n)), word(&extra, 8 + 8 * n) as usize))
            .collect();
        Some((transaction, word(&payload, 4), ranges))
    }

    pub fn complete(&mut self, transaction: u64) {
        self.send(11, 0, transaction, &[], &u32s(&[108, 1]));
    }

    /// Sends an RNDIS request and gives the reply, completed.
    pub fn request(&mut self, message: &[u8]) -> Vec<u8> {
        self.rndis(0x77, 1, message);
        let (transaction, channel_type, mut ranges) = self.received().expect("RNDIS reply");
        assert_eq!((channel_type, ranges.len()), (1, 1));
        self.complete(transaction);
        ranges.remove(0)
    }

    /// From the offers to a NIC that receives: rings, NVSP 5, RNDIS, packet filter.
    pub fn nic_up(&mut self) {
        self.nic_up_with(None);
    }

    /// As [`nic_up`](Self::nic_up), with a send buffer in a GPADL that exists.
    pub fn nic_up_with_send_buffer(&mut self, gpadl: u32) {
        self.nic_up_with(Some(gpadl));
    }

    fn nic_up_with(&mut self, send_buffer: Option<u32>) {
        assert_eq!(self.gpadl(NIC, 0x5200_0001, RINGS, 4), 0);
        assert_eq!(self.gpadl(NIC, 0x5200_0002, RECEIVE, 16), 0);
        assert_eq!(self.open(NIC, 0x5200_0001), 0);
        assert_eq!(self.nvsp(1, &[1, 0x5_0000, 0x5_0000])[..16], u32s(&[2, u32::MAX, 34, 1])[..]);
        self.nvsp(2, &[125, 1514, 0, 0, 0]);
        self.nvsp(3, &[100, 6, 30]);
        let complete = self.nvsp(4, &[101, 0x5200_0002, 0xbead]);
        assert_eq!(complete[..28], u32s(&[102, 1, 1, 0, 1806, 36, 65016])[..]);
        if let Some(gpadl) = send_buffer {
            assert_eq!(self.nvsp(5, &[104, gpadl, 0])[..12], u32s(&[105, 1, 6144])[..]);
        }
        assert_eq!(word(&self.request(&vector("rndis_initialize_1")), 12), 0);
        assert_eq!(self.request(&vector("rndis_query_mac_3"))[24..], [0, 0x15, 0x5d, 0x0a, 0x0b, 0x0c]);
        assert_eq!(word(&self.request(&vector("rndis_set_filter_2")), 12), 0);
    }

    /// A frame in an RNDIS PACKET, sent.
    pub fn send_frame(&mut self, frame: &[u8; 60]) {
        let mut message = vector("rndis_packet_60");
        message.extend_from_slice(frame);
        self.rndis(0x99, 0, &message);
    }

    pub fn violations(&self) -> Vec<String> {
        self.host.violations().iter().map(|violation| violation.breach.to_string()).collect()
    }

    pub fn assert_clean(&self) {
        assert_eq!(self.violations(), [""; 0]);
    }
}
