//! A rig on a network with DHCP and TFTP servers.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use hvpxe::pxe::BootOutcome;
use hvpxe::time::Ticks100ns;
use netserver::NetServer;

use super::sim::{Rig, Wire};

/// The server's address, and the one that it leases.
pub const SERVER: [u8; 4] = [10, 0, 2, 2];
/// The address that it leases.
pub const CLIENT: [u8; 4] = [10, 0, 2, 15];
/// The boot file's contents.
pub const NBP: &[u8] = b"\xea\x05\x00\xc0\x07 a boot program";

/// The server at the other end of the card's cable.
struct Cable(Rc<RefCell<NetServer>>);

fn time(now: Ticks100ns) -> Duration {
    Duration::from_nanos(now.0 * 100)
}

impl Wire for Cable {
    fn handle(&mut self, frame: &[u8], now: Ticks100ns) {
        self.0.borrow_mut().handle(frame, time(now));
    }

    fn poll(&mut self, now: Ticks100ns) -> Option<Vec<u8>> {
        self.0.borrow_mut().poll(time(now))
    }
}

/// A file that can't be mistaken for a shifted copy of itself.
pub fn file(len: usize) -> Vec<u8> {
    (0..len as u32).map(|index| (index.wrapping_mul(0x9e37_79b1) >> 24) as u8).collect()
}

/// A rig on a network which serves `boot.0`, with further switches set.
pub fn rig(switches: &[(&str, &str)]) -> (Rig, Rc<RefCell<NetServer>>) {
    let mut server = NetServer::new();
    server.files().add("boot.0", NBP);
    server.set("boot-file", "boot.0").unwrap();
    for (key, value) in switches {
        server.set(key, value).unwrap();
    }
    let server = Rc::new(RefCell::new(server));
    (Rig::with_wire(Some(Box::new(Cable(Rc::clone(&server))))), server)
}

/// A rig whose boot program runs.
pub fn booted() -> (Rig, Rc<RefCell<NetServer>>) {
    let (mut rig, server) = rig(&[]);
    assert_eq!(rig.api.boot(), BootOutcome::StartNbp, "{}", rig.machine.screen.borrow());
    (rig, server)
}
