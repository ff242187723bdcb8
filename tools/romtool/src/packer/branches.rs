//! Branch targets made absolute: branches to one place from many others then look alike, and pack better.
//!
//! The displacement of each `call`, `jmp` and `jcc` with 32 bits becomes the target's offset in the image less four, most
//! significant byte first. What is no code is treated as if it were; asm/unpack_stream.s undoes exactly this.

use super::instructions::Instructions;

/// Converts the branches in an image.
pub fn to_absolute(image: &mut [u8]) {
    convert(image, |operand, at| u32::from_le_bytes(operand).wrapping_add(at).to_be_bytes());
}

/// Undoes [`to_absolute`].
pub fn to_relative(image: &mut [u8]) {
    convert(image, |operand, at| u32::from_be_bytes(operand).wrapping_sub(at).to_le_bytes());
}

/// Replaces the displacements. Which bytes are displacements does not depend on what is in displacements.
fn convert(image: &mut [u8], replace: impl Fn([u8; 4], u32) -> [u8; 4]) {
    let mut instructions = Instructions::default();
    for at in 1..image.len() {
        instructions.step(image[at - 1]);
        if instructions.at_branch()
            && let Some(operand) = image.get_mut(at..at + 4)
        {
            let operand: &mut [u8; 4] = operand.try_into().expect("four bytes");
            *operand = replace(*operand, at as u32);
        }
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
    fn only_branches_change() {
        // mov $0xe8, %eax; movzwl 0xe9(%rax), %eax; call with a 16-bit operand; the image ends inside a call.
        let code = [0xb8, 0xe8, 0, 0, 0, 0x0f, 0xb7, 0x80, 0xe9, 0, 0, 0, 0x66, 0xe8, 1, 2, 0xe8, 1, 2, 3];
        let mut same = code;
        to_absolute(&mut same);
        assert_eq!(same, code);
    }
}
