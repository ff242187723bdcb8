//! The byte array through which the plugin API passes registers and memory.

use super::ffi;

/// An owned `GByteArray`.
pub struct ByteArray(*mut ffi::GByteArray);

// SAFETY: the array is reachable through this owner alone and GLib's arrays have no thread affinity.
unsafe impl Send for ByteArray {}

impl ByteArray {
    /// An empty array.
    pub fn new() -> Self {
        // SAFETY: no preconditions; GLib aborts the process rather than return null.
        Self(unsafe { ffi::g_byte_array_new() })
    }

    /// The array for a QEMU call that fills or reads it.
    pub fn as_ptr(&mut self) -> *mut ffi::GByteArray {
        self.0
    }

    /// Empties the array; register reads append.
    pub fn clear(&mut self) {
        self.resize(0);
    }

    /// Makes the array hold exactly `bytes`.
    pub fn fill(&mut self, bytes: &[u8]) {
        self.resize(bytes.len());
        self.as_mut_slice().copy_from_slice(bytes);
    }

    /// The bytes in use.
    pub fn as_slice(&self) -> &[u8] {
        // SAFETY: `self.0` is the live array of `new`; its fields are public in GLib.
        let array = unsafe { &*self.0 };
        if array.len == 0 {
            return &[];
        }
        // SAFETY: GLib keeps `len` initialised bytes at `data`, and only `&mut self` can change that.
        unsafe { std::slice::from_raw_parts(array.data, array.len as usize) }
    }

    fn as_mut_slice(&mut self) -> &mut [u8] {
        // SAFETY: as in `as_slice`.
        let array = unsafe { &*self.0 };
        if array.len == 0 {
            return &mut [];
        }
        // SAFETY: as in `as_slice`; `&mut self` makes the access exclusive.
        unsafe { std::slice::from_raw_parts_mut(array.data, array.len as usize) }
    }

    /// Sets the length; new bytes are not cleared by GLib, so callers overwrite them.
    fn resize(&mut self, len: usize) {
        let len = u32::try_from(len).expect("accesses are bounded far below 4 GiB by the host model");
        // SAFETY: `self.0` is live; the function returns the same array.
        unsafe { ffi::g_byte_array_set_size(self.0, len) };
    }
}

impl Drop for ByteArray {
    fn drop(&mut self) {
        // SAFETY: `self.0` came from `g_byte_array_new` and this is its only reference.
        unsafe { ffi::g_byte_array_unref(self.0) };
    }
}
