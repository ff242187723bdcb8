//! 15: TFTP servers that know no options, say nothing, or stop. The program itself came by another way.

use conformance::files::ODD;
use conformance::options::ServerFault;

use super::tftp::{by_blocks, close, read, read_file_high};
use crate::machine::arena::DATA;
use crate::machine::ticks;
use crate::pxe::{Reply, Stack};
use crate::report::{Count, Outcome, ensure};

/// Status codes of a server that doesn't answer a request, that stops in a file, and that tells no size (PXE 2.1).
const OPEN_TIMEOUT: u16 = 0x32;
const READ_TIMEOUT: u16 = 0x35;
const NO_FILESIZE: u16 = 0x3e;
/// Longest that a call may take, in timer ticks (policy: two minutes; the specification has four tries and no times).
const LONGEST: u32 = 120 * 18;

/// Makes the checks for a server's fault.
pub fn run(stack: &mut Stack, count: &mut Count, fault: ServerFault) {
    match fault {
        ServerFault::None => {}
        ServerFault::NoOptions => {
            count.add("15.1", "no options - a file in blocks of 512, whatever was asked for", &plain_blocks(stack));
            count.add("15.2", "no options - READ_FILE of 4 MiB and more", &read_file_high(stack));
            count.add("15.3", "no options - GET_FSIZE fails with status 3E", &no_size(stack));
        }
        ServerFault::Silent => {
            let call = |stack: &mut Stack| stack.tftp_open(ODD.name, 69, 512).0;
            count.add(
                "15.4",
                "silent server - OPEN fails with status 32, in time",
                &times_out(stack, OPEN_TIMEOUT, call),
            );
            let call = |stack: &mut Stack| stack.tftp_read_file(ODD.name, DATA, 0x8000).0;
            let outcome = times_out(stack, OPEN_TIMEOUT, call);
            count.add("15.5", "silent server - READ_FILE fails with status 32, in time", &outcome);
            let call = |stack: &mut Stack| stack.tftp_restart(ODD.name);
            let outcome = times_out(stack, OPEN_TIMEOUT, call);
            count.add("15.6", "silent server - RESTART_TFTP fails with status 32, in time", &outcome);
        }
        ServerFault::Stops => {
            count.add("15.7", "server stops - READ gives what came, then status 35, in time", &stops(stack));
            let call = |stack: &mut Stack| stack.tftp_read_file(ODD.name, DATA, 0x8000).0;
            let outcome = times_out(stack, READ_TIMEOUT, call);
            count.add("15.8", "server stops - READ_FILE fails with status 35, in time", &outcome);
        }
    }
}

fn plain_blocks(stack: &mut Stack) -> Outcome {
    let (reply, block) = stack.tftp_open(ODD.name, 69, 1456);
    reply.ok("OPEN")?;
    ensure!(block.get16(0x8c) == 512, "packet size {}", block.get16(0x8c));
    close(stack)?;
    by_blocks(stack, &ODD, 1456)
}

fn no_size(stack: &mut Stack) -> Outcome {
    stack.tftp_size(ODD.name).0.fails_with("GET_FSIZE", &[NO_FILESIZE])
}

fn times_out(stack: &mut Stack, status: u16, call: impl FnOnce(&mut Stack) -> Reply) -> Outcome {
    let start = ticks();
    let reply = call(stack);
    let took = ticks().wrapping_sub(start);
    ensure!(took <= LONGEST, "it took {took} timer ticks");
    reply.fails_with("the call", &[status])
}

fn stops(stack: &mut Stack) -> Outcome {
    stack.tftp_open(ODD.name, 69, 512).0.ok("OPEN")?;
    for _ in 0..ServerFault::BLOCKS {
        read(stack).0.ok("READ")?;
    }
    times_out(stack, READ_TIMEOUT, |stack| read(stack).0)?;
    close(stack)
}
