//! 09: UDP. The peer is the TFTP server: a request for a file that it hasn't is answered by one datagram.

use super::Check;
use crate::machine::arena::DATA;
use crate::machine::memory::{self, read_u16};
use crate::machine::thunk::SegOff;
use crate::machine::{pause, ticks, within};
use crate::pxe::{Block, Stack, op};
use crate::report::{Outcome, Trouble, ensure, fail};

/// The checks.
pub const CHECKS: &[Check] = &[
    Check::new("09.1", "a datagram and its answer - addresses, ports, length", round_trip),
    Check::new("09.2", "READ without a datagram - AX=1, status 01", nothing_there),
    Check::new("09.3", "two local ports, answers read in the other order", two_ports),
    Check::new("09.4", "READ with DPort 0 takes any port, and fills it in", any_port),
    Check::new("09.5", "READ with another DestIp does not get the datagram", other_address),
    Check::new("09.6", "a buffer that is too small - cut, nothing past it", truncated),
    Check::new("09.7", "40 answers that nobody reads, then one that is read", overflow),
    Check::new("09.8", "WRITE from port 0 comes from port 2069", port_zero),
    Check::new("09.9", "OPEN twice, CLOSE twice", twice),
    Check::new("09.10", "CLOSE drops what waits", close_drops),
    Check::new("09.11", "UDP_OPEN opens a card that UNDI_CLOSE closed", after_undi_close),
    Check::new("09.12", "1472 bytes go out; more is refused or goes out", largest),
    Check::new("09.13", "a datagram to an address that nobody has returns in time", nobody_there),
];

/// Local ports, unlike any in use.
const PORTS: [u16; 2] = [0xc351, 0xc352];
/// A minute in timer ticks (policy: above the four seconds that ARP is tried for).
const LONGEST_WRITE: u32 = 1092;
/// Two seconds in timer ticks.
const PATIENCE: u32 = 36;

fn answer(stack: &mut Stack, port: u16, capacity: u16) -> Result<Block, Trouble> {
    let found = within(PATIENCE, || {
        let (reply, block) = stack.udp_read(port, capacity);
        reply.is_ok().then_some(block)
    });
    match found {
        Some(block) => Ok(block),
        None => fail!("no datagram for port {port}"),
    }
}

fn with_udp(stack: &mut Stack, check: impl FnOnce(&mut Stack) -> Outcome) -> Outcome {
    stack.simple(op::UDP_CLOSE);
    stack.udp_open().ok("UDP_OPEN")?;
    let outcome = check(stack);
    stack.simple(op::UDP_CLOSE).ok("UDP_CLOSE")?;
    outcome
}

/// The error datagram of the TFTP server: opcode 5, code 1, a text.
fn is_tftp_error(block: &Block) -> bool {
    block.get16(0x0e) >= 5 && read_u16(DATA) == 0x0500
}

fn round_trip(stack: &mut Stack) -> Outcome {
    with_udp(stack, |stack| {
        stack.provoke(PORTS[0]).ok("WRITE")?;
        memory::fill(DATA, 64, 0x3c);
        let block = answer(stack, PORTS[0], 512)?;
        let (server, own) = (stack.network.server, stack.network.own);
        ensure!(
            block.get_ip(2) == server && block.get_ip(6) == own,
            "from {:?} to {:?}",
            block.get_ip(2),
            block.get_ip(6)
        );
        ensure!(block.get_port(0x0c) == PORTS[0], "to port {}", block.get_port(0x0c));
        ensure!(block.get_port(0x0a) != 0, "from port 0");
        ensure!(is_tftp_error(&block), "{} bytes, opcode {:x}", block.get16(0x0e), read_u16(DATA));
        Ok(())
    })
}

fn nothing_there(stack: &mut Stack) -> Outcome {
    with_udp(stack, |stack| {
        let (reply, _) = stack.udp_read(PORTS[1], 512);
        reply.fails_with("READ", &[1])
    })
}

fn two_ports(stack: &mut Stack) -> Outcome {
    with_udp(stack, |stack| {
        stack.provoke(PORTS[0]).ok("WRITE")?;
        pause(4);
        stack.provoke(PORTS[1]).ok("WRITE")?;
        pause(4);
        for port in [PORTS[1], PORTS[0]] {
            let block = answer(stack, port, 512)?;
            ensure!(block.get_port(0x0c) == port, "asked for port {port}, got {}", block.get_port(0x0c));
        }
        Ok(())
    })
}

fn any_port(stack: &mut Stack) -> Outcome {
    with_udp(stack, |stack| {
        stack.provoke(PORTS[1]).ok("WRITE")?;
        let block = answer(stack, 0, 512)?;
        ensure!(block.get_port(0x0c) == PORTS[1], "DPort {}", block.get_port(0x0c));
        ensure!(block.get_ip(6) == stack.network.own, "DestIp {:?}", block.get_ip(6));
        Ok(())
    })
}

fn other_address(stack: &mut Stack) -> Outcome {
    with_udp(stack, |stack| {
        stack.provoke(PORTS[0]).ok("WRITE")?;
        pause(4);
        let mut other = stack.network.own;
        other[3] ^= 0x55;
        let mut block = Block::new(20);
        block.put(6, &other).put_port(0x0c, PORTS[0]).put16(0x0e, 512).put_pointer(0x10, SegOff::to(DATA));
        let reply = stack.call(op::UDP_READ, &mut block);
        ensure!(!reply.is_ok(), "a datagram to {:?} was given to a reader of {other:?}", block.get_ip(6));
        Ok(())
    })
}

fn truncated(stack: &mut Stack) -> Outcome {
    with_udp(stack, |stack| {
        stack.provoke(PORTS[0]).ok("WRITE")?;
        memory::fill(DATA, 512, 0x3c);
        let found = within(PATIENCE, || {
            let (reply, block) = stack.udp_read(PORTS[0], 3);
            // Other stacks refuse instead of cutting; what matters is the memory behind the buffer.
            (reply.is_ok() || memory::read_u8(DATA) != 0x3c).then_some(block)
        });
        let Some(block) = found else { fail!("no datagram") };
        ensure!(memory::find_other(DATA + 3, 509, 0x3c).is_none(), "wrote past three bytes");
        ensure!(block.get16(0x0e) == 3, "BufferSize {}", block.get16(0x0e));
        Ok(())
    })
}

fn overflow(stack: &mut Stack) -> Outcome {
    with_udp(stack, |stack| {
        for _ in 0..40 {
            stack.provoke(PORTS[0]).ok("WRITE")?;
            stack.udp_read(PORTS[1], 512);
        }
        pause(4);
        stack.provoke(PORTS[1]).ok("WRITE")?;
        answer(stack, PORTS[1], 512).map(drop)
    })
}

fn port_zero(stack: &mut Stack) -> Outcome {
    with_udp(stack, |stack| {
        stack.provoke(0).ok("WRITE")?;
        answer(stack, 2069, 512).map(drop)
    })
}

fn twice(stack: &mut Stack) -> Outcome {
    stack.simple(op::UDP_CLOSE);
    stack.udp_open().ok("UDP_OPEN")?;
    // PXENV_STATUS_UDP_OPEN by the text; success by habit.
    let again = stack.udp_open();
    if !again.is_ok() {
        again.fails_with("second UDP_OPEN", &[0x19])?;
    }
    stack.provoke(PORTS[0]).ok("WRITE")?;
    answer(stack, PORTS[0], 512)?;
    stack.simple(op::UDP_CLOSE).ok("UDP_CLOSE")?;
    let again = stack.simple(op::UDP_CLOSE);
    if again.is_ok() { Ok(()) } else { again.fails_with("second UDP_CLOSE", &[0x18]) }
}

fn close_drops(stack: &mut Stack) -> Outcome {
    with_udp(stack, |stack| {
        stack.provoke(PORTS[0]).ok("WRITE")?;
        pause(4);
        stack.simple(op::UDP_CLOSE).ok("UDP_CLOSE")?;
        stack.udp_open().ok("UDP_OPEN")?;
        let (reply, _) = stack.udp_read(PORTS[0], 512);
        ensure!(!reply.is_ok(), "a datagram from before CLOSE");
        Ok(())
    })
}

fn after_undi_close(stack: &mut Stack) -> Outcome {
    stack.simple(op::UDP_CLOSE);
    stack.simple(op::UNDI_CLOSE).ok("UNDI_CLOSE")?;
    with_udp(stack, |stack| {
        stack.provoke(PORTS[0]).ok("WRITE")?;
        answer(stack, PORTS[0], 512).map(drop)
    })
}

fn largest(stack: &mut Stack) -> Outcome {
    with_udp(stack, |stack| {
        // Nobody has port 9 (discard); what counts is that the call returns and the next works.
        stack.udp_write(PORTS[0], 9, &[0x3c; 1472]).ok("1472 bytes")?;
        stack.udp_write(PORTS[0], 9, &[0x3c; 1473]);
        stack.udp_write(PORTS[0], 9, &[0x3c; 2000]);
        stack.provoke(PORTS[1]).ok("WRITE")?;
        answer(stack, PORTS[1], 512).map(drop)
    })
}

fn nobody_there(stack: &mut Stack) -> Outcome {
    with_udp(stack, |stack| {
        let mut block = Block::new(20);
        let [a, b, c, d] = stack.network.own;
        block.put(2, &[a, b, c, d ^ 0x55]).put_port(0x0a, PORTS[0]).put_port(0x0c, 9);
        block.put16(0x0e, 64).put_pointer(0x10, SegOff::to(DATA));
        let start = ticks();
        // Whether it is refused is for the stack to say: some send it later, if at all.
        stack.call(op::UDP_WRITE, &mut block);
        let took = ticks().wrapping_sub(start);
        ensure!(took < LONGEST_WRITE, "it took {took} timer ticks");
        stack.provoke(PORTS[1]).ok("WRITE")?;
        answer(stack, PORTS[1], 512).map(drop)
    })
}
