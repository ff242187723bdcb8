//! 06: UNDI's life cycle, queries and settings.

use conformance::files::ODD;

use super::Check;
use super::tftp::{reads, still_reads};
use crate::machine::arena::DATA;
use crate::machine::thunk::SegOff;
use crate::pxe::frames::arp_request;
use crate::pxe::network::holds;
use crate::pxe::{Block, CallOptions, Stack, op};
use crate::report::{Outcome, ensure};

/// The checks.
pub const CHECKS: &[Check] = &[
    Check::new("06.1", "OPEN with filters 1, 3, 4 and 7", filters),
    Check::new("06.2", "OPEN with GRUB's short multicast list at a segment's end", short_list),
    Check::new("06.3", "OPEN twice, CLOSE twice", open_close_twice),
    Check::new("06.4", "STARTUP and INITIALIZE again while open", initialise_again),
    Check::new("06.5", "SHUTDOWN twice, STARTUP, INITIALIZE, OPEN", restart),
    Check::new("06.6", "a file is read after CLOSE, SHUTDOWN, OPEN and UDP_OPEN", reads_after),
    Check::new("06.20", "READ_FILE right after UNDI_CLOSE - the card opens by itself", reads_closed),
    Check::new("06.21", "READ_FILE while UNDI is open - the file, or a failure", reads_open),
    Check::new("06.7", "START_UNDI on a running stack changes nothing", start_undi),
    Check::new("06.8", "RESET_ADAPTER, and a frame comes back", reset),
    Check::new("06.9", "GET_INFORMATION - MTU 1500, Ethernet, buffers, both addresses", information),
    Check::new("06.10", "GET_IFACE_INFO - DIX+802.3, service flags, speed", iface_info),
    Check::new("06.11", "GET_NIC_TYPE - a type, or a clean failure", nic_type),
    Check::new("06.12", "GET_MCAST_ADDRESS maps 23 bits", mcast_address),
    Check::new("06.13", "SET_MCAST_ADDRESS with 0, 1 and 8 addresses", set_mcast),
    Check::new("06.14", "SET_MCAST_ADDRESS with more than 8 - clamped, or 6C", too_many_mcast),
    Check::new("06.15", "SET_PACKET_FILTER 1, 3, 4, 7", set_filter),
    Check::new("06.16", "statistics count what is sent, and can be cleared", statistics),
    Check::new("06.17", "SET_STATION_ADDRESS - the permanent one while closed", same_station),
    Check::new("06.18", "SET_STATION_ADDRESS - another one while open is 6A", other_station),
    Check::new("06.19", "INITIATE_DIAGS, FORCE_INTERRUPT - success or status 03", diags),
];

fn filters(stack: &mut Stack) -> Outcome {
    for filter in [1, 3, 4, 7] {
        stack.simple(op::UNDI_CLOSE).ok("CLOSE")?;
        stack.open(filter).ok("OPEN")?;
        let request = arp_request(stack);
        stack.transmit(&request).ok("TRANSMIT")?;
        ensure!(stack.receive_arp_reply().is_some(), "filter {filter}: no answer to ARP");
    }
    Ok(())
}

fn short_list(stack: &mut Stack) -> Outcome {
    stack.simple(op::UNDI_CLOSE).ok("CLOSE")?;
    // Status, flag, filter, count, and eight addresses of six bytes.
    const LEN: usize = 56;
    let mut block = Block::new(LEN);
    block.put16(4, 4);
    let last = SegOff::new((DATA >> 4) as u16, 0u16.wrapping_sub(LEN as u16));
    let options = CallOptions { block_at: last, ..CallOptions::default() };
    stack.call_with(op::UNDI_OPEN, &mut block, &options).ok("OPEN")
}

fn open_close_twice(stack: &mut Stack) -> Outcome {
    stack.open(3).ok("first OPEN")?;
    stack.open(7).ok("second OPEN")?;
    stack.simple(op::UNDI_CLOSE).ok("first CLOSE")?;
    stack.simple(op::UNDI_CLOSE).ok("second CLOSE")
}

fn initialise(stack: &mut Stack) -> Outcome {
    stack.call(op::UNDI_INITIALIZE, &mut Block::new(14)).ok("INITIALIZE")
}

/// Whether frames pass: an ARP request, and its answer. UNDI is open.
pub fn echoes(stack: &mut Stack) -> Outcome {
    let request = arp_request(stack);
    stack.transmit(&request).ok("TRANSMIT")?;
    ensure!(stack.receive_arp_reply().is_some(), "no answer to ARP");
    Ok(())
}

fn initialise_again(stack: &mut Stack) -> Outcome {
    stack.open(3).ok("OPEN")?;
    stack.simple(op::UNDI_STARTUP).ok("STARTUP")?;
    initialise(stack)?;
    initialise(stack)?;
    stack.open(3).ok("OPEN again")?;
    echoes(stack)
}

fn restart(stack: &mut Stack) -> Outcome {
    stack.simple(op::UNDI_CLOSE).ok("CLOSE")?;
    stack.simple(op::UNDI_SHUTDOWN).ok("first SHUTDOWN")?;
    stack.simple(op::UNDI_SHUTDOWN).ok("second SHUTDOWN")?;
    stack.simple(op::UNDI_STARTUP).ok("STARTUP")?;
    initialise(stack)?;
    stack.open(3).ok("OPEN")?;
    echoes(stack)
}

fn reads_after(stack: &mut Stack) -> Outcome {
    stack.simple(op::UNDI_CLOSE).ok("CLOSE")?;
    still_reads(stack)?;
    restart(stack)?;
    still_reads(stack)
}

fn reads_closed(stack: &mut Stack) -> Outcome {
    stack.simple(op::UNDI_CLOSE).ok("CLOSE")?;
    reads(stack)
}

fn reads_open(stack: &mut Stack) -> Outcome {
    stack.open(3).ok("OPEN")?;
    // No text says who gets the frames then: the base code, or UNDI's client.
    let (reply, _) = stack.tftp_read_file(ODD.name, DATA, 0x8000);
    ensure!(!reply.is_ok() || holds(DATA, &ODD), "success, and the file is wrong");
    still_reads(stack)
}

fn start_undi(stack: &mut Stack) -> Outcome {
    let address = stack.pci_address();
    stack.start_undi(address).ok("START_UNDI")?;
    stack.open(3).ok("OPEN")?;
    echoes(stack)
}

fn reset(stack: &mut Stack) -> Outcome {
    stack.open(3).ok("OPEN")?;
    stack.call(op::UNDI_RESET_ADAPTER, &mut Block::new(132)).ok("RESET_ADAPTER")?;
    echoes(stack)
}

fn information(stack: &mut Stack) -> Outcome {
    let mut block = Block::new(50);
    stack.call(op::UNDI_GET_INFORMATION, &mut block).ok("GET_INFORMATION")?;
    ensure!(block.get16(6) == 1500, "MaxTranUnit {}", block.get16(6));
    ensure!(block.get16(8) == 1 && block.get16(0x0a) == 6, "type {}, length {}", block.get16(8), block.get16(0x0a));
    ensure!(block.get16(0x2e) > 0 && block.get16(0x30) > 0, "buffers {}, {}", block.get16(0x2e), block.get16(0x30));
    let (current, permanent) = (&block.bytes()[0x0c..0x1c], &block.bytes()[0x1c..0x2c]);
    ensure!(current == permanent, "addresses {current:x?} and {permanent:x?}");
    ensure!(current[6..].iter().all(|byte| *byte == 0), "address {current:x?}");
    Ok(())
}

fn iface_info(stack: &mut Stack) -> Outcome {
    let mut block = Block::new(42);
    block.bytes_mut()[2..].fill(0x3c);
    stack.call(op::UNDI_GET_IFACE_INFO, &mut block).ok("GET_IFACE_INFO")?;
    ensure!(block.bytes()[2..0x0c] == *b"DIX+802.3\0", "{:x?}", &block.bytes()[2..0x0c]);
    ensure!(block.get32(0x12) > 0, "speed 0");
    // Broadcast, multicast, software-settable station address.
    ensure!(block.get32(0x16) & 0x13 == 0x13, "service flags {:x}", block.get32(0x16));
    ensure!(block.bytes()[0x1a..].iter().all(|byte| *byte == 0), "the reserved field is not zero");
    Ok(())
}

fn nic_type(stack: &mut Stack) -> Outcome {
    let mut block = Block::new(17);
    block.bytes_mut()[2..].fill(0x3c);
    let reply = stack.call(op::UNDI_GET_NIC_TYPE, &mut block);
    if reply.is_ok() {
        ensure!(matches!(block.get8(2), 2..=4), "success with type {:x}", block.get8(2));
        return Ok(());
    }
    reply.fails_with("GET_NIC_TYPE", &[1, 3])
}

fn mcast_address(stack: &mut Stack) -> Outcome {
    for (ip, expected) in
        [([224, 0, 0, 1], [1, 0, 0x5e, 0, 0, 1]), ([239, 255, 255, 250], [1, 0, 0x5e, 0x7f, 0xff, 0xfa])]
    {
        let mut block = Block::new(22);
        block.put(2, &ip);
        stack.call(op::UNDI_GET_MCAST_ADDRESS, &mut block).ok("GET_MCAST_ADDRESS")?;
        ensure!(block.bytes()[6..12] == expected, "{ip:?} is {:x?}", &block.bytes()[6..12]);
    }
    Ok(())
}

fn multicast_block(count: u16) -> Block {
    let mut block = Block::new(132);
    block.put16(2, count);
    for index in 0..8 {
        block.put(4 + 16 * index, &[1, 0, 0x5e, 0, 0, index as u8 + 1]);
    }
    block
}

fn set_mcast(stack: &mut Stack) -> Outcome {
    stack.open(3).ok("OPEN")?;
    for count in [0, 1, 8, 0] {
        stack.call(op::UNDI_SET_MCAST_ADDRESS, &mut multicast_block(count)).ok("SET_MCAST_ADDRESS")?;
    }
    echoes(stack)
}

fn too_many_mcast(stack: &mut Stack) -> Outcome {
    for count in [9, 0xffff] {
        let reply = stack.call(op::UNDI_SET_MCAST_ADDRESS, &mut multicast_block(count));
        if !reply.is_ok() {
            reply.fails_with("SET_MCAST_ADDRESS", &[0x6c])?;
        }
    }
    stack.call(op::UNDI_SET_MCAST_ADDRESS, &mut multicast_block(0)).ok("SET_MCAST_ADDRESS")
}

fn set_filter(stack: &mut Stack) -> Outcome {
    stack.open(3).ok("OPEN")?;
    for filter in [1, 4, 7, 3] {
        let mut block = Block::new(3);
        block.put8(2, filter);
        stack.call(op::UNDI_SET_PACKET_FILTER, &mut block).ok("SET_PACKET_FILTER")?;
    }
    echoes(stack)
}

fn sent_and_received(stack: &mut Stack) -> Result<(u32, u32), crate::report::Trouble> {
    let mut block = Block::new(18);
    stack.call(op::UNDI_GET_STATISTICS, &mut block).ok("GET_STATISTICS")?;
    Ok((block.get32(2), block.get32(6)))
}

fn statistics(stack: &mut Stack) -> Outcome {
    stack.open(3).ok("OPEN")?;
    let before = sent_and_received(stack)?;
    for _ in 0..3 {
        echoes(stack)?;
    }
    let after = sent_and_received(stack)?;
    ensure!(after.0.wrapping_sub(before.0) >= 3, "sent {} before, {} after three", before.0, after.0);
    ensure!(after.1.wrapping_sub(before.1) >= 3, "received {} before, {} after three", before.1, after.1);
    stack.simple(op::UNDI_CLEAR_STATISTICS).ok("CLEAR_STATISTICS")?;
    let cleared = sent_and_received(stack)?;
    ensure!(cleared.0 < 3, "sent {} after CLEAR_STATISTICS", cleared.0);
    Ok(())
}

fn station(stack: &mut Stack, address: [u8; 6]) -> crate::pxe::Reply {
    let mut block = Block::new(18);
    block.put(2, &address);
    stack.call(op::UNDI_SET_STATION_ADDRESS, &mut block)
}

fn same_station(stack: &mut Stack) -> Outcome {
    stack.simple(op::UNDI_CLOSE).ok("CLOSE")?;
    station(stack, stack.network.mac).ok("SET_STATION_ADDRESS")?;
    stack.open(3).ok("OPEN")?;
    echoes(stack)
}

fn other_station(stack: &mut Stack) -> Outcome {
    stack.open(3).ok("OPEN")?;
    let mut other = stack.network.mac;
    other[5] ^= 0x55;
    station(stack, other).fails_with("SET_STATION_ADDRESS", &[0x6a])?;
    echoes(stack)
}

fn diags(stack: &mut Stack) -> Outcome {
    for function in [op::UNDI_INITIATE_DIAGS, op::UNDI_FORCE_INTERRUPT] {
        let reply = stack.simple(function);
        if !reply.is_ok() {
            reply.fails_with("call", &[3])?;
        }
    }
    Ok(())
}
