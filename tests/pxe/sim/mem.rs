//! Memory, with the ranges that no caller may write.

use std::cell::RefCell;
use std::ops::Range;
use std::rc::Rc;

use hvpxe::error::Error;
use hvpxe::mem::PhysMem;

use super::{LAYOUT, RESIDENT};

/// Simulated RAM.
const RAM_LEN: usize = 4 << 20;
/// Where the core would be: no caller may name it.
const CORE: Range<u32> = 0x0018_0000..0x001c_0000;

/// Simulated memory.
#[derive(Clone)]
pub struct SimMem(Rc<RefCell<Vec<u8>>>);

impl SimMem {
    /// RAM full of a pattern.
    pub fn new() -> Self {
        Self(Rc::new(RefCell::new(vec![0xa5; RAM_LEN])))
    }

    /// Everything as it is now.
    pub fn snapshot(&self) -> Vec<u8> {
        self.0.borrow().clone()
    }

    /// Bytes, without asking who may read them.
    pub fn peek(&self, linear: u32, len: usize) -> Vec<u8> {
        self.0.borrow()[linear as usize..][..len].to_vec()
    }

    /// Writes without asking who may.
    pub fn poke(&self, linear: u32, bytes: &[u8]) {
        self.0.borrow_mut()[linear as usize..][..bytes.len()].copy_from_slice(bytes);
    }

    fn check(&self, linear: u32, len: usize) -> Result<Range<usize>, Error> {
        let range = u64::from(linear)..u64::from(linear) + len as u64;
        let core = u64::from(CORE.start)..u64::from(CORE.end);
        if range.end > RAM_LEN as u64 || (range.start < core.end && core.start < range.end) {
            return Err(Error::InvalidParameter);
        }
        Ok(range.start as usize..range.end as usize)
    }
}

impl PhysMem for SimMem {
    fn read(&self, linear: u32, into: &mut [u8]) -> Result<(), Error> {
        let range = self.check(linear, into.len())?;
        into.copy_from_slice(&self.0.borrow()[range]);
        Ok(())
    }

    fn write(&self, linear: u32, from: &[u8]) -> Result<(), Error> {
        let range = self.check(linear, from.len())?;
        let (start, end) = (range.start as u32, range.end as u32);
        let block = RESIDENT..RESIDENT + u32::from(LAYOUT.size);
        let writable = [(LAYOUT.cached[0], 3 * 1260), (LAYOUT.frame, 1514)]
            .iter()
            .any(|&(at, len)| start >= RESIDENT + u32::from(at) && end <= RESIDENT + u32::from(at) + len);
        if start < block.end && block.start < end && !writable {
            return Err(Error::InvalidParameter);
        }
        self.0.borrow_mut()[range].copy_from_slice(from);
        Ok(())
    }

    fn write_resident(&self, offset: u16, from: &[u8]) {
        assert!(usize::from(offset) + from.len() <= usize::from(LAYOUT.size));
        self.poke(RESIDENT + u32::from(offset), from);
    }
}
