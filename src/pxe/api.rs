//! The API: one object, one dispatcher.

use super::answers::Situation;
use super::block::{Answer, Block};
use super::file::Files;
use super::undi::Undi;
use crate::machine::Machine;
use crate::mem::{PhysMem, SegOff};
use crate::net::dhcp::{BootInfo, Renewal};
use crate::net::sockets::{BUFFERS_LEN, SocketPlaces};
use crate::net::stack::Stack;
use crate::net::tftp::Transfer;
use crate::nic::{MAX_FRAME_LEN, Nic};
use crate::wire::pxe::*;

/// What the services remember between calls. Large (tens of KiB): meant to be a `static`, hence the `const`
/// constructor. In this order, because what lies within 127 bytes takes shorter instructions to reach.
#[repr(C)]
pub struct State {
    pub(super) renewal: Renewal,
    pub(super) undi: Undi,
    pub(super) transfer: Transfer,
    /// What the resident block's own answers were made from; none before the API is there.
    pub(super) answers: Option<Situation>,
    pub(super) info: BootInfo,
    pub(super) stack: Stack,
    pub(super) files: Files,
    /// What a caller sends, while it is put together: a frame, or the payload of a datagram.
    pub(super) outgoing: [u8; MAX_FRAME_LEN],
}

impl State {
    /// Before the first call.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            undi: Undi::new(),
            stack: Stack::new(),
            info: BootInfo::new(),
            renewal: Renewal::none(),
            transfer: Transfer::closed(),
            answers: None,
            files: super::file::NO_FILES,
            outgoing: [0; MAX_FRAME_LEN],
        }
    }

    /// Gives the services the memory of their sockets, for good; before anything else.
    pub fn equip(&mut self, places: &'static mut SocketPlaces, buffers: &'static mut [u8; BUFFERS_LEN]) {
        self.stack.equip(places, buffers);
    }
}

impl Default for State {
    fn default() -> Self {
        Self::new()
    }
}

/// The PXE services over one card, in one machine.
pub struct Api<'s, N: Nic, M: PhysMem, C: Machine> {
    pub(super) state: &'s mut State,
    pub(super) nic: N,
    pub(super) mem: M,
    pub(super) machine: C,
}

/// How a network boot ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BootOutcome {
    /// The boot program is at 0000:7C00, the structures are in place, INT 1Ah is hooked: enter it.
    StartNbp,
    /// The reason is on the screen, nothing is hooked, the card is quiet: the BIOS may try its next device.
    ReturnToBios,
}

/// What an API call gives back to its caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CallResult {
    /// The caller's AX; 0 exactly when the status in the block is 0.
    pub ax: u16,
    /// Where to go from here.
    pub then: Then,
}

/// Where an API call goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    /// Back to the caller.
    Return,
    /// Into the new boot program at 0000:7C00, with the registers and the stack of the first start (`RESTART_TFTP`).
    StartNbp,
}

/// What may become of the resident block once the boot program has returned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Residency {
    /// Nothing leads into it any more: base memory may be given back.
    Free,
    /// It must stay: the program asked for it, or somebody's hook still leads here.
    Keep,
}

impl<'s, N: Nic, M: PhysMem, C: Machine> Api<'s, N, M, C> {
    /// The services over a card that hasn't been opened yet.
    pub fn new(state: &'s mut State, nic: N, mem: M, machine: C) -> Self {
        Self { state, nic, mem, machine }
    }

    /// Serves one API call.
    ///
    /// The status in the block is preset to failure, so that a caller never reads an old success. An opcode that isn't
    /// known changes nothing but the status. A null block, or one that can't be written, is answered by AX alone.
    pub fn call(&mut self, opcode: u16, block: SegOff) -> CallResult {
        let failed = CallResult { ax: PXENV_EXIT_FAILURE, then: Then::Return };
        let Ok(block) = Block::new(self.mem.clone(), block) else { return failed };
        if block.write(0, &PxenvStatus::FAILURE.to_wire()).is_err() {
            return failed;
        }
        let answer = self.dispatch(opcode, &block);
        self.refresh_answers();
        if opcode == PXENV_RESTART_TFTP && answer.is_ok() {
            // No status: where the block was, the new boot program may lie.
            return CallResult { ax: PXENV_EXIT_SUCCESS, then: Then::StartNbp };
        }
        let status = answer.err().unwrap_or(PxenvStatus::SUCCESS);
        if block.write(0, &status.to_wire()).is_err() {
            return failed;
        }
        CallResult { ax: status.ax(), then: Then::Return }
    }

    /// The opcode table.
    fn dispatch(&mut self, opcode: u16, block: &Block<M>) -> Answer {
        if self.state.undi.is_stopped() && opcode != PXENV_START_UNDI {
            return Err(PxenvStatus::UNDI_INVALID_STATE);
        }
        match opcode {
            PXENV_START_UNDI => self.start_undi(),
            PXENV_UNDI_STARTUP => self.undi_startup(),
            PXENV_UNDI_CLEANUP => self.undi_cleanup(),
            PXENV_UNDI_INITIALIZE => self.undi_initialize(),
            PXENV_UNDI_RESET_ADAPTER => self.undi_reset_adapter(block),
            PXENV_UNDI_SHUTDOWN => self.undi_shutdown(),
            PXENV_UNDI_OPEN => self.undi_open(block),
            PXENV_UNDI_CLOSE => self.undi_close(),
            PXENV_UNDI_TRANSMIT => self.undi_transmit(block),
            PXENV_UNDI_SET_MCAST_ADDRESS => self.undi_set_mcast_address(block),
            PXENV_UNDI_SET_STATION_ADDRESS => self.undi_set_station_address(block),
            PXENV_UNDI_SET_PACKET_FILTER => self.undi_set_packet_filter(block),
            PXENV_UNDI_GET_INFORMATION => self.undi_get_information(block),
            PXENV_UNDI_GET_STATISTICS => self.undi_get_statistics(block),
            PXENV_UNDI_CLEAR_STATISTICS => self.undi_clear_statistics(),
            PXENV_UNDI_GET_MCAST_ADDRESS => self.undi_get_mcast_address(block),
            PXENV_UNDI_GET_IFACE_INFO => self.undi_get_iface_info(block),
            PXENV_UNDI_ISR => self.undi_isr(block),
            // One number, two functions (PXE 2.1). Every unloader shuts the card down first; who still has it open
            // wants the state (Haiku).
            PXENV_STOP_UNDI if !self.state.undi.is_opened() => self.stop_undi(),
            PXENV_UNDI_GET_STATE | PXENV_UNDI_GET_STATE_EDK2 => self.undi_get_state(block),
            PXENV_TFTP_OPEN => self.tftp_open(block),
            PXENV_TFTP_CLOSE => self.tftp_close(),
            PXENV_TFTP_READ => self.tftp_read(block),
            PXENV_TFTP_READ_FILE => self.tftp_read_file(block),
            PXENV_TFTP_GET_FSIZE => self.tftp_get_fsize(block),
            PXENV_UDP_OPEN => self.udp_open(block),
            PXENV_UDP_CLOSE => self.udp_close(),
            PXENV_UDP_READ => self.udp_read(block),
            PXENV_UDP_WRITE => self.udp_write(block),
            PXENV_FILE_OPEN..=PXENV_FILE_CMDLINE => self.file_call(opcode, block),
            PXENV_RESTART_TFTP => self.restart_tftp(block),
            PXENV_UNLOAD_STACK => self.unload_stack(),
            PXENV_GET_CACHED_INFO => self.get_cached_info(block),
            PXENV_STOP_BASE => Ok(()),
            // Deliberately among the rest: INITIATE_DIAGS and FORCE_INTERRUPT, which no card of this kind has;
            // GET_NIC_TYPE, since VMBus is neither PCI nor PnP and naming a foreign device misleads clients; START_BASE
            // and the obsolete calls, which nobody makes.
            _ => Err(PxenvStatus::UNSUPPORTED),
        }
    }
}
