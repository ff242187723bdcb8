//! Who owns VMBus: taking it, noticing that somebody else took it, and giving it back as found.
//!
//! Above this module nobody touches VMBus. Now there is one policy for a foreign owner that is live: decline
//! ([`crate::error::Error::VmbusOwned`]). One that came and went between two calls is noticed, and the card reconnects.

mod choose;
mod disk_device;
mod net_device;
pub mod record;

pub use disk_device::DiskDevice;
pub use net_device::NetDevice;
