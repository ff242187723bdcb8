//! What a virtual NIC is plugged into.

/// The network behind one NIC: whole Ethernet frames without FCS.
pub trait NetBackend: Send {
    /// Takes a frame that the guest sent.
    fn send(&mut self, frame: &[u8]);

    /// Gives the next frame for the guest. Not called while the guest has no room or no packet filter set.
    fn receive(&mut self) -> Option<Vec<u8>>;

    /// Whether the cable is in. Changes are told to the guest.
    fn link_up(&self) -> bool {
        true
    }
}
