//! The packer for the core, whose other half is asm/unpack_stream.s: context mixing and a range coder.
//!
//! No well-kept library has this with a decoder of some hundred bytes, and nothing with such a decoder packs code
//! nearly as well.
//!
//! A stream holds the bytes of the image, each from its most significant bit on, displacements as [`branches`] makes them. Behind each
//! [`ZERO_RUN`] zeros in a row stands one byte that is not part of the image: how many times [`ZEROS`] zeros follow.

mod branches;
mod coder;
mod instructions;
mod model;

use coder::{BitCoder, Decoder, Encoder};
use model::Model;

/// Zeros in a row that are followed by a count.
const ZERO_RUN: u32 = 32;
/// Zeros that a count counts.
const ZEROS: usize = 32;

/// The tables as asm/unpack_stream.s has them: each offset of a context plus 1, 0 behind the last; then the classes.
#[must_use]
pub fn tables() -> Vec<u8> {
    let contexts = model::CONTEXTS.iter().flat_map(|offsets| offsets.iter().map(|&at| at as u8 + 1).chain([0]));
    contexts.chain(instructions::CLASSES).collect()
}

/// Packs an image.
#[must_use]
pub fn pack(image: &[u8]) -> Vec<u8> {
    let mut encoder = Encoder::new();
    code(&mut encoder, image.len(), image.to_vec());
    encoder.finish()
}

/// Unpacks a stream to an image of `len` bytes. A stream that is damaged or cut off gives another image of that length.
#[must_use]
pub fn unpack(stream: &[u8], len: usize) -> Vec<u8> {
    code(&mut Decoder::new(stream), len, Vec::new())
}

/// Codes `len` bytes. Packing, `source` holds them; unpacking, it is empty.
fn code(coder: &mut impl BitCoder, len: usize, mut source: Vec<u8>) -> Vec<u8> {
    let mut model = Model::default();
    let mut image = Vec::with_capacity(len);
    let mut zeros = 0;
    while image.len() < len {
        let at = image.len();
        // No run of zeros ends within a displacement: its opcode is not 0.
        if model.instructions().at_branch()
            && let Some(operand) = source.get_mut(at..).and_then(<[u8]>::first_chunk_mut)
        {
            *operand = branches::to_absolute(*operand, at + 4);
        }
        let byte = source.get(at).copied().unwrap_or(0);
        let byte = code_byte(coder, &mut model, byte);
        image.push(byte);
        if model.instructions().branch_ends()
            && let Some(operand) = image.last_chunk_mut()
        {
            *operand = branches::to_relative(*operand, at + 1);
        }
        model.end_byte(byte);
        zeros = if byte == 0 { zeros + 1 } else { 0 };
        if zeros == ZERO_RUN {
            zeros = 0;
            let ahead = source.get(image.len()..).unwrap_or_default().iter().take_while(|&&byte| byte == 0).count();
            let count = (ahead / ZEROS).min(0xff) as u8;
            let count = code_byte(coder, &mut model, count);
            image.resize((image.len() + usize::from(count) * ZEROS).min(len), 0);
        }
    }
    image
}

fn code_byte(coder: &mut impl BitCoder, model: &mut Model, byte: u8) -> u8 {
    model.begin_byte();
    (0..8).rev().fold(0, |coded, place| {
        let bit = coder.code(model.guess(), byte >> place & 1 != 0);
        model.learn(bit);
        coded << 1 | u8::from(bit)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numerical Recipes' constants.
    fn random_bytes(len: usize) -> Vec<u8> {
        let mut random = 1_u32;
        std::iter::repeat_with(|| {
            random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (random >> 24) as u8
        })
        .take(len)
        .collect()
    }

    /// Bytes in which operands, prefixes and branches are frequent, and zeros in runs.
    fn like_code(len: usize) -> Vec<u8> {
        let instructions: [&[u8]; 8] = [
            &[0x48, 0x8b, 0x44, 0x24, 0x10],
            &[0xe8, 0x34, 0x12, 0, 0],
            &[0x0f, 0x84, 0xf0, 0xff, 0xff, 0xff],
            &[0x66, 0x41, 0xc7, 0x84, 0xb5, 1, 2, 3, 4, 5, 6],
            &[0x48, 0xb8, 1, 2, 3, 4, 5, 6, 7, 8],
            &[0xf6, 0x05, 9, 8, 7, 6, 0x20, 0xf7, 0xd8],
            &[0x0f, 0xba, 0x2c, 0x25, 0x10, 0, 0, 0, 7, 0xc3],
            &[0; 100],
        ];
        let mut code: Vec<u8> =
            random_bytes(len).iter().flat_map(|&byte| instructions[usize::from(byte >> 5)]).copied().collect();
        code.truncate(len);
        code
    }

    /// What 200 bytes of [`like_code`] pack to.
    const GOLDEN: &[u8] = &[
        0x18, 0x90, 0xdb, 0x5e, 0x32, 0xd5, 0xe5, 0x95, 0x76, 0xca, 0x28, 0xbf, 0xfe, 0x06, 0x03, 0xdf, 0x81, 0x91,
        0xf5, 0xa2, 0x5a, 0xb1, 0x99, 0x69, 0x33, 0xfb, 0xdd, 0x19, 0x0b, 0x72, 0xfe, 0xf5, 0x87, 0xdd, 0xe8, 0x35,
        0x9a, 0x90, 0xd1, 0xc4, 0x99, 0xbe, 0x64, 0xe7, 0xd2, 0x1f, 0xd8, 0x6a, 0xda, 0x32, 0x7b, 0x68, 0xd3, 0x5e,
        0xc4, 0x22, 0x00, 0x19, 0xc0, 0x4d, 0x5a, 0x65, 0x41, 0x0a, 0x96, 0x4d, 0x4f, 0xdd, 0x57, 0x01, 0xc7, 0x42,
        0x78, 0xa6, 0x0a, 0xda, 0x6a, 0x0e, 0x02, 0xa4,
    ];

    #[test]
    fn every_image_comes_back() {
        let alike: Vec<u8> = (0..=255).collect::<Vec<u8>>().repeat(8);
        let mut images = vec![alike, like_code(20_000), random_bytes(3000)];
        // A call with a 16-bit operand, a branch to the beginning, calls that the image's end cuts off.
        images.push(vec![0x66, 0xe8, 1, 2, 0x0f, 0x85, 0xf6, 0xff, 0xff, 0xff, 0xe8, 1, 2, 3, 4, 0xe8, 1, 2, 3]);
        images.push(vec![0x90, 0xe8]);
        // Around the limits of runs of zeros, and of a count of them.
        for zeros in [0, 1, 31, 32, 33, 63, 64, 65, 32 + 255 * 32, 33 + 255 * 32, 100_000] {
            images.push(vec![0; zeros]);
            images.push([&vec![0; zeros][..], &[1, 2, 3]].concat());
        }
        for image in images {
            let stream = pack(&image);
            assert!(unpack(&stream, image.len()) == image, "{} bytes, first {:?}", image.len(), image.first());
        }
    }

    #[test]
    fn code_and_zeros_pack_well_and_noise_hardly_grows() {
        let code = like_code(20_000);
        assert!(pack(&code).len() < code.len() / 10, "{}", pack(&code).len());
        assert!(pack(&vec![0; 100_000]).len() < 100);
        let noise = random_bytes(10_000);
        assert!(pack(&noise).len() < noise.len() * 103 / 100, "{}", pack(&noise).len());
    }

    #[test]
    fn damaged_streams_give_an_image_of_the_right_length() {
        let image = like_code(3000);
        let stream = pack(&image);
        for len in [0, 1, 3, stream.len() / 2, stream.len() - 1] {
            assert_eq!(unpack(&stream[..len], image.len()).len(), image.len());
        }
        for at in [0, 5, stream.len() / 2] {
            let mut damaged = stream.clone();
            damaged[at] ^= 0x10;
            let unpacked = unpack(&damaged, image.len());
            assert_eq!(unpacked.len(), image.len());
            assert!(unpacked != image, "a flipped bit at {at} made no difference");
        }
        for seed in 1..20 {
            assert_eq!(unpack(&random_bytes(seed * 7), 5000).len(), 5000);
        }
    }

    /// Whatever changes this stream must change asm/unpack_stream.s, too.
    #[test]
    fn the_format_stays() {
        let image = like_code(200);
        assert_eq!(pack(&image), GOLDEN, "{:02x?}", pack(&image));
    }
}
