//! The VMBus server: control messages, channels and rings.

mod server;

pub(crate) use server::Server;
