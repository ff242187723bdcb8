//! [`PhysMem`] on the real machine: RAM below 4 GiB, mapped one to one, minus what is ours.

use core::ops::Range;
use core::ptr;
use core::sync::atomic::{AtomicU32, Ordering};

use heapless::Vec;

use super::resident::{self, BiosRegisters, Resident};
use super::{Rom, bios};
use crate::error::Error;
use crate::mem::single::Single;
use crate::mem::{Gpa, PAGE_SIZE, PhysMem};

/// BDA, free base memory in KiB.
const BDA_BASE_MEMORY: u32 = 0x413;
/// End of the first megabyte: below it, upper memory blocks may be RAM that no memory map mentions.
const FIRST_MEGABYTE: u64 = 0x10_0000;
/// End of what is mapped one to one.
const FOUR_GIB: u64 = 1 << 32;
/// RAM regions that we remember (policy); a machine with more loses the use of the rest as a download target.
const MAX_REGIONS: usize = 16;
/// "SMAP", E820 type 1, and the size of an entry (ACPI, "System Address Map Interfaces").
const SMAP: u32 = 0x534d_4150;
const E820_RAM: u32 = 1;
const E820_ENTRY: usize = 20;
/// Calls of E820 at most (policy): a BIOS that never ends its list.
const MAX_E820_CALLS: usize = 128;

/// RAM between 1 MiB and 4 GiB, from the BIOS's memory map.
static EXTENDED_RAM: Single<Vec<Range<u64>, MAX_REGIONS>> = Single::new(Vec::new());

// linker.ld: the first and the last byte of the core's block, and the size of the block as a number.
unsafe extern "C" {
    static CORE: u8;
    static pool_end: u8;
}

/// Physical address of the core's block.
pub fn block_start() -> u32 {
    Resident::read(|exchange| exchange.core_block)
}

/// Physical address of an object in the core's block.
pub fn physical(address: usize) -> u32 {
    block_start() + (address - (&raw const CORE).addr()) as u32
}

fn block() -> Range<u64> {
    let start = u64::from(block_start());
    start..start + ((&raw const pool_end).addr() - (&raw const CORE).addr()) as u64
}

/// The core's block if no memory map says that it is taken (no PMM), as the INT 15h hook wants it: (start, end) or zeroes.
pub fn hidden_block() -> [u32; 2] {
    let block = block();
    let mapped_as_ram =
        EXTENDED_RAM.borrow().iter().find(|region| region.start < block.end && block.start < region.end).cloned();
    mapped_as_ram.map_or([0; 2], |region| [block.start as u32, region.end as u32])
}

/// Reads the BIOS's memory map. Only from BEV time on: some BIOSes fail when asked during POST.
pub fn learn_map() {
    let mut regions = EXTENDED_RAM.borrow();
    regions.clear();
    let buffer = resident::layout().frame;
    let mut continuation = 0;
    for _ in 0..MAX_E820_CALLS {
        let registers = BiosRegisters {
            eax: 0xe820,
            ebx: continuation,
            ecx: E820_ENTRY as u32,
            edx: SMAP,
            edi: buffer.into(),
            es: resident::layout().segment,
            ds: resident::layout().segment,
            ..BiosRegisters::default()
        };
        let answer = bios::call(bios::SYSTEM, registers);
        if answer.flags & bios::CARRY != 0 || answer.eax != SMAP {
            break;
        }
        let mut entry = [0; E820_ENTRY];
        copy_out(resident::linear(buffer), &mut entry);
        let quad = |at: usize| u64::from_le_bytes(core::array::from_fn(|i| entry[at + i]));
        let (start, end) = (quad(0).max(FIRST_MEGABYTE), quad(0).saturating_add(quad(8)).min(FOUR_GIB));
        if entry[16..] == E820_RAM.to_le_bytes() && start < end {
            // A full table costs the caller a download target, no more.
            let _ = regions.push(start..end);
        }
        continuation = answer.ebx;
        if continuation == 0 {
            break;
        }
    }
}

/// Where the resident block lies, in whole KiB.
fn resident_block() -> Range<u64> {
    u64::from(resident::linear(0))..u64::from(resident::linear(resident::size()))
}

fn is_ram(range: &Range<u64>) -> bool {
    range.end <= FIRST_MEGABYTE
        || EXTENDED_RAM.borrow().iter().any(|region| region.start <= range.start && range.end <= region.end)
}

fn overlaps(a: &Range<u64>, b: &Range<u64>) -> bool {
    a.start < b.end && b.start < a.end
}

/// True for the parts of the resident block that others than us write: clients through the API, and in the record of
/// our connection whoever uses that.
fn is_writable_by_others(range: &Range<u64>) -> bool {
    let layout = resident::layout();
    let parts = [
        (resident::linear(layout.cached[0]), 3 * 1260),
        (resident::linear(layout.frame), 1514),
        (resident::linear(layout.stack), u32::from(layout.stack_size)),
        #[cfg(feature = "disk")]
        (resident::record(), crate::owner::record::PUBLISHED_LEN as u32),
    ];
    parts.iter().any(|&(start, size)| u64::from(start) <= range.start && range.end <= u64::from(start + size))
}

fn copy_out(linear: u32, into: &mut [u8]) {
    // SAFETY: 0-4 GiB are mapped one to one (asm/unpack.s). The callers have seen that the range is RAM, or it is ours in
    // base memory; `into` is in the core's block at another address.
    unsafe {
        ptr::copy_nonoverlapping(ptr::with_exposed_provenance(linear as usize), into.as_mut_ptr(), into.len());
    }
}

fn copy_in(linear: u32, from: &[u8]) {
    // SAFETY: as in `copy_out`; the callers keep out of the core's block and of the resident block's code and variables.
    unsafe {
        ptr::copy_nonoverlapping(from.as_ptr(), ptr::with_exposed_provenance_mut(linear as usize), from.len());
    }
}

/// Where the CPU finds a page that an MSR names, so that it is RAM, though perhaps of a firmware that hides it from memory
/// maps; `None` when it is ours or lies beyond 4 GiB.
pub fn foreign_page(gpa: Gpa) -> Option<usize> {
    let range = gpa.0..gpa.0.checked_add(PAGE_SIZE as u64)?;
    let is_ours = overlaps(&range, &block()) || overlaps(&range, &resident_block());
    (range.end <= FOUR_GIB && !is_ours).then_some(gpa.0 as usize)
}

/// Reads a doubleword of the interrupt table or the BIOS data area.
pub fn read_low(linear: u32) -> u32 {
    let mut bytes = [0; 4];
    copy_out(linear, &mut bytes);
    u32::from_le_bytes(bytes)
}

/// Writes a doubleword of the interrupt table or the BIOS data area.
pub fn write_low(linear: u32, value: u32) {
    copy_in(linear, &value.to_le_bytes());
}

/// Free base memory in KiB.
pub fn base_memory_kib() -> u16 {
    read_low(BDA_BASE_MEMORY) as u16
}

/// Where free base memory ends.
pub fn base_memory_end() -> u32 {
    u32::from(base_memory_kib()) * 1024
}

/// Copies from firmware tables, which may lie in memory that no map calls RAM. The caller bounds `linear` by what the
/// table's specification allows.
pub fn read_firmware(linear: u32, into: &mut [u8]) {
    copy_out(linear, into);
}

/// Fills the resident block's text buffer, zero included; the caller keeps to its size.
pub fn write_text(bytes: &[u8]) {
    copy_in(resident::text_buffer(), bytes);
}

/// Whether all of it lies below the resident block, as nearly always. Nothing of ours is there, and all counts as RAM.
#[inline(always)] // what all calls pass through
fn is_low(linear: u32, len: usize) -> bool {
    linear as usize + len <= resident::linear(0) as usize
}

/// True when a caller of [`PhysMem`] may read here.
fn is_readable(linear: u32, len: usize) -> bool {
    let range = u64::from(linear)..u64::from(linear) + len as u64;
    is_ram(&range) && !overlaps(&range, &block())
}

/// True when a caller of [`PhysMem`] may write here.
fn is_writable(linear: u32, len: usize) -> bool {
    let range = u64::from(linear)..u64::from(linear) + len as u64;
    is_readable(linear, len) && (!overlaps(&range, &resident_block()) || is_writable_by_others(&range))
}

impl PhysMem for Rom {
    fn read(&self, linear: u32, into: &mut [u8]) -> Result<(), Error> {
        if !is_low(linear, into.len()) && !is_readable(linear, into.len()) {
            return Err(Error::InvalidParameter);
        }
        copy_out(linear, into);
        Ok(())
    }

    fn write(&self, linear: u32, from: &[u8]) -> Result<(), Error> {
        if !is_low(linear, from.len()) && !is_writable(linear, from.len()) {
            return Err(Error::InvalidParameter);
        }
        copy_in(linear, from);
        Ok(())
    }

    fn compare_exchange(&self, linear: u32, current: u32, new: u32) -> Result<u32, Error> {
        if !linear.is_multiple_of(4) || linear == 0 || !is_writable(linear, 4) {
            return Err(Error::InvalidParameter);
        }
        // SAFETY: aligned, not null and RAM by the test, mapped one to one for good (asm/unpack.s); no Rust object is there,
        // for the core's block is excluded and the resident block's parts for clients are bytes to us.
        let word = unsafe { AtomicU32::from_ptr(ptr::with_exposed_provenance_mut(linear as usize)) };
        let (Ok(found) | Err(found)) = word.compare_exchange(current, new, Ordering::SeqCst, Ordering::SeqCst);
        Ok(found)
    }

    fn write_resident(&self, offset: u16, from: &[u8]) {
        assert!(usize::from(offset) + from.len() <= usize::from(resident::size()));
        copy_in(resident::linear(offset), from);
    }
}
