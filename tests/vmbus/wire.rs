//! A network of one: it keeps what the guest sends, and gives it what the test wants it to receive.
#![allow(dead_code)] // each test program uses its part

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use hvhost::NetBackend;

#[derive(Default)]
struct State {
    to_guest: VecDeque<Vec<u8>>,
    from_guest: Vec<Vec<u8>>,
    echo: bool,
    cable_out: bool,
}

/// A cable; all clones mean the same one.
#[derive(Clone, Default)]
pub struct Wire(Arc<Mutex<State>>);

impl Wire {
    /// A cable whose other end sends back whatever comes.
    pub fn echo() -> Self {
        let wire = Self::default();
        wire.0.lock().unwrap().echo = true;
        wire
    }

    /// A cable that isn't plugged in.
    pub fn unplugged() -> Self {
        let wire = Self::default();
        wire.0.lock().unwrap().cable_out = true;
        wire
    }

    /// Queues a frame for the guest.
    pub fn give(&self, frame: Vec<u8>) {
        self.0.lock().unwrap().to_guest.push_back(frame);
    }

    /// What the guest has sent since the last call.
    pub fn taken(&self) -> Vec<Vec<u8>> {
        std::mem::take(&mut self.0.lock().unwrap().from_guest)
    }
}

impl NetBackend for Wire {
    fn send(&mut self, frame: &[u8]) {
        let mut state = self.0.lock().unwrap();
        if state.echo {
            state.to_guest.push_back(frame.to_vec());
        }
        state.from_guest.push(frame.to_vec());
    }

    fn receive(&mut self) -> Option<Vec<u8>> {
        self.0.lock().unwrap().to_guest.pop_front()
    }

    fn link_up(&self) -> bool {
        !self.0.lock().unwrap().cable_out
    }
}
