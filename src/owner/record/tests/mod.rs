//! The record against its document, and against bytes of other people's. Here: the document's example, and a machine for it.

mod finding;
mod publishing;
mod using;

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::ops::Range;
use std::rc::Rc;

use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::{FromBytes, IntoBytes};

use super::Record;
use crate::error::Error;
use crate::hv::{CpuidResult, Hypervisor};
use crate::mem::pages::PoolPages;
use crate::mem::{Gpa, PhysMem};
use crate::time::Ticks100ns;
use crate::wire::hv::{HV_X64_MSR_GUEST_OS_ID, HV_X64_MSR_HYPERCALL, HV_X64_MSR_SIMP};
use crate::wire::vmbs::{Anchor, Fixed, Live, OfferEntry, byte_sum, offer_state};
use crate::wire::vmbus::{CLASS_NETWORK, CLASS_SCSI, Guid};

/// Where the document's example has its parts.
const ANCHOR: u32 = 0xf_5a40;
const RECORD: u32 = 0x9_f000;
/// Base memory of the machine in the tests, in KiB: the record is in its reserved part.
const BASE_KIB: u16 = 636;
const NOBODY: [u8; 4] = [0; 4];

/// The first megabyte.
#[derive(Clone)]
struct Ram {
    bytes: Rc<RefCell<Vec<u8>>>,
    read_only: Range<u32>,
}

impl Ram {
    fn new() -> Self {
        let ram = Self { bytes: Rc::new(RefCell::new(vec![0; 0x10_0000])), read_only: 0xe_0000..0x10_0000 };
        ram.poke(0x413, &BASE_KIB.to_le_bytes());
        ram
    }

    fn poke(&self, at: u32, bytes: &[u8]) {
        self.bytes.borrow_mut()[at as usize..][..bytes.len()].copy_from_slice(bytes);
    }

    fn peek(&self, at: u32, len: usize) -> Vec<u8> {
        self.bytes.borrow()[at as usize..][..len].to_vec()
    }

    fn live(&self, at: u32) -> Live {
        Live::read_from_bytes(&self.peek(at, size_of::<Live>())).unwrap()
    }
}

impl PhysMem for Ram {
    fn read(&self, linear: u32, into: &mut [u8]) -> Result<(), Error> {
        let bytes = self.bytes.borrow();
        let from = bytes.get(linear as usize..).and_then(|from| from.get(..into.len()));
        into.copy_from_slice(from.ok_or(Error::InvalidParameter)?);
        Ok(())
    }

    fn write(&self, linear: u32, from: &[u8]) -> Result<(), Error> {
        if linear as usize + from.len() > 0x10_0000 {
            return Err(Error::InvalidParameter);
        }
        if !self.read_only.contains(&linear) {
            self.poke(linear, from);
        }
        Ok(())
    }

    fn write_resident(&self, _offset: u16, _from: &[u8]) {
        unreachable!("the record's place is a part that others may write")
    }
}

type WaitWork = Box<dyn FnMut()>;

/// MSRs and a clock.
#[derive(Clone, Default)]
struct Hv {
    msrs: Rc<RefCell<BTreeMap<u32, u64>>>,
    now: Rc<Cell<u64>>,
    /// Done in every wait loop.
    while_waiting: Rc<RefCell<Option<WaitWork>>>,
}

impl Hv {
    fn with(os_id: u64, hypercall: u64, simp: u64) -> Self {
        let hv = Self::default();
        hv.write_msr(HV_X64_MSR_GUEST_OS_ID, os_id);
        hv.write_msr(HV_X64_MSR_HYPERCALL, hypercall);
        hv.write_msr(HV_X64_MSR_SIMP, simp);
        hv
    }
}

impl Hypervisor for Hv {
    type Pages = PoolPages;

    fn cpuid(&self, _leaf: u32) -> CpuidResult {
        CpuidResult::default()
    }

    fn read_msr(&self, msr: u32) -> u64 {
        self.msrs.borrow()[&msr]
    }

    fn write_msr(&self, msr: u32, value: u64) {
        self.msrs.borrow_mut().insert(msr, value);
    }

    fn hypercall(&self, _page: &PoolPages, _control: u64, _input: u64, _output: u64) -> u64 {
        unreachable!("the record needs no hypercall")
    }

    fn alloc_pages(&self, _count: usize) -> Option<PoolPages> {
        None
    }

    fn free_pages(&self, _pages: PoolPages) {}

    fn map(&self, _gpa: Gpa) -> Option<PoolPages> {
        None
    }

    fn now(&self) -> Ticks100ns {
        self.now.set(self.now.get() + 10);
        Ticks100ns(self.now.get())
    }

    fn cycles(&self) -> u64 {
        self.now.get()
    }

    fn relax(&self) {
        self.now.set(self.now.get() + 100_000);
        if let Some(work) = &mut *self.while_waiting.borrow_mut() {
            work();
        }
    }
}

fn sealed(mut bytes: Vec<u8>) -> Vec<u8> {
    bytes[7] = 0;
    bytes[7] = byte_sum(&bytes).wrapping_neg();
    bytes
}

fn anchor() -> Anchor {
    let anchor = Anchor {
        signature: *b"$VMBS",
        revision: 0x10,
        length: 32,
        checksum: 0,
        record: U32::new(RECORD),
        record_length: U32::new(64 + 64 + 3 * 48 + 2 * 256),
        unused: U32::ZERO,
        serial: U32::new(0x1234_5678),
        reserved: [0; 8],
    };
    Anchor::read_from_bytes(&sealed(anchor.as_bytes().to_vec())).unwrap()
}

fn fixed() -> Fixed {
    let fixed = Fixed {
        signature: *b"VMBR",
        revision: 0x10,
        length: 64,
        sint: 2,
        checksum: 0,
        record_length: anchor().record_length,
        serial: anchor().serial,
        owner: *b"EXBI",
        flags: U32::ZERO,
        guest_os_id: U64::new(0x8f00_0000_0001_0000),
        name: *b"Example BIOS\0\0\0\0",
        live_offset: U16::new(64),
        live_length: U16::new(64),
        offers_offset: U16::new(128),
        offer_length: 48,
        offer_count: 3,
        slots_offset: U16::new(272),
        slot_length: U16::new(256),
        slot_count: 2,
        reserved: [0; 3],
    };
    Fixed::read_from_bytes(&sealed(fixed.as_bytes().to_vec())).unwrap()
}

fn live() -> Live {
    Live {
        generation: U32::new(2),
        lock: U32::ZERO,
        beat: U32::new(7),
        settled: U32::new(1),
        version: U32::new(0x0005_0003),
        features: U32::ZERO,
        message_connection_id: U32::new(4),
        vp: U32::ZERO,
        next_id: U32::new(0x6000_0000),
        end_id: U32::new(0x6001_0000),
        simp: U64::new(0xbffe_2001),
        hypercall: U64::new(0xbffe_1001),
        put: U32::new(1),
        taken: U32::ZERO,
    }
}

fn entry(class: Guid, relid: u32, user: [u8; 4], state: u8) -> OfferEntry {
    OfferEntry {
        class,
        instance: Guid([relid as u8 * 0x11; 16]),
        relid: U32::new(relid),
        connection_id: U32::new(0x2000 + relid),
        user,
        state,
        reserved: 0,
        subchannel_index: U16::ZERO,
    }
}

fn offers() -> [OfferEntry; 2] {
    [entry(CLASS_SCSI, 5, *b"EXBI", offer_state::OPEN), entry(CLASS_NETWORK, 6, NOBODY, offer_state::CLOSED)]
}

/// The document's example.
fn example() -> (Vec<u8>, Vec<u8>) {
    let mut record = vec![0; 784];
    record[..64].copy_from_slice(fixed().as_bytes());
    record[64..128].copy_from_slice(live().as_bytes());
    record[128..224].copy_from_slice(offers().as_bytes());
    // A SynIC message of type 1 with 12 bytes: RESCIND_CHANNELOFFER for channel 9.
    record[272] = 1;
    record[276] = 12;
    record[288] = 2;
    record[296] = 9;
    (anchor().as_bytes().to_vec(), record)
}

fn example_machine() -> (Ram, Hv) {
    let ram = Ram::new();
    let (anchor, record) = example();
    ram.poke(ANCHOR, &anchor);
    ram.poke(RECORD, &record);
    (ram, Hv::with(0x8f00_0000_0001_0000, 0xbffe_1001, 0xbffe_2001))
}

fn find(hv: &Hv, ram: &Ram) -> Option<Record<Ram>> {
    Record::find(hv, ram, 0, &(0..0))
}
