//! The BIOS machine, with its own time.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use hvpxe::machine::{Key, Machine, ResidentLayout};
use hvpxe::time::Ticks100ns;

/// The resident block: 14 KiB below 640 KiB.
pub const LAYOUT: ResidentLayout = ResidentLayout {
    segment: 0x9c80,
    size: 0x3800,
    pxenv: 0x20,
    bang_pxe: 0x60,
    rm_entry: 0x100,
    sp_entry: 0x120,
    cached: [0x200, 0x6ec, 0xbd8],
    answers: 0x1700,
    frame: 0x10c4,
    stack: 0x2800,
    stack_size: 0x1000,
    rom_id: hvpxe::mem::SegOff { offset: 0, segment: 0 },
};

/// Linear address of the resident block.
pub const RESIDENT: u32 = (LAYOUT.segment as u32) << 4;

/// The BIOS machine.
#[derive(Clone)]
pub struct SimMachine(pub Rc<MachineState>);

/// What there is of it; shared by all handles.
#[derive(Default)]
pub struct MachineState {
    now: Cell<u64>,
    /// Everything printed.
    pub screen: RefCell<String>,
    /// A keystroke to come, and when.
    key: Cell<Option<(u64, Key)>>,
    /// Whether our hooks are in place.
    pub hooked: Cell<bool>,
    /// Whether somebody hooked above us.
    pub hooked_above: Cell<bool>,
    /// How many seconds the settings give the link and DHCP; `None`: as many as the image does.
    pub waits: Cell<Option<u16>>,
}

impl MachineState {
    /// How long the machine has been running.
    pub fn seconds(&self) -> u64 {
        self.now.get() / (1000 * Ticks100ns::PER_MILLISECOND)
    }

    /// Somebody will press a key.
    pub fn key_after(&self, milliseconds: u64, key: Key) {
        self.key.set(Some((self.now.get() + milliseconds * Ticks100ns::PER_MILLISECOND, key)));
    }
}

impl Machine for SimMachine {
    fn now(&self) -> Ticks100ns {
        // Looking at the clock takes a microsecond: a loop that forgets to idle still ends.
        self.0.now.set(self.0.now.get() + 10);
        Ticks100ns(self.0.now.get())
    }

    fn idle(&self) {
        self.0.now.set(self.0.now.get() + Ticks100ns::PER_MILLISECOND);
    }

    fn print(&self, text: &str) {
        self.0.screen.borrow_mut().push_str(text);
    }

    fn key(&self) -> Option<Key> {
        let (_, key) = self.0.key.get().filter(|(when, _)| self.0.now.get() >= *when)?;
        self.0.key.set(None);
        Some(key)
    }

    fn random(&self) -> u32 {
        self.0.now.get() as u32 ^ 0x5eed_1234
    }

    fn link_wait_seconds(&self) -> u16 {
        self.0.waits.get().unwrap_or(10)
    }

    fn dhcp_wait_seconds(&self) -> u16 {
        self.0.waits.get().unwrap_or(60)
    }

    fn system_uuid(&self) -> Option<[u8; 16]> {
        Some(*b"0123456789abcdef")
    }

    fn base_memory_kib(&self) -> u16 {
        (RESIDENT / 1024) as u16
    }

    fn resident(&self) -> ResidentLayout {
        LAYOUT
    }

    fn hook_interrupts(&self) {
        self.0.hooked.set(true);
    }

    fn unhook_interrupts(&self) -> bool {
        if !self.0.hooked_above.get() {
            self.0.hooked.set(false);
        }
        !self.0.hooked_above.get()
    }
}
