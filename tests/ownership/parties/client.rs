//! A plain user of VMBus: pages, messages, channels. It does what it is told and looks at nothing by itself.

use hvpxe::hv::Hypervisor;
use hvpxe::mem::{PAGE_SIZE, SharedMem};
use hvpxe::wire::hv::*;
use hvpxe::wire::vmbus::*;
use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::{FromBytes, IntoBytes};

use crate::machine::{Machine, Pages, TRAP};

/// Where SINT2's slot is in the message page.
const SLOT: usize = VMBUS_SINT * HV_MESSAGE_SIZE;
/// How long an answer may take, in milliseconds: a host may close disks first.
const PATIENCE_MS: u64 = 100_000;
/// Interrupt vector of SINT2.
const VECTOR: u64 = 0x41;

/// A message slot, whole.
pub type Slot = [u8; HV_MESSAGE_SIZE];

/// The payload of a message as one of VMBus's structures.
pub fn payload<T: FromBytes>(slot: &Slot) -> T {
    T::read_from_prefix(&slot[size_of::<MessageHeader>()..]).map(|(value, _)| value).expect("240 bytes are enough")
}

/// Its type.
pub fn kind(slot: &Slot) -> u32 {
    payload::<Header>(slot).message_type.get()
}

pub struct Client {
    pub hv: Machine,
    call: Pages,
    input: Pages,
    message: Pages,
    event: Pages,
    os_id: u64,
    /// An interrupt for each message, and not just a slot to look at.
    wants_interrupts: bool,
    pub next_id: u32,
    pub version: u32,
    pub message_connection_id: u32,
    pub offers: Vec<OfferChannel>,
}

impl Client {
    pub fn new(hv: &Machine, os_id: u64, wants_interrupts: bool) -> Self {
        let page = || hv.alloc_pages(1).expect("a page");
        let client = Self {
            call: page(),
            input: page(),
            message: page(),
            event: page(),
            hv: hv.clone(),
            os_id,
            wants_interrupts,
            next_id: 0x1000,
            version: 0,
            message_connection_id: MESSAGE_CONNECTION_ID,
            offers: Vec::new(),
        };
        client.call.write(0, &TRAP);
        client
    }

    /// What HYPERCALL and SIMP hold while they are this client's.
    pub fn hypercall_msr(&self) -> u64 {
        self.call.gpa().0 | 1
    }

    pub fn simp_msr(&self) -> u64 {
        self.message.gpa().0 | 1
    }

    /// Takes the hypercall page, whoever has it.
    pub fn take_calls(&self) {
        self.hv.write_msr(HV_X64_MSR_GUEST_OS_ID, self.os_id);
        self.hv.write_msr(HV_X64_MSR_HYPERCALL, self.hypercall_msr());
    }

    /// Takes the SynIC, whoever has it.
    pub fn take_synic(&self) {
        self.hv.write_msr(HV_X64_MSR_SIEFP, self.event.gpa().0 | 1);
        self.hv.write_msr(HV_X64_MSR_SIMP, self.simp_msr());
        self.hv.write_msr(HV_X64_MSR_SCONTROL, SCONTROL_ENABLE);
        let polling = self.hv.cpuid(0x4000_0003).edx & 1 << 17 != 0 && !self.wants_interrupts;
        let quiet = if polling { SintMsr::POLLING.bits() } else { 0 };
        self.hv.write_msr(HV_X64_MSR_SINT2, SintMsr::MASKED.bits());
        self.hv.write_msr(HV_X64_MSR_SINT2, VECTOR | quiet);
        self.hv.write_msr(HV_X64_MSR_EOM, 0);
    }

    /// Switches the SynIC pages off, as Windows' loader leaves them.
    pub fn drop_synic(&self) {
        while self.take_message().is_some() {}
        self.hv.write_msr(HV_X64_MSR_SINT2, SintMsr::MASKED.bits());
        self.hv.write_msr(HV_X64_MSR_SIMP, 0);
        self.hv.write_msr(HV_X64_MSR_SIEFP, 0);
    }

    /// Posts a message; false when the host does not want it for a second.
    pub fn post(&self, bytes: &[u8]) -> bool {
        let input = PostMessageInput {
            connection_id: U32::new(self.message_connection_id),
            reserved: U32::ZERO,
            message_type: U32::new(HVMSG_VMBUS),
            payload_size: U32::new(bytes.len() as u32),
        };
        self.input.write(0, input.as_bytes());
        self.input.write(size_of::<PostMessageInput>(), bytes);
        let end = self.hv.now().plus_millis(1_000);
        while self.hv.hypercall(&self.call, HVCALL_POST_MESSAGE, self.input.gpa().0, 0) != 0 {
            if self.hv.now() > end {
                return false;
            }
            self.hv.relax();
        }
        true
    }

    pub fn signal(&self, connection_id: u32) {
        let _ = self.hv.hypercall(&self.call, HVCALL_SIGNAL_EVENT_FAST, connection_id.into(), 0);
    }

    /// The next message in this client's own slot.
    pub fn take_message(&self) -> Option<Slot> {
        if self.message.load(SLOT) == 0 {
            return None;
        }
        let mut slot = [0; HV_MESSAGE_SIZE];
        self.message.read(SLOT, &mut slot);
        self.message.store(SLOT, 0);
        self.hv.write_msr(HV_X64_MSR_EOM, 0);
        Some(slot)
    }

    /// Waits for a message about `id`; `None` when it does not come. Others that come meanwhile go to `others`.
    pub fn wait(&self, wanted: u32, id: Option<u32>, milliseconds: u64, mut others: impl FnMut(&Slot)) -> Option<Slot> {
        let end = self.hv.now().plus_millis(milliseconds);
        loop {
            while let Some(slot) = self.take_message() {
                let is_about = |id| payload::<[U32; 4]>(&slot)[2..].iter().any(|word| word.get() == id);
                if kind(&slot) == wanted && id.is_none_or(is_about) {
                    return Some(slot);
                }
                others(&slot);
            }
            if self.hv.now() > end {
                return None;
            }
            self.hv.relax();
        }
    }

    /// Connects and reads the offers.
    pub fn contact(&mut self) -> bool {
        self.message_connection_id = MESSAGE_CONNECTION_ID;
        for version in [Version::V5_3, Version::V4_0, Version::V3_0] {
            let posted = self.post(
                InitiateContact {
                    header: Header::new(message_type::INITIATE_CONTACT),
                    version: U32::new(version.0),
                    target_vp: U32::ZERO,
                    interrupt_page: U64::ZERO,
                    parent_to_child_page: U64::ZERO,
                    child_to_parent_page: U64::ZERO,
                }
                .as_bytes(),
            );
            let answer = self.wait(message_type::VERSION_RESPONSE, None, PATIENCE_MS, |_| {});
            let (true, Some(answer)) = (posted, answer) else { return false };
            let response: VersionResponse = payload(&answer);
            if response.version_supported == 0 {
                continue;
            }
            self.version = version.0;
            if version.major() >= 5 {
                self.message_connection_id = response.message_connection_id.get();
            }
            let mut offers = Vec::new();
            let asked = self.post(Header::new(message_type::REQUESTOFFERS).as_bytes());
            let collect = |slot: &Slot| match kind(slot) {
                message_type::OFFERCHANNEL => offers.push(payload(slot)),
                message_type::RESCIND_CHANNELOFFER => {
                    let relid = payload::<RelidMessage>(slot).id;
                    offers.retain(|offer: &OfferChannel| offer.child_relid != relid);
                }
                _ => {}
            };
            let all = self.wait(message_type::ALLOFFERS_DELIVERED, None, PATIENCE_MS, collect);
            self.offers = offers;
            return asked && all.is_some();
        }
        false
    }

    pub fn unload(&self) -> bool {
        self.post(Header::new(message_type::UNLOAD).as_bytes())
            && self.wait(message_type::UNLOAD_RESPONSE, None, PATIENCE_MS, |_| {}).is_some()
    }

    /// A number of this client's own.
    pub const fn new_id(&mut self) -> u32 {
        self.next_id += 1;
        self.next_id
    }

    /// Opens a channel on a ring in these pages.
    pub fn open(&mut self, relid: u32, ring: &Pages) -> bool {
        let (gpadl, open_id) = (self.new_id(), self.new_id());
        let count = ring.len() / PAGE_SIZE;
        let mut header = GpadlHeader {
            header: Header::new(message_type::GPADL_HEADER),
            child_relid: U32::new(relid),
            gpadl: U32::new(gpadl),
            range_buffer_length: U16::new(8 + 8 * count as u16),
            range_count: U16::new(1),
            byte_count: U32::new(ring.len() as u32),
            byte_offset: U32::ZERO,
        }
        .as_bytes()
        .to_vec();
        (0..count as u64).for_each(|page| header.extend((ring.gpa().pfn() + page).to_le_bytes()));
        let created = self.post(&header)
            && self
                .wait(message_type::GPADL_CREATED, Some(gpadl), 2_000, |_| {})
                .is_some_and(|slot| payload::<GpadlCreated>(&slot).status == 0);
        let open = OpenChannel {
            header: Header::new(message_type::OPENCHANNEL),
            child_relid: U32::new(relid),
            open_id: U32::new(open_id),
            ring_gpadl: U32::new(gpadl),
            target_vp: U32::ZERO,
            downstream_page_offset: U32::new(count as u32 / 2),
            user_data: [0; 120],
        };
        created
            && self.post(open.as_bytes())
            && self
                .wait(message_type::OPENCHANNEL_RESULT, Some(open_id), 2_000, |_| {})
                .is_some_and(|slot| payload::<OpenChannelResult>(&slot).status == 0)
    }
}
