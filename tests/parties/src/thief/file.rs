//! The file that is read by TFTP.

use parties::file::{BIG, BLOCK, SMALL};
use runtime::machine::arena::DATA;
use runtime::machine::thunk::SegOff;
use runtime::pxe::network::first_wrong_byte;
use runtime::pxe::{Block, op};
use runtime::report::{Outcome, ensure, skip};

use super::Scene;

/// Asks for the file's size: a whole exchange over the network.
pub fn size(scene: &mut Scene) -> Outcome {
    let (reply, size) = scene.stack.tftp_size(SMALL.name);
    reply.ok("TFTP_GET_FSIZE")?;
    scene.watch.after_call("TFTP_GET_FSIZE")?;
    ensure!(size == SMALL.len, "the server has {size} bytes");
    Ok(())
}

/// Reads it, compares every byte, and steals at even distances.
pub fn read(scene: &mut Scene) -> Outcome {
    if scene.options.no_file {
        skip!("the network is slow");
    }
    let file = if scene.options.during_file > 0 { BIG } else { SMALL };
    let (reply, block) = scene.stack.tftp_open(file.name, 69, BLOCK);
    reply.ok("TFTP_OPEN")?;
    scene.watch.after_call("TFTP_OPEN")?;
    let size = u32::from(block.get16(0x8c));
    let thefts = u32::from(scene.options.during_file);
    let mut stolen = 0;
    let mut done = 0;
    loop {
        if stolen < thefts && done >= file.len / (thefts + 1) * (stolen + 1) {
            scene.steal()?;
            stolen += 1;
        }
        let mut block = Block::new(10);
        block.put_pointer(6, SegOff::to(DATA));
        let reply = scene.stack.call(op::TFTP_READ, &mut block);
        ensure!(reply.is_ok(), "TFTP_READ at {done:#x} after {stolen} thefts: status {:02x}", reply.status);
        scene.watch.after_call("TFTP_READ")?;
        let len = u32::from(block.get16(4));
        let wrong = first_wrong_byte(DATA, done, len.min(file.len - done));
        ensure!(wrong.is_none(), "wrong byte at {:#x}, {stolen} thefts", wrong.unwrap_or(0));
        done += len;
        ensure!(done <= file.len, "the file has no end");
        if len < size {
            break;
        }
    }
    ensure!(done == file.len, "{done} bytes of {}", file.len);
    ensure!(stolen == thefts, "{stolen} thefts of {thefts}");
    scene.stack.simple(op::TFTP_CLOSE).ok("TFTP_CLOSE")?;
    scene.watch.after_call("TFTP_CLOSE")
}
