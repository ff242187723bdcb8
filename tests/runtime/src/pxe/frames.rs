//! Ethernet frames that somebody on the network answers, and the receive path.

use super::Stack;
use crate::machine::memory;
use crate::machine::within;

/// What UNDI_ISR said about a received frame.
#[derive(Clone, Copy, Debug)]
pub struct Received {
    /// Bytes at [`Received::at`].
    pub buffer_len: u16,
    /// Bytes of the frame.
    pub frame_len: u16,
    /// Bytes of its header.
    pub header_len: u16,
    /// Linear address.
    pub at: u32,
    /// ProtType: 1 IP, 2 ARP, 3 RARP, 4 other, 0 unknown.
    pub protocol: u8,
    /// PktType: 0 directed, 1 broadcast, 2 multicast.
    pub kind: u8,
    /// Its first bytes, taken before the next call.
    pub start: [u8; 64],
}

impl Received {
    /// EtherType.
    pub fn ether_type(&self) -> u16 {
        u16::from_be_bytes([self.start[12], self.start[13]])
    }

    /// An ARP reply from this address.
    pub fn is_arp_reply(&self, from: [u8; 4]) -> bool {
        self.ether_type() == 0x806 && self.start[20..22] == [0, 2] && self.start[28..32] == from
    }
}

/// FuncFlag: begin processing, and take the next.
const PROCESS: u16 = 2;
const GET_NEXT: u16 = 3;
/// FuncFlag on return.
const RECEIVE: u16 = 3;

/// ARP request of our address for the server's, without Ethernet header (RFC 826).
pub fn arp_payload(stack: &Stack) -> [u8; 28] {
    let mut payload = [0; 28];
    payload[..8].copy_from_slice(&[0, 1, 8, 0, 6, 4, 0, 1]);
    payload[8..14].copy_from_slice(&stack.network.mac);
    payload[14..18].copy_from_slice(&stack.network.own);
    payload[24..].copy_from_slice(&stack.network.server);
    payload
}

/// A frame with our source address.
pub fn frame(stack: &Stack, destination: [u8; 6], ether_type: u16) -> [u8; 60] {
    let mut frame = [0; 60];
    frame[..6].copy_from_slice(&destination);
    frame[6..12].copy_from_slice(&stack.network.mac);
    frame[12..14].copy_from_slice(&ether_type.to_be_bytes());
    frame
}

/// The broadcast address.
pub const BROADCAST: [u8; 6] = [0xff; 6];

/// The ARP request as a frame.
pub fn arp_request(stack: &Stack) -> [u8; 60] {
    let mut request = frame(stack, BROADCAST, 0x806);
    request[14..42].copy_from_slice(&arp_payload(stack));
    request
}

impl Stack {
    /// Looks for received frames through UNDI_ISR until one fits, for at most so many timer ticks.
    pub fn receive(&mut self, limit: u32, mut fits: impl FnMut(&Received) -> bool) -> Option<Received> {
        within(limit, || {
            let (_, mut block) = self.isr(PROCESS);
            // Policy: as many frames as one round may bring.
            for _ in 0..64 {
                match block.get16(2) {
                    RECEIVE => {
                        let at = block.get_pointer(0x0a).linear();
                        let received = Received {
                            buffer_len: block.get16(4),
                            frame_len: block.get16(6),
                            header_len: block.get16(8),
                            at,
                            protocol: block.get8(0x0e),
                            kind: block.get8(0x0f),
                            start: memory::read_array(at),
                        };
                        if fits(&received) {
                            return Some(received);
                        }
                    }
                    2 => {}
                    _ => return None,
                }
                block = self.isr(GET_NEXT).1;
            }
            None
        })
    }

    /// Waits for the answer to [`arp_request`].
    pub fn receive_arp_reply(&mut self) -> Option<Received> {
        let server = self.network.server;
        // Two seconds.
        self.receive(36, |received| received.is_arp_reply(server))
    }
}
