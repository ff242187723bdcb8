//! The receive buffer: sub-allocations, and which of them the guest holds.

use std::borrow::Cow;
use std::collections::{BTreeMap, VecDeque};
use std::hash::{DefaultHasher, Hasher};

use serde::{Deserialize, Serialize};

use crate::config::RxLayout;
use crate::memory::GuestMemory;
use crate::vmbus::gpadl::Region;

/// Sub-allocations kept for RNDIS control messages.
pub(crate) const CONTROL_BUFFERS: u32 = 16;
/// Room before the frame in the OpenVMM layout.
const HEADER_ROOM: usize = 256;
/// Room behind it, which some Windows guests need untouched.
const FOOTER_ROOM: usize = 36;
/// RNDIS header and one per-packet info of 16 bytes.
const COMPACT_HEADER: usize = 60;
/// Length of one per-packet info.
const INFO_LEN: usize = 16;
/// Size of a sub-allocation beyond the frame in the compact layout: 1728 for 1514.
const COMPACT_OVERHEAD: usize = 214;

/// The guest's receive buffer.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct ReceiveBuffer {
    pub gpadl: u32,
    region: Region,
    layout: RxLayout,
    pub mtu: usize,
    pub sub_allocation: usize,
    pub count: u32,
    /// Free control buffers; the last is used first.
    control: Vec<u32>,
    data: VecDeque<u32>,
    /// Sub-allocations that the guest holds, by transaction id.
    outstanding: BTreeMap<u64, Vec<u32>>,
    /// Digests of the sub-allocations that the guest has given back: from then on they are the host's alone.
    given_back: BTreeMap<u32, u64>,
    /// A sub-allocation that the guest wrote to although it was the host's: its address.
    pub reused: Option<u64>,
}

impl ReceiveBuffer {
    /// `None` when there is no room for data behind the control buffers.
    pub fn new(gpadl: u32, region: Region, mtu: usize, layout: RxLayout) -> Option<Self> {
        let sub_allocation = match layout {
            RxLayout::OpenVmm => HEADER_ROOM + mtu + FOOTER_ROOM,
            RxLayout::Compact => mtu + COMPACT_OVERHEAD,
        };
        let count = u32::try_from(region.len() / sub_allocation).ok().filter(|&count| count > CONTROL_BUFFERS)?;
        Some(Self {
            gpadl,
            region,
            layout,
            mtu,
            sub_allocation,
            count,
            control: (0..CONTROL_BUFFERS).collect(),
            data: (CONTROL_BUFFERS..count).collect(),
            outstanding: BTreeMap::new(),
            given_back: BTreeMap::new(),
            reused: None,
        })
    }

    /// Data buffers that are free.
    pub fn free(&self) -> usize {
        self.data.len()
    }

    /// Whether a control message can be written.
    pub fn has_control(&self) -> bool {
        !self.control.is_empty()
    }

    /// Writes a control message: transaction id and range. `None` when no buffer is free or it does not fit.
    pub fn put_control(&mut self, message: &[u8], mem: &mut dyn GuestMemory) -> Option<(u64, (u32, u32))> {
        if message.len() > self.sub_allocation {
            return None;
        }
        let buffer = self.control.pop()?;
        let offset = buffer as usize * self.sub_allocation;
        self.take(buffer, mem);
        if !self.region.write(mem, offset, message) {
            return None;
        }
        self.outstanding.insert(buffer.into(), vec![buffer]);
        Some((buffer.into(), (message.len() as u32, offset as u32)))
    }

    /// Writes frames, of which there are no more than free buffers: transaction id and ranges (length, offset).
    pub fn put_frames(&mut self, frames: &[Vec<u8>], mem: &mut dyn GuestMemory) -> Option<(u64, Vec<(u32, u32)>)> {
        let buffers: Vec<u32> = self.data.drain(..frames.len().min(self.data.len())).collect();
        let mut ranges = Vec::new();
        for (frame, buffer) in frames.iter().zip(&buffers) {
            let offset = *buffer as usize * self.sub_allocation;
            self.take(*buffer, mem);
            let (vlan, frame) = without_tag(frame);
            let header_len = COMPACT_HEADER + if vlan.is_some() { INFO_LEN } else { 0 };
            let (frame_at, len) = match self.layout {
                RxLayout::OpenVmm => (HEADER_ROOM, self.sub_allocation),
                RxLayout::Compact => (header_len, header_len + frame.len()),
            };
            let header = packet_header(len, frame_at, frame.len(), vlan);
            if !(self.region.write(mem, offset, &header) && self.region.write(mem, offset + frame_at, &frame)) {
                return None;
            }
            ranges.push((len as u32, offset as u32));
        }
        let transaction = u64::from(*buffers.first()?);
        self.outstanding.insert(transaction, buffers);
        Some((transaction, ranges))
    }

    /// The guest is done with a packet. `false` when it did not have it.
    pub fn complete(&mut self, transaction: u64, mem: &dyn GuestMemory) -> bool {
        let Some(buffers) = self.outstanding.remove(&transaction) else { return false };
        for buffer in buffers {
            if let Some(digest) = self.digest(buffer, mem) {
                self.given_back.insert(buffer, digest);
            }
            if buffer < CONTROL_BUFFERS {
                self.control.push(buffer);
            } else {
                self.data.push_back(buffer);
            }
        }
        true
    }

    /// Looks whether a sub-allocation that is used again is as the guest gave it back.
    fn take(&mut self, buffer: u32, mem: &dyn GuestMemory) {
        let before = self.given_back.remove(&buffer);
        if before.is_some() && before != self.digest(buffer, mem) {
            self.reused = self.region.address(buffer as usize * self.sub_allocation);
        }
    }

    fn digest(&self, buffer: u32, mem: &dyn GuestMemory) -> Option<u64> {
        let mut bytes = vec![0; self.sub_allocation];
        self.region.read(mem, buffer as usize * self.sub_allocation, &mut bytes).then(|| {
            let mut hasher = DefaultHasher::new();
            hasher.write(&bytes);
            hasher.finish()
        })
    }
}

/// RNDIS PACKET header of 44 bytes, a checksum info that says nothing, and the VLAN's: {size, type, data offset, value}.
fn packet_header(message_len: usize, frame_at: usize, frame_len: usize, vlan: Option<usize>) -> Vec<u8> {
    let data_offset = frame_at - 8; // offsets count from byte 8
    let infos = INFO_LEN * if vlan.is_some() { 2 } else { 1 };
    [1, message_len, data_offset, frame_len, 0, 0, 0, 0x24, infos, 0, 0]
        .into_iter()
        .chain([16, 0, 12, 0])
        .chain(vlan.into_iter().flat_map(|value| [16, 6, 12, value]))
        .flat_map(|field| (field as u32).to_le_bytes())
        .collect()
}

/// A frame without its 802.1Q tag, and the tag as NDIS has it: priority 2:0, canonical 3, VLAN id 15:4.
fn without_tag(frame: &[u8]) -> (Option<usize>, Cow<'_, [u8]>) {
    match frame {
        [_, _, _, _, _, _, _, _, _, _, _, _, 0x81, 0x00, high, low, rest @ ..] => {
            let tag = usize::from(u16::from_be_bytes([*high, *low]));
            let info = tag >> 13 | (tag >> 12 & 1) << 3 | (tag & 0xfff) << 4;
            (Some(info), [&frame[..12], rest].concat().into())
        }
        _ => (None, frame.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::FlatMemory;

    fn buffer(layout: RxLayout, mem: &FlatMemory) -> ReceiveBuffer {
        let pages: Vec<u64> = (0..16).collect();
        ReceiveBuffer::new(1, Region::new(&pages, mem).unwrap(), 1514, layout).unwrap()
    }

    #[test]
    fn sixty_four_kilobytes_give_openvmms_numbers() {
        let mut mem = FlatMemory::new(0x20000);
        let mut rx = buffer(RxLayout::OpenVmm, &mem);
        assert_eq!((rx.sub_allocation, rx.count, rx.free()), (1806, 36, 20));
        assert_eq!(rx.put_control(&[1; 30], &mut mem), Some((15, (30, 15 * 1806))));
        let (transaction, ranges) = rx.put_frames(&[vec![0xab; 60], vec![0xcd; 1514]], &mut mem).unwrap();
        assert_eq!((transaction, &ranges[..]), (16, &[(1806, 16 * 1806), (1806, 17 * 1806)][..]));
        let mut header = [0; 60];
        mem.read(16 * 1806, &mut header).unwrap();
        assert_eq!(header[..16], [1, 0, 0, 0, 0x0e, 7, 0, 0, 0xf8, 0, 0, 0, 60, 0, 0, 0]);
        assert_eq!(header[28..36], [0x24, 0, 0, 0, 16, 0, 0, 0]);
        assert_eq!(header[44..], [16, 0, 0, 0, 0, 0, 0, 0, 12, 0, 0, 0, 0, 0, 0, 0]);
        assert!(rx.complete(16, &mem));
        assert!(!rx.complete(16, &mem), "only once");
        assert_eq!(rx.free(), 20);
    }

    #[test]
    fn the_compact_layout_says_the_messages_length() {
        let mut mem = FlatMemory::new(0x20000);
        let mut rx = buffer(RxLayout::Compact, &mem);
        assert_eq!(rx.sub_allocation, 1728);
        let (_, ranges) = rx.put_frames(&[vec![0xab; 60]], &mut mem).unwrap();
        assert_eq!(ranges, [(120, 16 * 1728)]);
    }

    #[test]
    fn a_vlan_tag_is_taken_out_of_the_frame() {
        let mut mem = FlatMemory::new(0x20000);
        let mut rx = buffer(RxLayout::Compact, &mem);
        let frame = [&[0xff; 12][..], &[0x81, 0, 0x60, 5, 8, 0], &[7; 50]].concat();
        let (_, ranges) = rx.put_frames(&[frame], &mut mem).unwrap();
        assert_eq!(ranges, [(76 + 64, 16 * 1728)]);
        let mut message = [0; 140];
        mem.read(16 * 1728, &mut message).unwrap();
        assert_eq!(message[32], 32, "two infos");
        assert_eq!(message[60..76], [16, 0, 0, 0, 6, 0, 0, 0, 12, 0, 0, 0, 0x53, 0, 0, 0]);
        assert_eq!(message[76..90], [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 8, 0]);
    }

    #[test]
    fn a_buffer_that_only_holds_control_messages_is_refused() {
        let mem = FlatMemory::new(0x20000);
        let pages: Vec<u64> = (0..7).collect(); // 15 sub-allocations
        assert!(ReceiveBuffer::new(1, Region::new(&pages, &mem).unwrap(), 1514, RxLayout::OpenVmm).is_none());
    }
}
