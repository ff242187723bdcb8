//! SCSI sense data. Source: SPC-4, "Sense data".

use serde::{Deserialize, Serialize};

/// Why a command ended with CHECK CONDITION.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub(crate) struct Sense {
    pub key: u8,
    /// Additional sense code and its qualifier.
    pub code: (u8, u8),
}

impl Sense {
    pub const NONE: Self = Self { key: 0x0, code: (0x00, 0x00) };
    pub const WRITE_ERROR: Self = Self { key: 0x3, code: (0x0c, 0x00) };
    pub const UNRECOVERED_READ: Self = Self { key: 0x3, code: (0x11, 0x00) };
    pub const INVALID_OPCODE: Self = Self { key: 0x5, code: (0x20, 0x00) };
    pub const LBA_OUT_OF_RANGE: Self = Self { key: 0x5, code: (0x21, 0x00) };
    pub const INVALID_FIELD: Self = Self { key: 0x5, code: (0x24, 0x00) };
    /// Unit attention: power on, reset or bus device reset.
    pub const RESET: Self = Self { key: 0x6, code: (0x29, 0x00) };
    pub const WRITE_PROTECTED: Self = Self { key: 0x7, code: (0x27, 0x00) };

    /// Fixed format, current error.
    pub fn to_bytes(self) -> [u8; 18] {
        let mut bytes = [0; 18];
        bytes[0] = 0x70;
        bytes[2] = self.key;
        bytes[7] = 10; // bytes behind this one
        (bytes[12], bytes[13]) = self.code;
        bytes
    }
}
