//! The VMBus server: control messages, channels and rings.

pub(crate) mod channel;
pub(crate) mod device;
pub(crate) mod gpadl;
mod guid;
mod messages;
pub(crate) mod offers;
pub(crate) mod replies;
mod requests;
pub(crate) mod ring;
mod saved;
mod server;
mod unsolicited;

pub(crate) use server::{Context, Server};
