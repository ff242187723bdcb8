//! VLAN tags. The host keeps them apart from the frames: as per-packet information of RNDIS messages, both ways.
//!
//! Source: NDIS, `Ieee8021QInfo` (type 6); facts in the tests of `wire::rndis`.

use zerocopy::{FromZeros, IntoBytes};

use crate::wire::rndis::{OFFSET_BASE, PACKET_HEADER_LEN, PER_PACKET_INFO_VLAN, Packet, PerPacketInfo, VlanInfo};

/// Most pieces of per-packet information looked at in one message (policy; hosts send one or two).
const MAX_PIECES: usize = 8;

/// The VLAN id of a received frame; 0 for none. `read` fills a buffer from an offset in the message, which is `length`
/// bytes long.
pub fn id_of(packet: &Packet, length: usize, read: &dyn Fn(usize, &mut [u8])) -> u16 {
    // All of it comes from the host: any sum may overflow.
    let mut at = (packet.info_offset.get() as usize).saturating_add(OFFSET_BASE);
    let end = at.saturating_add(packet.info_length.get() as usize).min(length);
    for _ in 0..MAX_PIECES {
        if at < PACKET_HEADER_LEN || end.saturating_sub(at) < size_of::<PerPacketInfo>() {
            break;
        }
        let mut piece = PerPacketInfo::new_zeroed();
        read(at, piece.as_mut_bytes());
        let value_at = at.saturating_add(piece.offset.get() as usize);
        if piece.kind == PER_PACKET_INFO_VLAN && end.saturating_sub(value_at) >= size_of::<VlanInfo>() {
            let mut value = VlanInfo::new_zeroed();
            read(value_at, value.as_mut_bytes());
            return value.id();
        }
        at = at.saturating_add((piece.size.get() as usize).max(size_of::<PerPacketInfo>()));
    }
    0
}

#[cfg(test)]
mod tests {
    use zerocopy::FromBytes;

    use super::*;

    /// A message with these pieces behind its header, as (size, type, offset, value).
    fn id(info_offset: u32, info_length: u32, pieces: &[[u32; 4]]) -> u16 {
        let mut message = [0; PACKET_HEADER_LEN].to_vec();
        message.extend(pieces.iter().flatten().flat_map(|word| word.to_le_bytes()));
        message[28..32].copy_from_slice(&info_offset.to_le_bytes());
        message[32..36].copy_from_slice(&info_length.to_le_bytes());
        let (packet, _) = Packet::read_from_prefix(&message).unwrap();
        id_of(&packet, message.len(), &|at, into| into.copy_from_slice(&message[at..at + into.len()]))
    }

    #[test]
    fn the_tag_is_found_behind_other_information() {
        let tag = [16, 6, 12, 5 << 4 | 3];
        assert_eq!(id(36, 16, &[tag]), 5);
        assert_eq!(id(36, 32, &[[16, 0, 12, 0], tag]), 5);
        assert_eq!(id(36, 16, &[[16, 0, 12, 0x50]]), 0, "another kind");
        assert_eq!(id(0, 0, &[]), 0);
        assert_eq!(id(36, 16, &[[16, 6, 12, 0xffff]]), 0xfff, "the id has 12 bits");
    }

    #[test]
    fn nothing_beyond_the_message_is_read() {
        let tag = [16, 6, 12, 5 << 4];
        for (offset, length) in [(36, 15), (36, 4), (u32::MAX, 16), (0, u32::MAX), (36, 0), (40, 16), (52, 16)] {
            assert_eq!(id(offset, length, &[tag]), 0, "{offset} {length}");
        }
        assert_eq!(id(36, u32::MAX, &[tag]), 5, "as far as the message goes");
        for wrong in [[16, 6, 13, 80], [16, 6, u32::MAX, 80], [0, 0, 0, 0], [u32::MAX, 0, 12, 0]] {
            assert_eq!(id(36, u32::MAX, &[wrong]), 0, "{wrong:?}");
        }
    }
}
