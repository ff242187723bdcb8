//! Memory that the program uses as it likes: base memory between its own image and the stack's, and extended memory.
//! Physical addresses; linker.ld keeps the image below [`START`].

/// First byte of the arena.
pub const START: u32 = 0x40000;

/// Parameter blocks: in a region of its own, so that writes around a block are seen.
pub const BLOCK: u32 = 0x40000;
/// Length of the region for parameter blocks; the block is in its middle.
pub const BLOCK_REGION: u32 = 0x1000;

/// Stack of ordinary calls in real mode.
pub const REAL_STACK: u32 = 0x42000;
/// Its length.
pub const REAL_STACK_SIZE: u32 = 0x1000;

/// Stack for checks that look at its use.
pub const TEST_STACK: u32 = 0x44000;

/// Structures that parameter blocks point to: TBDs, file names, addresses.
pub const STRUCTURES: u32 = 0x48000;

/// Data: frames, datagrams, file blocks; 64 KiB, one segment.
pub const DATA: u32 = 0x50000;

/// Memory that nobody is told of, filled with a pattern: whoever changes it is caught.
pub const GUARD: u32 = 0x60000;
/// Its length.
pub const GUARD_LEN: u32 = 0x10000;

/// First byte that is no longer ours.
pub const END: u32 = 0x70000;

/// Extended memory for whole files.
pub const EXTENDED: u32 = 0x40_0000;
