//! The rules of the interface that a guest broke, in plain words.

use std::fmt;

/// One rule that the guest broke.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Breach {
    /// An MSR access that faults on a real host.
    MsrFault {
        /// MSR number.
        msr: u32,
        /// What was written; `None` for a read.
        value: Option<u64>,
    },
    /// SINT written with AutoEOI although the host recommends against it (CPUID 0x40000004 EAX bit 9).
    AutoEoiDeprecated {
        /// SINT number.
        sint: u32,
    },
    /// Two overlay pages at one address: undefined in TLFS.
    OverlayOverlap {
        /// Address of the page.
        gpa: u64,
    },
    /// The hypercall page was written by the guest while it was enabled.
    HypercallPageWritten {
        /// Address of the page.
        gpa: u64,
    },
    /// HYPERCALL was enabled while GUEST_OS_ID is 0.
    HypercallWithoutOsId,
    /// SCONTROL stayed 0: a Windows loader that comes next waits for ever.
    ScontrolLeftZero {
        /// VP index.
        vp: u32,
    },
    /// SIMP was disabled or moved while a VMBus reply was due.
    SimpOffWithReplyDue {
        /// VP index.
        vp: u32,
    },
    /// A message slot was emptied with its pending flag set, and no EOM followed.
    EomMissing {
        /// VP index.
        vp: u32,
        /// SINT number.
        sint: u32,
    },
    /// A hypercall that the host refused.
    Hypercall {
        /// Call code.
        code: u16,
        /// Status that it got.
        status: u16,
        /// What was wrong.
        why: &'static str,
    },
    /// The input of a hypercall lay in an overlay page.
    InputInOverlay {
        /// Address of the input.
        gpa: u64,
    },
    /// A signal for a ring that was not empty before: over-signalling, for which a host suspends the VM.
    OverSignal {
        /// Channel.
        relid: u32,
    },
    /// A signal for a ring in which nothing happened since the last one.
    SpuriousSignal {
        /// Channel.
        relid: u32,
    },
    /// Data lay in an idle ring and no signal came.
    MissedSignal {
        /// Channel.
        relid: u32,
    },
    /// A VMBus control message that the host dropped without a reply.
    VmbusDropped {
        /// Message type.
        message: u32,
        /// Why.
        why: &'static str,
    },
    /// A VMBus request that the host refused, or took with a remark.
    Vmbus {
        /// Message type.
        message: u32,
        /// Channel, GPADL or version that it was about.
        about: u32,
        /// What was wrong.
        why: &'static str,
    },
    /// Memory that is shared with the host was shared a second time, or is used as a SynIC page.
    SharedTwice {
        /// Address of the page.
        gpa: u64,
    },
    /// A ring buffer made no sense; the channel is dead until it is closed.
    RingCorrupt {
        /// Channel.
        relid: u32,
        /// What was wrong.
        why: &'static str,
    },
    /// NVSP: wrong order, type, length or content.
    Nvsp {
        /// Channel.
        relid: u32,
        /// Message type.
        message: u32,
        /// What was wrong.
        why: &'static str,
    },
    /// VSTOR: wrong order, type, length or content.
    Vstor {
        /// Channel.
        relid: u32,
        /// Operation.
        operation: u32,
        /// What was wrong.
        why: &'static str,
    },
    /// The guest wrote to memory that it had lent the host and that the host was still to write.
    MemoryReused {
        /// Channel.
        relid: u32,
        /// Where that memory starts.
        gpa: u64,
    },
    /// A completion that the host did not expect, or with the wrong content.
    Completion {
        /// Channel.
        relid: u32,
        /// Transaction id in it.
        transaction: u64,
        /// What was wrong.
        why: &'static str,
    },
    /// RNDIS: wrong order, length or content.
    Rndis {
        /// Channel.
        relid: u32,
        /// Message type.
        message: u32,
        /// What was wrong.
        why: &'static str,
    },
}

impl fmt::Display for Breach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MsrFault { msr, value: None } => write!(f, "read of MSR {msr:#x} faults"),
            Self::MsrFault { msr, value: Some(value) } => write!(f, "write of {value:#x} to MSR {msr:#x} faults"),
            Self::AutoEoiDeprecated { sint } => write!(f, "SINT{sint} uses AutoEOI, which the host deprecates"),
            Self::OverlayOverlap { gpa } => write!(f, "two overlay pages at {gpa:#x}"),
            Self::HypercallPageWritten { gpa } => write!(f, "the hypercall page at {gpa:#x} was written to"),
            Self::HypercallWithoutOsId => write!(f, "HYPERCALL enabled while GUEST_OS_ID is 0"),
            Self::ScontrolLeftZero { vp } => write!(f, "VP {vp}: SCONTROL was left 0"),
            Self::SimpOffWithReplyDue { vp } => write!(f, "VP {vp}: SIMP taken away while a VMBus reply was due"),
            Self::EomMissing { vp, sint } => {
                write!(f, "VP {vp}: message slot {sint} emptied with its pending flag set, but no EOM written")
            }
            Self::Hypercall { code, status, why } => write!(f, "hypercall {code:#x} got status {status:#x}: {why}"),
            Self::InputInOverlay { gpa } => write!(f, "hypercall input at {gpa:#x} lies in an overlay page"),
            Self::OverSignal { relid } => write!(f, "channel {relid}: signalled a ring that was not empty"),
            Self::SpuriousSignal { relid } => write!(f, "channel {relid}: signalled, but nothing happened in the ring"),
            Self::MissedSignal { relid } => write!(f, "channel {relid}: data put into an idle ring without a signal"),
            Self::VmbusDropped { message, why } => write!(f, "VMBus message {message} dropped: {why}"),
            Self::Vmbus { message, about, why } => write!(f, "VMBus message {message} about {about:#x}: {why}"),
            Self::SharedTwice { gpa } => write!(f, "page {gpa:#x} is still shared with the host and used again"),
            Self::RingCorrupt { relid, why } => write!(f, "channel {relid}: ring corrupt: {why}"),
            Self::Nvsp { relid, message, why } => write!(f, "channel {relid}: NVSP message {message}: {why}"),
            Self::Vstor { relid, operation, why } => write!(f, "channel {relid}: VSTOR operation {operation}: {why}"),
            Self::MemoryReused { relid, gpa } => {
                write!(f, "channel {relid}: memory at {gpa:#x} was used while the host could still write it")
            }
            Self::Completion { relid, transaction, why } => {
                write!(f, "channel {relid}: completion of transaction {transaction:#x}: {why}")
            }
            Self::Rndis { relid, message, why } => write!(f, "channel {relid}: RNDIS message {message:#x}: {why}"),
        }
    }
}

/// A breach and when it happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Partition reference time, 100 ns units.
    pub at: u64,
    /// What happened.
    pub breach: Breach,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let micros = self.at / 10;
        write!(f, "[{:>4}.{:06}] {}", micros / 1_000_000, micros % 1_000_000, self.breach)
    }
}
