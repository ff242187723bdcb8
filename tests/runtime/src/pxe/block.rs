//! Parameter blocks.

use crate::machine::memory;
use crate::machine::thunk::SegOff;

/// Longest block: TFTP_READ_FILE has 158 bytes.
pub const MAX: usize = 160;

/// A parameter block, as bytes; offsets are those of the specification, the status at 0 included.
#[derive(Clone)]
pub struct Block {
    bytes: [u8; MAX],
    len: usize,
}

impl Block {
    /// A status that no function returns: that of a new block.
    pub const UNTOUCHED: u16 = 0xeeee;

    /// A block of zeros, with the status [`Self::UNTOUCHED`].
    pub fn new(len: usize) -> Self {
        let mut block = Self { bytes: [0; MAX], len };
        block.put16(0, Self::UNTOUCHED);
        block
    }

    /// Its bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }

    /// Its bytes, to be changed.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.bytes[..self.len]
    }

    /// Puts bytes.
    pub fn put(&mut self, at: usize, bytes: &[u8]) -> &mut Self {
        self.bytes[at..at + bytes.len()].copy_from_slice(bytes);
        self
    }

    /// Puts a byte.
    pub fn put8(&mut self, at: usize, value: u8) -> &mut Self {
        self.put(at, &[value])
    }

    /// Puts a little-endian word.
    pub fn put16(&mut self, at: usize, value: u16) -> &mut Self {
        self.put(at, &value.to_le_bytes())
    }

    /// Puts a big-endian word: a port.
    pub fn put_port(&mut self, at: usize, value: u16) -> &mut Self {
        self.put(at, &value.to_be_bytes())
    }

    /// Puts a little-endian double word.
    pub fn put32(&mut self, at: usize, value: u32) -> &mut Self {
        self.put(at, &value.to_le_bytes())
    }

    /// Puts a far pointer.
    pub fn put_pointer(&mut self, at: usize, to: SegOff) -> &mut Self {
        self.put32(at, to.to_u32())
    }

    /// A byte.
    pub fn get8(&self, at: usize) -> u8 {
        self.bytes[at]
    }

    /// A little-endian word.
    pub fn get16(&self, at: usize) -> u16 {
        u16::from_le_bytes([self.bytes[at], self.bytes[at + 1]])
    }

    /// A big-endian word.
    pub fn get_port(&self, at: usize) -> u16 {
        self.get16(at).swap_bytes()
    }

    /// A little-endian double word.
    pub fn get32(&self, at: usize) -> u32 {
        u32::from(self.get16(at)) | u32::from(self.get16(at + 2)) << 16
    }

    /// Four bytes.
    pub fn get_ip(&self, at: usize) -> [u8; 4] {
        self.get32(at).to_le_bytes()
    }

    /// A far pointer.
    pub fn get_pointer(&self, at: usize) -> SegOff {
        SegOff::from_u32(self.get32(at))
    }

    /// The status.
    pub fn status(&self) -> u16 {
        self.get16(0)
    }

    /// Writes it to memory.
    pub fn store(&self, at: u32) {
        memory::write(at, self.bytes());
    }

    /// Reads it back.
    pub fn load(&mut self, at: u32) {
        memory::read(at, &mut self.bytes[..self.len]);
    }
}
