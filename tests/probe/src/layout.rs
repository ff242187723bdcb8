//! What the assembly writes, and where.

/// Linear address of the [`Table`].
pub const ADDRESS: usize = 0x8000;
/// Linear address of a byte that counts how often the probe ran: in the BIOS data area's part for programs.
pub const NUMBER: usize = 0x4f0;
/// Calls of E820h at most (policy); SeaBIOS's map has under ten ranges.
pub const MOST_E820_CALLS: usize = 32;
/// Length of the record of one such call.
pub const E820_BYTES: usize = size_of::<E820>();
/// The calls that unload the PXE stack: `UDP_CLOSE`, `UNDI_SHUTDOWN`, `UNLOAD_STACK`, `STOP_UNDI`.
pub const CALLS: [u8; 4] = [0x31, 0x05, 0x70, 0x15];

/// Answer of one call of E820h: EAX, EBX, ECX, flags and a word unused, 24 bytes of buffer.
pub type E820 = [u8; 40];

/// All answers.
#[repr(C)]
pub struct Table {
    /// INT 1Ah AX=5650h: flags, AX, BX, ES.
    pub pxe: [u16; 4],
    /// INT 12h: AX.
    pub int12: u16,
    /// INT 15h AX=E801h: flags, AX, BX, CX, DX.
    pub e801: [u16; 5],
    /// INT 15h AH=88h: flags, AX.
    pub ah88: [u16; 2],
    /// E820h with a buffer of 20 bytes.
    pub short: [E820; MOST_E820_CALLS],
    /// E820h with a buffer of 24 bytes.
    pub long: [E820; MOST_E820_CALLS],
    /// AX and status of each of [`CALLS`].
    pub unloaded: [[u16; 2]; CALLS.len()],
}
