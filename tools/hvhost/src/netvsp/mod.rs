//! The synthetic NIC's host side (NetVSP).
//!
//! Handshake, then RNDIS. What stops the channel and what only fails a packet follows OpenVMM, with the switches of
//! [`Config`] for what Microsoft's host allows.

mod handshake;
mod nvsp;
mod oid;
mod receive;
mod rndis;
mod rxbuf;
mod transmit;
mod tx;

use std::collections::VecDeque;

use crate::backend::NetBackend;
use crate::config::Config;
use crate::report::Report;
use crate::saved::{Backend, BadState, decode, encode};
use crate::violations::Breach;
use crate::vmbus::device::{Device, Io, Rings, Stop};
use crate::vmbus::replies::Replies;
use handshake::Setup;
use oid::Adapter;

/// Frames dropped in one go while nobody listens; policy.
const MAX_DROPS: usize = 64;

/// One virtual NIC.
pub(crate) struct NetVsp {
    mac: [u8; 6],
    backend: Box<dyn NetBackend>,
    setup: Setup,
    initialized: bool,
    filter: u32,
    /// NVSP messages for the guest.
    replies: Replies,
    /// RNDIS requests and indications that wait for a receive buffer.
    control: VecDeque<Vec<u8>>,
    indications: VecDeque<Vec<u8>>,
    /// The link state that the guest knows.
    link_told: bool,
    /// Frames taken from the network for which there was no room.
    received: VecDeque<Vec<u8>>,
    /// Packets of the guest are left in the ring.
    behind: bool,
    sent_count: u64,
    received_count: u64,
}

impl NetVsp {
    /// NIC number `index`; MAC addresses count up from the configured one.
    pub fn new(config: &Config, index: u32, backend: Box<dyn NetBackend>) -> Self {
        let mut mac = config.mac;
        let tail = u32::from_be_bytes([0, mac[3], mac[4], mac[5]]).wrapping_add(index).to_be_bytes();
        mac[3..].copy_from_slice(&tail[1..]);
        Self {
            mac,
            backend,
            setup: Setup::default(),
            initialized: false,
            filter: 0,
            replies: Replies::default(),
            control: VecDeque::new(),
            indications: VecDeque::new(),
            link_told: true,
            received: VecDeque::new(),
            behind: false,
            sent_count: 0,
            received_count: 0,
        }
    }

    fn link_up(&self, config: &Config, now: u64) -> bool {
        self.backend.link_up() && config.faults.link_at(now).unwrap_or(config.link_up)
    }

    fn adapter(&self, link_up: bool) -> Adapter {
        Adapter {
            mac: self.mac,
            mtu: self.setup.mtu(),
            link_up,
            filter: self.filter,
            sent: self.sent_count,
            received: self.received_count,
            ndis6: self.setup.is_ndis6(),
        }
    }
}

impl Device for NetVsp {
    fn open(&mut self) {
        self.setup = Setup::default();
        self.initialized = false;
        self.filter = 0;
        self.replies.clear();
        self.control.clear();
        self.indications.clear();
        self.received.clear();
        self.behind = false;
    }

    fn service(&mut self, rings: &mut Rings, woken: bool, io: &mut Io<'_>) -> Result<(), Stop> {
        if rings.blocked && !woken {
            return Ok(()); // the guest was asked for a signal
        }
        let mut room = self.replies.flush(rings, io)?;
        if woken || self.behind {
            self.behind = !room;
            while room {
                let Some(packet) = rings.next(io)? else { break };
                self.packet(packet, io)?;
                if io.config.faults.reply_first {
                    self.serve_control(rings, io)?;
                }
                room = self.replies.flush(rings, io)?;
                self.behind = !room;
            }
            rings.commit(io)?;
        }
        if room {
            self.serve_control(rings, io)?;
            self.serve_receive(rings, io)?;
        }
        if let Some(gpa) = self.setup.receive.as_mut().and_then(|buffer| buffer.reused.take()) {
            io.report.breach(Breach::MemoryReused { relid: io.relid, gpa });
        }
        Ok(())
    }

    fn idle(&mut self, report: &mut Report) {
        for _ in 0..MAX_DROPS {
            if self.backend.receive().is_none() {
                return;
            }
            report.counters.rx_filtered += 1;
        }
    }

    fn close(&mut self, relid: u32, orderly: bool, report: &mut Report) {
        // Windows Server 2012 R2 then delivers nothing after the next open, even if HALT was sent (seen by iPXE).
        if orderly && self.filter != 0 {
            report.breach(Breach::Rndis { relid, message: 0, why: "channel closed with a packet filter set" });
        }
        self.open();
    }

    fn holds(&self, gpadl: u32) -> bool {
        self.setup.holds(gpadl)
    }

    fn save(&self) -> Vec<u8> {
        let Self {
            mac: _,
            backend: _,
            setup,
            initialized,
            filter,
            replies,
            control,
            indications,
            link_told,
            received,
            behind,
            sent_count,
            received_count,
        } = self;
        encode(&(
            (setup, initialized, filter, replies, control, indications),
            (link_told, received, behind, sent_count, received_count),
        ))
    }

    fn restore(&mut self, state: &[u8]) -> Result<(), BadState> {
        let (protocol, traffic) = decode(state)?;
        (self.setup, self.initialized, self.filter, self.replies, self.control, self.indications) = protocol;
        (self.link_told, self.received, self.behind, self.sent_count, self.received_count) = traffic;
        Ok(())
    }

    fn into_backend(self: Box<Self>) -> Backend {
        Backend::Network(self.backend)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Unplugged;

    impl NetBackend for Unplugged {
        fn send(&mut self, _frame: &[u8]) {}

        fn receive(&mut self) -> Option<Vec<u8>> {
            None
        }

        fn link_up(&self) -> bool {
            false
        }
    }

    #[test]
    fn mac_addresses_count_up_within_the_vendors_range() {
        let config = Config { mac: [0, 0x15, 0x5d, 0xff, 0xff, 0xff], ..Config::default() };
        let macs = [0, 1].map(|index| NetVsp::new(&config, index, Box::new(Unplugged)).mac);
        assert_eq!(macs, [[0, 0x15, 0x5d, 0xff, 0xff, 0xff], [0, 0x15, 0x5d, 0, 0, 0]]);
    }

    #[test]
    fn an_unplugged_cable_is_down_whatever_the_switches_say() {
        let mut config = Config::default();
        config.faults.link_changes.push((10, true));
        assert!(!NetVsp::new(&config, 0, Box::new(Unplugged)).link_up(&config, 20));
    }
}
