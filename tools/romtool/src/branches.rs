//! Branch targets made absolute: calls of one function from many places then look alike, and pack better.
//!
//! The operand of each `call`, `jmp` and `jcc` with a 32-bit displacement becomes the target's offset, most significant
//! byte first. Bytes that merely look like a branch are treated the same; asm/unpack.s undoes exactly this.

/// Converts the branches in `code`, which begins at offset 0.
pub fn to_absolute(code: &mut [u8]) {
    convert(code, |operand, at| u32::from_le_bytes(operand).wrapping_add(at).to_be_bytes());
}

/// Undoes [`to_absolute`].
#[cfg(test)]
fn to_relative(code: &mut [u8]) {
    convert(code, |operand, at| u32::from_be_bytes(operand).wrapping_sub(at).to_le_bytes());
}

/// Replaces the operands of branches. An operand is never looked at as code, so both directions see the same branches.
fn convert(code: &mut [u8], replace: impl Fn([u8; 4], u32) -> [u8; 4]) {
    let mut at = 0;
    // The longest branch has six bytes.
    while at + 6 <= code.len() {
        let operand = match code[at..] {
            [0xe8 | 0xe9, ..] => at + 1,
            [0x0f, 0x80..=0x8f, ..] => at + 2,
            _ => {
                at += 1;
                continue;
            }
        };
        at = operand + 4;
        let bytes: &mut [u8; 4] = (&mut code[operand..at]).try_into().expect("four bytes");
        *bytes = replace(*bytes, operand as u32);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_calls_of_one_function_become_alike() {
        let mut code = [0x90, 0xe8, 0x0b, 0, 0, 0, 0x0f, 0x84, 5, 0, 0, 0, 0x90, 0x90];
        to_absolute(&mut code);
        assert_eq!(code, [0x90, 0xe8, 0, 0, 0, 13, 0x0f, 0x84, 0, 0, 0, 13, 0x90, 0x90]);
    }

    #[test]
    fn every_byte_comes_back() {
        // Numerical Recipes' constants: bytes in which branches are as frequent as any others, and some of them.
        let mut random = 1_u32;
        for len in (0..20).chain([100_000]) {
            let bytes: Vec<u8> = std::iter::repeat_with(|| {
                random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                match random >> 29 {
                    0 => 0xe8,
                    1 => 0x0f,
                    2 => 0x84,
                    _ => (random >> 16) as u8,
                }
            })
            .take(len)
            .collect();
            let mut code = bytes.clone();
            to_absolute(&mut code);
            assert!(len < 1000 || code != bytes);
            to_relative(&mut code);
            assert_eq!(code, bytes);
        }
    }
}
