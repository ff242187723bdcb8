//! The BIOS machine around the boot program: clock, screen, keyboard, identity, and the resident block in base memory.
//!
//! [`Machine`] is implemented by `entry` in the ROM and by simulated machines in tests.

use crate::mem::SegOff;
use crate::time::Ticks100ns;

/// A keystroke, as far as network boot cares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    /// Esc or Ctrl-C: give up the network boot.
    Cancel,
    /// F8: show the boot menu.
    F8,
    /// Enter.
    Enter,
    /// Cursor up.
    Up,
    /// Cursor down.
    Down,
    /// Any other key, by its ASCII code; 0 when it has none.
    Other(u8),
}

/// Where the resident block in base memory keeps what PXE clients see. All offsets are in bytes from `segment`:0.
///
/// After a boot of our own the block starts on a KiB boundary; the UNDI loader's caller may choose any segment. Code, data and stack share the one segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResidentLayout {
    /// Real-mode segment of the block.
    pub segment: u16,
    /// Length of the block in bytes, a whole number of KiB.
    pub size: u16,
    /// The `PXENV+` structure, 44 bytes, 32-byte aligned.
    pub pxenv: u16,
    /// The `!PXE` structure, 88 bytes, 32-byte aligned.
    pub bang_pxe: u16,
    /// `PXENV+` entry (far call, arguments in registers). The code segment's offset 0 jumps there too.
    pub rm_entry: u16,
    /// `!PXE` entry (far call, arguments on the stack).
    pub sp_entry: u16,
    /// The three cached packets (DHCPDISCOVER, DHCPACK, boot-server reply), 1260 bytes each, client-writable.
    pub cached: [u16; 3],
    /// What the block itself answers to callers in V86 mode, [`crate::pxe::ANSWERS_SIZE`] bytes.
    pub answers: u16,
    /// The frame buffer that UNDI ISR hands out, [`crate::nic::MAX_FRAME_LEN`] bytes, client-writable.
    pub frame: u16,
    /// The stack on which the NBP starts.
    pub stack: u16,
    /// Its length in bytes.
    pub stack_size: u16,
    /// The UNDI ROM ID in the option ROM; 0:0 without one.
    pub rom_id: SegOff,
}

/// The machine that the boot program runs on. A handle; cheap to clone.
pub trait Machine: Clone {
    /// Reference time.
    fn now(&self) -> Ticks100ns;

    /// Called in every wait loop: lets the BIOS run its interrupts, for well under 55 ms.
    fn idle(&self);

    /// Writes text to the screen and to the log. `\n` ends a line, `\r` returns to its start.
    fn print(&self, text: &str);

    /// As [`print`](Self::print), for text that a quiet boot leaves out: then it goes to the log alone.
    fn note(&self, text: &str) {
        self.print(text);
    }

    /// Takes a waiting keystroke.
    fn key(&self) -> Option<Key>;

    /// A number that differs between boots and machines (transaction ids, ports).
    fn random(&self) -> u32;

    /// Seconds that the user has before a boot to skip it or to pick a card; 0: none.
    fn key_wait_seconds(&self) -> u16 {
        0
    }

    /// Seconds that the card has to report a link. Default: ten; a virtual switch's port is up at once, unless its host has
    /// just started.
    fn link_wait_seconds(&self) -> u16 {
        10
    }

    /// Seconds to look for a DHCP server. Default: PXE 2.1's minute.
    fn dhcp_wait_seconds(&self) -> u16 {
        60
    }

    /// The card that the boot entry stands for, counted from 1; 0: any.
    fn boot_card(&self) -> usize {
        0
    }

    /// The SMBIOS system UUID, in the byte order of SMBIOS; `None` when absent, all zero or all ones.
    fn system_uuid(&self) -> Option<[u8; 16]>;

    /// Free base memory in KiB (BDA word 0040:0013).
    fn base_memory_kib(&self) -> u16;

    /// Where the resident block is.
    fn resident(&self) -> ResidentLayout;

    /// Hooks INT 1Ah (and INT 15h where memory must be hidden). Does nothing when hooked.
    fn hook_interrupts(&self);

    /// Takes the hooks out. False when somebody hooked above us: everything stays then (`KEEP_UNDI`).
    fn unhook_interrupts(&self) -> bool;
}
