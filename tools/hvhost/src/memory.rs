//! Guest-physical memory, as the engine that runs the guest lends it to the host.

use std::ops::Range;

/// An address range that is not guest RAM.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadGpa {
    /// First byte of the access.
    pub gpa: u64,
    /// Length of the access in bytes.
    pub len: usize,
}

impl BadGpa {
    /// The access as a range of the bytes of RAM that lies at `0..ram_len`.
    ///
    /// # Errors
    /// Itself, when the access goes past them.
    pub fn unless_within(self, ram_len: usize) -> Result<Range<usize>, Self> {
        let start = usize::try_from(self.gpa).map_err(|_| self)?;
        let end = start.checked_add(self.len).filter(|&end| end <= ram_len).ok_or(self)?;
        Ok(start..end)
    }
}

impl std::fmt::Display for BadGpa {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:#x}+{:#x} is not guest RAM", self.gpa, self.len)
    }
}

impl std::error::Error for BadGpa {}

/// Guest RAM by guest-physical address. Nothing is cached by the host model: each access reads or writes RAM.
pub trait GuestMemory {
    /// Whether all of `gpa..gpa + len` is RAM.
    fn is_ram(&self, gpa: u64, len: usize) -> bool;

    /// Fills `into` from guest memory.
    ///
    /// # Errors
    /// [`BadGpa`] when any byte of the range is not RAM.
    fn read(&self, gpa: u64, into: &mut [u8]) -> Result<(), BadGpa>;

    /// Writes `from` to guest memory.
    ///
    /// # Errors
    /// [`BadGpa`] when any byte of the range is not RAM; then nothing is written.
    fn write(&mut self, gpa: u64, from: &[u8]) -> Result<(), BadGpa>;

    /// Sets bit `bit` (0-7) of one byte and says whether it was clear before.
    ///
    /// The event-flag and interrupt pages are also changed by the guest, with locked operations. An engine that runs
    /// VPs while it calls the host model must make this atomic.
    ///
    /// # Errors
    /// [`BadGpa`] when the byte is not RAM.
    fn set_bit(&mut self, gpa: u64, bit: u8) -> Result<bool, BadGpa> {
        let mut byte = [0u8];
        self.read(gpa, &mut byte)?;
        let mask = 1 << (bit & 7);
        let was_clear = byte[0] & mask == 0;
        self.write(gpa, &[byte[0] | mask])?;
        Ok(was_clear)
    }
}

/// RAM from address 0 in one vector: for tests and for engines that have nothing better.
#[derive(Clone, Debug)]
pub struct FlatMemory {
    bytes: Vec<u8>,
}

impl FlatMemory {
    /// Zeroed RAM at `0..len`.
    #[must_use]
    pub fn new(len: usize) -> Self {
        Self { bytes: vec![0; len] }
    }

    fn span(&self, gpa: u64, len: usize) -> Result<Range<usize>, BadGpa> {
        BadGpa { gpa, len }.unless_within(self.bytes.len())
    }
}

impl GuestMemory for FlatMemory {
    fn is_ram(&self, gpa: u64, len: usize) -> bool {
        self.span(gpa, len).is_ok()
    }

    fn read(&self, gpa: u64, into: &mut [u8]) -> Result<(), BadGpa> {
        into.copy_from_slice(&self.bytes[self.span(gpa, into.len())?]);
        Ok(())
    }

    fn write(&mut self, gpa: u64, from: &[u8]) -> Result<(), BadGpa> {
        let span = self.span(gpa, from.len())?;
        self.bytes[span].copy_from_slice(from);
        Ok(())
    }
}

/// Reads a little-endian `u32`.
pub(crate) fn read_u32(mem: &dyn GuestMemory, gpa: u64) -> Result<u32, BadGpa> {
    let mut bytes = [0; 4];
    mem.read(gpa, &mut bytes)?;
    Ok(u32::from_le_bytes(bytes))
}

/// Writes a little-endian `u32`.
pub(crate) fn write_u32(mem: &mut dyn GuestMemory, gpa: u64, value: u32) -> Result<(), BadGpa> {
    mem.write(gpa, &value.to_le_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flat_memory_refuses_what_runs_past_its_end() {
        let mut mem = FlatMemory::new(0x1000);
        assert!(mem.is_ram(0xff0, 16));
        assert!(!mem.is_ram(0xff1, 16));
        assert_eq!(mem.write(u64::MAX, &[1]), Err(BadGpa { gpa: u64::MAX, len: 1 }));
        assert!(mem.set_bit(8, 3).unwrap());
        assert!(!mem.set_bit(8, 3).unwrap());
    }
}
