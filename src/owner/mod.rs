//! Who owns VMBus: taking it, noticing that somebody else took it, and giving it back as found.
//!
//! Above this module nobody touches VMBus. The [`Arbiter`] holds the one connection, and on it the network card and the
//! disks. On each call it looks at the MSRs first. When they are not as it left them, it asks a device in its ring whether
//! the connection lives; when it doesn't, it connects anew and brings card and disks up again as they were.
//!
//! Messages for somebody else are kept and handed over where the connection is his and lives: by the slots of his record
//! ([`record`]), or in his SynIC slot when those are full. To an owner from whom VMBus is taken nothing is given back: what
//! lies in his slot is about channels that INITIATE_CONTACT ends, with ids that the host gives to channels of ours next; a
//! BIOS that connects again would take it for an answer to that; and while his slot is full, no message of ours comes.

mod arbiter;
mod attach;
mod choose;
mod network;
#[cfg(feature = "disk")]
mod publishing;
pub mod record;
mod standing;
mod ties;

#[cfg(feature = "disk")]
mod disks;

pub use arbiter::{Arbiter, Policy};
#[cfg(feature = "disk")]
pub use disks::MAX_DISKS;
pub use standing::{Company, Event, IllegalStep, Standing, step};

use core::ops::Range;

use crate::hv::Hypervisor;
use crate::mem::PhysMem;

/// The machine as the arbiter needs it.
pub trait Platform: Hypervisor + PhysMem {
    /// VMBus is about to be taken from an owner that is live, and this is the last moment in which his disks can be read.
    /// Called once for each owner, with all MSRs as found.
    fn about_to_take_over(&self) {}

    /// Our own memory below 1 MiB: a record in it is none that we could be a guest by.
    fn own_low_memory(&self) -> Range<u32> {
        0..0
    }

    /// Where the record of our own connection lies: the address of [`record::PUBLISHED_LEN`] bytes of reserved base
    /// memory, a multiple of 16. `None` on a machine on which it isn't published.
    #[cfg(feature = "disk")]
    fn record_place(&self) -> Option<u32> {
        None
    }
}
