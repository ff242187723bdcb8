//! What a harness tells a program: it patches some bytes in the finished file, right behind a mark.

/// What stands before the options.
pub const MAGIC: [u8; 8] = *b"BOOTOPTS";
/// Length of the options in bytes; what they mean is the program's business, but zeroes are the default.
pub const LEN: usize = 16;

/// Writes options into a finished program. `false`: it has none.
#[must_use]
pub fn patch(program: &mut [u8], options: &[u8; LEN]) -> bool {
    let Some(mark) = program.windows(MAGIC.len()).position(|bytes| bytes == MAGIC) else { return false };
    let place = program.get_mut(mark + MAGIC.len()..mark + MAGIC.len() + LEN);
    if let Some(place) = place {
        place.copy_from_slice(options);
        return true;
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_go_behind_the_mark() {
        let mut program = [0x90; 64];
        assert!(!patch(&mut program, &[1; LEN]), "no mark");
        program[20..28].copy_from_slice(&MAGIC);
        assert!(patch(&mut program, &[1; LEN]));
        assert_eq!(program[28..28 + LEN], [1; LEN]);
        assert_eq!((program[27], program[28 + LEN]), (b'S', 0x90));
        program[56..64].copy_from_slice(&MAGIC);
        assert!(!patch(&mut program[40..], &[1; LEN]), "the mark is at the end");
    }
}
