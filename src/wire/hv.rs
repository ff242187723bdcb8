//! The hypervisor interface: CPUID leaves, MSRs, hypercalls and SynIC messages.
//!
//! Source: Hypervisor Top-Level Functional Specification (TLFS) 6.0b.

use bitflags::bitflags;
use static_assertions::const_assert_eq;
use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// CPUID: ECX bit 31 of leaf 1 says that a hypervisor is present.
pub const CPUID_HYPERVISOR_PRESENT: u32 = 1 << 31;
/// CPUID leaf with the highest hypervisor leaf in EAX.
pub const HYPERVISOR_CPUID_LEAF_RANGE: u32 = 0x4000_0000;
/// CPUID leaf with the interface id in EAX. The vendor name in leaf 0x40000000 decides nothing.
pub const HYPERVISOR_CPUID_INTERFACE: u32 = 0x4000_0001;
/// `Hv#1`: the interface described by the TLFS.
pub const HYPERVISOR_INTERFACE_HV1: u32 = u32::from_le_bytes(*b"Hv#1");
/// CPUID leaf with the privileges (EAX, EBX) and features (EDX).
pub const HYPERVISOR_CPUID_FEATURES: u32 = 0x4000_0003;
/// CPUID leaf with the recommendations (EAX).
pub const HYPERVISOR_CPUID_RECOMMENDATIONS: u32 = 0x4000_0004;
/// Lowest value of "highest leaf" that a conforming hypervisor reports.
pub const HYPERVISOR_MIN_LEAF: u32 = 0x4000_0005;

bitflags! {
    /// Leaf 0x40000003, EAX: which MSRs the partition may use. Source: TLFS, `HV_PARTITION_PRIVILEGE_MASK`.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Privileges: u32 {
        /// `HV_X64_MSR_TIME_REF_COUNT`.
        const REFERENCE_COUNTER = 1 << 1;
        /// `HV_X64_MSR_SCONTROL` to `HV_X64_MSR_SINT15`.
        const SYNIC = 1 << 2;
        /// `HV_X64_MSR_GUEST_OS_ID` and `HV_X64_MSR_HYPERCALL`.
        const HYPERCALL = 1 << 5;
        /// `HV_X64_MSR_VP_INDEX`.
        const VP_INDEX = 1 << 6;
        const _ = !0;
    }

    /// Leaf 0x40000003, EDX. Source: TLFS, "Feature Identification".
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct MiscFeatures: u32 {
        /// The polling bit of a SINT works.
        const SINT_POLLING = 1 << 17;
        const _ = !0;
    }

    /// Leaf 0x40000004, EAX. Source: TLFS, "Implementation Recommendations".
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Recommendations: u32 {
        /// Leave AutoEOI alone: the hardware acknowledges interrupts.
        const DEPRECATE_AUTO_EOI = 1 << 9;
        const _ = !0;
    }
}

/// Who the guest is; the hypercall page can't be enabled while it is 0.
pub const HV_X64_MSR_GUEST_OS_ID: u32 = 0x4000_0000;
/// Location of the hypercall page: [`HypercallMsr`].
pub const HV_X64_MSR_HYPERCALL: u32 = 0x4000_0001;
/// Index of the virtual processor that reads it; read-only.
pub const HV_X64_MSR_VP_INDEX: u32 = 0x4000_0002;
/// Partition reference time in 100 ns units; read-only.
pub const HV_X64_MSR_TIME_REF_COUNT: u32 = 0x4000_0020;
/// Switches the SynIC on (bit 0).
pub const HV_X64_MSR_SCONTROL: u32 = 0x4000_0080;
/// Location of the event-flags page: [`SynicPageMsr`].
pub const HV_X64_MSR_SIEFP: u32 = 0x4000_0082;
/// Location of the message page: [`SynicPageMsr`].
pub const HV_X64_MSR_SIMP: u32 = 0x4000_0083;
/// End of message: lets the next queued message into its slot. Write 0.
pub const HV_X64_MSR_EOM: u32 = 0x4000_0084;
/// The synthetic interrupt source of VMBus: [`SintMsr`].
pub const HV_X64_MSR_SINT2: u32 = 0x4000_0092;

/// Bit 0 of `HV_X64_MSR_SCONTROL`. Microsoft's hypervisor starts with it set, and Windows' loader relies on that.
pub const SCONTROL_ENABLE: u64 = 1;

/// The id under which the UEFI firmware of generation 2 machines runs. Taking its SynIC crashes the machine.
/// Source: Microsoft mu_msvm, iPXE `hyperv.c`.
pub const GUEST_OS_ID_UEFI: u64 = 0x0000_0100_0000_0000;
/// Our own id: the open-source form (bit 63) with an operating system type that nobody uses, so that no host applies a
/// special case for Windows or Linux; below it the letters `hvpx`. Source: TLFS, "Guest OS Identity for Open Source".
pub const GUEST_OS_ID_HVPXE: u64 = 1 << 63 | 0x68 << 56 | 0x6876_7078 << 16;

bitflags! {
    /// `HV_X64_MSR_HYPERCALL`, read/write, one per partition.
    /// Source: TLFS, "Establishing the Hypercall Interface (x86/x64)".
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct HypercallMsr: u64 {
        /// The page at `GPFN` is the hypercall page.
        const ENABLE = 1 << 0;
        /// No further change until the partition is reset.
        const LOCKED = 1 << 1;
        /// Guest page frame number, in units of 4 KiB.
        const GPFN = !0xfff;
        const _ = !0; // bits 11:2 are RsvdP: carried through a read-modify-write
    }

    /// `HV_X64_MSR_SIMP` and `HV_X64_MSR_SIEFP`, read/write, one per virtual processor.
    /// Source: TLFS, "SIMP Register" and "SIEFP Register".
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct SynicPageMsr: u64 {
        /// The page at `GPFN` is replaced by the message or event-flags page.
        const ENABLE = 1 << 0;
        /// Guest page frame number, in units of 4 KiB.
        const GPFN = !0xfff;
        const _ = !0; // bits 11:1 are RsvdP
    }

    /// `HV_X64_MSR_SINTx`, read/write, one per virtual processor and source; reset value: masked, vector 0.
    /// Source: TLFS, "SINTx Registers".
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct SintMsr: u64 {
        /// Interrupt vector, 16 to 255 while not masked.
        const VECTOR = 0xff;
        /// No interrupt. Real hosts also hold back, or lose, the messages (facts 4.3).
        const MASKED = 1 << 16;
        /// The interrupt needs no EOI.
        const AUTO_EOI = 1 << 17;
        /// Messages and events are delivered, without any interrupt. Needs [`MiscFeatures::SINT_POLLING`].
        const POLLING = 1 << 18;
        const _ = !0;
    }
}

/// Control word of `HvPostMessage` with its input in memory. Source: TLFS, "HvCallPostMessage".
pub const HVCALL_POST_MESSAGE: u64 = 0x005c;
/// Control word of `HvSignalEvent` with its input in a register (fast, bit 16). Source: TLFS, "HvCallSignalEvent".
pub const HVCALL_SIGNAL_EVENT_FAST: u64 = 0x0001_005d;

/// Status part of a hypercall's result. Source: TLFS, "Hypercall Status Codes".
pub const HV_STATUS_MASK: u64 = 0xffff;
/// Done.
pub const HV_STATUS_SUCCESS: u16 = 0x00;
/// Not implemented.
pub const HV_STATUS_INVALID_HYPERCALL_CODE: u16 = 0x02;
/// A privilege bit is missing.
pub const HV_STATUS_ACCESS_DENIED: u16 = 0x06;
/// Try again later.
pub const HV_STATUS_INSUFFICIENT_MEMORY: u16 = 0x0b;
/// No such connection, or the host throttles the machine (Azure).
pub const HV_STATUS_INVALID_CONNECTION_ID: u16 = 0x12;
/// The message queue is full.
pub const HV_STATUS_INSUFFICIENT_BUFFERS: u16 = 0x13;
/// Azure sometimes returns it for a post that should be tried again.
pub const HV_STATUS_TIMEOUT: u16 = 0x78;

/// Most payload bytes of a SynIC message. Source: TLFS, "HV_MESSAGE".
pub const HV_MESSAGE_PAYLOAD_BYTE_COUNT: usize = 240;
/// Length of one slot of the message page, in bytes.
pub const HV_MESSAGE_SIZE: usize = 256;
/// The synthetic interrupt source that VMBus uses. Source: OpenVMM, Linux, iPXE.
pub const VMBUS_SINT: usize = 2;
/// Message type of VMBus, both ways.
pub const HVMSG_VMBUS: u32 = 1;

/// Input of `HvPostMessage` before the payload; the whole input is 256 bytes long and 8-byte aligned.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct PostMessageInput {
    /// Where the message goes; the low 24 bits count.
    pub connection_id: U32,
    /// Zero.
    pub reserved: U32,
    /// Any but 0, bit 31 clear.
    pub message_type: U32,
    /// At most [`HV_MESSAGE_PAYLOAD_BYTE_COUNT`].
    pub payload_size: U32,
}
const_assert_eq!(size_of::<PostMessageInput>(), 16);
const_assert_eq!(size_of::<PostMessageInput>() + HV_MESSAGE_PAYLOAD_BYTE_COUNT, HV_MESSAGE_SIZE);

/// Head of a slot in the message page; the payload follows.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct MessageHeader {
    /// 0: the slot is free. Bit 31: from the hypervisor itself.
    pub message_type: U32,
    /// At most [`HV_MESSAGE_PAYLOAD_BYTE_COUNT`].
    pub payload_size: u8,
    /// Bit 0: another message waits for EOM.
    pub flags: u8,
    /// Zero.
    pub reserved: U16,
    /// Sending partition or port.
    pub origin: U64,
}
const_assert_eq!(size_of::<MessageHeader>(), 16);

#[cfg(test)]
mod tests {
    use super::*;

    /// Source: facts 15.1, the `HvPostMessage` buffer for a 40-byte `INITIATE_CONTACT`.
    #[test]
    fn post_message_input_has_the_published_layout() {
        let input = PostMessageInput {
            connection_id: U32::new(1),
            reserved: U32::ZERO,
            message_type: U32::new(HVMSG_VMBUS),
            payload_size: U32::new(40),
        };
        assert_eq!(input.as_bytes(), [1, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0x28, 0, 0, 0]);
    }

    /// Source: facts 15.1, slot bytes 0-15 of a `VERSION_RESPONSE`.
    #[test]
    fn message_header_has_the_published_layout() {
        let slot = [1, 0, 0, 0, 0x10, 1, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0];
        let header = MessageHeader::read_from_bytes(&slot).unwrap();
        assert_eq!(header.message_type, HVMSG_VMBUS);
        assert_eq!((header.payload_size, header.flags & 1, header.origin.get()), (16, 1, 7));
    }

    #[test]
    fn our_guest_os_id_is_of_the_open_source_form_and_nobody_elses() {
        assert_eq!(GUEST_OS_ID_HVPXE >> 56, 0xe8);
        assert_eq!(GUEST_OS_ID_HVPXE & 0xffff, 0);
        assert_ne!(GUEST_OS_ID_HVPXE, GUEST_OS_ID_UEFI);
    }
}
