//! Device registers in guest-physical memory.

/// Accesses of a vCPU to devices that it reaches by memory: its local APIC, MSIs, the HPET.
///
/// Under icount QEMU allows them between blocks only.
pub trait DeviceBus {
    /// Reads a 32-bit register; `None` if there is no device.
    fn read(&mut self, gpa: u64) -> Option<u32>;

    /// Writes a 32-bit register.
    fn write(&mut self, gpa: u64, value: u32);
}
