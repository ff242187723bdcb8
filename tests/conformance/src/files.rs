//! The files that the TFTP server has: their names, lengths and bytes.

pub use runtime::files::{ServedFile, byte_at};

/// No byte at all.
pub const EMPTY: ServedFile = ServedFile { name: "conf-0.bin", len: 0 };
/// One byte.
pub const ONE_BYTE: ServedFile = ServedFile { name: "conf-1.bin", len: 1 };
/// A whole number of blocks of 512 bytes: the transfer ends with an empty block.
pub const FOUR_BLOCKS: ServedFile = ServedFile { name: "conf-2048.bin", len: 2048 };
/// A last block that is not full, for every block size.
pub const ODD: ServedFile = ServedFile { name: "conf-10001.bin", len: 10_001 };
/// More than 4 MiB.
pub const LARGE: ServedFile = ServedFile { name: "conf-4m.bin", len: 4 * 1_048_576 + 77 };

/// All that a server must have.
pub const ALL: [ServedFile; 5] = [EMPTY, ONE_BYTE, FOUR_BLOCKS, ODD, LARGE];

/// What `RESTART_TFTP` starts: this program with other options.
pub const RESTARTED: &str = "conformance.1";

/// A name that no server has.
pub const MISSING: &str = "conf-missing.bin";
