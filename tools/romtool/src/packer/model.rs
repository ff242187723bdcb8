//! Guesses the next bit from what came before: a context-mixing model.
//!
//! Several contexts look at the bytes and instructions before, each in its own way. Each finds, in one hash table, how
//! often the bit was set in that context, as a logistic probability; a mixer adds these up with weights that it learns. Integers
//! only, and nothing but multiplications, shifts and one division, as asm/unpack_stream.s does the same.

use super::instructions::{BYTES, Instructions, MODRMS, OPCODES, PHASE, PHASES, PREFIXES, SIB};

/// Spreads hashes.
const MULTIPLIER: u32 = 0x2f0b_4c47;
/// Slots from which contexts start in the hash table; odd, so that the check byte takes part in the index.
const SLOTS: u32 = 0x7_8001;
/// Slots from one node of a context to the next, so that the second slot of one is no slot of the other.
const STRIDE: usize = 5;
/// Number of contexts.
const COUNT: usize = 6;
/// The contexts: each is the bytes of [`Instructions::state`] at these offsets.
pub const CONTEXTS: [&[usize]; COUNT] = [
    &[PHASE],
    &[BYTES, PHASE],
    &[BYTES, BYTES + 1, SIB],
    &[BYTES + 1, BYTES + 2, OPCODES, PHASE],
    &[OPCODES, PHASE, PREFIXES, SIB],
    &[OPCODES, OPCODES + 1, MODRMS, MODRMS + 1, PHASE],
];

/// Logistic probabilities count in 1/64: ln(p / (1 - p)) * 64.
const LOGISTIC_BITS: u32 = 6;
/// Where the logistic function starts to be more than 2^-31, so that it is 1/2 at 0.
const FIRST_LOGISTIC: i32 = -1199;
/// Half the length of the table from sums back to probabilities.
const HALF: i32 = 64 << LOGISTIC_BITS;
/// A weight of 1.0 is 1 << this; sums then use all of 32 bits.
const WEIGHT_BITS: u32 = 31 - 6 - LOGISTIC_BITS;
/// All weights at first, of each of two sets.
const FIRST_WEIGHT: i32 = 0x14000;
/// How fast weights follow errors.
const RATE: i32 = 5;
const RATE_SHIFT: u32 = 13;
/// From errors under 2^10, 1/64, it doesn't learn: that takes time, and makes it too sure.
const SMALL_ERROR_BITS: u32 = 10;
/// Occurrences that a slot counts, at most.
const MAX_COUNT: i16 = 7;

/// What one context knows of one bit.
#[derive(Clone, Copy, Debug, Default)]
struct Slot {
    /// Tells contexts apart that share a slot.
    check: u8,
    /// Probability of a set bit less a half, in 1/4096, above four bits that count occurrences.
    value: i16,
}

impl Slot {
    fn count(self) -> i16 {
        self.value & 15
    }

    /// Moves the probability towards what was found: much at first, later by a 13th of the difference.
    fn update(&mut self, bit: bool) {
        // With the sign bit flipped the value is the probability of a set bit; what is left to 1 is its complement.
        let way = i32::from(self.value as u16) ^ if bit { 0x7fff } else { !0x8000 };
        let share = 0x2_0000 / (3 * i32::from(self.count()) + 5);
        let moved = i32::from(self.value) + ((way * share) >> 15);
        let count = (self.count() + 1).min(MAX_COUNT);
        self.value = (moved as i16 & !15) | count;
    }
}

/// The tables between probabilities and their logistic form, by Euler's method: p' = p (1 - p).
#[derive(Debug)]
struct Logistic {
    /// By probability, a 16-bit fraction.
    stretch: Vec<i16>,
    /// By logistic probability plus [`HALF`]: a 16-bit fraction.
    squash: Vec<u16>,
}

impl Logistic {
    fn new() -> Self {
        let mut tables = Self { stretch: vec![0; 0x1_0000], squash: vec![0; 2 * HALF as usize] };
        let mut probability = 2_u32;
        let mut filled = 0;
        for x in FIRST_LOGISTIC..HALF {
            tables.squash[(HALF + x) as usize] = (probability >> 16) as u16;
            while filled <= (probability >> 16) as usize {
                tables.stretch[filled] = x as i16;
                filled += 1;
            }
            let slope = u64::from(probability) * u64::from(probability.wrapping_neg());
            // Rounded up, so that it leaves its lower end; at its upper end there is nothing to round.
            probability += ((slope >> 32) as u32).div_ceil(1 << LOGISTIC_BITS);
        }
        tables
    }
}

/// The model, as far as it has learned.
#[derive(Debug)]
pub struct Model {
    instructions: Instructions,
    logistic: Logistic,
    slots: Vec<Slot>,
    /// Weights by phase and place of the bit, and by opcode; both are added.
    weights: [Vec<[i32; COUNT]>; 2],
    /// The contexts at this byte: where their slots start, and what tells them apart.
    trees: [(usize, u8); COUNT],
    /// The bits of this byte so far, behind a 1.
    node: u32,
    /// Of the bit at hand: slots, their logistic probabilities, weights in use, the guess.
    found: [usize; COUNT],
    inputs: [i32; COUNT],
    sets: [usize; 2],
    guess: u16,
}

impl Default for Model {
    /// A model that has seen nothing.
    fn default() -> Self {
        let mut model = Self {
            instructions: Instructions::default(),
            logistic: Logistic::new(),
            slots: vec![Slot::default(); SLOTS as usize + 0xff * STRIDE + 1],
            weights: [vec![[FIRST_WEIGHT; COUNT]; PHASES * 8], vec![[FIRST_WEIGHT; COUNT]; 256]],
            trees: [(0, 0); COUNT],
            node: 1,
            found: [0; COUNT],
            inputs: [0; COUNT],
            sets: [0; 2],
            guess: 0,
        };
        model.begin_byte();
        model
    }
}

impl Model {
    /// Begins a byte.
    pub fn begin_byte(&mut self) {
        self.node = 1;
        let state = self.instructions.state();
        self.sets = [usize::from(state[PHASE]) * 8, state[OPCODES].into()];
        for (salt, (tree, offsets)) in (0..).zip(self.trees.iter_mut().zip(CONTEXTS)) {
            let hash = offsets.iter().fold(salt, |hash: u32, &at| {
                hash.wrapping_add(u32::from(state[at])).wrapping_add(1).wrapping_mul(MULTIPLIER)
            });
            let product = u64::from(hash) * u64::from(SLOTS);
            *tree = ((product >> 32) as usize, product as u8);
        }
    }

    /// The probability that the next bit is set, as a 16-bit fraction.
    pub fn guess(&mut self) -> u16 {
        let mut sum = 0_i32;
        for context in (0..COUNT).rev() {
            let slot = self.slot(self.trees[context]);
            self.found[context] = slot;
            let input = self.logistic.stretch[usize::from(self.slots[slot].value as u16 ^ 0x8000)];
            self.inputs[context] = input.into();
            let [by_phase, by_opcode] = [0, 1].map(|index| self.weights[index][self.sets[index]][context]);
            let weight = by_phase.wrapping_add(by_opcode);
            sum = sum.wrapping_add(weight.wrapping_mul(self.inputs[context]));
        }
        self.guess = self.logistic.squash[((sum >> WEIGHT_BITS) + HALF) as usize] | 1;
        self.guess
    }

    /// Learns what the bit was that [`Self::guess`] guessed.
    pub fn learn(&mut self, bit: bool) {
        let error = i32::from(self.guess) - (i32::from(bit) << 16);
        if !matches!(error >> SMALL_ERROR_BITS, -1 | 0) {
            for context in (0..COUNT).rev() {
                let change = (self.inputs[context] * (error * -RATE)) >> RATE_SHIFT;
                for (sets, set) in self.weights.iter_mut().zip(self.sets) {
                    sets[set][context] = sets[set][context].wrapping_add(change);
                }
                self.slots[self.found[context]].update(bit);
            }
        }
        self.sets[0] += 1;
        self.node = self.node << 1 | u32::from(bit);
    }

    /// What is known of the instruction at the next byte.
    pub fn instructions(&self) -> &Instructions {
        &self.instructions
    }

    /// Ends a byte that belongs to the image.
    pub fn end_byte(&mut self, byte: u8) {
        self.instructions.step(byte);
    }

    /// The slot of this node: one of two neighbours. When neither is its own, it takes the one with the lower count.
    fn slot(&mut self, (tree, check): (usize, u8)) -> usize {
        let first = tree + self.node as usize * STRIDE;
        let second = first + 1;
        if self.slots[first].check == check {
            return first;
        }
        if self.slots[second].check == check {
            return second;
        }
        let slot = if self.slots[second].count() < self.slots[first].count() { second } else { first };
        self.slots[slot] = Slot { check, value: 0 };
        slot
    }
}
