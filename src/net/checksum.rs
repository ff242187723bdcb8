//! The Internet checksum, 8 bytes at a time: it is most of what a download costs.
//!
//! Source: RFC 1071. The sum may be taken in words of any length and in either byte order.

use core::net::Ipv4Addr;

/// A one's complement sum of 16-bit words, as a sum of 64-bit words and a carry. In memory order, so a right one is 0xffff
/// when folded, on any machine.
#[derive(Clone, Copy, Default)]
pub struct Sum(u64, bool);

impl Sum {
    /// Adds bytes; an odd one at the end counts as if a zero followed.
    #[must_use]
    pub fn add(self, bytes: &[u8]) -> Self {
        let mut sum = self;
        let (words, tail) = bytes.as_chunks::<8>();
        let (groups, words) = words.as_chunks::<8>();
        // By hand: the ROM is compiled for size, and no loop is unrolled there.
        for [a, b, c, d, e, f, g, h] in groups {
            sum = sum.word(a).word(b).word(c).word(d).word(e).word(f).word(g).word(h);
        }
        for bytes in words {
            sum = sum.word(bytes);
        }
        let mut last = [0; 8];
        last[..tail.len()].copy_from_slice(tail);
        sum.word(&last)
    }

    /// One instruction, when the last carry is where the CPU left it.
    #[inline(always)]
    fn word(self, bytes: &[u8; 8]) -> Self {
        let (sum, carry) = self.0.carrying_add(u64::from_ne_bytes(*bytes), self.1);
        Self(sum, carry)
    }

    /// Adds the pseudo header of UDP and TCP (RFC 768, RFC 9293).
    #[must_use]
    pub fn add_pseudo_header(self, source: Ipv4Addr, destination: Ipv4Addr, protocol: u8, length: u16) -> Self {
        let ([a, b, c, d], [e, f, g, h], [high, low]) = (source.octets(), destination.octets(), length.to_be_bytes());
        self.word(&[a, b, c, d, e, f, g, h]).word(&[0, protocol, high, low, 0, 0, 0, 0])
    }

    /// True when what was added contains its checksum, and that is right.
    #[must_use]
    pub const fn is_right(self) -> bool {
        self.folded() == 0xffff
    }

    /// The checksum of what was added, as it goes on the wire; never 0, which says "none" in UDP (RFC 768) and means the same
    /// elsewhere.
    #[must_use]
    pub const fn checksum(self) -> [u8; 2] {
        let checksum = !self.folded();
        if checksum == 0 { [0xff; 2] } else { checksum.to_ne_bytes() }
    }

    const fn folded(self) -> u16 {
        let (sum, carry) = self.0.overflowing_add(self.1 as u64);
        let sum = sum + carry as u64;
        // Both halves are added to both: the carry of the lower sum is what the upper one lacks.
        let sum = (sum.wrapping_add(sum.rotate_left(32)) >> 32) as u32;
        (sum.wrapping_add(sum.rotate_left(16)) >> 16) as u16
    }
}

#[cfg(test)]
mod tests {
    use super::Sum;

    /// RFC 1071, section 3: the words 0001 f203 f4f5 f6f7 sum up to ddf2.
    #[test]
    fn the_example_of_the_rfc_is_right() {
        let bytes = [0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7];
        assert_eq!(Sum::default().add(&bytes).checksum(), (!0xddf2_u16).to_be_bytes());
        assert!(Sum::default().add(&bytes).add(&(!0xddf2_u16).to_be_bytes()).is_right());
        assert!(!Sum::default().add(&bytes).add(&(!0xddf1_u16).to_be_bytes()).is_right());
    }

    #[test]
    fn every_length_and_every_flipped_bit_counts() {
        let bytes: Vec<u8> = (0..200_u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8 | 1).collect();
        for len in 0..bytes.len() {
            let mut message = bytes[..len].to_vec();
            let words = message.chunks(2).map(|word| u32::from(word[0]) << 8 | u32::from(*word.get(1).unwrap_or(&0)));
            let mut sum: u32 = words.sum();
            sum = (sum >> 16) + (sum & 0xffff);
            let checksum = !((sum >> 16) as u16 + sum as u16);
            let right = |message: &[u8]| Sum::default().add(message).add(&checksum.to_be_bytes()).is_right();
            assert!(right(&message), "{len} bytes");
            if let Some(byte) = message.get_mut(len / 2) {
                *byte ^= 0x10;
                assert!(!right(&message), "{len} bytes");
            }
        }
    }

    #[test]
    fn a_checksum_is_never_zero() {
        assert_eq!(Sum::default().add(&[0xff, 0xff]).checksum(), [0xff, 0xff]);
        assert_eq!(Sum::default().checksum(), [0xff, 0xff]);
    }

    #[test]
    fn carries_beyond_64_bits_are_kept() {
        assert!(Sum::default().add(&[0xff; 1500]).is_right());
        assert!(!Sum::default().add(&[0xff; 1500]).add(&[0, 1]).is_right());
    }
}
