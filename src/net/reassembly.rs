//! UDP packets that come in IP fragments, one at a time: the newest packet has the buffer, so that one that lost a fragment
//! never keeps its repetition out. smoltcp's own reassembly costs three times the ROM, and makes a repetition wait.
//!
//! Source: RFC 791, section 3.2.

use core::net::Ipv4Addr;

use smoltcp::phy::ChecksumCapabilities;
use smoltcp::wire::{EthernetFrame, EthernetProtocol, IpProtocol, Ipv4Packet, Ipv4Repr};

use super::udp::{HEADERS_LEN, MAX_FRAGMENTED};

/// Length of an IPv4 header without options, in bytes.
const HEADER: usize = 20;

/// Longest packet, in bytes.
const MAX_PACKET: usize = HEADERS_LEN + MAX_FRAGMENTED;

/// Fragments start at multiples of this many bytes (spec).
const UNIT: usize = 8;

/// What the fragments of one packet have in common: sender, receiver, identification.
type Key = (Ipv4Addr, Ipv4Addr, u16);

/// The packet being put together.
pub struct Reassembly {
    key: Option<Key>,
    /// A bit for each unit that is there.
    seen: [u8; MAX_PACKET.div_ceil(UNIT * 8)],
    /// How many of them.
    units: usize,
    /// Length of the payload; 0 before the last fragment came.
    total: usize,
    /// Length of the whole packet that waits in `packet`.
    complete: Option<usize>,
    packet: [u8; MAX_PACKET],
}

impl Reassembly {
    /// No packet.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            key: None,
            seen: [0; MAX_PACKET.div_ceil(UNIT * 8)],
            units: 0,
            total: 0,
            complete: None,
            packet: [0; MAX_PACKET],
        }
    }

    /// Takes a frame if it holds a fragment; false when it is something else. Fragments of other protocols are lost.
    pub fn take(&mut self, frame: &[u8]) -> bool {
        let ethernet = EthernetFrame::new_checked(frame).ok();
        let ethernet = ethernet.filter(|frame| frame.ethertype() == EthernetProtocol::Ipv4);
        let Some(Ok(ip)) = ethernet.map(|frame| Ipv4Packet::new_checked(frame.payload())) else { return false };
        let is_fragment = ip.more_frags() || ip.frag_offset() != 0;
        if is_fragment && ip.next_header() == IpProtocol::Udp && ip.verify_checksum() {
            self.add(&ip);
        }
        is_fragment
    }

    /// The packet whose last fragment just came, once.
    pub fn complete(&mut self) -> Option<&[u8]> {
        self.complete.take().map(|length| &self.packet[..length])
    }

    fn add(&mut self, ip: &Ipv4Packet<&[u8]>) {
        let key = (ip.src_addr(), ip.dst_addr(), ip.ident());
        if self.key != Some(key) {
            self.key = Some(key);
            self.seen.fill(0);
            (self.units, self.total) = (0, 0);
        }
        let start = usize::from(ip.frag_offset());
        let bytes = ip.payload();
        let end = start + bytes.len();
        let is_whole = bytes.len().is_multiple_of(UNIT) || !ip.more_frags();
        let Some(into) = self.packet.get_mut(HEADER + start..HEADER + end).filter(|_| is_whole) else { return };
        into.copy_from_slice(bytes);
        for unit in start / UNIT..end.div_ceil(UNIT) {
            let (byte, bit) = (&mut self.seen[unit / 8], 1 << (unit % 8));
            self.units += usize::from(*byte & bit == 0);
            *byte |= bit;
        }
        if !ip.more_frags() {
            self.total = end;
        }
        if self.total != 0 && self.units == self.total.div_ceil(UNIT) {
            let whole = Ipv4Repr {
                src_addr: key.0,
                dst_addr: key.1,
                next_header: IpProtocol::Udp,
                payload_len: self.total,
                hop_limit: ip.hop_limit(),
            };
            whole.emit(&mut Ipv4Packet::new_unchecked(&mut self.packet[..]), &ChecksumCapabilities::default());
            self.complete = Some(HEADER + self.total);
            self.key = None;
        }
    }
}

impl Default for Reassembly {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A frame with a fragment of a packet whose payload counts up from 0, 4 bytes a step.
    fn fragment(ident: u16, start: usize, len: usize, more: bool) -> Vec<u8> {
        let mut frame = vec![0; 14 + HEADER + len];
        frame[12] = 8;
        let repr = Ipv4Repr {
            src_addr: Ipv4Addr::new(10, 0, 2, 2),
            dst_addr: Ipv4Addr::new(10, 0, 2, 15),
            next_header: IpProtocol::Udp,
            payload_len: len,
            hop_limit: 64,
        };
        let mut ip = Ipv4Packet::new_unchecked(&mut frame[14..]);
        repr.emit(&mut ip, &ChecksumCapabilities::default());
        ip.set_ident(ident);
        ip.set_dont_frag(false);
        ip.set_more_frags(more);
        ip.set_frag_offset(start as u16);
        ip.fill_checksum();
        ip.payload_mut().copy_from_slice(&payload(start + len)[start..]);
        frame
    }

    fn payload(len: usize) -> Vec<u8> {
        (0..len as u32).map(|at| (at / 4 * 7) as u8).collect()
    }

    fn take(reassembly: &mut Reassembly, frame: &[u8]) -> Option<Vec<u8>> {
        assert!(reassembly.take(frame));
        reassembly.complete().map(|packet| {
            let ip = Ipv4Packet::new_checked(packet).unwrap();
            assert!(ip.verify_checksum() && !ip.more_frags());
            ip.payload().to_vec()
        })
    }

    #[test]
    fn fragments_in_any_order_and_twice_make_the_packet() {
        let frames = [fragment(1, 0, 1480, true), fragment(1, 1480, 1480, true), fragment(1, 2960, 13, false)];
        for order in [[0, 1, 2], [2, 1, 0], [1, 2, 0], [2, 0, 1]] {
            let mut reassembly = Reassembly::new();
            for index in [order[0], order[0], order[1]] {
                assert_eq!(take(&mut reassembly, &frames[index]), None);
            }
            assert_eq!(take(&mut reassembly, &frames[order[2]]), Some(payload(2973)), "{order:?}");
            assert!(reassembly.complete().is_none(), "only once");
        }
    }

    #[test]
    fn a_newer_packet_takes_the_place_of_one_that_lost_a_fragment() {
        let mut reassembly = Reassembly::new();
        assert_eq!(take(&mut reassembly, &fragment(1, 0, 800, true)), None);
        assert_eq!(take(&mut reassembly, &fragment(2, 0, 800, true)), None);
        assert_eq!(take(&mut reassembly, &fragment(1, 800, 8, false)), None, "its start is gone");
        assert_eq!(take(&mut reassembly, &fragment(3, 0, 800, true)), None);
        assert_eq!(take(&mut reassembly, &fragment(3, 800, 8, false)), Some(payload(808)));
    }

    #[test]
    fn what_is_too_long_or_off_the_grid_is_lost() {
        let mut reassembly = Reassembly::new();
        assert_eq!(take(&mut reassembly, &fragment(1, 16_400, 1480, false)), None);
        assert_eq!(take(&mut reassembly, &fragment(1, 65_528, 100, true)), None);
        assert_eq!(take(&mut reassembly, &fragment(2, 0, 15, true)), None);
        assert_eq!(take(&mut reassembly, &fragment(2, 16, 8, false)), None);
        assert_eq!(take(&mut reassembly, &fragment(3, 8, 0, false)), None);
        let mut broken = fragment(4, 0, 8, true);
        broken[14 + 8] ^= 1;
        assert_eq!(take(&mut reassembly, &broken), None);
        assert_eq!(take(&mut reassembly, &fragment(4, 8, 8, false)), None, "the first one's checksum was wrong");
    }

    #[test]
    fn other_frames_are_left_alone() {
        let mut reassembly = Reassembly::new();
        let mut arp = fragment(1, 0, 8, true);
        arp[13] = 6;
        let mut icmp = fragment(1, 0, 8, true);
        icmp[14 + 9] = 1;
        Ipv4Packet::new_unchecked(&mut icmp[14..]).fill_checksum();
        assert_eq!(take(&mut reassembly, &icmp), None);
        assert_eq!(take(&mut reassembly, &fragment(1, 8, 8, false)), None, "it isn't the rest of that one");
        for frame in [&fragment(1, 0, 100, false), &arp, &vec![], &vec![8; 14]] {
            assert!(!reassembly.take(frame));
        }
    }
}
