//! The card as smoltcp sees it: one frame in, one frame out, copied through two buffers of our own.

use smoltcp::phy::{ChecksumCapabilities, Device, DeviceCapabilities, Medium, RxToken, TxToken};
use smoltcp::time::Instant;

use crate::error::Error;
use crate::nic::{MAX_FRAME_LEN, Nic};

use super::reassembly::Reassembly;

/// Room for one frame each way, and for one packet that comes in fragments.
pub struct FrameBuffers {
    /// Fragments go there instead of to smoltcp.
    pub fragments: Reassembly,
    receive: [u8; MAX_FRAME_LEN],
    transmit: [u8; MAX_FRAME_LEN],
}

impl FrameBuffers {
    /// Empty buffers.
    #[must_use]
    pub const fn new() -> Self {
        Self { fragments: Reassembly::new(), receive: [0; MAX_FRAME_LEN], transmit: [0; MAX_FRAME_LEN] }
    }
}

impl Default for FrameBuffers {
    fn default() -> Self {
        Self::new()
    }
}

/// A card lent to smoltcp for one poll. The card's first error is kept, since smoltcp's tokens can't return one.
pub struct Phy<'a, N> {
    nic: &'a mut N,
    buffers: &'a mut FrameBuffers,
    failure: Option<Error>,
    handled: bool,
}

impl<'a, N: Nic> Phy<'a, N> {
    /// Lends the card.
    pub fn new(nic: &'a mut N, buffers: &'a mut FrameBuffers) -> Self {
        Self { nic, buffers, failure: None, handled: false }
    }

    /// Whether a frame came in; or the error that the card reported.
    ///
    /// # Errors
    /// The first error of the card, except a full transmit ring: that is a lost frame, and retries repair it.
    pub fn received(&self) -> Result<bool, Error> {
        self.failure.map_or(Ok(self.handled), Err)
    }
}

/// A received frame in its buffer.
pub struct Received<'b>(&'b [u8]);

impl RxToken for Received<'_> {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, f: F) -> R {
        f(self.0)
    }
}

/// The right to send one frame.
pub struct Transmit<'b, N> {
    nic: &'b mut N,
    buffer: &'b mut [u8; MAX_FRAME_LEN],
    failure: &'b mut Option<Error>,
}

impl<N: Nic> TxToken for Transmit<'_, N> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, f: F) -> R {
        // smoltcp keeps to the MTU of `capabilities`, so `len` fits.
        let frame = &mut self.buffer[..len];
        let result = f(frame);
        match self.nic.transmit(&[frame]) {
            // A full ring is a lost frame: whoever sent it tries again.
            Ok(()) | Err(Error::RingFull) => {}
            Err(error) => *self.failure = Some(error),
        }
        result
    }
}

impl<N: Nic> Device for Phy<'_, N> {
    type RxToken<'b>
        = Received<'b>
    where
        Self: 'b;
    type TxToken<'b>
        = Transmit<'b, N>
    where
        Self: 'b;

    fn receive(&mut self, _: Instant) -> Option<(Self::RxToken<'_>, Self::TxToken<'_>)> {
        let length = match self.nic.receive(&mut self.buffers.receive) {
            Ok(length) => length?,
            Err(error) => {
                self.failure = Some(error);
                return None;
            }
        };
        self.handled = true;
        let FrameBuffers { fragments, receive, transmit } = &mut *self.buffers;
        let frame = receive.get(..length)?;
        if fragments.take(frame) {
            return None;
        }
        let token = Transmit { nic: self.nic, buffer: transmit, failure: &mut self.failure };
        Some((Received(frame), token))
    }

    fn transmit(&mut self, _: Instant) -> Option<Self::TxToken<'_>> {
        Some(Transmit { nic: self.nic, buffer: &mut self.buffers.transmit, failure: &mut self.failure })
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ethernet;
        capabilities.max_transmission_unit = MAX_FRAME_LEN;
        // Both directions in software: the card offers no offload through `Nic`.
        capabilities.checksum = ChecksumCapabilities::default();
        capabilities
    }
}
