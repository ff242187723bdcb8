//! What can go wrong in the core, in the words of the layer where it happens.
//!
//! No PXE code appears here: [`crate::pxe`] decides, in one exhaustive match, which status and which PXE-Exx
//! text each of these becomes.

/// Why an operation of the core failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// The CPU reports no Hyper-V interface (TLFS, "Hypervisor CPUID leaves": `Hv#1` in leaf 0x40000001).
    NotHyperV,
    /// Hyper-V is there, but it does not offer what VMBus needs (SynIC and hypercall MSRs), or refuses the first post.
    NoVmbus,
    /// The host knows none of the VMBus versions that we speak.
    VersionRefused,
    /// Somebody else owns VMBus, and the policy is to leave it alone.
    VmbusOwned,
    /// No synthetic network card was offered.
    NoNic,
    /// The host took the network card back (RESCIND, or its channel went silent).
    NicGone,
    /// The operation needs an open network card.
    NotOpen,
    /// No network carrier.
    LinkDown,
    /// A field of the caller's parameter block can't be right.
    InvalidParameter,
    /// The call isn't legal in the present state.
    InvalidState,
    /// The function isn't offered.
    Unsupported,
    /// No room in the transmit ring or its buffers.
    RingFull,
    /// A table, queue or memory pool of ours is full.
    OutOfResources,
    /// The host did not answer in time.
    HostTimeout,
    /// The host broke the protocol.
    HostProtocol,
    /// The host answered, and said no.
    HostRefused,
    /// The user pressed the key that ends the network boot.
    Cancelled,
}
