//! The two hypercalls of VMBus: post a message, signal an event.

use zerocopy::IntoBytes;
use zerocopy::little_endian::U32;

use super::Hypervisor;
use super::partition::{CallPage, HYPERCALL_PAGE, INPUT_PAGE, Partition};
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

/// Where at most the code of a hypercall page ends, in bytes (policy; KVM puts up to 4 before the instruction).
const CODE_LEN: usize = 16;

/// Whether a page that was found enabled holds a call of the hypervisor: on some hosts it is plain RAM, which whoever
/// enabled it may use for something else by now. What the code is belongs to the host; everywhere it is an instruction of 3 or
/// 4 bytes that begins with 0F (`vmcall`, `vmmcall`), and a near return.
pub(super) fn is_code<M: SharedMem>(page: &M) -> bool {
    let mut code = [0; CODE_LEN];
    page.read(0, &mut code);
    code.windows(5).any(|bytes| matches!(bytes, [0x0f, _, _, 0xc3, _] | [0x0f, _, _, _, 0xc3]))
}

impl<H: Hypervisor> Partition<H> {
    /// Makes a hypercall by the page in use, and returns its status. One exit with our page, two with somebody else's:
    /// that might have been switched off since, and what its RAM holds is no code.
    fn call(&self, control: u64, input: u64) -> u16 {
        let page = match &self.calls {
            CallPage::Ours => &self.pages,
            CallPage::Found(..) if !self.calls_are_as_left() => return HV_STATUS_INVALID_HYPERCALL_CODE,
            CallPage::Found(page, _) => page,
        };
        (self.hv.hypercall(page, control, input, 0) & HV_STATUS_MASK) as u16
    }

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
            match self.call(HVCALL_POST_MESSAGE, input) {
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
                self.relax();
            }
            pause = (2 * pause).min(LONGEST_PAUSE);
        }
    }

    /// Tells the host to look at a channel's ring. One exit by our own hypercall page.
    ///
    /// A refusal proves nothing, but it is the first sign of a connection that somebody else ended:
    /// [`is_suspect`](Self::is_suspect).
    pub fn signal_event(&self, connection_id: u32) {
        // Event flag 0 in the upper half.
        if self.call(HVCALL_SIGNAL_EVENT_FAST, u64::from(connection_id)) != HV_STATUS_SUCCESS {
            self.suspect.set(true);
        }
    }
}
