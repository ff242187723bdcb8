//! A binary range coder: 32 bits wide, 16-bit probabilities, one byte at a time.

/// Below this the range is widened by a byte.
const LOWEST_RANGE: u32 = 1 << 24;

/// Takes or gives bits of known probability: the two halves of the coder, so that one description of a stream serves both.
pub trait BitCoder {
    /// Codes one bit that is set with `probability` / 65,536; a probability of 0 is none. An [`Encoder`] writes `bit` and returns it; a
    /// [`Decoder`] returns what it reads.
    fn code(&mut self, probability: u16, bit: bool) -> bool;
}

/// The part of `range` that stands for a set bit; never empty, never the whole range.
fn split(range: u32, probability: u16) -> u32 {
    ((u64::from(range) * u64::from(probability)) >> 16) as u32
}

/// Writes a stream.
#[derive(Debug)]
pub struct Encoder {
    /// Lower end of the interval; bit 32 is a carry into the bytes already written.
    low: u64,
    range: u32,
    written: Vec<u8>,
}

impl Encoder {
    /// An empty stream.
    pub fn new() -> Self {
        Self { low: 0, range: u32::MAX, written: Vec::new() }
    }

    /// Ends the stream.
    pub fn finish(mut self) -> Vec<u8> {
        for _ in 0..4 {
            self.shift();
        }
        self.written
    }

    fn shift(&mut self) {
        if self.low >> 32 != 0 {
            for byte in self.written.iter_mut().rev() {
                *byte = byte.wrapping_add(1);
                if *byte != 0 {
                    break;
                }
            }
        }
        self.written.push((self.low >> 24) as u8);
        self.low = u64::from((self.low as u32) << 8);
    }
}

impl BitCoder for Encoder {
    fn code(&mut self, probability: u16, bit: bool) -> bool {
        let ones = split(self.range, probability);
        if bit {
            self.range = ones;
        } else {
            self.low += u64::from(ones);
            self.range -= ones;
        }
        while self.range < LOWEST_RANGE {
            self.range <<= 8;
            self.shift();
        }
        bit
    }
}

/// Reads a stream. Behind its end it reads zeros.
#[derive(Debug)]
pub struct Decoder<'a> {
    /// Where in the range the stream's value is.
    value: u32,
    range: u32,
    unread: &'a [u8],
}

impl<'a> Decoder<'a> {
    /// Begins a stream.
    pub fn new(stream: &'a [u8]) -> Self {
        let mut decoder = Self { value: 0, range: u32::MAX, unread: stream };
        for _ in 0..4 {
            decoder.shift();
        }
        decoder
    }

    fn shift(&mut self) {
        let byte = match self.unread {
            [byte, rest @ ..] => {
                self.unread = rest;
                *byte
            }
            [] => 0,
        };
        self.value = self.value << 8 | u32::from(byte);
    }
}

impl BitCoder for Decoder<'_> {
    fn code(&mut self, probability: u16, _: bool) -> bool {
        let ones = split(self.range, probability);
        let bit = self.value < ones;
        if bit {
            self.range = ones;
        } else {
            self.value = self.value.wrapping_sub(ones);
            self.range -= ones;
        }
        while self.range < LOWEST_RANGE {
            self.range <<= 8;
            self.shift();
        }
        bit
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_come_back_whatever_their_probability() {
        for probability in [1, 2, 255, 0x8000, 0xfffe, 0xffff] {
            // Runs of both values, so that carries go far.
            let bits: Vec<bool> = (0..5000_u32).map(|at| at % 7 == 3 || at % 1000 > 900).collect();
            let mut encoder = Encoder::new();
            for &bit in &bits {
                encoder.code(probability, bit);
            }
            let stream = encoder.finish();
            let mut decoder = Decoder::new(&stream);
            let read: Vec<bool> = bits.iter().map(|_| decoder.code(probability, false)).collect();
            assert_eq!(read, bits, "probability {probability}");
        }
    }

    #[test]
    fn likely_bits_cost_little() {
        let mut encoder = Encoder::new();
        for _ in 0..10_000 {
            encoder.code(0xffff, true);
        }
        // 10,000 / 65,536 / ln 2 is a fifth of a bit.
        assert_eq!(encoder.finish().len(), 4);
    }
}
