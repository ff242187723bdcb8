//! The receive buffer, and the frames in it that nobody has fetched yet.

use heapless::Deque;

/// Most frames that wait (policy). Above the 375 ranges that a packet can have, and above the number of buffers that
/// hosts make of [`RECEIVE_PAGES`]: nothing a sane host sends is ever dropped here.
pub const MAX_WAITING: usize = 384;

/// Sizes of the receive buffer, in pages, largest first (policy): 512 KiB hold about 290 frames; hosts keep 16 buffers
/// for themselves, so 64 KiB leave 20.
pub const RECEIVE_PAGES: [usize; 4] = [128, 64, 32, 16];

/// Most frames that were fetched and not given back to the host yet (policy): two
/// windows of TFTP, for after a loss the rest of a window is followed by a whole one.
pub const MAX_FETCHED: usize = 128;
/// Receive buffer, in bytes, for each of them (policy): the host keeps half of it, and four frames of the smallest one.
pub const BYTES_PER_FETCHED: usize = 4096;

/// A part of the receive buffer with one RNDIS message, and what to do after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// Packet that it came with.
    pub transaction_id: u64,
    /// Where it starts in the receive buffer, in bytes.
    pub offset: u32,
    /// Length in bytes; 0 when only the completion is still owed.
    pub length: u32,
    /// Parts that the packet has, if this is its last one: the packet is to be completed after it. Else 0.
    pub completes: u32,
}

/// The queue.
pub type Queue = Deque<Waiting, MAX_WAITING>;

/// True when the range lies inside a receive buffer of `size` bytes and can hold a message at all.
#[must_use]
pub fn in_bounds(offset: u32, length: u32, size: usize) -> bool {
    length as usize >= crate::wire::rndis::OFFSET_BASE
        && (offset as usize).checked_add(length as usize).is_some_and(|end| end <= size)
}

#[cfg(test)]
mod tests {
    use super::in_bounds;

    #[test]
    fn ranges_outside_the_buffer_are_seen() {
        assert!(in_bounds(0, 65536, 65536));
        assert!(in_bounds(65000, 536, 65536));
        assert!(!in_bounds(65000, 537, 65536));
        assert!(!in_bounds(u32::MAX, u32::MAX, 65536));
        assert!(!in_bounds(0, 7, 65536));
    }
}
