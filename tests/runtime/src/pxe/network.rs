//! The network around the machine, as the cached packets tell it, and requests that checks make of it.

use super::{Block, Reply, Stack, op};
use crate::files::{self, ServedFile};
use crate::machine::arena::{DATA, STRUCTURES};
use crate::machine::memory;
use crate::machine::thunk::SegOff;

/// Length of a cached packet: BOOTPLAYER with 1024 bytes of options.
pub const CACHED_LEN: u16 = 1260;

/// Addresses.
#[derive(Clone, Copy, Debug, Default)]
pub struct Network {
    /// Our address.
    pub own: [u8; 4],
    /// The server that gave the boot file.
    pub server: [u8; 4],
    /// Our station address.
    pub mac: [u8; 6],
}

impl Network {
    /// Reads the cached packets.
    pub fn learn(stack: &mut Stack) -> Self {
        let mut block = Block::new(12);
        block.put16(2, 3).put16(4, CACHED_LEN).put_pointer(6, SegOff::to(DATA));
        stack.call(op::GET_CACHED_INFO, &mut block);
        Self {
            own: memory::read_array(DATA + 0x10),
            server: memory::read_array(DATA + 0x14),
            mac: memory::read_array(DATA + 0x1c),
        }
    }
}

/// Puts a text with a zero at its end into a block.
pub fn put_name(block: &mut Block, at: usize, name: &str) {
    block.put(at, name.as_bytes());
    block.put8(at + name.len(), 0);
}

impl Stack {
    /// UNDI_OPEN with a packet filter and without multicast addresses.
    pub fn open(&mut self, filter: u16) -> Reply {
        let mut block = Block::new(136);
        block.put16(4, filter);
        self.call(op::UNDI_OPEN, &mut block)
    }

    /// The card's PCI address, as a BIOS passes it to its ROM: bus, device, function; 0 when it has none. A stopped
    /// stack no longer knows it.
    pub fn pci_address(&mut self) -> u16 {
        let mut nic = Block::new(17);
        let is_pci = self.call(op::UNDI_GET_NIC_TYPE, &mut nic).is_ok() && nic.get8(2) == 2;
        if is_pci { nic.get16(0x0b) } else { 0 }
    }

    /// START_UNDI, with the card's PCI address in AX, as the BIOS would pass it.
    pub fn start_undi(&mut self, pci_address: u16) -> Reply {
        let mut block = Block::new(12);
        block.put16(2, pci_address);
        // No PnP card select number, no PnP read port.
        block.put16(4, 0xffff).put16(6, 0xffff);
        self.call(op::START_UNDI, &mut block)
    }

    /// UDP_OPEN with our own address.
    pub fn udp_open(&mut self) -> Reply {
        let mut block = Block::new(6);
        block.put(2, &self.network.own);
        self.call(op::UDP_OPEN, &mut block)
    }

    /// UDP_WRITE to a port of the server.
    pub fn udp_write(&mut self, from: u16, port: u16, payload: &[u8]) -> Reply {
        memory::write(DATA, payload);
        let mut block = Block::new(20);
        block.put(2, &self.network.server).put_port(0x0a, from).put_port(0x0c, port);
        block.put16(0x0e, payload.len() as u16).put_pointer(0x10, SegOff::to(DATA));
        self.call(op::UDP_WRITE, &mut block)
    }

    /// UDP_READ into the data region; the block comes back for its addresses and length.
    pub fn udp_read(&mut self, port: u16, capacity: u16) -> (Reply, Block) {
        let mut block = Block::new(20);
        block.put_port(0x0c, port).put16(0x0e, capacity).put_pointer(0x10, SegOff::to(DATA));
        let reply = self.call(op::UDP_READ, &mut block);
        (reply, block)
    }

    /// A TFTP request for a file that isn't there, from a port: the server answers with one error datagram.
    pub fn provoke(&mut self, from: u16) -> Reply {
        self.udp_write(from, 69, b"\x00\x01conf-missing.bin\x00octet\x00")
    }

    /// TFTP_OPEN. The block comes back for the packet size.
    pub fn tftp_open(&mut self, name: &str, port: u16, packet_size: u16) -> (Reply, Block) {
        let mut block = Block::new(142);
        block.put(2, &self.network.server).put_port(0x8a, port).put16(0x8c, packet_size);
        put_name(&mut block, 0x0a, name);
        let reply = self.call(op::TFTP_OPEN, &mut block);
        (reply, block)
    }

    /// TFTP_READ_FILE to a physical address.
    pub fn tftp_read_file(&mut self, file: &str, to: u32, capacity: u32) -> (Reply, Block) {
        let mut block = Block::new(158);
        put_name(&mut block, 2, file);
        block.put32(0x82, capacity).put32(0x86, to).put(0x8a, &self.network.server);
        block.put_port(0x98, 69).put16(0x9a, 4).put16(0x9c, 1);
        let reply = self.call(op::TFTP_READ_FILE, &mut block);
        (reply, block)
    }

    /// RESTART_TFTP, which comes back only when it fails.
    pub fn tftp_restart(&mut self, file: &str) -> Reply {
        let mut block = Block::new(158);
        put_name(&mut block, 2, file);
        block.put(0x8a, &self.network.server).put_port(0x98, 69).put16(0x9a, 4).put16(0x9c, 1);
        self.call(op::RESTART_TFTP, &mut block)
    }

    /// TFTP_GET_FSIZE.
    pub fn tftp_size(&mut self, name: &str) -> (Reply, u32) {
        let mut block = Block::new(142);
        block.put(2, &self.network.server);
        put_name(&mut block, 0x0a, name);
        let reply = self.call(op::TFTP_GET_FSIZE, &mut block);
        (reply, block.get32(0x8a))
    }

    /// UNDI_ISR with a function; the block comes back for the answer.
    pub fn isr(&mut self, function: u16) -> (Reply, Block) {
        let mut block = Block::new(16);
        block.put16(2, function);
        let reply = self.call(op::UNDI_ISR, &mut block);
        (reply, block)
    }

    /// UNDI_TRANSMIT of a whole frame, all of it "immediate" data.
    pub fn transmit(&mut self, frame: &[u8]) -> Reply {
        memory::write(DATA, frame);
        self.transmit_data(0, 1, frame.len() as u16)
    }

    /// UNDI_TRANSMIT of what lies in the data region.
    pub fn transmit_data(&mut self, protocol: u8, flag: u8, len: u16) -> Reply {
        let mut tbd = [0; 8];
        tbd[..2].copy_from_slice(&len.to_le_bytes());
        tbd[2..6].copy_from_slice(&SegOff::to(DATA).to_u32().to_le_bytes());
        memory::write(STRUCTURES, &tbd);
        self.transmit_tbd(protocol, flag, SegOff::new(0, 0))
    }

    /// UNDI_TRANSMIT with the TBD that lies at [`STRUCTURES`].
    pub fn transmit_tbd(&mut self, protocol: u8, flag: u8, destination: SegOff) -> Reply {
        let mut block = Block::new(20);
        block.put8(2, protocol).put8(3, flag).put_pointer(4, destination).put_pointer(8, SegOff::to(STRUCTURES));
        self.call(op::UNDI_TRANSMIT, &mut block)
    }

    /// Takes everything that waits in the receive path.
    pub fn drain(&mut self) {
        let (_, mut block) = self.isr(2);
        // Policy: a bound, should a stack never say DONE.
        for _ in 0..1000 {
            if !matches!(block.get16(2), 2 | 3) {
                break;
            }
            block = self.isr(3).1;
        }
    }
}

/// Offset of the first byte of a range that is not as in the file; `None`: all are.
pub fn first_wrong_byte(at: u32, from: u32, len: u32) -> Option<u32> {
    let expected = |offset| files::byte_at(offset);
    (0..len)
        .find(|distance| memory::read_u8(at + distance) != expected(from + distance))
        .map(|distance| from + distance)
}

/// Whether memory holds a whole file.
pub fn holds(at: u32, file: &ServedFile) -> bool {
    first_wrong_byte(at, 0, file.len).is_none()
}
