//! The card as smoltcp sees it: one frame in, one frame out.

use smoltcp::phy::{Checksum, Device, DeviceCapabilities, Medium, RxToken, TxToken};
use smoltcp::time::Instant;

use crate::error::Error;
use crate::nic::{MAX_FRAME_LEN, Nic};

/// One frame and the card, lent to smoltcp for one poll. The card's first error is kept, since smoltcp's tokens can't return
/// one.
pub struct Phy<'a, N> {
    nic: &'a mut N,
    /// What was received, until smoltcp has it.
    frame: Option<&'a [u8]>,
    transmit: &'a mut [u8; MAX_FRAME_LEN],
    failure: Option<Error>,
}

impl<'a, N: Nic> Phy<'a, N> {
    /// Lends the card, a frame that it delivered if there is one, and memory for one to send.
    pub fn new(nic: &'a mut N, frame: Option<&'a [u8]>, transmit: &'a mut [u8; MAX_FRAME_LEN]) -> Self {
        Self { nic, frame, transmit, failure: None }
    }

    /// What became of the frames that smoltcp sent.
    ///
    /// # Errors
    /// The first error of the card, except a full transmit ring: that is a lost frame, and retries repair it.
    pub fn sent(&self) -> Result<(), Error> {
        self.failure.map_or(Ok(()), Err)
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
        let frame = self.frame.take()?;
        let token = Transmit { nic: self.nic, buffer: self.transmit, failure: &mut self.failure };
        Some((Received(frame), token))
    }

    fn transmit(&mut self, _: Instant) -> Option<Self::TxToken<'_>> {
        Some(Transmit { nic: self.nic, buffer: self.transmit, failure: &mut self.failure })
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ethernet;
        capabilities.max_transmission_unit = MAX_FRAME_LEN;
        // What comes in was looked at before it came here (`ingress`).
        capabilities.checksum.ipv4 = Checksum::Tx;
        capabilities.checksum.tcp = Checksum::Tx;
        capabilities
    }
}
