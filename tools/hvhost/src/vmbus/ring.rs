//! Channel rings, from the host's side.
//!
//! A ring is a control page and data pages. Control page: in index u32 @0 (producer), out index u32 @4 (consumer),
//! interrupt mask u32 @8 (consumer), pending send size u32 @12 (producer), feature bits u32 @64 (producer). Indices are
//! byte offsets into the data, multiples of 8; equal means empty.
//!
//! Source: Linux `drivers/hv/ring_buffer.c`, OpenVMM `vmbus_ring`.

use serde::{Deserialize, Serialize};

use super::gpadl::{Range, Region, split};
use crate::memory::{GuestMemory, read_u32, write_u32};

const IN: u64 = 0;
const OUT: u64 = 4;
const INTERRUPT_MASK: u64 = 8;
const PENDING_SEND_SIZE: u64 = 12;
const FEATURE_BITS: u64 = 64;
const FEATURE_PENDING_SEND_SIZE: u32 = 1;

const DESCRIPTOR: usize = 16;
const TRAILER: usize = 8;

pub(crate) const IN_BAND: u16 = 6;
pub(crate) const TRANSFER_PAGES: u16 = 7;
pub(crate) const GPA_DIRECT: u16 = 9;
const CANCEL: u16 = 10;
pub(crate) const COMPLETION: u16 = 11;
const COMPLETION_REQUESTED: u16 = 1;

/// What is wrong with a ring that the host gives up on.
pub(crate) type Corrupt = &'static str;

const RAM_GONE: Corrupt = "its memory is not RAM any more";

/// A packet from the guest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Packet {
    pub kind: u16,
    pub completion_requested: bool,
    pub transaction: u64,
    /// Guest memory of a GPA-direct packet.
    pub ranges: Vec<Range>,
    pub payload: Vec<u8>,
}

/// Memory of one ring.
#[derive(Debug, Deserialize, Serialize)]
struct Ring {
    control: u64,
    data: Region,
}

impl Ring {
    fn new(pfns: &[u64], mem: &dyn GuestMemory) -> Option<Self> {
        let (control, data) = pfns.split_first()?;
        let whole = Region::new(pfns, mem)?;
        (whole.len() > 4096).then_some(())?;
        Some(Self { control: control * 4096, data: Region::new(data, mem)? })
    }

    fn size(&self) -> usize {
        self.data.len()
    }

    fn field(&self, mem: &dyn GuestMemory, at: u64) -> Result<u32, Corrupt> {
        read_u32(mem, self.control + at).map_err(|_| RAM_GONE)
    }

    fn set_field(&self, mem: &mut dyn GuestMemory, at: u64, value: u32) -> Result<(), Corrupt> {
        write_u32(mem, self.control + at, value).map_err(|_| RAM_GONE)
    }

    fn index(&self, mem: &dyn GuestMemory, at: u64) -> Result<usize, Corrupt> {
        let index = self.field(mem, at)? as usize;
        if !index.is_multiple_of(8) || index >= self.size() {
            return Err(if at == IN { "in index" } else { "out index" });
        }
        Ok(index)
    }

    /// Copies out of the data, around its end.
    fn read(&self, mem: &dyn GuestMemory, at: usize, into: &mut [u8]) -> Result<(), Corrupt> {
        let at = at % self.size();
        let first = into.len().min(self.size() - at);
        let (head, tail) = into.split_at_mut(first);
        (self.data.read(mem, at, head) && self.data.read(mem, 0, tail)).then_some(()).ok_or(RAM_GONE)
    }

    fn write(&self, mem: &mut dyn GuestMemory, at: usize, from: &[u8]) -> Result<(), Corrupt> {
        let at = at % self.size();
        let (head, tail) = from.split_at(from.len().min(self.size() - at));
        (self.data.write(mem, at, head) && self.data.write(mem, 0, tail)).then_some(()).ok_or(RAM_GONE)
    }
}

/// The guest-to-host ring: the host consumes.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Inbound {
    ring: Ring,
    /// Our out index; the published one must not differ.
    out: usize,
    /// The out index that the guest has been told.
    published: usize,
    /// Packets whose trailer does not name their start. Harmless, but wrong.
    pub bad_trailers: u64,
}

impl Inbound {
    pub fn new(pfns: &[u64], mem: &dyn GuestMemory) -> Option<Self> {
        let ring = Ring::new(pfns, mem)?;
        let out = ring.index(mem, OUT).ok()?;
        Some(Self { ring, out, published: out, bad_trailers: 0 })
    }

    /// Tells the guest whether new data need a signal.
    pub fn set_masked(&self, mem: &mut dyn GuestMemory, masked: bool) -> Result<(), Corrupt> {
        self.ring.set_field(mem, INTERRUPT_MASK, masked.into())
    }

    /// Whether the guest's packets are all read.
    pub fn is_empty(&self, mem: &dyn GuestMemory) -> Result<bool, Corrupt> {
        Ok(self.ring.index(mem, IN)? == self.out)
    }

    /// Whether the host's index is as the host wrote it.
    pub fn is_intact(&self, mem: &dyn GuestMemory) -> Result<bool, Corrupt> {
        Ok(self.ring.field(mem, OUT)? as usize == self.published)
    }

    /// Takes the next packet. The guest may reuse its space only after [`commit`](Self::commit).
    pub fn next(&mut self, mem: &dyn GuestMemory) -> Result<Option<Packet>, Corrupt> {
        if !self.is_intact(mem)? {
            return Err("the guest changed the host's out index");
        }
        let size = self.ring.size();
        let available = (self.ring.index(mem, IN)? + size - self.out) % size;
        if available == 0 {
            return Ok(None);
        }
        if available < DESCRIPTOR + TRAILER {
            return Err("in index in the middle of a packet");
        }
        let mut head = [0; DESCRIPTOR];
        self.ring.read(mem, self.out, &mut head)?;
        let word = |at: usize| u16::from_le_bytes([head[at], head[at + 1]]);
        let (kind, offset, len, flags) = (word(0), usize::from(word(2)) * 8, usize::from(word(4)) * 8, word(6));
        if offset < DESCRIPTOR || len < offset || len + TRAILER > available {
            return Err("packet lengths");
        }
        if flags & !COMPLETION_REQUESTED != 0 {
            return Err("unknown packet flags");
        }
        let mut body = vec![0; len + TRAILER - DESCRIPTOR];
        self.ring.read(mem, self.out + DESCRIPTOR, &mut body)?;
        let (body, trailer) = body.split_at(len - DESCRIPTOR);
        let extra = &body[..offset - DESCRIPTOR];
        let ranges = match kind {
            IN_BAND | COMPLETION => Vec::new(),
            GPA_DIRECT => gpa_direct(extra)?,
            CANCEL => return Err("cancel packet"),
            _ => return Err("packet type"),
        };
        if !trailer_ok(trailer, self.out) {
            self.bad_trailers += 1;
        }
        self.out = (self.out + len + TRAILER) % size;
        Ok(Some(Packet {
            kind,
            completion_requested: flags & COMPLETION_REQUESTED != 0,
            transaction: u64::from_le_bytes(*head.last_chunk().ok_or("descriptor")?),
            ranges,
            payload: body[offset - DESCRIPTOR..].to_vec(),
        }))
    }

    /// Gives the space of the packets read so far back. Says whether the guest waits for a signal about it.
    pub fn commit(&mut self, mem: &mut dyn GuestMemory) -> Result<bool, Corrupt> {
        if self.out == self.published {
            return Ok(false);
        }
        let in_index = self.ring.index(mem, IN)?;
        let free_before = self.free(in_index, self.published);
        self.ring.set_field(mem, OUT, self.out as u32)?;
        self.published = self.out;
        if self.ring.field(mem, FEATURE_BITS)? & FEATURE_PENDING_SEND_SIZE == 0 {
            return Ok(false);
        }
        let wanted = self.ring.field(mem, PENDING_SEND_SIZE)? as usize & !7;
        Ok(wanted != 0 && free_before < wanted && self.free(in_index, self.out) >= wanted)
    }

    fn free(&self, in_index: usize, out: usize) -> usize {
        let size = self.ring.size();
        size - (in_index + size - out) % size
    }
}

fn trailer_ok(trailer: &[u8], start: usize) -> bool {
    trailer[..4] == [0; 4] && trailer[4..] == (start as u32).to_le_bytes()
}

/// The header of a GPA-direct packet behind the descriptor: reserved u32, range count u32, ranges.
fn gpa_direct(extra: &[u8]) -> Result<Vec<Range>, Corrupt> {
    let words: Vec<u64> =
        extra.chunks_exact(8).filter_map(|w| w.first_chunk().map(|w| u64::from_le_bytes(*w))).collect();
    let (&head, ranges) = words.split_first().ok_or("GPA-direct packet without ranges")?;
    let count = u16::try_from(head >> 32).map_err(|_| "GPA-direct range count")?;
    if count == 0 {
        return Err("GPA-direct packet without ranges");
    }
    split(ranges, count).ok_or("GPA-direct ranges")
}

/// The host-to-guest ring: the host produces.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Outbound {
    ring: Ring,
    /// Our in index; the one in memory must not differ.
    in_index: usize,
}

impl Outbound {
    pub fn new(pfns: &[u64], mem: &mut dyn GuestMemory) -> Option<Self> {
        let ring = Ring::new(pfns, mem)?;
        let in_index = ring.index(mem, IN).ok()?;
        ring.set_field(mem, FEATURE_BITS, FEATURE_PENDING_SEND_SIZE).ok()?;
        Some(Self { ring, in_index })
    }

    /// Whether the host's index is as the host wrote it.
    pub fn is_intact(&self, mem: &dyn GuestMemory) -> Result<bool, Corrupt> {
        Ok(self.ring.field(mem, IN)? as usize == self.in_index)
    }

    /// Bytes that a packet takes with `extra` bytes of type-specific header.
    pub fn packet_len(extra: usize, payload: usize) -> usize {
        DESCRIPTOR + extra.next_multiple_of(8) + payload.next_multiple_of(8) + TRAILER
    }

    /// Bytes that can be written now.
    pub fn room(&self, mem: &dyn GuestMemory) -> Result<usize, Corrupt> {
        let size = self.ring.size();
        // Equal indices mean empty, so the ring is never filled to the last byte.
        Ok(size - (self.in_index + size - self.ring.index(mem, OUT)?) % size - 8)
    }

    /// Whether a packet of `len` bytes fits. If not, asks the guest for a signal when it does.
    pub fn reserve(&self, mem: &mut dyn GuestMemory, len: usize) -> Result<bool, Corrupt> {
        let fits = self.room(mem)? >= len;
        self.ring.set_field(mem, PENDING_SEND_SIZE, if fits { 0 } else { len as u32 + 8 })?;
        Ok(fits)
    }

    /// Writes a packet for which there is room. Says whether the guest wants a signal.
    pub fn write(
        &mut self,
        mem: &mut dyn GuestMemory,
        kind: u16,
        completion_requested: bool,
        transaction: u64,
        extra: &[u8],
        payload: &[u8],
    ) -> Result<bool, Corrupt> {
        if !self.is_intact(mem)? {
            return Err("the guest changed the host's in index");
        }
        let data_offset = DESCRIPTOR + extra.len().next_multiple_of(8);
        let len = data_offset + payload.len().next_multiple_of(8);
        let mut bytes = Vec::with_capacity(len + TRAILER);
        for word in [kind, (data_offset / 8) as u16, (len / 8) as u16, u16::from(completion_requested)] {
            bytes.extend_from_slice(&word.to_le_bytes());
        }
        bytes.extend_from_slice(&transaction.to_le_bytes());
        bytes.extend_from_slice(extra);
        bytes.resize(data_offset, 0);
        bytes.extend_from_slice(payload);
        bytes.resize(len, 0);
        bytes.extend_from_slice(&[0; 4]);
        bytes.extend_from_slice(&(self.in_index as u32).to_le_bytes());
        self.ring.write(mem, self.in_index, &bytes)?;

        let before = self.in_index;
        self.in_index = (self.in_index + bytes.len()) % self.ring.size();
        self.ring.set_field(mem, IN, self.in_index as u32)?;
        Ok(self.ring.field(mem, INTERRUPT_MASK)? == 0 && self.ring.index(mem, OUT)? == before)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::FlatMemory;

    /// In-band packet, NVSP INIT V5, transaction 0x20 (facts of OpenVMM and iPXE), at ring offset 0.
    const INIT: [u8; 56] = [
        0x06, 0, 0x02, 0, 0x06, 0, 0x01, 0, 0x20, 0, 0, 0, 0, 0, 0, 0, // descriptor
        1, 0, 0, 0, 0, 0, 5, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, // payload
        0, 0, 0, 0, 0, 0, 0, 0, // trailer
    ];
    const CONTROL: u64 = 0x1000;
    const DATA: u64 = 0x2000;

    fn inbound(mem: &FlatMemory) -> Inbound {
        Inbound::new(&[1, 2], mem).unwrap()
    }

    fn put(mem: &mut FlatMemory, bytes: &[u8], in_index: u32) {
        mem.write(DATA, bytes).unwrap();
        write_u32(mem, CONTROL, in_index).unwrap();
    }

    #[test]
    fn an_in_band_packet_is_read_and_committed() {
        let mut mem = FlatMemory::new(0x10000);
        put(&mut mem, &INIT, 56);
        let mut ring = inbound(&mem);
        let packet = ring.next(&mem).unwrap().unwrap();
        assert_eq!((packet.kind, packet.transaction, packet.completion_requested), (IN_BAND, 0x20, true));
        assert_eq!(packet.payload, &INIT[16..48]);
        assert_eq!(ring.next(&mem), Ok(None));
        assert_eq!(ring.commit(&mut mem), Ok(false));
        assert_eq!(read_u32(&mem, CONTROL + 4), Ok(56));
        assert_eq!(ring.bad_trailers, 0);
    }

    #[test]
    fn what_openvmm_calls_corruption_is_corruption() {
        let error = |edit: &dyn Fn(&mut FlatMemory)| {
            let mut mem = FlatMemory::new(0x10000);
            put(&mut mem, &INIT, 56);
            edit(&mut mem);
            inbound(&mem).next(&mem).unwrap_err()
        };
        assert_eq!(error(&|mem| write_u32(mem, CONTROL, 57).unwrap()), "in index");
        assert_eq!(error(&|mem| write_u32(mem, CONTROL, 4096).unwrap()), "in index");
        assert_eq!(error(&|mem| write_u32(mem, CONTROL, 16).unwrap()), "in index in the middle of a packet");
        assert_eq!(error(&|mem| mem.write(DATA + 4, &[7]).unwrap()), "packet lengths");
        assert_eq!(error(&|mem| mem.write(DATA + 2, &[1]).unwrap()), "packet lengths");
        assert_eq!(error(&|mem| mem.write(DATA, &[10]).unwrap()), "cancel packet");
        assert_eq!(error(&|mem| mem.write(DATA, &[9]).unwrap()), "GPA-direct packet without ranges");
        assert_eq!(error(&|mem| mem.write(DATA + 6, &[2]).unwrap()), "unknown packet flags");
    }

    #[test]
    fn a_blocked_guest_is_signalled_once_its_packet_fits() {
        let mut mem = FlatMemory::new(0x10000);
        put(&mut mem, &INIT, 56);
        write_u32(&mut mem, CONTROL + 64, 1).unwrap();
        write_u32(&mut mem, CONTROL + 12, 4090).unwrap();
        let mut ring = inbound(&mem);
        ring.next(&mem).unwrap();
        assert_eq!(ring.commit(&mut mem), Ok(true));
    }

    #[test]
    fn the_guest_is_signalled_only_for_an_empty_ring_that_it_does_not_mask() {
        let mut mem = FlatMemory::new(0x10000);
        let mut ring = Outbound::new(&[1, 2], &mut mem).unwrap();
        assert_eq!(ring.write(&mut mem, COMPLETION, false, 7, &[], &[1, 2, 3]), Ok(true));
        assert_eq!(ring.write(&mut mem, COMPLETION, false, 8, &[], &[]), Ok(false));
        write_u32(&mut mem, CONTROL + 4, 32 + 24).unwrap();
        write_u32(&mut mem, CONTROL + 8, 1).unwrap();
        assert_eq!(ring.write(&mut mem, COMPLETION, false, 9, &[], &[]), Ok(false));
        let mut bytes = [0; 32];
        mem.read(DATA, &mut bytes).unwrap();
        assert_eq!(bytes[..8], [11, 0, 2, 0, 3, 0, 0, 0]);
        assert_eq!(bytes[16..], [1, 2, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    }

    #[test]
    fn packets_wrap_and_a_full_ring_asks_for_a_signal() {
        let mut mem = FlatMemory::new(0x10000);
        let mut ring = Outbound::new(&[1, 2], &mut mem).unwrap();
        let payload = [0xa5; 1000];
        let len = Outbound::packet_len(0, payload.len());
        for _ in 0..3 {
            assert_eq!(ring.reserve(&mut mem, len), Ok(true));
            ring.write(&mut mem, IN_BAND, false, 1, &[], &payload).unwrap();
        }
        assert_eq!(ring.reserve(&mut mem, len), Ok(false));
        assert_eq!(read_u32(&mem, CONTROL + 12), Ok(1032));
        write_u32(&mut mem, CONTROL + 4, 2048).unwrap();
        assert_eq!(ring.reserve(&mut mem, len), Ok(true));
        ring.write(&mut mem, IN_BAND, false, 1, &[], &payload).unwrap();
        assert_eq!(read_u32(&mem, CONTROL), Ok(0));
    }
}
