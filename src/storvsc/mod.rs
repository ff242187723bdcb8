//! The synthetic SCSI controller: VSTOR over a VMBus channel, and the disks behind it.
//!
//! A read: [`Controller::read`] makes a READ command (`scsi`), posts it with our data pages as a GPA-direct range, waits
//! for the completion (`controller`), judges it (`scsi`), tries again what can be tried again, and hands the data out of the
//! pages. One request is under way at a time, so the pages are never lent twice.

mod access;
mod controller;
mod handshake;
mod scsi;

pub use access::Unit;
pub use controller::Controller;
