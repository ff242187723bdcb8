//! 10: the TFTP client.

use conformance::files::{self, EMPTY, FOUR_BLOCKS, LARGE, MISSING, ODD, ONE_BYTE, ServedFile};

use super::Check;
use crate::machine::arena::{DATA, EXTENDED};
use crate::machine::memory;
use crate::machine::thunk::SegOff;
use crate::pxe::network::{first_wrong_byte, holds};
use crate::pxe::{Block, Reply, Stack, op};
use crate::report::{Outcome, Trouble, ensure};

/// The checks.
pub const CHECKS: &[Check] = &[
    Check::new("10.1", "a file block by block, packet size 512", |stack| by_blocks(stack, &ODD, 512)),
    Check::new("10.2", "packet size 1024", |stack| by_blocks(stack, &ODD, 1024)),
    Check::new("10.3", "packet size 1408", |stack| by_blocks(stack, &ODD, 1408)),
    Check::new("10.4", "packet size 1456", |stack| by_blocks(stack, &ODD, 1456)),
    Check::new("10.5", "a whole number of blocks - an empty one ends it", |stack| by_blocks(stack, &FOUR_BLOCKS, 512)),
    Check::new("10.6", "an empty file", |stack| by_blocks(stack, &EMPTY, 512)),
    Check::new("10.7", "a file of one byte", |stack| by_blocks(stack, &ONE_BYTE, 1456)),
    Check::new("10.8", "port 0 is port 69", port_zero),
    Check::new("10.9", "a file that isn't there - status 3B, and then one that is", missing),
    Check::new("10.10", "OPEN over an open file", open_twice),
    Check::new("10.11", "CLOSE without OPEN succeeds", close_twice),
    Check::new("10.12", "READ without OPEN fails, or gives no bytes", read_closed),
    Check::new("10.13", "a file left in the middle, then another", left_in_the_middle),
    Check::new("10.14", "no trailing READ before CLOSE and the next OPEN", no_trailing_read),
    Check::new("10.15", "GET_FSIZE, then OPEN", size_then_open),
    Check::new("10.16", "GET_FSIZE of a missing file fails", size_of_missing),
    Check::new("10.17", "READ_FILE to base memory", read_file_low),
    Check::new("10.18", "READ_FILE of 4 MiB and more to extended memory", read_file_high),
    Check::new(
        "10.19",
        "READ_FILE with a buffer that is too small - status 3A or 06, nothing past it",
        read_file_small,
    ),
    Check::new("10.20", "READ_FILE of a missing file - status 3B", read_file_missing),
    Check::new("10.25", "RESTART_TFTP of a missing file - status 3B", restart_missing),
];

/// `PXENV_STATUS_TFTP_FILE_NOT_FOUND`.
const NOT_FOUND: u16 = 0x3b;

/// One block.
pub fn read(stack: &mut Stack) -> (Reply, Block) {
    let mut block = Block::new(10);
    block.put16(4, 0x7b7b).put_pointer(6, SegOff::to(DATA));
    let reply = stack.call(op::TFTP_READ, &mut block);
    (reply, block)
}

/// CLOSE.
pub fn close(stack: &mut Stack) -> Outcome {
    stack.simple(op::TFTP_CLOSE).ok("CLOSE")
}

fn open(stack: &mut Stack, name: &str, packet_size: u16) -> Result<u32, Trouble> {
    let (reply, block) = stack.tftp_open(name, 69, packet_size);
    reply.ok("OPEN")?;
    let size = block.get16(0x8c);
    ensure!((512..=packet_size).contains(&size), "packet size {size} for {packet_size}");
    Ok(u32::from(size))
}

/// Reads a whole file and compares it.
pub fn by_blocks(stack: &mut Stack, file: &ServedFile, packet_size: u16) -> Outcome {
    let size = open(stack, file.name, packet_size)?;
    let outcome = all_blocks(stack, file, size);
    close(stack)?;
    outcome
}

fn all_blocks(stack: &mut Stack, file: &ServedFile, size: u32) -> Outcome {
    let mut offset = 0;
    for number in 1u32.. {
        memory::fill(DATA, size + 16, 0x3c);
        let (reply, block) = read(stack);
        reply.ok("READ")?;
        let expected = size.min(file.len - offset);
        let got = u32::from(block.get16(4));
        ensure!(got == expected, "block {number}: {got} bytes, not {expected}");
        ensure!(u32::from(block.get16(2)) == number & 0xffff, "block {number} is numbered {}", block.get16(2));
        let wrong = first_wrong_byte(DATA, offset, got);
        ensure!(wrong.is_none(), "byte {} is wrong", wrong.unwrap_or(0));
        ensure!(memory::find_other(DATA + got, 16, 0x3c).is_none(), "block {number}: wrote past its end");
        offset += got;
        if got < size {
            break;
        }
    }
    Ok(())
}

fn port_zero(stack: &mut Stack) -> Outcome {
    let (reply, _) = stack.tftp_open(ONE_BYTE.name, 0, 512);
    reply.ok("OPEN")?;
    let (reply, _) = read(stack);
    close(stack)?;
    reply.ok("READ")
}

fn missing(stack: &mut Stack) -> Outcome {
    stack.tftp_open(MISSING, 69, 512).0.fails_with("OPEN", &[NOT_FOUND])?;
    by_blocks(stack, &ODD, 512)
}

fn open_twice(stack: &mut Stack) -> Outcome {
    open(stack, ODD.name, 512)?;
    read(stack).0.ok("READ")?;
    by_blocks(stack, &FOUR_BLOCKS, 1024)
}

fn close_twice(stack: &mut Stack) -> Outcome {
    close(stack)?;
    close(stack)
}

fn read_closed(stack: &mut Stack) -> Outcome {
    let (reply, block) = read(stack);
    ensure!(!reply.is_ok() || block.get16(4) == 0, "success with {} bytes", block.get16(4));
    Ok(())
}

fn left_in_the_middle(stack: &mut Stack) -> Outcome {
    let size = open(stack, LARGE.name, 512)?;
    for _ in 0..3 {
        read(stack).0.ok("READ")?;
    }
    ensure!(first_wrong_byte(DATA, 2 * size, size).is_none(), "the third block is wrong");
    close(stack)?;
    by_blocks(stack, &ODD, 512)
}

fn no_trailing_read(stack: &mut Stack) -> Outcome {
    let size = open(stack, FOUR_BLOCKS.name, 512)?;
    for block in 0..FOUR_BLOCKS.len / size {
        read(stack).0.ok("READ")?;
        ensure!(first_wrong_byte(DATA, block * size, size).is_none(), "block {} is wrong", block + 1);
    }
    close(stack)?;
    by_blocks(stack, &ODD, 512)
}

fn size_then_open(stack: &mut Stack) -> Outcome {
    for file in [&ODD, &LARGE] {
        let (reply, size) = stack.tftp_size(file.name);
        reply.ok("GET_FSIZE")?;
        ensure!(size == file.len, "{}: {size} bytes, not {}", file.name, file.len);
    }
    by_blocks(stack, &ODD, 1456)
}

fn size_of_missing(stack: &mut Stack) -> Outcome {
    // A server that answers GET_FSIZE with an error: not found, error opcode, or no size.
    stack.tftp_size(MISSING).0.fails_with("GET_FSIZE", &[NOT_FOUND, 0x36, 0x3e])
}

fn read_whole(stack: &mut Stack, file: &ServedFile, to: u32, capacity: u32) -> Outcome {
    memory::fill(to, file.len + 16, 0x3c);
    let (reply, block) = stack.tftp_read_file(file.name, to, capacity);
    reply.ok("READ_FILE")?;
    ensure!(block.get32(0x82) == file.len, "length {}, not {}", block.get32(0x82), file.len);
    let wrong = first_wrong_byte(to, 0, file.len);
    ensure!(wrong.is_none(), "byte {} is wrong", wrong.unwrap_or(0));
    ensure!(memory::find_other(to + file.len, 16, 0x3c).is_none(), "wrote past the file's end");
    Ok(())
}

fn read_file_low(stack: &mut Stack) -> Outcome {
    read_whole(stack, &ODD, DATA, 0x8000)?;
    read_whole(stack, &ODD, DATA, ODD.len)
}

/// READ_FILE of the largest file.
pub fn read_file_high(stack: &mut Stack) -> Outcome {
    read_whole(stack, &LARGE, EXTENDED + 3, LARGE.len + 1)
}

fn read_file_small(stack: &mut Stack) -> Outcome {
    const CAPACITY: u32 = 1000;
    memory::fill(DATA, 0x1000, 0x3c);
    let (reply, _) = stack.tftp_read_file(ODD.name, DATA, CAPACITY);
    ensure!(memory::find_other(DATA + CAPACITY, 0x800, 0x3c).is_none(), "wrote past the buffer");
    reply.fails_with("READ_FILE", &[0x3a, 0x06])
}

fn read_file_missing(stack: &mut Stack) -> Outcome {
    stack.tftp_read_file(MISSING, DATA, 0x1000).0.fails_with("READ_FILE", &[NOT_FOUND])
}

/// No success, and in bounded time; what follows shows that the stack lives.
fn restart_missing(stack: &mut Stack) -> Outcome {
    stack.tftp_restart(MISSING).fails_with("RESTART_TFTP", &[NOT_FOUND])?;
    by_blocks(stack, &ODD, 512)
}

/// Whether the stack still reads a file: what other groups end with. UNDI is closed and UDP opened before: some stacks give
/// what is received to UNDI's client as long as it has not closed, and open the card for UDP alone.
pub fn still_reads(stack: &mut Stack) -> Outcome {
    stack.simple(op::UNDI_CLOSE);
    stack.udp_open();
    stack.simple(op::UDP_CLOSE);
    reads(stack)
}

/// READ_FILE, in whatever state the stack is.
pub fn reads(stack: &mut Stack) -> Outcome {
    memory::fill(DATA, files::ODD.len, 0);
    stack.tftp_read_file(ODD.name, DATA, 0x8000).0.ok("READ_FILE")?;
    ensure!(holds(DATA, &ODD), "the file is wrong");
    Ok(())
}
