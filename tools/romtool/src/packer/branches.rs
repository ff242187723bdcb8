//! Branch targets made absolute: branches to one place from many others then look alike, and pack better.
//!
//! The displacement of each `call`, `jmp` and `jcc` with 32 bits becomes the target's offset in the image, most significant byte
//! first. What is no code is treated as if it were; asm/unpack_stream.s undoes exactly this, displacement by displacement.

/// Converts the displacement that ends at `end`.
pub fn to_absolute(operand: [u8; 4], end: usize) -> [u8; 4] {
    u32::from_le_bytes(operand).wrapping_add(end as u32).to_be_bytes()
}

/// Undoes [`to_absolute`].
pub fn to_relative(operand: [u8; 4], end: usize) -> [u8; 4] {
    u32::from_be_bytes(operand).wrapping_sub(end as u32).to_le_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_calls_of_one_function_become_alike() {
        // call at 1, jz at 6, both to 0x11.
        assert_eq!(to_absolute([0x0b, 0, 0, 0], 6), [0, 0, 0, 0x11]);
        assert_eq!(to_absolute([5, 0, 0, 0], 12), [0, 0, 0, 0x11]);
        assert_eq!(to_relative([0, 0, 0, 0x11], 12), [5, 0, 0, 0]);
    }
}
