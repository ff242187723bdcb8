//! RNDIS PACKET messages from the guest: one or several frames in one NVSP message.

use super::nvsp::field;

/// RNDIS message header.
const MESSAGE_HEADER: usize = 8;
/// The PACKET fields behind it: data offset, data length, out-of-band offset, length and count, per-packet info offset
/// and length, VC handle, reserved.
const PACKET_FIELDS: usize = 36;
const PPI_HEADER: usize = 12;
const PPI_VLAN: u32 = 6;
/// Ethernet header.
const ETHERNET_HEADER: usize = 14;
/// Bytes of both addresses.
const ADDRESSES: usize = 12;

/// What a guest sent, with the borders of the memory ranges it came from.
#[derive(Debug)]
pub(crate) struct Sent {
    pub bytes: Vec<u8>,
    /// End of each range in `bytes`.
    pub range_ends: Vec<usize>,
}

/// The Ethernet frames in a message.
///
/// # Errors
/// Why the host completes it with a failure; then nothing of it is sent.
pub(crate) fn frames(sent: &Sent, mtu: usize) -> Result<Vec<Vec<u8>>, &'static str> {
    let mut frames = Vec::new();
    let mut start = 0;
    while start < sent.bytes.len() {
        let message = &sent.bytes[start..];
        if field(message, 0) != Some(super::rndis::PACKET) {
            return Err("a message behind a PACKET that is none");
        }
        let len = field(message, 4).ok_or("no message length")? as usize;
        if len < MESSAGE_HEADER + PACKET_FIELDS || len > message.len() {
            return Err("message length");
        }
        let fields = start + MESSAGE_HEADER;
        let range_end = sent.range_ends.iter().copied().find(|&end| end > fields).unwrap_or(0);
        if fields + PACKET_FIELDS > range_end {
            return Err("the RNDIS header is not in one range");
        }
        frames.push(frame(&message[..len], range_end - start, mtu)?);
        start += len;
    }
    Ok(frames)
}

/// The frame of one message; its headers end before `headers_end`.
fn frame(message: &[u8], headers_end: usize, mtu: usize) -> Result<Vec<u8>, &'static str> {
    let word = |at: usize| field(message, at).map_or(0, |value| value as usize);
    if [16, 20, 24, 36].iter().any(|&at| word(at) != 0) {
        return Err("out-of-band data or a VC handle");
    }
    let (offset, len) = (word(8) + MESSAGE_HEADER, word(12));
    if offset < MESSAGE_HEADER + PACKET_FIELDS {
        return Err("data offset inside the header");
    }
    let data = message.get(offset..offset + len).ok_or("data beyond the message")?;
    if !(ETHERNET_HEADER..=mtu + 4).contains(&len) {
        return Err("frame shorter than its header or longer than the MTU");
    }
    let mut frame = data.to_vec();
    let (mut at, mut left) = (word(28) + MESSAGE_HEADER, word(32));
    if left != 0 && at + left > headers_end.min(message.len()) {
        return Err("per-packet info beyond the header's range");
    }
    while left != 0 {
        let (size, kind, data) = (word(at), word(at + 4) as u32, word(at + 8));
        if size < PPI_HEADER || size > left {
            return Err("per-packet info length");
        }
        if kind == PPI_VLAN && data + 4 <= size {
            // priority 2:0, canonical 3, VLAN id 15:4
            let info = word(at + data);
            let tag = ((info & 7) << 13 | (info >> 3 & 1) << 12 | info >> 4 & 0xfff) as u16;
            let header = [0x8100u16.to_be_bytes(), tag.to_be_bytes()].concat();
            frame.splice(ADDRESSES..ADDRESSES, header);
        }
        at += size;
        left -= size;
    }
    Ok(frame)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RNDIS PACKET header for a 60-byte frame at 44.
    fn message() -> Vec<u8> {
        let mut bytes = vec![1, 0, 0, 0, 0x68, 0, 0, 0, 0x24, 0, 0, 0, 0x3c, 0, 0, 0];
        bytes.resize(44, 0);
        bytes.extend((0..60).map(|n| n as u8));
        bytes
    }

    fn sent(bytes: Vec<u8>) -> Sent {
        let end = bytes.len();
        Sent { bytes, range_ends: vec![end] }
    }

    #[test]
    fn one_frame_and_two_frames() {
        let frame = message()[44..].to_vec();
        assert_eq!(frames(&sent(message()), 1514).unwrap(), std::slice::from_ref(&frame));
        let two = [message(), message()].concat();
        assert_eq!(frames(&sent(two), 1514).unwrap(), [frame.clone(), frame]);
    }

    #[test]
    fn the_header_may_not_straddle_ranges_but_the_frame_may() {
        let split = |at| frames(&Sent { bytes: message(), range_ends: vec![at, 104] }, 1514);
        assert!(split(44).is_ok());
        assert_eq!(split(43).unwrap_err(), "the RNDIS header is not in one range");
        assert!(split(8).is_ok(), "the 8-byte message header is apart");
    }

    #[test]
    fn a_vlan_tag_is_put_into_the_frame() {
        let mut bytes = message();
        bytes[4] = 104 + 16;
        bytes[8] = 36 + 16;
        bytes[28] = 36;
        bytes[32] = 16;
        let ppi = [16u32, 6, 12, 5 << 4 | 3].iter().flat_map(|word| word.to_le_bytes()).collect::<Vec<_>>();
        bytes.splice(44..44, ppi);
        let frame = &frames(&sent(bytes), 1514).unwrap()[0];
        assert_eq!(frame.len(), 64);
        assert_eq!(frame[12..16], [0x81, 0, 0x60, 5]);
    }

    #[test]
    fn malformed_packets_fail() {
        let bad = |at: usize, value: u8| {
            let mut bytes = message();
            bytes[at] = value;
            frames(&sent(bytes), 1514).unwrap_err()
        };
        assert_eq!(bad(4, 0x69), "message length");
        assert_eq!(bad(4, 0x10), "message length");
        assert_eq!(bad(8, 0x20), "data offset inside the header");
        assert_eq!(bad(12, 0x3d), "data beyond the message");
        assert_eq!(bad(12, 0), "frame shorter than its header or longer than the MTU");
        assert_eq!(bad(24, 1), "out-of-band data or a VC handle");
        assert_eq!(bad(32, 200), "per-packet info beyond the header's range");
    }
}
