//! The synthetic network card: NVSP and RNDIS over a VMBus channel.
//!
//! A received frame: the host writes an RNDIS message into our receive buffer and a packet that names it into the ring
//! (`packets`); the packet's ranges are queued (`rxbuf`); [`Device::receive`] copies one frame out per call, and
//! completes the packet after its last. A sent frame goes into a free section of the send buffer (`txbuf`).

mod device;
mod exchange;
mod nvsp;
mod packets;
mod rndis;
mod rxbuf;
mod txbuf;
mod vlan;

pub use device::Device;
