//! A download that goes on while others take VMBus.

use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hvhost::NetBackend;
use hvpxe::hv::Hypervisor;
use hvpxe::machine::{Key, Machine, ResidentLayout};
use hvpxe::net::Net;
use hvpxe::net::sockets::{BUFFERS_LEN, SocketPlaces};
use hvpxe::net::stack::Stack;
use hvpxe::net::tftp::{self, Request};
use hvpxe::nic::{Nic, PacketFilter};
use hvpxe::owner::Policy;
use hvpxe::time::Ticks100ns;
use netserver::NetServer;

use crate::lab::{Lab, config};
use crate::rules::thief;

const SERVER: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 2);
const CLIENT: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 15);
const FILE_LEN: usize = 20 << 20;
const THEFTS: usize = 10;

/// The test network at the other end of the virtual wire.
#[derive(Clone)]
struct Cable {
    server: Arc<Mutex<NetServer>>,
    /// Virtual time in units of 100 ns.
    now: Arc<AtomicU64>,
}

impl Cable {
    fn elapsed(&self) -> Duration {
        Duration::from_nanos(self.now.load(Ordering::Relaxed) * 100)
    }
}

impl NetBackend for Cable {
    fn send(&mut self, frame: &[u8]) {
        self.server.lock().unwrap().handle(frame, self.elapsed());
    }

    fn receive(&mut self) -> Option<Vec<u8>> {
        self.server.lock().unwrap().poll(self.elapsed())
    }

    fn link_up(&self) -> bool {
        true
    }
}

/// The machine as the network stack sees it.
#[derive(Clone)]
struct Bios {
    lab: Lab,
    now: Arc<AtomicU64>,
}

impl Machine for Bios {
    fn now(&self) -> Ticks100ns {
        let now = self.lab.now();
        self.now.store(now.0, Ordering::Relaxed);
        now
    }

    fn idle(&self) {
        self.lab.relax();
    }

    fn print(&self, _: &str) {}

    fn key(&self) -> Option<Key> {
        None
    }

    fn random(&self) -> u32 {
        4711
    }

    fn system_uuid(&self) -> Option<[u8; 16]> {
        None
    }

    fn base_memory_kib(&self) -> u16 {
        639
    }

    fn resident(&self) -> ResidentLayout {
        unreachable!("the network has no business in base memory")
    }

    fn hook_interrupts(&self) {}

    fn unhook_interrupts(&self) -> bool {
        true
    }
}

/// Downloads 20 MB with ten thefts on the way.
fn survives(leaves_simp: bool, policy: Policy) {
    let now = Arc::new(AtomicU64::new(0));
    let content: Vec<u8> =
        (0..FILE_LEN as u32 / 4).flat_map(|word| word.wrapping_mul(2_654_435_761).to_le_bytes()).collect();
    let mut server = NetServer::new();
    server.files().add("nbp", content.clone());
    let cable = Cable { server: Arc::new(Mutex::new(server)), now: now.clone() };
    let lab = Lab::with_backends(config(&[("relid_step", "3")]), vec![Box::new(cable)]);
    let mut nic = lab.net_device();
    nic.set_policy(policy);
    nic.open().unwrap();
    nic.set_filter(PacketFilter::DIRECTED | PacketFilter::BROADCAST).unwrap();
    let mut stack = Box::new(Stack::new());
    let buffers = Box::leak(vec![0; BUFFERS_LEN].into_boxed_slice());
    stack.equip(Box::leak(Box::new(SocketPlaces::new())), buffers.try_into().unwrap());
    let machine = Bios { lab: lab.clone(), now };
    let mac = nic.permanent_mac();
    stack.start(&mut nic, mac, lab.now(), 1).unwrap();
    stack.configure(CLIENT, Some(Ipv4Addr::new(255, 255, 255, 0)), Some(SERVER)).unwrap();
    let request = Request { server: SERVER, gateway: None, port: 0, file: b"nbp", block_size: 1468, window: 16 };
    let mut thefts = Vec::new();
    let mut file = Vec::with_capacity(FILE_LEN);
    let mut net = Net { stack: &mut stack, nic: &mut nic, machine: &machine, watch_keys: false };
    let sink = &mut |_, bytes: &[u8]| {
        file.extend_from_slice(bytes);
        if thefts.len() < THEFTS && file.len() > (thefts.len() + 1) * (FILE_LEN / (THEFTS + 1)) {
            thefts.push(thief(&lab, leaves_simp));
        }
        Ok(())
    };
    tftp::download(&mut net, &request, u64::MAX, sink, &mut |_, _| ()).unwrap();
    assert_eq!(thefts.len(), THEFTS);
    assert!(file == content, "every byte in its place");
    let contacts = lab.counters().vmbus_from_guest.get(&14).copied();
    assert_eq!(contacts, Some(1 + 2 * THEFTS as u64), "one of the thief and one of ours for each");
    nic.release().unwrap();
}

#[test]
fn of_20_mb_survives_10_thefts() {
    survives(false, Policy::Decline);
}

#[test]
fn of_20_mb_survives_10_thieves_that_stay() {
    survives(true, Policy::TakeOver);
}
