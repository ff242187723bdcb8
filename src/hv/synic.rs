//! The message slot of SINT2.

use zerocopy::{FromBytes, FromZeros, IntoBytes};

use super::Hypervisor;
use super::partition::{MESSAGE_PAGE, Partition};
use crate::error::Error;
use crate::mem::SharedMem;
use crate::wire::hv::{
    HV_MESSAGE_PAYLOAD_BYTE_COUNT, HV_MESSAGE_SIZE, HV_X64_MSR_EOM, HVMSG_VMBUS, MessageHeader, VMBUS_SINT,
};

/// Where the slot lies in our pages.
const SLOT: usize = MESSAGE_PAGE + VMBUS_SINT * HV_MESSAGE_SIZE;

/// A VMBus message, copied out of its slot.
#[derive(Clone, Copy, Debug)]
pub struct Message {
    bytes: [u8; HV_MESSAGE_PAYLOAD_BYTE_COUNT],
}

impl Message {
    /// The message as one of the structures of [`crate::wire::vmbus`]. What the host didn't send reads as zero.
    #[must_use]
    pub fn read<T: FromBytes>(&self) -> T {
        const { assert!(size_of::<T>() <= HV_MESSAGE_PAYLOAD_BYTE_COUNT) };
        // By the assertion there are enough bytes for any T.
        T::read_from_prefix(&self.bytes).map_or_else(|_| T::new_zeroed(), |(value, _)| value)
    }
}

impl<H: Hypervisor> Partition<H> {
    /// Takes the next message out of its slot; `None` when the slot is empty, which costs no exit. Messages from the
    /// hypervisor itself are dropped.
    ///
    /// # Errors
    /// [`Error::HostProtocol`] if the slot claims over 240 payload bytes; the message is dropped.
    ///
    /// Source: TLFS, "HV_MESSAGE": the slot is freed before the pending flag is looked at. EOM is written even without
    /// the flag: the host may set it late, and a needless EOM does nothing.
    pub fn take_message(&mut self) -> Result<Option<Message>, Error> {
        loop {
            let message_type = self.pages.load(SLOT);
            if message_type == 0 {
                return Ok(None);
            }
            let mut header = MessageHeader::new_zeroed();
            self.pages.read(SLOT, header.as_mut_bytes());
            let length = usize::from(header.payload_size);
            let mut message = Message { bytes: [0; HV_MESSAGE_PAYLOAD_BYTE_COUNT] };
            if let Some(payload) = message.bytes.get_mut(..length) {
                self.pages.read(SLOT + size_of::<MessageHeader>(), payload);
            }
            self.pages.store(SLOT, 0);
            self.pages.fence();
            self.hv.write_msr(HV_X64_MSR_EOM, 0);
            if length > HV_MESSAGE_PAYLOAD_BYTE_COUNT {
                return Err(Error::HostProtocol);
            }
            if message_type == HVMSG_VMBUS {
                return Ok(Some(message));
            }
        }
    }
}
