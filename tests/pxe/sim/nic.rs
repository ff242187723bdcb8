//! The card, on a wire that a test holds the other end of.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;

use hvpxe::error::Error;
use hvpxe::machine::Machine;
use hvpxe::nic::{MacAddress, Nic, NicStatistics, PacketFilter};
use hvpxe::time::Ticks100ns;

use super::SimMachine;

/// The card's address.
pub const MAC: MacAddress = [0x00, 0x15, 0x5d, 0x01, 0x02, 0x03];

/// What is at the other end of the card's cable.
pub trait Wire {
    /// Takes a frame from the card.
    fn handle(&mut self, frame: &[u8], now: Ticks100ns);
    /// Gives the next frame for the card.
    fn poll(&mut self, now: Ticks100ns) -> Option<Vec<u8>>;
}

/// What a test sees of the card, and does to it.
#[derive(Default)]
pub struct CardState {
    /// Frames on their way to the card.
    pub inbound: RefCell<VecDeque<Vec<u8>>>,
    /// Frames that the card sent.
    pub outbound: RefCell<Vec<Vec<u8>>>,
    /// Whether it is open.
    pub open: Cell<bool>,
    /// How often it was opened.
    pub opened: Cell<u32>,
    /// Whether the bus is held.
    pub held: Cell<bool>,
    /// Bits of the filter.
    pub filter: Cell<u16>,
    /// No carrier.
    pub unplugged: Cell<bool>,
    /// What `open` fails with.
    pub open_error: Cell<Option<Error>>,
    /// What `release` fails with.
    pub release_error: Cell<Option<Error>>,
    /// Which of how many cards it is; `None` when it is the only one.
    pub place: Cell<Option<(usize, usize)>>,
    /// How often `transmit` says that the ring is full before it takes a frame.
    pub full: Cell<u32>,
}

/// The card.
pub struct SimNic {
    card: Rc<CardState>,
    machine: SimMachine,
    wire: Option<Box<dyn Wire>>,
    statistics: NicStatistics,
}

impl SimNic {
    /// A closed card.
    pub fn new(card: Rc<CardState>, machine: SimMachine, wire: Option<Box<dyn Wire>>) -> Self {
        Self { card, machine, wire, statistics: NicStatistics::default() }
    }
}

impl Nic for SimNic {
    fn open(&mut self) -> Result<(), Error> {
        if let Some(error) = self.card.open_error.get() {
            return Err(error);
        }
        if !self.card.open.replace(true) {
            self.card.opened.set(self.card.opened.get() + 1);
            self.card.filter.set(0);
        }
        self.card.held.set(true);
        Ok(())
    }

    fn close(&mut self) -> Result<(), Error> {
        self.card.open.set(false);
        self.card.filter.set(0);
        Ok(())
    }

    fn release(&mut self) -> Result<(), Error> {
        self.close()?;
        self.card.held.set(false);
        self.card.release_error.get().map_or(Ok(()), Err)
    }

    fn is_open(&self) -> bool {
        self.card.open.get()
    }

    fn permanent_mac(&self) -> MacAddress {
        if self.card.opened.get() > 0 { MAC } else { MacAddress::default() }
    }

    fn set_filter(&mut self, filter: PacketFilter) -> Result<(), Error> {
        if !self.is_open() {
            return Err(Error::NotOpen);
        }
        self.card.filter.set(filter.bits());
        Ok(())
    }

    fn link_is_up(&mut self) -> Result<bool, Error> {
        if self.is_open() { Ok(!self.card.unplugged.get()) } else { Err(Error::NotOpen) }
    }

    fn receive(&mut self, buffer: &mut [u8]) -> Result<Option<usize>, Error> {
        if !self.is_open() {
            return Err(Error::NotOpen);
        }
        loop {
            if let Some(wire) = &mut self.wire {
                while let Some(frame) = wire.poll(self.machine.now()) {
                    self.card.inbound.borrow_mut().push_back(frame);
                }
            }
            let Some(frame) = self.card.inbound.borrow_mut().pop_front() else { return Ok(None) };
            if accepts(PacketFilter::from_bits_retain(self.card.filter.get()), &frame) && frame.len() <= buffer.len() {
                buffer[..frame.len()].copy_from_slice(&frame);
                self.statistics.received += 1;
                return Ok(Some(frame.len()));
            }
            self.statistics.dropped += 1;
        }
    }

    fn transmit(&mut self, pieces: &[&[u8]]) -> Result<(), Error> {
        if !self.is_open() {
            return Err(Error::NotOpen);
        }
        let mut frame = pieces.concat();
        if !(14..=1514).contains(&frame.len()) {
            return Err(Error::InvalidParameter);
        }
        if self.card.full.get() > 0 {
            self.card.full.set(self.card.full.get() - 1);
            return Err(Error::RingFull);
        }
        frame.resize(frame.len().max(60), 0);
        if let Some(wire) = &mut self.wire {
            wire.handle(&frame, self.machine.now());
        }
        self.card.outbound.borrow_mut().push(frame);
        self.statistics.transmitted += 1;
        Ok(())
    }

    fn statistics(&self) -> NicStatistics {
        self.statistics
    }

    fn place(&self) -> (usize, usize) {
        self.card.place.get().unwrap_or((1, 1))
    }
}

/// What a host lets through.
fn accepts(filter: PacketFilter, frame: &[u8]) -> bool {
    let wanted = match frame[..6] {
        [0xff, 0xff, 0xff, 0xff, 0xff, 0xff] => PacketFilter::BROADCAST,
        [first, ..] if first & 1 != 0 => PacketFilter::ALL_MULTICAST,
        _ if frame[..6] == MAC => PacketFilter::DIRECTED,
        _ => PacketFilter::PROMISCUOUS,
    };
    filter.intersects(wanted | PacketFilter::PROMISCUOUS)
}
