//! The server: which messages are taken, and in which state of the connection.

use crate::backend::NetBackend;
use crate::config::Config;
use crate::hypercall::{INVALID_CONNECTION_ID, Refused};
use crate::memory::GuestMemory;
use crate::report::Report;
use crate::synic::{Synic, VMBUS_SINT};
use std::collections::VecDeque;

pub(crate) struct Server {
    nics: Vec<Box<dyn NetBackend>>,
    incoming: VecDeque<Vec<u8>>,
    control_vp: u32,
}

impl Server {
    pub fn new(_config: &Config, nics: Vec<Box<dyn NetBackend>>) -> Self {
        Self { nics, incoming: VecDeque::new(), control_vp: 0 }
    }

    pub fn reply_due(&self, vp: u32, synic: &Synic) -> bool {
        vp == self.control_vp && (!self.incoming.is_empty() || synic.has_queued(VMBUS_SINT))
    }

    pub fn post(&mut self, connection: u32, _kind: u32, payload: Vec<u8>, _config: &Config) -> Result<(), Refused> {
        if connection != 1 {
            return Err((INVALID_CONNECTION_ID, "no such connection"));
        }
        self.incoming.push_back(payload);
        Ok(())
    }

    pub fn signal(
        &mut self,
        _connection: u32,
        _flag: u16,
        _mem: &mut dyn GuestMemory,
        _report: &mut Report,
    ) -> Result<(), Refused> {
        Err((INVALID_CONNECTION_ID, "no such connection"))
    }

    pub fn poll(&mut self, _c: &Config, _s: &mut [Synic], _mem: &mut dyn GuestMemory, _report: &mut Report) {}

    pub fn reset(&mut self, _report: &mut Report) {
        self.incoming.clear();
        let _nics = self.nics.len();
    }
}
