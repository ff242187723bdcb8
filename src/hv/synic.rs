//! The message slot of SINT2.

use zerocopy::FromBytes;

use super::Hypervisor;
use super::partition::{MESSAGE_PAGE, Partition};
use crate::error::Error;
use crate::mem::SharedMem;
use crate::wire::hv::{
    HV_MESSAGE_PAYLOAD_BYTE_COUNT, HV_MESSAGE_SIZE, HV_X64_MSR_EOM, HVMSG_VMBUS, MessageHeader, VMBUS_SINT,
};

/// Where the slot lies in a message page.
const SLOT: usize = VMBUS_SINT * HV_MESSAGE_SIZE;

/// A message, copied out of its slot as it was.
#[derive(Clone, Copy, Debug)]
pub struct Message {
    bytes: [u8; HV_MESSAGE_SIZE],
}

impl Message {
    /// The message as one of the structures of [`crate::wire::vmbus`]. What the host didn't send reads as zero.
    #[must_use]
    pub fn read<T: FromBytes>(&self) -> T {
        const { assert!(size_of::<T>() <= HV_MESSAGE_PAYLOAD_BYTE_COUNT) };
        let payload = &self.bytes[size_of::<MessageHeader>()..];
        // By the assertion there are enough bytes for any T.
        T::read_from_prefix(payload).map_or_else(|_| T::new_zeroed(), |(value, _)| value)
    }

    /// The message in a whole slot.
    #[must_use]
    pub const fn from_slot(bytes: [u8; HV_MESSAGE_SIZE]) -> Self {
        Self { bytes }
    }

    /// The whole slot; zero behind the payload.
    #[must_use]
    pub const fn slot(&self) -> &[u8; HV_MESSAGE_SIZE] {
        &self.bytes
    }
}

impl<H: Hypervisor> Partition<H> {
    /// Takes the next message out of its slot; `None` when the slot is empty, or keeps a VMBus message that isn't
    /// `for_us`, which costs no exit. Messages from the hypervisor itself are dropped.
    ///
    /// # Errors
    /// [`Error::HostProtocol`] if the slot claims over 240 payload bytes; the message is dropped.
    ///
    /// Source: TLFS, "HV_MESSAGE": the slot is freed before the pending flag is looked at. EOM is written even without
    /// the flag: the host may set it late, and a needless EOM does nothing.
    pub fn take_message(&mut self, for_us: &dyn Fn(&Message) -> bool) -> Result<Option<Message>, Error> {
        let (pages, slot) = match &self.owners_slot {
            Some(page) => (page, SLOT),
            None => (&self.pages, MESSAGE_PAGE + SLOT),
        };
        loop {
            let message_type = pages.load(slot);
            if message_type == 0 {
                return Ok(None);
            }
            const HEADER_LEN: usize = size_of::<MessageHeader>();
            let mut message = Message { bytes: [0; HV_MESSAGE_SIZE] };
            pages.read(slot, &mut message.bytes[..HEADER_LEN]);
            let header = MessageHeader::read_from_prefix(&message.bytes);
            let length = header.map_or(0, |(header, _)| usize::from(header.payload_size));
            if let Some(payload) = message.bytes[HEADER_LEN..].get_mut(..length) {
                pages.read(slot + HEADER_LEN, payload);
            }
            if message_type == HVMSG_VMBUS && !for_us(&message) {
                return Ok(None);
            }
            pages.store(slot, 0);
            pages.fence();
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
