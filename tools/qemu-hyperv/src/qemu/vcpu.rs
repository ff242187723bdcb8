//! Registers and guest-physical memory, from inside a vCPU's callback.

use std::cell::RefCell;
use std::ffi::CStr;
use std::marker::PhantomData;

use hvhost::{BadGpa, GuestMemory};

use super::bytes::ByteArray;
use super::ffi;
use crate::cpu::{Cpu, Reg};
use crate::device::DeviceBus;

/// Longest single access; policy, far above any page, ring or frame.
const MAX_ACCESS: usize = 1 << 24;

/// Handles of the registers in [`Reg`], found once when the first vCPU starts.
pub struct RegisterFile([*mut ffi::Register; Reg::COUNT]);

// SAFETY: QEMU's handles are numbers in pointer form; they are only given back to QEMU.
unsafe impl Send for RegisterFile {}
// SAFETY: as for Send.
unsafe impl Sync for RegisterFile {}

impl RegisterFile {
    /// Looks the registers up. Only in a vCPU initialisation callback: `_vcpu` is the proof.
    ///
    /// # Errors
    /// Names the first register that this QEMU does not have.
    pub fn find(_vcpu: &Vcpu<'_>) -> Result<Self, &'static str> {
        // SAFETY: a `Vcpu` exists only inside a callback of that vCPU, where the call is allowed.
        let list = unsafe { ffi::qemu_plugin_get_registers() };
        // SAFETY: QEMU returns a live array that holds `len` descriptors.
        let rows = unsafe {
            let array = &*list;
            std::slice::from_raw_parts(array.data.cast::<ffi::RegDescriptor>(), array.len as usize)
        };
        let found = Reg::ALL.map(|reg| {
            // SAFETY: every name is an interned C string that lives as long as the process.
            let row = rows.iter().find(|row| unsafe { CStr::from_ptr(row.name) }.to_bytes() == reg.name().as_bytes());
            (reg, row.map_or(std::ptr::null_mut(), |row| row.handle))
        });
        // SAFETY: the caller of `qemu_plugin_get_registers` owns the array; `rows` is not used again.
        unsafe { ffi::g_array_unref(list) };
        match found.iter().find(|(_, handle)| handle.is_null()) {
            Some((reg, _)) => Err(reg.name()),
            None => Ok(Self(found.map(|(_, handle)| handle))),
        }
    }
}

/// The vCPU whose callback is running.
pub struct Vcpu<'a> {
    index: u32,
    in_callback: PhantomData<&'a *mut ()>,
}

impl Vcpu<'_> {
    /// # Safety
    /// QEMU is calling back on the thread of vCPU `index`, the callback was registered with access to registers or is of a kind
    /// that has it always, and the value does not outlive the callback.
    pub(super) unsafe fn current(index: u32) -> Self {
        Self { index, in_callback: PhantomData }
    }

    /// The vCPU's index, which is also its VP index and, in machines with the default topology, its APIC id.
    pub fn index(&self) -> u32 {
        self.index
    }

    /// The vCPU's registers, and guest-physical memory as it sees it.
    pub fn split<'v>(&'v mut self, file: &'v RegisterFile) -> (Registers<'v>, Physical<'v>) {
        let registers = Registers { file, buf: ByteArray::new(), in_callback: PhantomData };
        let memory = Physical { buf: RefCell::new(ByteArray::new()), in_callback: PhantomData };
        (registers, memory)
    }
}

/// Registers of the vCPU whose callback is running.
pub struct Registers<'v> {
    file: &'v RegisterFile,
    buf: ByteArray,
    in_callback: PhantomData<&'v *mut ()>,
}

impl Cpu for Registers<'_> {
    fn get(&mut self, reg: Reg) -> u64 {
        self.buf.clear();
        // SAFETY: the handle is QEMU's own, the array is live, and the vCPU's callback is running (`in_callback`).
        let ok = unsafe { ffi::qemu_plugin_read_register(self.file.0[reg as usize], self.buf.as_ptr()) };
        let bytes = self.buf.as_slice();
        let mut value = [0; 8];
        let len = bytes.len().min(value.len());
        value[..len].copy_from_slice(&bytes[..len]);
        debug_assert!(ok, "QEMU has the register");
        u64::from_le_bytes(value)
    }

    fn set(&mut self, reg: Reg, value: u64) {
        self.buf.fill(&value.to_le_bytes());
        // SAFETY: as in `get`; the array holds 8 bytes, the size of the largest register in `Reg`.
        let ok = unsafe { ffi::qemu_plugin_write_register(self.file.0[reg as usize], self.buf.as_ptr()) };
        debug_assert!(ok, "general registers can be written");
    }
}

/// Guest-physical memory, RAM only.
pub struct Physical<'v> {
    buf: RefCell<ByteArray>,
    in_callback: PhantomData<&'v *mut ()>,
}

impl Physical<'_> {
    fn load(&self, gpa: u64, into: &mut [u8]) -> bool {
        let mut buf = self.buf.borrow_mut();
        // SAFETY: the array is live, `into` is not empty (checked by the callers), the vCPU's callback is running
        // (`in_callback`).
        let result = unsafe { ffi::qemu_plugin_read_memory_hwaddr(gpa, buf.as_ptr(), into.len()) };
        if result != 0 {
            return false;
        }
        into.copy_from_slice(&buf.as_slice()[..into.len()]);
        true
    }

    fn store(&mut self, gpa: u64, from: &[u8]) -> bool {
        let buf = self.buf.get_mut();
        buf.fill(from);
        // SAFETY: as in `load`.
        let result = unsafe { ffi::qemu_plugin_write_memory_hwaddr(gpa, buf.as_ptr()) };
        result == 0
    }
}

impl DeviceBus for Physical<'_> {
    fn read(&mut self, gpa: u64) -> Option<u32> {
        let mut bytes = [0; 4];
        self.load(gpa, &mut bytes).then(|| u32::from_le_bytes(bytes))
    }

    fn write(&mut self, gpa: u64, value: u32) {
        // Every PC of QEMU has local APICs; there is nobody to tell if one refused.
        self.store(gpa, &value.to_le_bytes());
    }
}

/// Whether an address range may be RAM on a PC: not the legacy video and ROM area, not the chipset's devices.
fn may_be_ram(gpa: u64, len: usize) -> bool {
    /// Ranges that hold devices or ROM on every PC: VGA to BIOS, and from the I/O APIC to the BIOS flash.
    const DEVICES: [std::ops::Range<u64>; 2] = [0xa_0000..0x10_0000, 0xfec0_0000..0x1_0000_0000];
    match gpa.checked_add(len as u64) {
        Some(end) if len <= MAX_ACCESS => DEVICES.iter().all(|hole| end <= hole.start || hole.end <= gpa),
        _ => false,
    }
}

impl GuestMemory for Physical<'_> {
    fn is_ram(&self, gpa: u64, len: usize) -> bool {
        // QEMU has no query for this. Addresses that nothing decodes are refused by a read; PCI devices are not recognised.
        let mut probe = [0];
        len == 0
            || may_be_ram(gpa, len)
                && self.load(gpa, &mut probe)
                && self.load(gpa.saturating_add(len as u64 - 1), &mut probe)
    }

    fn read(&self, gpa: u64, into: &mut [u8]) -> Result<(), BadGpa> {
        let len = into.len();
        if len == 0 || may_be_ram(gpa, len) && self.load(gpa, into) { Ok(()) } else { Err(BadGpa { gpa, len }) }
    }

    fn write(&mut self, gpa: u64, from: &[u8]) -> Result<(), BadGpa> {
        let len = from.len();
        if len == 0 || self.is_ram(gpa, len) && self.store(gpa, from) { Ok(()) } else { Err(BadGpa { gpa, len }) }
    }
}
