//! A publisher of the `$VMBS` record, written from docs/vmbs.md alone.

use hvpxe::mem::PhysMem;
use hvpxe::wire::hv::HV_MESSAGE_SIZE;
use hvpxe::wire::vmbus::OfferChannel;

use super::client::{Client, Slot};
use crate::machine::Machine;

/// Where it is: the anchor where a BIOS has its own segment, the record in the EBDA.
const ANCHOR: u32 = 0xf_5a40;
const RECORD: u32 = 0x9_f000;
const LIVE: u32 = RECORD + 64;
const OFFERS: u32 = RECORD + 128;
const ENTRIES: u32 = 6;
const SLOTS: u32 = OFFERS + ENTRIES * 48;
const SLOT_COUNT: u32 = 4;
const LENGTH: u32 = 128 + ENTRIES * 48 + SLOT_COUNT * 256;
/// Short name.
const NAME: [u8; 4] = *b"TBIO";

/// Offsets in the live part.
const GENERATION: u32 = 0;
const LOCK: u32 = 4;
const SETTLED: u32 = 12;
const VERSION: u32 = 16;
const NEXT_ID: u32 = 32;
const PUT: u32 = 56;
const TAKEN: u32 = 60;

pub struct Published {
    hv: Machine,
    /// As this owner left it.
    generation: u32,
}

impl Published {
    pub fn new(hv: &Machine, os_id: u64) -> Self {
        let mut record = vec![0; LENGTH as usize];
        record[..8].copy_from_slice(&[b'V', b'M', b'B', b'R', 0x10, 64, 2, 0]);
        record[8..12].copy_from_slice(&LENGTH.to_le_bytes());
        record[12..16].copy_from_slice(&0x1357_9bdf_u32.to_le_bytes());
        record[16..20].copy_from_slice(&NAME);
        record[24..32].copy_from_slice(&os_id.to_le_bytes());
        record[32..41].copy_from_slice(b"Test BIOS");
        for (at, word) in [(48, 64), (50, 64), (52, 128), (56, (SLOTS - RECORD) as u16), (58, 256)] {
            record[at..at + 2].copy_from_slice(&word.to_le_bytes());
        }
        record[54..56].copy_from_slice(&[48, ENTRIES as u8]);
        record[60] = SLOT_COUNT as u8;
        record[7] = record[..64].iter().fold(0, |sum: u8, byte| sum.wrapping_sub(*byte));
        record[64] = 1;
        let mut anchor = vec![0; 32];
        anchor[..8].copy_from_slice(&[b'$', b'V', b'M', b'B', b'S', 0x10, 32, 0]);
        anchor[8..12].copy_from_slice(&RECORD.to_le_bytes());
        anchor[12..16].copy_from_slice(&LENGTH.to_le_bytes());
        anchor[20..24].copy_from_slice(&record[12..16]);
        anchor[7] = anchor.iter().fold(0, |sum: u8, byte| sum.wrapping_sub(*byte));
        // Base memory ends below the record: 636 KiB.
        hv.write(0x413, &636u16.to_le_bytes()).expect("RAM");
        hv.write(RECORD, &record).expect("RAM");
        hv.write(ANCHOR, &anchor).expect("RAM");
        Self { hv: hv.clone(), generation: 1 }
    }

    fn get(&self, at: u32) -> u32 {
        let mut bytes = [0; 4];
        self.hv.read(at, &mut bytes).expect("RAM");
        u32::from_le_bytes(bytes)
    }

    fn set(&self, at: u32, value: u32) {
        self.hv.write(at, &value.to_le_bytes()).expect("RAM");
    }

    /// True while somebody else is in the middle of an exchange.
    pub fn is_locked(&self) -> bool {
        self.get(LIVE + LOCK) != 0
    }

    /// True while nobody else ended the connection and said so.
    pub fn is_current(&self) -> bool {
        self.get(LIVE + GENERATION) == self.generation
    }

    /// Before INITIATE_CONTACT.
    pub fn ends(&mut self) {
        let generation = self.get(LIVE + GENERATION);
        self.generation = if generation.is_multiple_of(2) { generation + 1 } else { generation + 2 };
        self.set(LIVE + GENERATION, self.generation);
    }

    /// The connection stands; the drive's channel is the owner's.
    pub fn stands(&mut self, client: &Client, drive: u32) {
        self.set(LIVE + SETTLED, self.generation);
        for (index, word) in [client.version, 0, client.message_connection_id, 0].into_iter().enumerate() {
            self.set(LIVE + VERSION + 4 * index as u32, word);
        }
        self.set(LIVE + NEXT_ID, 0x4000_0000);
        self.set(LIVE + NEXT_ID + 4, 0x4000_1000);
        self.hv.write(LIVE + 40, &client.simp_msr().to_le_bytes()).expect("RAM");
        self.hv.write(LIVE + 48, &client.hypercall_msr().to_le_bytes()).expect("RAM");
        self.hv.write(OFFERS, &[0; 48 * ENTRIES as usize]).expect("RAM");
        client.offers.iter().for_each(|offer| self.offer(offer, offer.child_relid == drive));
        self.generation += 1;
        self.set(LIVE + GENERATION, self.generation);
    }

    /// Adds a channel, in use by the owner or by nobody. Without room for it nobody else hears of it.
    pub fn offer(&self, offer: &OfferChannel, in_use: bool) {
        let Some(at) = (0..ENTRIES).map(|index| OFFERS + index * 48).find(|at| self.entry(*at)[44] == 0) else {
            return;
        };
        let mut entry = [0; 48];
        entry[..16].copy_from_slice(&offer.interface.0);
        entry[16..32].copy_from_slice(&offer.instance.0);
        entry[32..36].copy_from_slice(&offer.child_relid.get().to_le_bytes());
        entry[36..40].copy_from_slice(&offer.connection_id.get().to_le_bytes());
        entry[44] = 1;
        if in_use {
            entry[40..44].copy_from_slice(&NAME);
            entry[44] = 2;
        }
        self.hv.write(at, &entry).expect("RAM");
    }

    /// The host took a channel back. True when it can be released: when no attached party has it open.
    pub fn rescind(&self, relid: u32) -> bool {
        let at =
            (0..ENTRIES).map(|index| OFFERS + index * 48).find(|at| self.entry(*at)[32..36] == relid.to_le_bytes());
        let Some(at) = at else { return true };
        let entry = self.entry(at);
        let in_use = entry[40..44] != [0; 4] && entry[40..44] != NAME;
        self.hv.write(at + 44, &[if in_use { 3 } else { 0 }]).expect("RAM");
        !in_use
    }

    fn entry(&self, at: u32) -> [u8; 48] {
        let mut entry = [0; 48];
        self.hv.read(at, &mut entry).expect("RAM");
        entry
    }

    /// The oldest message that an attached party kept for the owner.
    pub fn take_message(&self) -> Option<Slot> {
        let taken = self.get(LIVE + TAKEN);
        if self.get(LIVE + PUT) == taken {
            return None;
        }
        let mut slot = [0; HV_MESSAGE_SIZE];
        self.hv.read(SLOTS + taken % SLOT_COUNT * 256, &mut slot).expect("RAM");
        self.set(LIVE + TAKEN, taken + 1);
        Some(slot)
    }

    /// Channels that an attached party has open.
    pub fn others_open(&self) -> usize {
        let is_others = |index: &u32| {
            let entry = self.entry(OFFERS + index * 48);
            entry[44] == 2 && entry[40..44] != NAME
        };
        (0..ENTRIES).filter(is_others).count()
    }
}
