//! The benchmark's boot program: what it calls is written into the file by the harness.
//!
//! Sources of the blocks: PXE 2.1, "TFTP Open", "TFTP Read", "TFTP Read File", "UNDI Get Information".
#![cfg_attr(target_os = "none", no_std)]

/// Linear address of the program.
pub const BASE: usize = 0x7c00;
/// Offset of the first instruction that is measured.
pub const BEGIN: usize = 0x40;
/// Offset of the first one that is not any more.
pub const END: usize = 0x90;
/// Offset of the orders: [`MAGIC`], how often (`u32`), the function and the second one (`u16` each).
pub const ORDERS: usize = 0xf0;
/// What the orders start with.
pub const MAGIC: [u8; 8] = *b"HVMETER1";
/// Offset of the function's block.
pub const FIRST_BLOCK: usize = 0x100;
/// Offset of the second function's block.
pub const SECOND_BLOCK: usize = 0x200;
/// Offset of `BufferSize` in the block of `TFTP_READ`.
pub const BUFFER_SIZE: usize = 4;
/// Offset of `PacketSize` in the block of `TFTP_OPEN`.
pub const PACKET_SIZE: usize = 0x8c;

/// What the program prints when a call failed.
pub const FAILED: &str = "METER CALL FAILED";

#[cfg(not(target_os = "none"))]
pub mod orders;
