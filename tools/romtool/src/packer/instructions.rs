//! Follows x86-64 instructions byte by byte, as far as it helps to guess the next byte.
//!
//! What it knows is laid out as asm/unpack_stream.s has it: the model's contexts name bytes of it. A wrong notion of an
//! instruction makes guesses worse and harms nothing else, so rare instructions are left out.

/// Length of what is known, in bytes.
const STATE_LEN: usize = 17;
/// The last four bytes, newest first.
pub const BYTES: usize = 0;
/// The opcodes of this and the three instructions before, newest first; those behind 0F are changed by [`TWO_BYTE`].
pub const OPCODES: usize = 4;
/// Their ModRM bytes; 0 for none.
pub const MODRMS: usize = 8;
/// What the next byte is: one of the phases below.
pub const PHASE: usize = 12;
/// All prefixes of this instruction in one byte, by "or".
pub const PREFIXES: usize = 13;
/// SIB byte of this instruction.
pub const SIB: usize = 14;
/// Phase of the immediate operand to come, or 0.
const IMMEDIATE: usize = 15;
/// Phase of the displacement behind a SIB byte, or 0.
const DISPLACEMENT: usize = 16;

/// An instruction's first byte.
const PHASE_START: u8 = 0;
/// More prefixes, or the opcode.
const PHASE_PREFIXED: u8 = 1;
/// The opcode behind 0F.
const PHASE_TWO_BYTE: u8 = 2;
const PHASE_MODRM: u8 = 3;
const PHASE_SIB: u8 = 4;
/// Operands count down from here; each ends where the lower three bits are 0.
const PHASE_DISPLACEMENT_8: u8 = 0x09;
const PHASE_DISPLACEMENT_32: u8 = 0x14;
const PHASE_IMMEDIATE_8: u8 = 0x19;
/// Also a branch's displacement.
const PHASE_IMMEDIATE_32: u8 = 0x24;
const PHASE_IMMEDIATE_64: u8 = 0x28;
const PHASE_IMMEDIATE_16: u8 = 0x2a;
/// One more than the highest phase.
pub const PHASES: usize = 0x2b;

/// Tells opcodes behind 0F from others: the conditional branches become 40 to 4F, which are prefixes otherwise.
const TWO_BYTE: u8 = 0xc0;
/// Bits of prefixes: 66 has this one (and so do F0-F3, which go with no immediate operand), REX does not.
const OPERAND_SIZE: u8 = 0x20;
/// REX.W.
const REX_W: u8 = 0x08;

/// Bits of an opcode's class.
const MODRM: u8 = 1;
const IMM8: u8 = 2;
const IMM32: u8 = 4;
/// An opcode's class that stands for a prefix.
const PREFIX: u8 = 6;

/// Classes of opcodes as runs, class in the lower three bits, length above. First eight entries for 00-3F, which repeat,
/// then 40-FF, then those behind 0F.
pub const CLASSES: [u8; 63] = {
    const fn run(class: u8, length: u8) -> u8 {
        assert!(length < 32);
        length << 3 | class
    }
    [
        run(MODRM, 4),
        run(IMM8, 1),
        run(IMM32, 1),
        run(0, 2),
        run(PREFIX, 16), // 40: REX
        run(0, 19),      // 50: push, pop
        run(MODRM, 1),   // 63: movsxd
        run(0, 2),
        run(PREFIX, 1), // 66: operand size
        run(0, 1),
        run(IMM32, 1),         // 68: push
        run(MODRM | IMM32, 1), // 69: imul
        run(IMM8, 1),          // 6A: push
        run(MODRM | IMM8, 1),  // 6B: imul
        run(0, 4),
        run(IMM8, 16),         // 70: jcc
        run(MODRM | IMM8, 1),  // 80
        run(MODRM | IMM32, 1), // 81
        run(MODRM | IMM8, 2),  // 82, 83
        run(MODRM, 12),        // 84: test, xchg, mov, lea, pop
        run(0, 24),            // 90: nop and single bytes
        run(IMM8, 1),          // A8: test
        run(IMM32, 1),         // A9
        run(0, 6),
        run(IMM8, 8),         // B0: mov
        run(IMM32, 8),        // B8
        run(MODRM | IMM8, 2), // C0: shifts
        run(0, 4),
        run(MODRM | IMM8, 1),  // C6: mov
        run(MODRM | IMM32, 1), // C7
        run(0, 8),
        run(MODRM, 4), // D0: shifts
        run(0, 20),
        run(IMM32, 2), // E8: call, jmp
        run(0, 1),
        run(IMM8, 1), // EB: jmp
        run(0, 4),
        run(PREFIX, 4), // F0: lock, rep
        run(0, 2),
        run(MODRM | IMM8, 1),  // F6: test and others without operand
        run(MODRM | IMM32, 1), // F7
        run(0, 6),
        run(MODRM, 2),  // FE: inc, dec, call, push
        run(0, 16),     // 0F 00
        run(MODRM, 31), // 0F 10
        run(MODRM, 1),
        run(0, 16),     // 0F 30: wrmsr, rdmsr
        run(MODRM, 31), // 0F 40: cmov
        run(MODRM, 31),
        run(MODRM, 2),
        run(IMM32, 16), // 0F 80: jcc
        run(MODRM, 16), // 0F 90: setcc
        run(0, 3),      // 0F A0: cpuid
        run(MODRM, 1),
        run(MODRM | IMM8, 1), // 0F A4: shld
        run(MODRM, 7),
        run(MODRM | IMM8, 1), // 0F AC: shrd
        run(MODRM, 13),
        run(MODRM | IMM8, 1), // 0F BA: bt
        run(MODRM, 13),
        run(0, 8), // 0F C8: bswap
        run(MODRM, 31),
        run(MODRM, 17),
    ]
};

/// What is known about the instruction at hand.
#[derive(Clone, Debug)]
pub struct Instructions {
    state: [u8; STATE_LEN],
}

impl Default for Instructions {
    /// At the first byte of an instruction.
    fn default() -> Self {
        Self { state: [0; STATE_LEN] }
    }
}

impl Instructions {
    /// What is known, by the offsets above.
    pub fn state(&self) -> &[u8; STATE_LEN] {
        &self.state
    }

    /// Takes the next byte.
    pub fn step(&mut self, byte: u8) {
        self.push(BYTES, byte);
        match self.state[PHASE] {
            phase @ PHASE_START..=PHASE_TWO_BYTE => self.opcode(phase == PHASE_TWO_BYTE, byte),
            PHASE_MODRM => self.modrm(byte),
            PHASE_SIB => self.sib(byte),
            phase => {
                self.state[PHASE] = phase - 1;
                if (phase - 1) & 7 == 0 {
                    self.operand_ends();
                }
            }
        }
    }

    /// Whether the next four bytes are the displacement of a call, jmp or jcc.
    pub fn at_branch(&self) -> bool {
        self.state[PHASE] == PHASE_IMMEDIATE_32 && self.is_branch()
    }

    /// Whether the next byte is the last one of such a displacement.
    pub fn branch_ends(&self) -> bool {
        self.state[PHASE] == PHASE_IMMEDIATE_32 - 3 && self.is_branch()
    }

    fn is_branch(&self) -> bool {
        let opcode = self.state[OPCODES];
        opcode & 0xfe == 0xe8 || opcode & 0xf0 == 0x80 ^ TWO_BYTE
    }

    fn opcode(&mut self, two_byte: bool, byte: u8) {
        let entry = match byte {
            _ if two_byte => 0x100 - 0x38 + usize::from(byte),
            0x0f => {
                self.state[PHASE] = PHASE_TWO_BYTE;
                return;
            }
            0x00..=0x3f => usize::from(byte & 7),
            0x40.. => usize::from(byte) - 0x38,
        };
        let class = class(entry);
        if class == PREFIX {
            self.state[PREFIXES] |= byte;
            self.state[PHASE] = PHASE_PREFIXED;
            return;
        }
        self.push(OPCODES, if two_byte { byte ^ TWO_BYTE } else { byte });
        self.push(MODRMS, 0);
        self.state[IMMEDIATE] = if class & IMM32 != 0 {
            match self.state[PREFIXES] {
                prefixes if prefixes & OPERAND_SIZE != 0 => PHASE_IMMEDIATE_16,
                prefixes if prefixes & REX_W != 0 && self.state[OPCODES] & 0xf8 == 0xb8 => PHASE_IMMEDIATE_64,
                _ => PHASE_IMMEDIATE_32,
            }
        } else if class & IMM8 != 0 {
            PHASE_IMMEDIATE_8
        } else {
            0
        };
        if class & MODRM != 0 {
            self.state[PHASE] = PHASE_MODRM;
        } else {
            self.operand_ends();
        }
    }

    fn modrm(&mut self, byte: u8) {
        self.state[MODRMS] = byte;
        // Of F6 and F7, only the first two operations have an immediate operand.
        if self.state[OPCODES] & 0xfe == 0xf6 && byte & 0x30 != 0 {
            self.state[IMMEDIATE] = 0;
        }
        let displacement = match byte {
            0xc0.. => return self.operand_ends(),
            0x80.. => PHASE_DISPLACEMENT_32,
            0x40.. => PHASE_DISPLACEMENT_8,
            _ if byte & 7 == 5 => PHASE_DISPLACEMENT_32,
            _ => 0,
        };
        if byte & 7 == 4 {
            self.state[PHASE] = PHASE_SIB;
            self.state[DISPLACEMENT] = displacement;
        } else {
            self.displacement(displacement);
        }
    }

    fn sib(&mut self, byte: u8) {
        self.state[SIB] = byte;
        let no_base = self.state[MODRMS] < 0x40 && byte & 7 == 5;
        self.displacement(if no_base { PHASE_DISPLACEMENT_32 } else { self.state[DISPLACEMENT] });
    }

    fn displacement(&mut self, phase: u8) {
        self.state[PHASE] = phase;
        if phase == 0 {
            self.operand_ends();
        }
    }

    /// On to the immediate operand if there is one, else to the next instruction.
    fn operand_ends(&mut self) {
        self.state[PHASE] = self.state[IMMEDIATE];
        self.state[IMMEDIATE] = 0;
        if self.state[PHASE] == PHASE_START {
            self.state[PREFIXES] = 0;
            self.state[SIB] = 0;
        }
    }

    /// Puts a byte in front of four.
    fn push(&mut self, at: usize, byte: u8) {
        self.state.copy_within(at..at + 3, at + 1);
        self.state[at] = byte;
    }
}

/// Looks the class of an opcode up in [`CLASSES`].
fn class(mut entry: usize) -> u8 {
    for run in CLASSES {
        let length = usize::from(run >> 3);
        if entry < length {
            return run & 7;
        }
        entry -= length;
    }
    0
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The phases in which the bytes of some code are.
    fn phases(code: &[u8]) -> Vec<u8> {
        let mut instructions = Instructions::default();
        code.iter()
            .map(|&byte| {
                let phase = instructions.state()[PHASE];
                instructions.step(byte);
                phase
            })
            .collect()
    }

    #[test]
    fn all_opcodes_have_a_class() {
        assert_eq!(CLASSES.iter().map(|run| usize::from(run >> 3)).sum::<usize>(), 8 + 0xc0 + 0x100);
        assert_eq!(class(7), 0);
        assert_eq!(class(0x48 - 0x38), PREFIX);
        assert_eq!(class(0xff - 0x38), MODRM);
        assert_eq!(class(0x100 - 0x38 + 0x84), IMM32);
        assert_eq!(class(0x100 - 0x38 + 0xff), MODRM);
    }

    #[test]
    fn operands_are_followed() {
        // mov 0x10(%rsp), %rax
        assert_eq!(phases(&[0x48, 0x8b, 0x44, 0x24, 0x10, 0x90]), [0, 1, 3, 4, 9, 0]);
        // movw $0x605, 0x4030201(%r13,%rsi,4)
        let code = [0x66, 0x41, 0xc7, 0x84, 0xb5, 1, 2, 3, 4, 5, 6, 0x90];
        assert_eq!(phases(&code), [0, 1, 1, 3, 4, 0x14, 0x13, 0x12, 0x11, 0x2a, 0x29, 0]);
        // movabs
        let code = [0x48, 0xb8, 1, 2, 3, 4, 5, 6, 7, 8, 0x90];
        assert_eq!(phases(&code), [0, 1, 0x28, 0x27, 0x26, 0x25, 0x24, 0x23, 0x22, 0x21, 0]);
        // testb $0x20, x(%rip); neg %eax: of group 3, only the test has an immediate operand
        let code = [0xf6, 0x05, 9, 8, 7, 6, 0x20, 0xf7, 0xd8, 0x90];
        assert_eq!(phases(&code), [0, 3, 0x14, 0x13, 0x12, 0x11, 0x19, 0, 3, 0]);
        // btsl $7, 0x10 without a base register; ud2
        let code = [0x0f, 0xba, 0x2c, 0x25, 0x10, 0, 0, 0, 7, 0x0f, 0x0b, 0x90];
        assert_eq!(phases(&code), [0, 2, 3, 4, 0x14, 0x13, 0x12, 0x11, 0x19, 0, 2, 0]);
    }

    #[test]
    fn branches_are_known_from_other_instructions() {
        let at_branch = |code: &[u8]| {
            let mut instructions = Instructions::default();
            code.iter().for_each(|&byte| instructions.step(byte));
            instructions.at_branch()
        };
        assert!(at_branch(&[0xe8]) && at_branch(&[0x90, 0xe9]) && at_branch(&[0x0f, 0x8f]));
        // A 16-bit displacement, in the middle of one, setcc, mov, 0F E8.
        for code in [&[0x66, 0xe8][..], &[0xe8, 0], &[0x0f, 0x94], &[0xb8], &[0x0f, 0xe8]] {
            assert!(!at_branch(code), "{code:02x?}");
        }
    }
}
