//! 10, the rest: the FILE calls of iPXE, which stacks may have or not.

use conformance::files::{FOUR_BLOCKS, MISSING, ODD, ServedFile};

use super::Check;
use crate::machine::arena::{DATA, STRUCTURES};
use crate::machine::memory;
use crate::machine::thunk::SegOff;
use crate::machine::within;
use crate::pxe::network::first_wrong_byte;
use crate::pxe::{Block, Reply, Stack, op};
use crate::report::{Outcome, Trouble, ensure, fail, skip, text};

/// The checks.
pub const CHECKS: &[Check] = &[
    Check::new("10.21", "the FILE_* extension reads a file", reads_a_file),
    Check::new("10.22", "the FILE_* extension tells a file's size, and when there is something to read", tells_size),
    Check::new("10.23", "the FILE_* extension reads two files side by side", reads_two_files),
    Check::new("10.24", "the FILE_* extension - no handle for a missing file, and none after CLOSE", handles_end),
];

/// Magic numbers of FILE_API_CHECK, there and back.
const MAGIC: [u32; 2] = [0x91d4_47b2, 0xe9c1_7b20];
/// Bits of the mask for OPEN, CLOSE, READ and API_CHECK; SELECT; GET_FILE_SIZE.
const BASIC: u32 = 0x4b;
const SELECT: u32 = 1 << 2;
const SIZE: u32 = 1 << 4;
/// `PXENV_STATUS_TFTP_OPEN`: no data yet.
const NO_DATA_YET: u16 = 0x1b;
/// Room for what is read at once.
const ROOM: u16 = 700;
/// Ten seconds in timer ticks.
const PATIENCE: u32 = 182;

/// Ends the check unless the stack has these calls.
fn require(stack: &mut Stack, calls: u32) -> Outcome {
    let mut check = Block::new(20);
    check.put16(2, 20).put32(4, MAGIC[0]);
    let reply = stack.call(op::FILE_API_CHECK, &mut check);
    if reply.ax == 1 && reply.status == 3 {
        skip!("the stack has no such extension");
    }
    reply.ok("FILE_API_CHECK")?;
    ensure!(check.get32(4) == MAGIC[1], "magic {:x}", check.get32(4));
    let mask = check.get32(0x0c);
    ensure!(mask & BASIC == BASIC, "mask {mask:x}");
    if mask & calls != calls {
        skip!("the stack has not all of these calls: mask {mask:x}");
    }
    Ok(())
}

fn open_reply(stack: &mut Stack, name: &str) -> (Reply, Block) {
    let [a, b, c, d] = stack.network.server;
    memory::write(STRUCTURES, text(format_args!("tftp://{a}.{b}.{c}.{d}/{name}\0")).as_bytes());
    let mut open = Block::new(12);
    open.put_pointer(4, SegOff::to(STRUCTURES));
    let reply = stack.call(op::FILE_OPEN, &mut open);
    (reply, open)
}

fn open(stack: &mut Stack, file: &ServedFile) -> Result<u16, Trouble> {
    let (reply, block) = open_reply(stack, file.name);
    reply.ok("FILE_OPEN")?;
    Ok(block.get16(2))
}

fn close(stack: &mut Stack, handle: u16) -> Outcome {
    let mut block = Block::new(4);
    block.put16(2, handle);
    stack.call(op::FILE_CLOSE, &mut block).ok("FILE_CLOSE")
}

fn read(stack: &mut Stack, handle: u16) -> (Reply, u32) {
    let mut block = Block::new(10);
    block.put16(2, handle).put16(4, ROOM).put_pointer(6, SegOff::to(DATA));
    let reply = stack.call(op::FILE_READ, &mut block);
    (reply, u32::from(block.get16(4)))
}

/// Reads once, when there is something; returns how many bytes, 0 for the end.
fn read_some(stack: &mut Stack, handle: u16, offset: u32) -> Result<u32, Trouble> {
    let found = within(PATIENCE, || {
        let (reply, count) = read(stack, handle);
        (reply.is_ok() || reply.status != NO_DATA_YET).then_some((reply, count))
    });
    let Some((reply, count)) = found else { fail!("no data after {offset} bytes") };
    reply.ok("FILE_READ")?;
    ensure!(count <= u32::from(ROOM), "{count} bytes for {ROOM}");
    let wrong = first_wrong_byte(DATA, offset, count);
    ensure!(wrong.is_none(), "byte {} is wrong", wrong.unwrap_or(0));
    Ok(count)
}

/// Reads the rest of a file.
fn read_rest(stack: &mut Stack, handle: u16, file: &ServedFile, mut offset: u32) -> Outcome {
    loop {
        match read_some(stack, handle, offset)? {
            0 => break,
            count => offset += count,
        }
    }
    ensure!(offset == file.len, "{offset} of {} bytes", file.len);
    Ok(())
}

fn reads_a_file(stack: &mut Stack) -> Outcome {
    require(stack, 0)?;
    let handle = open(stack, &ODD)?;
    let outcome = read_rest(stack, handle, &ODD, 0);
    close(stack, handle)?;
    outcome
}

fn tells_size(stack: &mut Stack) -> Outcome {
    require(stack, SELECT | SIZE)?;
    let handle = open(stack, &ODD)?;
    let mut query = Block::new(8);
    query.put16(2, handle);
    let reply = stack.call(op::GET_FILE_SIZE, &mut query);
    let ready = within(PATIENCE, || {
        let mut select = Block::new(6);
        select.put16(2, handle);
        let reply = stack.call(op::FILE_SELECT, &mut select);
        (!reply.is_ok() || select.get16(4) == 1).then_some(reply)
    });
    // What SELECT promises, READ has.
    let (read, count) = read(stack, handle);
    close(stack, handle)?;
    reply.ok("GET_FILE_SIZE")?;
    ensure!(query.get32(4) == ODD.len, "{} bytes, not {}", query.get32(4), ODD.len);
    let Some(ready) = ready else { fail!("SELECT never says that there is something to read") };
    ready.ok("FILE_SELECT")?;
    read.ok("FILE_READ")?;
    ensure!(count > 0, "the end, and not the first bytes");
    Ok(())
}

fn reads_two_files(stack: &mut Stack) -> Outcome {
    require(stack, 0)?;
    let handles = [open(stack, &ODD)?, open(stack, &FOUR_BLOCKS)?];
    ensure!(handles[0] != handles[1], "both have the handle {}", handles[0]);
    let first = read_some(stack, handles[0], 0)?;
    let outcome = read_rest(stack, handles[1], &FOUR_BLOCKS, 0);
    close(stack, handles[1])?;
    outcome?;
    let outcome = read_rest(stack, handles[0], &ODD, first);
    close(stack, handles[0])?;
    outcome
}

fn handles_end(stack: &mut Stack) -> Outcome {
    require(stack, 0)?;
    let (reply, block) = open_reply(stack, MISSING);
    // Other stacks open first and fail the first READ.
    if reply.is_ok() {
        let handle = block.get16(2);
        let failed = within(PATIENCE, || {
            let (reply, _) = read(stack, handle);
            (reply.status != NO_DATA_YET).then_some(!reply.is_ok())
        });
        close(stack, handle)?;
        ensure!(failed == Some(true), "a missing file can be read");
    }
    let handle = open(stack, &ODD)?;
    close(stack, handle)?;
    let (reply, _) = read(stack, handle);
    ensure!(!reply.is_ok() && reply.status != NO_DATA_YET, "status {:02x} after CLOSE", reply.status);
    reads_a_file(stack)
}
