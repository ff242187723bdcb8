//! A machine's state as bytes, for a host that saves it and goes on with it elsewhere.
//!
//! Saved is what the guest could notice: registers, SynIC with what waits there, the connection, channels, rings and
//! devices. Not saved is what an engine lends (guest memory, networks, disks, the clock), the configuration, and the record of
//! what the guest did. Times in it are the partition's reference time, which stands still while the machine is saved: what is
//! due in a second is due in a second after the restore.

use std::fmt;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::backend::NetBackend;
use crate::disk::DiskBackend;
use crate::report::Report;

/// What the engine lends a machine, and the record of what the guest did: all of it outlives the [`Host`](crate::Host).
#[derive(Default)]
pub struct Parts {
    /// The network of each NIC.
    pub nics: Vec<Box<dyn NetBackend>>,
    /// The disks of each SCSI controller.
    pub controllers: Vec<Vec<Box<dyn DiskBackend>>>,
    pub(crate) report: Report,
}

/// What is behind a device, given back by it.
pub(crate) enum Backend {
    None,
    Network(Box<dyn NetBackend>),
    Disks(Vec<Box<dyn DiskBackend>>),
}

impl Parts {
    pub(crate) fn take_back(&mut self, backend: Backend) {
        match backend {
            Backend::None => {}
            Backend::Network(network) => self.nics.push(network),
            Backend::Disks(disks) => self.controllers.push(disks),
        }
    }
}

/// Bytes that are no saved state of this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadState(String);

impl BadState {
    pub(crate) fn new(why: &str) -> Self {
        Self(why.to_owned())
    }
}

impl fmt::Display for BadState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no saved state of this machine: {}", self.0)
    }
}

impl std::error::Error for BadState {}

/// A state as bytes.
pub(crate) fn encode(state: &impl Serialize) -> Vec<u8> {
    // Fails for types that don't know their length, of which there are none here.
    postcard::to_stdvec(state).expect("numbers, lists and maps")
}

/// The reverse of [`encode`].
///
/// # Errors
/// When the bytes are not of this type, or there are more of them.
pub(crate) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, BadState> {
    match postcard::take_from_bytes(bytes) {
        Ok((state, [])) => Ok(state),
        Ok(_) => Err(BadState::new("bytes behind its end")),
        Err(error) => Err(BadState::new(&error.to_string())),
    }
}
