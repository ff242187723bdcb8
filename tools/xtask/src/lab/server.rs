//! Our own network server, in a thread, at the other end of the virtual NIC's cable.
//!
//! It knows more than QEMU's: another boot file for iPXE than for the ROM, and every fault that a test asks for.

use std::io::ErrorKind;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use netserver::{Event, NetServer};

/// Longest wait for a frame, so that the end of the run is noticed (policy).
const LONGEST_WAIT: Duration = Duration::from_millis(50);
/// Shortest wait for a frame: a socket can't wait for no time at all.
const SHORTEST_WAIT: Duration = Duration::from_micros(100);
/// How long a frame may wait for room in the NIC's queue before it is lost (policy).
const SEND_PATIENCE: Duration = Duration::from_millis(20);
/// Longest frame: an Ethernet frame with one VLAN tag.
const MAX_FRAME: usize = 1518;
/// Shortest Ethernet frame without its checksum (IEEE 802.3).
const SHORTEST_FRAME: usize = 60;

/// The server under way. It ends when this value goes.
pub struct ServerThread {
    stop: Arc<AtomicBool>,
    events: Arc<Mutex<Vec<Event>>>,
    thread: Option<JoinHandle<()>>,
}

impl ServerThread {
    /// Starts the server at `local`; the NIC is at `remote`.
    ///
    /// # Errors
    /// When a switch is unknown or the socket can't be made.
    pub fn start(local: &Path, remote: PathBuf, files: &Path, switches: &[(String, String)]) -> Result<Self> {
        let mut server = NetServer::new();
        for (key, value) in switches {
            server.set(key, value).with_context(|| format!("network server: {key}={value}"))?;
        }
        server.files().serve_directory(files);
        let socket = UnixDatagram::bind(local).with_context(|| format!("can't make the socket {}", local.display()))?;
        socket.set_write_timeout(Some(SEND_PATIENCE))?;
        let (stop, events) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(Vec::new())));
        let thread = thread::spawn({
            let (stop, events) = (Arc::clone(&stop), Arc::clone(&events));
            move || serve(&mut server, &socket, &remote, &stop, &events)
        });
        Ok(Self { stop, events, thread: Some(thread) })
    }

    /// What happened so far.
    pub fn events(&self) -> Vec<Event> {
        self.events.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for ServerThread {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take() {
            // A panic there has been printed already.
            let _ = thread.join();
        }
    }
}

fn serve(server: &mut NetServer, socket: &UnixDatagram, remote: &Path, stop: &AtomicBool, events: &Mutex<Vec<Event>>) {
    let start = Instant::now();
    let mut buffer = [0; MAX_FRAME];
    while !stop.load(Ordering::SeqCst) {
        let now = start.elapsed();
        let due = server.next_deadline(now).map_or(LONGEST_WAIT, |due| due.saturating_sub(now));
        // Setting a time-out fails for zero only.
        let _ = socket.set_read_timeout(Some(due.clamp(SHORTEST_WAIT, LONGEST_WAIT)));
        match socket.recv(&mut buffer) {
            Ok(len) => {
                // A virtual cable carries short frames as they are; what a switch would deliver has been padded.
                buffer[len..].fill(0);
                server.handle(&buffer[..len.max(SHORTEST_FRAME)], start.elapsed());
            }
            Err(error)
                if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted) => {}
            Err(_) => return,
        }
        while let Some(frame) = server.poll(start.elapsed()) {
            // As on a cable: a NIC that isn't there, or doesn't keep up, loses it.
            let _ = socket.send_to(&frame, remote);
        }
        events.lock().unwrap_or_else(PoisonError::into_inner).append(&mut server.take_events());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 826: who has 10.0.2.2, asks 10.0.2.15; 42 bytes, not padded, as boot programs send it.
    const ARP_REQUEST: [u8; 42] = [
        0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x00, 0x15, 0x5d, 0x0a, 0x0b, 0x0c, 0x08, 0x06, // broadcast, ARP
        0x00, 0x01, 0x08, 0x00, 0x06, 0x04, 0x00, 0x01, // Ethernet, IPv4, request
        0x00, 0x15, 0x5d, 0x0a, 0x0b, 0x0c, 10, 0, 2, 15, // sender
        0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 10, 0, 2, 2, // target
    ];

    #[test]
    fn a_frame_on_the_cable_is_answered() {
        let dir = tempfile::tempdir().unwrap();
        let (local, nic) = (dir.path().join("net"), dir.path().join("nic"));
        let cable = UnixDatagram::bind(&nic).unwrap();
        cable.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        let _server = ServerThread::start(&local, nic, dir.path(), &[]).unwrap();
        cable.send_to(&ARP_REQUEST, &local).unwrap();
        let mut answer = [0; MAX_FRAME];
        let len = cable.recv(&mut answer).unwrap();
        assert!(len >= 42);
        assert_eq!(answer[..6], ARP_REQUEST[6..12], "to the one who asked");
        assert_eq!(answer[20..22], [0, 2], "an ARP reply");
    }

    #[test]
    fn an_unknown_switch_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let switch = ("colour".to_owned(), "red".to_owned());
        let Err(error) = ServerThread::start(&dir.path().join("net"), "nic".into(), dir.path(), &[switch]) else {
            panic!("a switch that doesn't exist was taken");
        };
        assert!(format!("{error:#}").contains("colour"), "{error:#}");
    }
}
