//! Starting the machine anew, with the network left out once: the way back to a BIOS whose disks nobody reaches any more.
//!
//! The mark for it is in the core's block, where unpacking the core leaves it alone. A warm start keeps memory, and gives the
//! block the same place again, whether it comes from PMM or from the end of RAM. Where a machine does otherwise, the mark is
//! not found, and the network boot takes place.

use core::ptr;
use core::sync::atomic::{AtomicU16, Ordering};

use super::memory;

/// "hvSK", then the block's address, then what makes the sum of the three 0.
type Mark = [u32; 3];
const SIGNATURE: u32 = u32::from_le_bytes(*b"hvSK");

/// One bit for each boot entry that is still to be left out; entry 0 is the one of a machine with one card.
static LEFT_OUT: AtomicU16 = AtomicU16::new(0);

// linker.ld
unsafe extern "C" {
    static mut restart_mark: Mark;
}

fn mark() -> Mark {
    let address = memory::block_start();
    [SIGNATURE, address, 0u32.wrapping_sub(SIGNATURE).wrapping_sub(address)]
}

/// Has the next start of the machine leave the network out.
pub fn leave_network_out() {
    // SAFETY: linker.ld gives these 12 bytes, 4-byte aligned, to nobody else; no reference is made.
    unsafe { ptr::write_volatile(&raw mut restart_mark, mark()) };
}

/// Whether this boot entry is to be left out, because the machine was started anew for the BIOS's sake. Each entry is left out
/// once.
pub fn is_left_out(entry: u16) -> bool {
    // SAFETY: as above.
    let found = unsafe { ptr::read_volatile(&raw const restart_mark) };
    if found == mark() {
        // SAFETY: as above.
        unsafe { ptr::write_volatile(&raw mut restart_mark, [0; 3]) };
        LEFT_OUT.store(u16::MAX, Ordering::Relaxed);
    }
    let bit = 1u16.checked_shl(entry.into()).unwrap_or(0);
    LEFT_OUT.fetch_and(!bit, Ordering::Relaxed) & bit != 0
}
