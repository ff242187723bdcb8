//! The `$VMBS` record that a publishing BIOS keeps, by docs/vmbs.md alone.
//!
//! Interrupts are off whenever this runs, and there is one processor: so a read and a write make a compare-and-exchange.

use hvpxe::vmbus::Offer;
use hvpxe::wire::vmbus::Guid;
use runtime::memory;

/// Offsets of the anchor's and the record's parts in the area, and the area's length.
const RECORD: u32 = 32;
const LIVE: u32 = RECORD + 64;
const OFFERS: u32 = LIVE + 64;
const SLOTS: u32 = OFFERS + OFFER_COUNT * OFFER_LEN;
/// Length of the area in bytes.
pub const AREA_LEN: u32 = SLOTS + SLOT_COUNT * SLOT_LEN;

/// Entries and slots (policy: a guest opens its card by four exchanges, and two messages may come before each reply).
const OFFER_COUNT: u32 = 8;
const OFFER_LEN: u32 = 48;
const SLOT_COUNT: u32 = 8;
const SLOT_LEN: u32 = 256;

/// Fields of the live part.
const GENERATION: u32 = LIVE;
const LOCK: u32 = LIVE + 4;
const SETTLED: u32 = LIVE + 12;
const VERSION: u32 = LIVE + 16;
const MESSAGE_CONNECTION: u32 = LIVE + 24;
const VP: u32 = LIVE + 28;
const NEXT_ID: u32 = LIVE + 32;
const END_ID: u32 = LIVE + 36;
const SIMP: u32 = LIVE + 40;
const HYPERCALL: u32 = LIVE + 48;
const PUT: u32 = LIVE + 56;
const TAKEN: u32 = LIVE + 60;

/// The ids that attached parties may use: far from those of hvpxe's protocol layers, which this BIOS uses.
const IDS: [u32; 2] = [0x6000_0000, 0x6001_0000];
/// This BIOS.
const OWNER: [u8; 4] = *b"TBIO";
const NAME: &[u8; 16] = b"Test BIOS\0\0\0\0\0\0\0";
/// Number of the record: there is one in this place, and its generation never starts anew.
const SERIAL: u32 = 0x7065_6e64;
/// What this BIOS writes to the lock.
const LOCK_MARK: u32 = 0x4f49_4254;

/// What the record says of the connection.
#[derive(Clone, Copy, Debug)]
pub struct Standing {
    /// Major and minor version.
    pub version: u32,
    /// Where control messages go.
    pub message_connection: u32,
    /// Which processor takes them.
    pub vp: u32,
    /// The registers as the BIOS leaves them.
    pub simp: u64,
    /// Likewise.
    pub hypercall: u64,
}

/// The record.
#[derive(Clone, Copy, Debug)]
pub struct Record {
    area: u32,
}

impl Record {
    /// Builds it, with an odd generation, at a physical address: a multiple of 16 below 1 MiB.
    pub fn create(area: u32) -> Self {
        memory::fill(area, AREA_LEN, 0);
        let record = Self { area };
        let length = AREA_LEN - RECORD;
        let mut fixed = [0; 64];
        fixed[..4].copy_from_slice(b"VMBR");
        fixed[4..7].copy_from_slice(&[0x10, 64, 2]);
        fixed[8..12].copy_from_slice(&length.to_le_bytes());
        fixed[12..16].copy_from_slice(&SERIAL.to_le_bytes());
        fixed[16..20].copy_from_slice(&OWNER);
        fixed[24..32].copy_from_slice(&parties::bare::GUEST_OS_ID.to_le_bytes());
        fixed[32..48].copy_from_slice(NAME);
        fixed[48..50].copy_from_slice(&((LIVE - RECORD) as u16).to_le_bytes());
        fixed[50..52].copy_from_slice(&64_u16.to_le_bytes());
        fixed[52..54].copy_from_slice(&((OFFERS - RECORD) as u16).to_le_bytes());
        fixed[54..56].copy_from_slice(&[OFFER_LEN as u8, OFFER_COUNT as u8]);
        fixed[56..58].copy_from_slice(&((SLOTS - RECORD) as u16).to_le_bytes());
        fixed[58..60].copy_from_slice(&(SLOT_LEN as u16).to_le_bytes());
        fixed[60] = SLOT_COUNT as u8;
        fixed[7] = balance(&fixed);
        memory::write(area + RECORD, &fixed);
        record.put(GENERATION, 1);

        let mut anchor = [0; 32];
        anchor[..5].copy_from_slice(b"$VMBS");
        anchor[5..7].copy_from_slice(&[0x10, 32]);
        anchor[8..12].copy_from_slice(&(area + RECORD).to_le_bytes());
        anchor[12..16].copy_from_slice(&length.to_le_bytes());
        anchor[20..24].copy_from_slice(&SERIAL.to_le_bytes());
        anchor[7] = balance(&anchor);
        memory::write(area, &anchor);
        record
    }

    /// The connection is about to end, or to be made.
    pub fn ends(self) {
        let generation = self.get(GENERATION);
        self.put(GENERATION, generation.wrapping_add(if generation.is_multiple_of(2) { 1 } else { 2 }));
    }

    /// The connection stands, with these offers; one of them is in use by the BIOS.
    pub fn stands<'a>(self, standing: &Standing, offers: impl Iterator<Item = &'a Offer>, own: &Guid) {
        self.put(SETTLED, self.get(GENERATION));
        self.put(VERSION, standing.version);
        self.put(MESSAGE_CONNECTION, standing.message_connection);
        self.put(VP, standing.vp);
        self.put(NEXT_ID, IDS[0]);
        self.put(END_ID, IDS[1]);
        memory::write(self.area + SIMP, &standing.simp.to_le_bytes());
        memory::write(self.area + HYPERCALL, &standing.hypercall.to_le_bytes());
        memory::fill(self.area + OFFERS, OFFER_COUNT * OFFER_LEN, 0);
        for (offer, index) in offers.zip(0..OFFER_COUNT) {
            let mut entry = [0; OFFER_LEN as usize];
            entry[..16].copy_from_slice(&offer.class.0);
            entry[16..32].copy_from_slice(&offer.instance.0);
            entry[32..36].copy_from_slice(&offer.relid.to_le_bytes());
            entry[36..40].copy_from_slice(&offer.connection_id.to_le_bytes());
            let is_own = offer.instance == *own;
            if is_own {
                entry[40..44].copy_from_slice(&OWNER);
            }
            entry[44] = if is_own { 2 } else { 1 };
            memory::write(self.area + OFFERS + index * OFFER_LEN, &entry);
        }
        self.put(GENERATION, self.get(GENERATION).wrapping_add(1));
    }

    /// The generation, if the connection can be used.
    pub fn generation(self) -> Option<u32> {
        Some(self.get(GENERATION)).filter(|generation| generation.is_multiple_of(2))
    }

    /// Takes the lock. `false`: somebody holds it, who can't go on before we return.
    pub fn lock(self) -> bool {
        let free = self.get(LOCK) == 0;
        if free {
            self.put(LOCK, LOCK_MARK);
        }
        free
    }

    /// Frees it.
    pub fn unlock(self) {
        self.put(LOCK, 0);
    }

    /// Takes the messages that others have put by; gives their number. Under the lock.
    pub fn drain(self) -> u32 {
        let (put, taken) = (self.get(PUT), self.get(TAKEN));
        // A BIOS of one disk has no use for what they say.
        self.put(TAKEN, put);
        put.wrapping_sub(taken)
    }

    fn get(self, field: u32) -> u32 {
        memory::read_u32(self.area + field)
    }

    fn put(self, field: u32, value: u32) {
        memory::write_u32(self.area + field, value);
    }
}

/// The byte that makes the sum 0, where there is a 0 now.
fn balance(bytes: &[u8]) -> u8 {
    bytes.iter().fold(0, |sum, byte| sum.wrapping_sub(*byte))
}
