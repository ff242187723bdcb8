//! VMBus: one connection to the host, and channels to its devices.

pub mod ring;
