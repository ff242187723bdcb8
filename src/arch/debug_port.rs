//! Port 0xE9, the debug console of Bochs and QEMU.

/// Writes bytes to the port; on a machine without it they are lost. On a host (tests) this does nothing.
pub fn write(bytes: &[u8]) {
    #[cfg(target_os = "none")]
    for &byte in bytes {
        // SAFETY: port 0xE9 has no other use on a PC (Bochs, "Debug Port"; QEMU, isa-debugcon): the write has no effect
        // on memory, and is dropped where nothing listens.
        unsafe {
            x86::io::outb(0xe9, byte);
        }
    }
    #[cfg(not(target_os = "none"))]
    let _ = bytes;
}
