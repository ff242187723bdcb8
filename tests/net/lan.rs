//! A machine with a card on a simulated network, in virtual time.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Duration;

use hvpxe::error::Error;
use hvpxe::machine::{Key, Machine, ResidentLayout};
use hvpxe::net::Net;
use hvpxe::net::sockets::{BUFFERS_LEN, SocketPlaces};
use hvpxe::net::stack::Stack;
use hvpxe::nic::{MAX_FRAME_LEN, MacAddress, Nic, NicStatistics, PacketFilter};
use hvpxe::time::Ticks100ns;
use netserver::{Event, NetServer};

/// The client's station address.
pub const MAC: MacAddress = [0x00, 0x15, 0x5d, 0x01, 0x02, 0x03];

/// Longest step of idle time, as in a BIOS machine between two timer ticks.
const MAX_IDLE: Duration = Duration::from_millis(10);

/// Virtual time that no test may exceed: a wait without a deadline fails instead of hanging.
const END_OF_TIME: Duration = Duration::from_secs(1000);

/// Changes a frame.
pub type Tamper = Box<dyn FnMut(&mut Vec<u8>)>;

/// What machine and card share.
pub struct World {
    /// The network.
    pub server: NetServer,
    /// Virtual time since the start.
    pub now: Duration,
    /// Keys that are pressed, and when.
    pub keys: VecDeque<(Duration, Key)>,
    /// Frames that come in besides those of the server.
    pub injected: VecDeque<Vec<u8>>,
    /// Changes frames on their way to the client.
    pub tamper: Option<Tamper>,
    /// Every frame that the client sent.
    pub sent: Vec<Vec<u8>>,
    random: u32,
}

/// Gives a stack the memory of its sockets, as the ROM does from statics.
pub fn equip(stack: &mut Stack) {
    let buffers = vec![0; BUFFERS_LEN].into_boxed_slice();
    let buffers = Box::leak(buffers).try_into().expect("this is its length");
    stack.equip(Box::leak(Box::new(SocketPlaces::new())), buffers);
}

/// A handle on the machine and its card.
#[derive(Clone)]
pub struct Lan(pub Rc<RefCell<World>>);

impl Lan {
    /// A machine on a network with these switches.
    pub fn new(switches: &[(&str, &str)]) -> Self {
        let mut server = NetServer::new();
        for (key, value) in switches {
            server.set(key, value).unwrap();
        }
        Self(Rc::new(RefCell::new(World {
            server,
            now: Duration::ZERO,
            keys: VecDeque::new(),
            injected: VecDeque::new(),
            tamper: None,
            sent: Vec::new(),
            random: 0x1234_5678,
        })))
    }

    /// Runs `action` with a started stack.
    pub fn with_net<R>(&self, action: impl FnOnce(&mut Net<'_, Self, Self>) -> R) -> R {
        let mut stack = Box::new(Stack::new());
        let mut nic = self.clone();
        equip(&mut stack);
        stack.start(&mut nic, MAC, self.ticks(), 1).unwrap();
        action(&mut Net { stack: &mut stack, nic: &mut nic, machine: self, watch_keys: true })
    }

    /// Virtual time since the start.
    pub fn elapsed(&self) -> Duration {
        self.0.borrow().now
    }

    /// What the server noted, after it took all that is on its way; frames for the client are lost.
    pub fn events(&self) -> Vec<Event> {
        let mut world = self.0.borrow_mut();
        let later = world.now + Duration::from_millis(500);
        while world.server.poll(later).is_some() {}
        world.server.take_events()
    }

    /// The mistakes of the client among them.
    pub fn violations(&self) -> Vec<Event> {
        self.events().into_iter().filter(|event| matches!(event, Event::Violation(_))).collect()
    }

    fn ticks(&self) -> Ticks100ns {
        Ticks100ns(self.elapsed().as_nanos() as u64 / 100)
    }
}

impl Machine for Lan {
    fn now(&self) -> Ticks100ns {
        self.ticks()
    }

    fn idle(&self) {
        let mut world = self.0.borrow_mut();
        let now = world.now;
        let due = world.server.next_deadline(now).unwrap_or(now + MAX_IDLE);
        world.now = due.clamp(now + Duration::from_micros(1), now + MAX_IDLE);
        assert!(world.now < END_OF_TIME, "a wait without an end");
    }

    fn print(&self, _: &str) {}

    fn key(&self) -> Option<Key> {
        let mut world = self.0.borrow_mut();
        let due = world.keys.front()?.0 <= world.now;
        due.then(|| world.keys.pop_front().expect("there is a first").1)
    }

    fn random(&self) -> u32 {
        let mut world = self.0.borrow_mut();
        // Numerical Recipes' constants: any sequence will do, as long as it is the same each time.
        world.random = world.random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        world.random >> 4
    }

    fn system_uuid(&self) -> Option<[u8; 16]> {
        Some(*b"hvpxe-test-uuid!")
    }

    fn base_memory_kib(&self) -> u16 {
        639
    }

    fn resident(&self) -> ResidentLayout {
        panic!("the network has no business in base memory")
    }

    fn hook_interrupts(&self) {
        panic!("the network hooks nothing")
    }

    fn unhook_interrupts(&self) -> bool {
        panic!("the network hooks nothing")
    }
}

impl Nic for Lan {
    fn open(&mut self) -> Result<(), Error> {
        Ok(())
    }

    fn close(&mut self) -> Result<(), Error> {
        Ok(())
    }

    fn release(&mut self) -> Result<(), Error> {
        Ok(())
    }

    fn is_open(&self) -> bool {
        true
    }

    fn permanent_mac(&self) -> MacAddress {
        MAC
    }

    fn set_filter(&mut self, _: PacketFilter) -> Result<(), Error> {
        Ok(())
    }

    fn link_is_up(&mut self) -> Result<bool, Error> {
        Ok(true)
    }

    fn receive(&mut self, buffer: &mut [u8]) -> Result<Option<usize>, Error> {
        let mut world = self.0.borrow_mut();
        let now = world.now;
        let Some(mut frame) = world.injected.pop_front().or_else(|| world.server.poll(now)) else { return Ok(None) };
        if let Some(tamper) = &mut world.tamper {
            tamper(&mut frame);
        }
        if frame.len() > buffer.len() {
            return Ok(None);
        }
        buffer[..frame.len()].copy_from_slice(&frame);
        Ok(Some(frame.len()))
    }

    fn transmit(&mut self, pieces: &[&[u8]]) -> Result<(), Error> {
        let mut frame = pieces.concat();
        assert!((14..=MAX_FRAME_LEN).contains(&frame.len()), "a frame of {} bytes", frame.len());
        frame.resize(frame.len().max(60), 0);
        let mut world = self.0.borrow_mut();
        let now = world.now;
        world.server.handle(&frame, now);
        world.sent.push(frame);
        Ok(())
    }

    fn statistics(&self) -> NicStatistics {
        NicStatistics::default()
    }
}
