//! A NIC's cable that ends in our own network server, inside the plugin.
//!
//! The server is asked whenever the host model looks for a frame, and its time is the machine's. So its answers do not depend on
//! when the host's kernel hands a datagram over, and a run under icount repeats to the instruction.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result};
use hvhost::NetBackend;
use netserver::{Event, NetServer};

use crate::capture::Capture;
use crate::clock::Instant;

/// Shortest Ethernet frame without its checksum (IEEE 802.3).
const SHORTEST_FRAME: usize = 60;

/// A handle on the server; the NIC has one and the report has another.
#[derive(Clone)]
pub struct LocalNetwork {
    server: Arc<Mutex<NetServer>>,
    capture: Option<Arc<Capture>>,
    now: Instant,
}

impl LocalNetwork {
    /// A network that serves the files of `directory`, with the given switches of the server.
    ///
    /// # Errors
    /// When a switch or its value is unknown.
    pub fn new(
        directory: &Path,
        switches: &[(String, String)],
        capture: Option<Arc<Capture>>,
        now: Instant,
    ) -> Result<Self> {
        let mut server = NetServer::new();
        for (key, value) in switches {
            server.set(key, value).with_context(|| format!("server.{key}={value}"))?;
        }
        server.files().serve_directory(directory);
        Ok(Self { server: Arc::new(Mutex::new(server)), capture, now })
    }

    /// What happened on the network since the last call.
    pub fn take_events(&self) -> Vec<Event> {
        self.with_server(NetServer::take_events)
    }

    fn with_server<T>(&self, work: impl FnOnce(&mut NetServer) -> T) -> T {
        work(&mut self.server.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn captured(&self, frame: &[u8]) {
        if let Some(capture) = &self.capture {
            capture.frame(frame);
        }
    }
}

impl NetBackend for LocalNetwork {
    /// A short frame is padded: on a real cable the card does it.
    fn send(&mut self, frame: &[u8]) {
        self.captured(frame);
        let mut padded = frame.to_vec();
        padded.resize(frame.len().max(SHORTEST_FRAME), 0);
        let now = self.now.get();
        self.with_server(|server| server.handle(&padded, now));
    }

    fn receive(&mut self) -> Option<Vec<u8>> {
        let now = self.now.get();
        let frame = self.with_server(|server| server.poll(now))?;
        self.captured(&frame);
        Some(frame)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Who has 10.0.2.2? Tell 10.0.2.15, 00:15:5d:0a:0b:0c (RFC 826); 42 bytes, as a guest sends it.
    const ARP_REQUEST: [u8; 42] = [
        0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x00, 0x15, 0x5d, 0x0a, 0x0b, 0x0c, 0x08, 0x06, // Ethernet
        0, 1, 8, 0, 6, 4, 0, 1, // IPv4 over Ethernet, request
        0x00, 0x15, 0x5d, 0x0a, 0x0b, 0x0c, 10, 0, 2, 15, // sender
        0, 0, 0, 0, 0, 0, 10, 0, 2, 2, // target
    ];

    #[test]
    fn the_server_answers_in_the_machines_time() {
        let now = Instant::default();
        let switches = [("latency-ms".to_owned(), "5".to_owned())];
        let mut network = LocalNetwork::new(Path::new("/nonexistent"), &switches, None, now.clone()).unwrap();
        network.send(&ARP_REQUEST);
        assert_eq!(network.receive(), None, "5 ms each way");
        now.set(200_000);
        assert_eq!(network.receive(), None, "the request has arrived, the reply is under way");
        now.set(400_000);
        let reply = network.receive().expect("the reply");
        assert_eq!(reply[20..22], [0, 2]);
        assert_eq!(reply[28..32], [10, 0, 2, 2]);
    }

    #[test]
    fn an_unknown_switch_is_named_in_the_error() {
        let switches = [("colour".to_owned(), "red".to_owned())];
        let error = LocalNetwork::new(Path::new("/"), &switches, None, Instant::default()).err().unwrap();
        assert!(format!("{error:#}").contains("server.colour=red"));
    }
}
