//! The benchmark's boot program: what it calls is written into the file by the harness.
//!
//! Sources of the blocks: PXE 2.1, "TFTP Open", "TFTP Read", "TFTP Read File", "UNDI Get Information"; iPXE's file
//! extension.
#![cfg_attr(target_os = "none", no_std)]

/// Linear address of the program.
pub const BASE: usize = 0x7c00;
/// Offset of the first instruction that is measured.
pub const BEGIN: usize = 0x40;
/// Offset of the first one that is not any more.
pub const END: usize = 0xb0;
/// Offset of the orders: [`MAGIC`], how often (`u32`), the function, the second one, and the room for what that reads (`u16`
/// each).
pub const ORDERS: usize = 0x300;
/// What the orders start with.
pub const MAGIC: [u8; 8] = *b"HVMETER1";
/// Offset of the function's block.
pub const FIRST_BLOCK: usize = 0x100;
/// Offset of the second function's block.
pub const SECOND_BLOCK: usize = 0x200;
/// Offset of `FileHandle` in the blocks of `FILE_OPEN` and `FILE_READ`; those of TFTP have an address and an output there.
pub const FILE_HANDLE: usize = 2;
/// Status of `FILE_READ` when nothing is there yet (`PXENV_STATUS_TFTP_OPEN`).
pub const NOTHING_YET: usize = 0x1b;
/// Offset of `BufferSize` in the blocks of `TFTP_READ` and `FILE_READ`.
pub const BUFFER_SIZE: usize = 4;
/// Offset of `PacketSize` in the block of `TFTP_OPEN`.
pub const PACKET_SIZE: usize = 0x8c;

/// What the program prints when a call failed.
pub const FAILED: &str = "METER CALL FAILED";

#[cfg(not(target_os = "none"))]
pub mod orders;
