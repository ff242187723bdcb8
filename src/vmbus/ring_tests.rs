//! Rings on plain memory, with the host's side played by hand.

use core::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::vec::Vec;

use proptest::prelude::*;

use super::*;
use crate::mem::Gpa;
use crate::wire::ring::FLAG_COMPLETION_REQUESTED;

const HALF: usize = 2 * PAGE_SIZE;
const SIZE: usize = HALF - DATA_START;

#[derive(Clone)]
struct Plain(Rc<RefCell<Vec<u8>>>);

impl Plain {
    fn new() -> Self {
        Self(Rc::new(RefCell::new(std::vec![0; 2 * HALF])))
    }
}

impl SharedMem for Plain {
    fn gpa(&self) -> Gpa {
        Gpa(0x10_0000)
    }
    fn len(&self) -> usize {
        self.0.borrow().len()
    }
    fn read(&self, offset: usize, into: &mut [u8]) {
        into.copy_from_slice(&self.0.borrow()[offset..offset + into.len()]);
    }
    fn write(&self, offset: usize, from: &[u8]) {
        self.0.borrow_mut()[offset..offset + from.len()].copy_from_slice(from);
    }
    fn load(&self, offset: usize) -> u32 {
        let mut bytes = [0; 4];
        self.read(offset, &mut bytes);
        u32::from_le_bytes(bytes)
    }
    fn store(&self, offset: usize, value: u32) {
        self.write(offset, &value.to_le_bytes());
    }
    fn fence(&self) {}
    fn clear(&self) {
        self.0.borrow_mut().fill(0);
    }
}

/// The host's side, written from facts 7 alone.
struct Host {
    memory: Plain,
    out_index: usize,
    in_index: usize,
}

impl Host {
    /// Takes a packet off the g2h ring: (type, flags, id, whole packet).
    fn take(&mut self) -> Option<(u16, u16, u64, Vec<u8>)> {
        if self.memory.load(0) as usize == self.out_index {
            return None;
        }
        let byte = |at: usize| self.memory.0.borrow()[4096 + (self.out_index + at) % SIZE];
        let word = |at: usize| u16::from_le_bytes([byte(at), byte(at + 1)]);
        let length = usize::from(word(4)) * 8;
        let packet: Vec<u8> = (0..length).map(byte).collect();
        let trailer: Vec<u8> = (length..length + 8).map(byte).collect();
        assert_eq!(trailer[..4], [0; 4]);
        assert_eq!(trailer[4..], (self.out_index as u32).to_le_bytes());
        let id = u64::from_le_bytes(packet[8..16].try_into().unwrap());
        let result = (word(0), word(6), id, packet);
        self.out_index = (self.out_index + length + 8) % SIZE;
        self.memory.store(4, self.out_index as u32);
        Some(result)
    }

    fn put_bytes(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.memory.0.borrow_mut()[HALF + 4096 + self.in_index] = byte;
            self.in_index = (self.in_index + 1) % SIZE;
        }
    }

    fn publish(&self) {
        self.memory.store(HALF, self.in_index as u32);
    }

    /// Puts an in-band packet into the h2g ring.
    fn put(&mut self, id: u64, payload: &[u8]) {
        let length = (16 + payload.len()).div_ceil(8) as u16;
        for word in [6, 2, length, 0] {
            self.put_bytes(&u16::to_le_bytes(word));
        }
        self.put_bytes(&id.to_le_bytes());
        self.put_bytes(payload);
        self.put_bytes(&std::vec![0; usize::from(length) * 8 - 16 - payload.len()]);
        self.put_bytes(&[0; 8]);
        self.publish();
    }

    fn room(&self) -> usize {
        let out = self.memory.load(HALF + 4) as usize;
        SIZE - (self.in_index + SIZE - out) % SIZE
    }
}

fn pair() -> (Rings<Plain>, Host) {
    let memory = Plain::new();
    (Rings::new(memory.clone()), Host { memory, out_index: 0, in_index: 0 })
}

/// Source: facts 15.1, "Ring packet, NVSP INIT V5".
#[test]
fn a_packet_has_the_published_bytes() {
    let (mut rings, host) = pair();
    let mut init = [0; 32];
    init[..12].copy_from_slice(&[1, 0, 0, 0, 0, 0, 5, 0, 0, 0, 5, 0]);
    let signal = rings.write(PACKET_IN_BAND, FLAG_COMPLETION_REQUESTED, 0x20, &[], &init[..28]).unwrap();
    assert_eq!(signal, Signal::Needed);
    let mut expected = [0; 56];
    expected[..16].copy_from_slice(&[6, 0, 2, 0, 6, 0, 1, 0, 0x20, 0, 0, 0, 0, 0, 0, 0]);
    expected[16..48].copy_from_slice(&init);
    assert_eq!(host.memory.0.borrow()[4096..4096 + 56], expected);
    assert_eq!(host.memory.load(IN_INDEX), 56);
}

/// Source: facts 15.1, "RX completion for transaction T".
#[test]
fn a_completion_has_the_published_bytes() {
    let (mut rings, host) = pair();
    let _ = rings.write(PACKET_COMPLETION, 0, 0x0102, &[], &[0x6c, 0, 0, 0, 1, 0, 0, 0]).unwrap();
    let expected = [0x0b, 0, 2, 0, 3, 0, 0, 0, 2, 1, 0, 0, 0, 0, 0, 0, 0x6c, 0, 0, 0, 1, 0, 0, 0];
    assert_eq!(host.memory.0.borrow()[4096..4096 + 24], expected);
}

#[test]
fn the_host_is_asked_not_to_interrupt_and_told_of_flow_control() {
    let (_rings, host) = pair();
    assert_eq!(host.memory.load(HALF + 8), 1);
    assert_eq!(host.memory.load(64), 1);
}

#[test]
fn only_the_first_packet_into_an_empty_ring_is_signalled() {
    let (mut rings, mut host) = pair();
    assert_eq!(rings.write(PACKET_IN_BAND, 0, 1, &[], &[0; 8]).unwrap(), Signal::Needed);
    assert_eq!(rings.write(PACKET_IN_BAND, 0, 2, &[], &[0; 8]).unwrap(), Signal::NotNeeded);
    host.take();
    assert_eq!(rings.write(PACKET_IN_BAND, 0, 3, &[], &[0; 8]).unwrap(), Signal::NotNeeded);
    while host.take().is_some() {}
    assert_eq!(rings.write(PACKET_IN_BAND, 0, 4, &[], &[0; 8]).unwrap(), Signal::Needed);
}

#[test]
fn a_host_that_masks_its_interrupt_is_not_signalled() {
    let (mut rings, host) = pair();
    host.memory.store(INTERRUPT_MASK, 1);
    assert_eq!(rings.write(PACKET_IN_BAND, 0, 1, &[], &[0; 8]).unwrap(), Signal::NotNeeded);
}

#[test]
fn a_host_that_waits_for_room_is_signalled_when_there_is_enough_and_only_once() {
    let (mut rings, mut host) = pair();
    host.memory.store(HALF + 64, 1);
    while host.room() > 1024 + 24 {
        host.put(1, &[0; 1000]);
    }
    host.memory.store(HALF + 12, 1500);
    let packet = rings.peek().unwrap();
    assert_eq!(rings.consume(&packet).unwrap(), Signal::Needed);
    let packet = rings.peek().unwrap();
    assert_eq!(rings.consume(&packet).unwrap(), Signal::NotNeeded);
}

#[test]
fn length_shorter_than_its_own_header_is_refused() {
    let (rings, mut host) = pair();
    host.put(1, &[0; 8]);
    host.memory.0.borrow_mut()[HALF + 4096 + 4] = 1;
    assert_eq!(rings.peek(), Err(RingError::Corrupt));
}

#[test]
fn a_packet_longer_than_what_the_host_published_is_refused() {
    let (rings, mut host) = pair();
    host.put(1, &[0; 8]);
    host.memory.0.borrow_mut()[HALF + 4096 + 4] = 4;
    assert_eq!(rings.peek(), Err(RingError::Corrupt));
}

#[test]
fn a_packet_type_that_nobody_defined_is_refused() {
    for packet_type in [0, 1, 5, 8, 10, 12, 255] {
        let (rings, mut host) = pair();
        host.put(1, &[0; 8]);
        host.memory.0.borrow_mut()[HALF + 4096] = packet_type;
        assert_eq!(rings.peek(), Err(RingError::Corrupt), "type {packet_type}");
    }
}

#[test]
fn reading_past_the_end_of_a_packet_is_refused() {
    let (rings, mut host) = pair();
    host.put(1, &[7; 8]);
    let packet = rings.peek().unwrap();
    assert_eq!(rings.read(&packet, 16, &mut [0; 9]), Err(RingError::Corrupt));
    assert_eq!(rings.read(&packet, usize::MAX, &mut [0; 1]), Err(RingError::Corrupt));
    let mut last = [0; 8];
    assert_eq!(rings.read(&packet, 16, &mut last), Ok(()));
    assert_eq!(last, [7; 8]);
}

#[test]
fn a_full_ring_refuses_and_an_emptied_one_accepts_again() {
    let (mut rings, mut host) = pair();
    let mut sent = 0;
    while rings.write(PACKET_IN_BAND, 0, sent, &[], &[1; 200]).is_ok() {
        sent += 1;
    }
    assert_eq!(sent as usize, (SIZE - 8) / 224);
    assert_eq!(rings.write(PACKET_IN_BAND, 0, 99, &[], &[1; 200]), Err(RingError::Full));
    for id in 0..sent {
        assert_eq!(host.take().unwrap().2, id);
    }
    assert!(rings.write(PACKET_IN_BAND, 0, 99, &[], &[1; 200]).is_ok());
}

proptest! {
    #[test]
    fn what_is_written_is_what_the_host_takes(sizes in prop::collection::vec((0_usize..700, 0_usize..4, any::<bool>()), 1..300)) {
        let (mut rings, mut host) = pair();
        let mut expected = VecDeque::new();
        for (id, (size, extra, drain)) in sizes.into_iter().enumerate() {
            let extra = std::vec![0xee; extra * 8];
            let payload: Vec<u8> = (0..size).map(|at| (at + id) as u8).collect();
            match rings.write(PACKET_GPA_DIRECT, 1, id as u64, &extra, &payload) {
                Ok(_) => expected.push_back((id, extra, payload)),
                Err(error) => prop_assert_eq!(error, RingError::Full),
            }
            if drain {
                while let Some((packet_type, flags, taken, packet)) = host.take() {
                    let (id, extra, payload) = expected.pop_front().unwrap();
                    prop_assert_eq!((packet_type, flags, taken), (9, 1, id as u64));
                    prop_assert_eq!(&packet[16..16 + extra.len()], &extra[..]);
                    prop_assert_eq!(&packet[16 + extra.len()..16 + extra.len() + payload.len()], &payload[..]);
                    prop_assert!(packet.len() - 16 - extra.len() - payload.len() < 8);
                }
                prop_assert!(expected.is_empty());
            }
        }
    }

    #[test]
    fn what_the_host_puts_is_what_is_read(sizes in prop::collection::vec((0_usize..1200, any::<bool>()), 1..300)) {
        let (mut rings, mut host) = pair();
        let mut expected = VecDeque::new();
        for (id, (size, drain)) in sizes.into_iter().enumerate() {
            let payload: Vec<u8> = (0..size).map(|at| (at * 3 + id) as u8).collect();
            if host.room() > size + 48 {
                host.put(id as u64, &payload);
                expected.push_back((id as u64, payload));
            }
            while drain && let Ok(packet) = rings.peek() {
                let (id, payload) = expected.pop_front().unwrap();
                prop_assert_eq!((packet.transaction_id, packet.data_offset), (id, 16));
                let mut read = std::vec![0; payload.len()];
                rings.read(&packet, 16, &mut read).unwrap();
                prop_assert_eq!(read, payload);
                prop_assert_eq!(rings.consume(&packet), Ok(Signal::NotNeeded));
            }
            prop_assert!(!drain || (expected.is_empty() && rings.peek() == Err(RingError::Empty)));
        }
    }

    /// Whatever the host scribbles into control pages and data: an answer, never a panic, never a read past a packet.
    #[test]
    fn garbage_from_the_host_is_never_followed(
        indexes in prop::collection::vec((any::<u32>(), 0_u32..(SIZE as u32 + 16)), 4),
        aligned in any::<bool>(),
        data in prop::collection::vec(any::<u8>(), 64),
    ) {
        let (mut rings, host) = pair();
        for (slot, (wild, near)) in [OUT_INDEX, HALF + IN_INDEX, HALF + PENDING_SEND_SIZE, HALF + FEATURE_BITS].into_iter().zip(indexes) {
            host.memory.store(slot, if aligned { near & !7 } else { wild });
        }
        for at in (0..SIZE).step_by(64) {
            host.memory.write(HALF + 4096 + at, &data);
        }
        let _ = rings.write(PACKET_IN_BAND, 0, 0, &[], &[0; 100]);
        for _ in 0..1000 {
            let Ok(packet) = rings.peek() else { break };
            prop_assert!(packet.data_offset <= packet.length && packet.length < SIZE);
            if rings.consume(&packet).is_err() {
                break;
            }
        }
    }
}
