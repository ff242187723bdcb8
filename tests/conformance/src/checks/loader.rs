//! 14: the UNDI loader, by which a stack that was let go comes back from its ROM without a boot.

use super::structures::{is_bang_pxe, is_pxenv};
use crate::machine::arena;
use crate::machine::memory::{byte_sum, read_array, read_u8, read_u16, read_u32, write_u16};
use crate::machine::thunk::{self, Orders, SegOff};
use crate::machine::{BDA_FREE_BASE_MEMORY, free_base_memory};
use crate::pxe::{Block, Stack, op};
use crate::report::{Outcome, ensure, skip};

/// Length of the loader's parameter block.
const BLOCK_LEN: usize = 24;

/// The UNDI ROM ID that `!PXE` names.
pub fn rom_id(stack: &Stack) -> SegOff {
    SegOff::from_u32(read_u32(stack.bang_pxe + 8))
}

/// Whether the ROM ID is what loaders look for.
pub fn id_is_good(id: SegOff) -> Outcome {
    let at = id.linear();
    if at == 0 {
        skip!("!PXE names no UNDI ROM ID");
    }
    ensure!(read_array(at) == *b"UNDI", "no signature at {at:x}");
    let length = read_u8(at + 4);
    ensure!(length == 22 && byte_sum(at, 22) == 0, "length {length}, the bytes add up to {:x}", byte_sum(at, 22));
    ensure!(read_array(at + 7) == [0, 1, 2], "another UNDI revision");
    let rom = u32::from(id.segment) << 4;
    ensure!(read_u16(rom) == 0xaa55, "no ROM at {rom:x}");
    ensure!(read_u16(rom + 0x16) == id.offset, "the ROM's header names another UNDI ROM ID");
    Ok(())
}

/// Loads the stack again into fresh base memory, and takes the card, which has this PCI address, through a life.
pub fn loads(stack: &mut Stack, id: SegOff, pci_address: u16) -> Outcome {
    if id_is_good(id).is_err() {
        skip!("!PXE names no good UNDI ROM ID");
    }
    let free = free_base_memory();
    let paragraphs = |field: u32| read_u16(id.linear() + field).div_ceil(16);
    // Data above, code below it, both in whole KiB.
    let data = (free - (paragraphs(0x0e)).div_ceil(64)) * 64;
    let code = data - paragraphs(0x10).div_ceil(64) * 64;
    write_u16(BDA_FREE_BASE_MEMORY, code / 64);

    let mut block = Block::new(BLOCK_LEN);
    block.put16(0x0c, data).put16(0x0e, code);
    let at = SegOff::to(arena::STRUCTURES);
    block.store(at.linear());
    let mut orders = Orders::far_call(SegOff::new(id.segment, read_u16(id.linear() + 0x0a)));
    orders.arguments = 2;
    orders.argument = [at.offset, at.segment, 0, 0];
    let ax = thunk::call(&orders).registers.eax as u16;
    block.load(at.linear());
    ensure!(ax == 0 && block.status() == 0, "the loader: AX={ax:x} status={:x}", block.status());
    stack.found_at(block.get_pointer(0x14).linear(), block.get_pointer(0x10).linear());
    ensure!(is_bang_pxe(stack.bang_pxe), "no !PXE at {:x}", stack.bang_pxe);
    ensure!(is_pxenv(stack.pxenv), "no PXENV+ at {:x}", stack.pxenv);

    stack.start_undi(pci_address).ok("START_UNDI")?;
    for function in [op::UNDI_STARTUP, op::UNDI_INITIALIZE] {
        stack.simple(function).ok("STARTUP or INITIALIZE")?;
    }
    let mut information = Block::new(50);
    stack.call(op::UNDI_GET_INFORMATION, &mut information).ok("GET_INFORMATION")?;
    ensure!((0..6).any(|byte| information.get8(0x1c + byte) != 0), "the card has no address");
    stack.open(3).ok("OPEN")?;
    let mut packet = Block::new(12);
    packet.put16(2, 3);
    stack.call(op::GET_CACHED_INFO, &mut packet).ok("GET_CACHED_INFO without a boot")?;
    for function in [op::UNDI_CLOSE, op::UNDI_SHUTDOWN, op::UNDI_CLEANUP, op::STOP_UNDI] {
        stack.simple(function).ok("the way down")?;
    }
    write_u16(BDA_FREE_BASE_MEMORY, free);
    Ok(())
}
