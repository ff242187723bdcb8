//! 04: every function number.

use super::Check;
use crate::pxe::{Block, Stack, op};
use crate::report::{Outcome, ensure};

/// The checks.
pub const CHECKS: &[Check] = &[
    Check::new("04.1", "unknown functions 00-FF - AX=1, status 03, nothing else written", unknown),
    Check::new("04.2", "functions above FF - likewise", above_ff),
    Check::new("04.3", "obsolete functions 24, 72, 74 - status 03", obsolete),
    Check::new("04.4", "queries write no byte past their block", queries),
];

/// `PXENV_STATUS_UNSUPPORTED`.
const UNSUPPORTED: u16 = 3;

fn unsupported(stack: &mut Stack, function: u16) -> Outcome {
    let mut block = Block::new(158);
    block.bytes_mut()[2..].fill(0x3c);
    let reply = stack.call(function, &mut block);
    ensure!(reply.ax == 1 && reply.status == UNSUPPORTED, "{function:x}: AX={:x} status={:x}", reply.ax, reply.status);
    let written = block.bytes()[2..].iter().position(|byte| *byte != 0x3c);
    ensure!(written.is_none(), "{function:x} wrote at {:x}", written.unwrap_or(0) + 2);
    Ok(())
}

fn unknown(stack: &mut Stack) -> Outcome {
    let known = |function: u16| op::EXTENSIONS.contains(&function) || op::KNOWN.iter().any(|(op, _)| *op == function);
    (0..=0xff).filter(|function| !known(*function)).try_for_each(|function| unsupported(stack, function))
}

fn above_ff(stack: &mut Stack) -> Outcome {
    [0x100, 0x10c, 0x171, 0x1234, 0x7fff, 0x8000, 0xff71, 0xffff]
        .into_iter()
        .try_for_each(|function| unsupported(stack, function))
}

fn obsolete(stack: &mut Stack) -> Outcome {
    [0x24, 0x72, 0x74].into_iter().try_for_each(|function| unsupported(stack, function))
}

fn queries(stack: &mut Stack) -> Outcome {
    let before = stack.watch.surroundings.take();
    for (function, size) in op::KNOWN {
        if matches!(function, op::UNDI_GET_INFORMATION..=op::UNDI_GET_IFACE_INFO | op::START_BASE | op::FILE_API_CHECK)
        {
            stack.call(function, &mut Block::new(size));
        }
    }
    let found = core::mem::replace(&mut stack.watch.surroundings, before);
    ensure!(found.is_none(), "{}", found.unwrap_or_default());
    Ok(())
}
