//! What the resident block answers by itself to callers in V86 mode, who can't enter the core (asm/v86.s): for each call
//! that would change nothing now, the parameter block as the core would fill it in.
//!
//! The block has a list of records, `opcode`, `length` (16 bits each, little-endian) and `length` bytes of parameter
//! block, which begin with the status; a length of 0 ends it. `GET_CACHED_INFO` has its status alone: its answer depends on
//! the parameters, so it is worked out by the assembly. Calls without a record fail there.

use heapless::Vec;
use zerocopy::IntoBytes;

use super::api::Api;
use super::undi::{Phase, iface_info};
use crate::machine::Machine;
use crate::mem::PhysMem;
use crate::nic::Nic;
use crate::wire::pxe::*;

/// Opcode and length of a record.
const HEADER_LEN: usize = 4;
/// Blocks that hold more than a status.
const LONG_BLOCKS: usize =
    size_of::<PxenvUndiGetInformation>() + size_of::<PxenvUndiGetIfaceInfo>() + 2 * size_of::<PxenvUndiGetState>();
/// How many records have one of those, and how many have a status.
const RECORDS: (usize, usize) = (4, 8);
/// Length of the list in the resident block, in bytes; the header of length 0 included.
pub const ANSWERS_SIZE: usize =
    (RECORDS.0 + RECORDS.1 + 1) * HEADER_LEN + LONG_BLOCKS + RECORDS.1 * size_of::<PxenvStatus>();

/// What the answers depend on, beside the station address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Situation {
    phase: Phase,
    has_datagrams: bool,
    has_transfer: bool,
}

/// A list under construction.
struct List(Vec<u8, ANSWERS_SIZE>);

impl List {
    fn add(&mut self, opcode: u16, block: &[u8]) {
        for word in [opcode, block.len() as u16] {
            self.extend(&word.to_le_bytes());
        }
        self.extend(block);
    }

    fn add_status(&mut self, opcode: u16, status: PxenvStatus) {
        self.add(opcode, status.to_wire().as_bytes());
    }

    fn extend(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes).expect("ANSWERS_SIZE counts all records");
    }
}

impl<N: Nic, M: PhysMem, C: Machine> Api<'_, N, M, C> {
    /// Makes the list, in a new resident block.
    pub(super) fn publish_answers(&mut self) {
        let situation = self.situation();
        let list = self.answers(&situation);
        self.mem.write_resident(self.machine.resident().answers, &list.0);
        self.state.answers = Some(situation);
    }

    /// Brings the list up to date, after anything that may have changed an answer.
    pub(super) fn refresh_answers(&mut self) {
        if self.state.answers.is_some_and(|known| known != self.situation()) {
            self.publish_answers();
        }
    }

    fn situation(&self) -> Situation {
        Situation {
            phase: self.state.undi.phase(),
            has_datagrams: self.state.stack.has_datagrams(),
            has_transfer: self.state.transfer.is_open(),
        }
    }

    fn answers(&self, situation: &Situation) -> List {
        let mut list = List(Vec::new());
        if situation.phase != Phase::Stopped {
            list.add(PXENV_UNDI_GET_INFORMATION, self.information().as_bytes());
            list.add(PXENV_UNDI_GET_IFACE_INFO, iface_info().as_bytes());
            list.add(PXENV_UNDI_GET_STATE_EDK2, self.undi_state().as_bytes());
            list.add_status(PXENV_GET_CACHED_INFO, PxenvStatus::SUCCESS);
            list.add_status(PXENV_UNDI_GET_NIC_TYPE, PxenvStatus::UNSUPPORTED);
            for (opcode, changes_nothing) in [
                (PXENV_START_UNDI, true),
                (PXENV_STOP_BASE, true),
                (PXENV_UNDI_STARTUP, situation.phase >= Phase::Started),
                (PXENV_UNDI_CLOSE, situation.phase != Phase::Opened),
                (PXENV_TFTP_CLOSE, !situation.has_transfer),
                (PXENV_UDP_CLOSE, !situation.has_datagrams),
            ] {
                if changes_nothing {
                    list.add_status(opcode, PxenvStatus::SUCCESS);
                }
            }
            // This number is STOP_UNDI's too, while the card isn't open.
            if situation.phase == Phase::Opened {
                list.add(PXENV_UNDI_GET_STATE, self.undi_state().as_bytes());
            }
        }
        list.add(0, &[]);
        list
    }
}
