//! The files that the thief reads over TFTP; their bytes are those of [`runtime::files::byte_at`].

use runtime::files::ServedFile;

/// What is read while something is stolen.
pub const BIG: ServedFile = ServedFile { name: "big.bin", len: 20 * 1024 * 1024 + 13 };
/// What is read while nothing is.
pub const SMALL: ServedFile = ServedFile { name: "small.bin", len: 400_013 };

/// Packet size that is asked for.
pub const BLOCK: u16 = 1456;
