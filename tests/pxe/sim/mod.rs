//! The simulated surroundings of the core, and the rig that puts them together.

mod machine;
mod mem;
mod nic;

pub use machine::{LAYOUT, MachineState, RESIDENT, SimMachine};
pub use mem::SimMem;
pub use nic::{CardState, MAC, SimNic, Wire};

use std::rc::Rc;

use hvpxe::mem::SegOff;
use hvpxe::net::sockets::{BUFFERS_LEN, SocketPlaces};
use hvpxe::nic::MacAddress;
use hvpxe::pxe::{Api, CallResult, State, Then};

/// Where tests put their blocks.
pub const BLOCK: SegOff = SegOff { offset: 0x0013, segment: 0x2000 };
/// Where tests put their buffers.
pub const BUFFER: SegOff = SegOff { offset: 0x0100, segment: 0x3000 };

/// A machine with the ROM in it.
pub struct Rig {
    /// The services under test.
    pub api: Api<'static, SimNic, SimMem, SimMachine>,
    /// Memory.
    pub mem: SimMem,
    /// The card.
    pub card: Rc<CardState>,
    /// The machine.
    pub machine: Rc<MachineState>,
}

impl Rig {
    /// A machine whose card has nothing at its other end, and which has not booted.
    pub fn new() -> Self {
        Self::with_wire(None)
    }

    /// A machine on a network.
    pub fn with_wire(wire: Option<Box<dyn Wire>>) -> Self {
        let (mem, card, machine) = (SimMem::new(), Rc::new(CardState::default()), Rc::new(MachineState::default()));
        let sim_machine = SimMachine(Rc::clone(&machine));
        let nic = SimNic::new(Rc::clone(&card), sim_machine.clone(), wire);
        // As in the ROM: one static state, for as long as the process lives.
        let state = Box::leak(Box::new(State::new()));
        let buffers = Box::leak(vec![0; BUFFERS_LEN].into_boxed_slice());
        state.equip(Box::leak(Box::new(SocketPlaces::new())), buffers.try_into().expect("this is its length"));
        Self { api: Api::new(state, nic, mem.clone(), sim_machine), mem, card, machine }
    }

    /// The machine as the core sees it.
    pub fn sim_machine(&self) -> SimMachine {
        SimMachine(Rc::clone(&self.machine))
    }

    /// Calls with a block, and returns AX with the block as it is afterwards. No byte around the block may change, and
    /// AX must agree with the status.
    #[track_caller]
    pub fn call(&mut self, opcode: u16, block: &[u8]) -> (u16, Vec<u8>) {
        let (result, block) = self.call_raw(opcode, block);
        assert_eq!(result.then, Then::Return);
        let status = u16::from_le_bytes([block[0], block[1]]);
        assert_eq!(result.ax, u16::from(status != 0), "AX and status {status:#x} disagree");
        (status, block)
    }

    /// As [`call`](Self::call), for calls that may not return to their caller.
    #[track_caller]
    pub fn call_raw(&mut self, opcode: u16, block: &[u8]) -> (CallResult, Vec<u8>) {
        let at = BLOCK.linear();
        let guards = || (self.mem.peek(at - 16, 16), self.mem.peek(at + block.len() as u32, 64));
        let before = guards();
        self.mem.poke(at, block);
        let result = self.api.call(opcode, BLOCK);
        assert_eq!(
            before,
            (self.mem.peek(at - 16, 16), self.mem.peek(at + block.len() as u32, 64)),
            "wrote beside the block"
        );
        (result, self.mem.peek(at, block.len()))
    }

    /// Calls a function without parameters, which must succeed.
    #[track_caller]
    pub fn succeed(&mut self, opcode: u16) {
        assert_eq!(self.call(opcode, &[0xff, 0xff]).0, 0, "opcode {opcode:#04x}");
    }

    /// Opens UNDI with a filter and no multicast list.
    #[track_caller]
    pub fn open(&mut self, filter: u16) {
        let mut block = [0; 8];
        block[4..6].copy_from_slice(&filter.to_le_bytes());
        assert_eq!(self.call(0x06, &block).0, 0);
    }

    /// Puts a frame on the wire towards the card.
    pub fn arrive(&self, destination: MacAddress, ethertype: u16, len: usize) -> Vec<u8> {
        let mut frame = vec![0x5a; len];
        frame[..6].copy_from_slice(&destination);
        frame[6..12].copy_from_slice(&[0x52, 0x55, 0x0a, 0, 2, 2]);
        frame[12..14].copy_from_slice(&ethertype.to_be_bytes());
        self.card.inbound.borrow_mut().push_back(frame.clone());
        frame
    }
}

/// A far pointer as it lies in a block.
pub fn far(pointer: SegOff) -> [u8; 4] {
    let [a, b] = pointer.offset.to_le_bytes();
    let [c, d] = pointer.segment.to_le_bytes();
    [a, b, c, d]
}
