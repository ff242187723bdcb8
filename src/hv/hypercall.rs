//! The two hypercalls of VMBus: post a message, signal an event.

use zerocopy::IntoBytes;
use zerocopy::little_endian::U32;

use super::Hypervisor;
use super::partition::{HYPERCALL_PAGE, INPUT_PAGE, Partition};
use crate::error::Error;
use crate::mem::SharedMem;
use crate::time::Ticks100ns;
use crate::wire::hv::{
    HV_MESSAGE_PAYLOAD_BYTE_COUNT, HV_STATUS_ACCESS_DENIED, HV_STATUS_INSUFFICIENT_BUFFERS,
    HV_STATUS_INSUFFICIENT_MEMORY, HV_STATUS_INVALID_CONNECTION_ID, HV_STATUS_INVALID_HYPERCALL_CODE, HV_STATUS_MASK,
    HV_STATUS_SUCCESS, HV_STATUS_TIMEOUT, HVCALL_POST_MESSAGE, HVCALL_SIGNAL_EVENT_FAST, HVMSG_VMBUS, PostMessageInput,
};

/// `mov $2, %eax; ret`: what a call runs into when the host no longer maps its code over the page. It reads as
/// `HV_STATUS_INVALID_HYPERCALL_CODE`.
const TRAP: [u8; 6] = [0xb8, HV_STATUS_INVALID_HYPERCALL_CODE as u8, 0, 0, 0, 0xc3];

/// First and longest pause between two tries of a refused post (policy; Linux goes from 1 µs to seconds).
const FIRST_PAUSE: u64 = 100;
const LONGEST_PAUSE: u64 = 100 * Ticks100ns::PER_MILLISECOND;

pub(super) fn fill_trap<M: SharedMem>(pages: &M) {
    pages.write(HYPERCALL_PAGE, &TRAP);
}

impl<H: Hypervisor> Partition<H> {
    /// Posts a VMBus message, again and again while the host is busy. Success only means that it is queued.
    ///
    /// # Errors
    /// [`Error::HostTimeout`] when the host is still busy at the deadline; [`Error::NoVmbus`] when it knows no such
    /// call or forbids it; [`Error::HostRefused`] for any other status.
    pub fn post_message(&mut self, connection_id: u32, payload: &[u8], deadline: Ticks100ns) -> Result<(), Error> {
        debug_assert!(payload.len() <= HV_MESSAGE_PAYLOAD_BYTE_COUNT);
        let input = PostMessageInput {
            connection_id: U32::new(connection_id),
            reserved: U32::ZERO,
            message_type: U32::new(HVMSG_VMBUS),
            payload_size: U32::new(payload.len() as u32),
        };
        self.pages.write(INPUT_PAGE, input.as_bytes());
        self.pages.write(INPUT_PAGE + size_of::<PostMessageInput>(), payload);
        let input = self.pages.gpa().0 + INPUT_PAGE as u64;
        let mut pause = FIRST_PAUSE;
        loop {
            let status = (self.hv.hypercall(&self.pages, HVCALL_POST_MESSAGE, input, 0) & HV_STATUS_MASK) as u16;
            match status {
                HV_STATUS_SUCCESS => return Ok(()),
                HV_STATUS_INSUFFICIENT_MEMORY
                | HV_STATUS_INVALID_CONNECTION_ID
                | HV_STATUS_INSUFFICIENT_BUFFERS
                | HV_STATUS_TIMEOUT => {}
                HV_STATUS_INVALID_HYPERCALL_CODE | HV_STATUS_ACCESS_DENIED => return Err(Error::NoVmbus),
                _ => return Err(Error::HostRefused),
            }
            let again = Ticks100ns(self.hv.now().0.saturating_add(pause));
            if again >= deadline {
                return Err(Error::HostTimeout);
            }
            while self.hv.now() < again {
                self.hv.relax();
            }
            pause = (2 * pause).min(LONGEST_PAUSE);
        }
    }

    /// Tells the host to look at a channel's ring. One exit.
    ///
    /// The status is of no use: a channel that is gone shows in its ring and by a rescind.
    pub fn signal_event(&self, connection_id: u32) {
        // Event flag 0 in the upper half.
        let _ = self.hv.hypercall(&self.pages, HVCALL_SIGNAL_EVENT_FAST, u64::from(connection_id), 0);
    }
}
