//! Layouts of what goes over a wire or through memory to somebody else. No I/O, no state.

pub mod hv;
pub mod nvsp;
pub mod pxe;
pub mod ring;
pub mod rndis;
pub mod scsi;
pub mod vmbs;
pub mod vmbus;
pub mod vstor;
