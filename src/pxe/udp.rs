//! The UDP functions. Datagrams are queued for every port from `UDP_OPEN` on, so that a caller which polls several
//! ports in turn (Syslinux) loses none.

use core::mem::offset_of;

use super::api::{Api, State};
use super::block::{Answer, Block, buffer};
use super::tftp::given;
use crate::machine::Machine;
use crate::mem::PhysMem;
use crate::net::Net;
use crate::net::udp::{Filter, MAX_PAYLOAD, Route};
use crate::nic::Nic;
use crate::time::Ticks100ns;
use crate::wire::pxe::*;

impl<N: Nic, M: PhysMem, C: Machine> Api<'_, N, M, C> {
    /// `UDP_OPEN`: again when open, the queue is emptied.
    pub(super) fn udp_open(&mut self, block: &Block<M>) -> Answer {
        let open: PxenvUdpOpen = block.read()?;
        self.require_open()?;
        let now = self.machine.now();
        let stack = &mut self.state.stack;
        // What the card still holds from before isn't meant for this caller.
        stack.poll(&mut self.nic, now)?;
        stack.clear_queue();
        if let Some(address) = given(open.src_ip).filter(|&address| address != stack.address()) {
            stack.configure(address, given(stack.mask().octets()), stack.gateway())?;
        }
        Ok(())
    }

    /// `UDP_CLOSE`: no error when closed.
    pub(super) fn udp_close(&mut self) -> Answer {
        self.state.stack.clear_queue();
        Ok(())
    }

    /// `UDP_READ`: never waits. Destination and port are filled in even when the caller named them (NTLDR needs it).
    pub(super) fn udp_read(&mut self, block: &Block<M>) -> Answer {
        let mut read: PxenvUdpRead = block.read()?;
        buffer(read.buffer, 0)?;
        self.require_up(PxenvStatus::UDP_CLOSED)?;
        let wanted_port = read.d_port.get();
        let filter = Filter {
            destination: given(read.dest_ip),
            destination_port: (wanted_port != 0).then_some(wanted_port),
            ..Filter::default()
        };
        let now = self.keep_lease();
        let datagram = self.state.stack.receive(&mut self.nic, now, &filter)?.ok_or(PxenvStatus::FAILURE)?;
        let payload = datagram.payload();
        let payload = &payload[..payload.len().min(usize::from(read.buffer_size.get()))];
        self.mem.write(buffer(read.buffer, payload.len())?, payload)?;
        read.src_ip = datagram.source.octets();
        read.dest_ip = datagram.destination.octets();
        read.s_port = datagram.source_port.into();
        read.d_port = datagram.destination_port.into();
        read.buffer_size = (payload.len() as u16).into();
        let out = offset_of!(PxenvUdpRead, src_ip)..offset_of!(PxenvUdpRead, buffer);
        block.write(out.start, &zerocopy::IntoBytes::as_bytes(&read)[out])
    }

    /// `UDP_WRITE`: waits for ARP, since callers don't soon repeat their first datagram.
    pub(super) fn udp_write(&mut self, block: &Block<M>) -> Answer {
        let write: PxenvUdpWrite = block.read()?;
        let len = usize::from(write.buffer_size.get());
        let payload = self.state.outgoing[..MAX_PAYLOAD].get_mut(..len).ok_or(PxenvStatus::UNDI_INVALID_PARAMETER)?;
        if !payload.is_empty() {
            self.mem.read(buffer(write.buffer, len)?, payload)?;
        }
        self.require_up(PxenvStatus::UDP_CLOSED)?;
        self.keep_lease();
        let source_port = match write.src_port.get() {
            0 => PXENV_UDP_DEFAULT_PORT,
            port => port,
        };
        let route = Route {
            source: None,
            source_port,
            destination: write.ip.into(),
            destination_port: write.dst_port.get(),
            gateway: given(write.gw),
        };
        let State { stack, outgoing, .. } = &mut *self.state;
        let mut net = Net { stack, nic: &mut self.nic, machine: &self.machine, watch_keys: false };
        Ok(net.send(&route, &outgoing[..len])?)
    }

    /// Renews the lease when that is due; part of every base-code call that boot programs make while they idle or load.
    /// Returns the time.
    pub(super) fn keep_lease(&mut self) -> Ticks100ns {
        let now = self.machine.now();
        let State { stack, renewal, .. } = &mut *self.state;
        let mut net = Net { stack, nic: &mut self.nic, machine: &self.machine, watch_keys: false };
        // An error of the card's meets the caller's own packets too; any other is no affair of theirs.
        let _ = renewal.keep(&mut net, now);
        now
    }
}
