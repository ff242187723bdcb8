//! VMBus: one connection to the host, and channels to its devices.

mod channel;
mod connection;
mod exchange;
mod gpadl;
mod offers;
pub mod ring;
mod state;

pub use channel::Channel;
pub use connection::{Connection, SETTLE_MS, Terms};
pub use gpadl::Gpadl;
pub use offers::{MAX_OFFERS, Offer, Offers};
pub use state::{Event, IllegalStep, State, step};

/// Deadline of a request to a device that only asks whether the host still knows us, in milliseconds (policy).
pub const SIGN_OF_LIFE_MS: u64 = 1_500;
