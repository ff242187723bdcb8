//! A `$VMBS` record in guest memory, read as docs/vmbs.md, "What a reader must check", has it.

use anyhow::{Context, Result, bail, ensure};

/// Lengths of the anchor, of the record's fixed and live parts, of an entry and of a message slot.
const ANCHOR_LEN: usize = 32;
const PART_LEN: usize = 64;
const ENTRY_LEN: usize = 48;
const SLOT_LEN: usize = 256;
/// BIOS data area: KiB of base memory.
const BDA_BASE_MEMORY: usize = 0x413;
/// Where base memory ends.
const END: usize = 0xa_0000;

/// A channel that the owner offers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Channel {
    /// Its number.
    pub id: u32,
    /// Short name of who uses it; empty: nobody.
    pub user: String,
    /// 1: closed; 2: open; 3: rescinded.
    pub state: u8,
}

/// A record of a connection that stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The owner's short name.
    pub owner: String,
    /// SIMP as the owner leaves it.
    pub simp: u64,
    /// Its channels.
    pub channels: Vec<Channel>,
}

/// All records that there are in reserved base memory.
///
/// # Errors
/// The first rule that one of them breaks, and a connection that doesn't stand.
pub fn find(ram: &[u8]) -> Result<Vec<Record>> {
    let reserved = usize::from(u16::from_le_bytes([ram[BDA_BASE_MEMORY], ram[BDA_BASE_MEMORY + 1]])) * 1024;
    (reserved..END)
        .step_by(16)
        .filter(|at| ram[*at..].starts_with(b"$VMBS"))
        .map(|at| read(ram, at, reserved))
        .collect()
}

fn read(ram: &[u8], at: usize, reserved: usize) -> Result<Record> {
    let anchor = &ram[at..at + ANCHOR_LEN];
    ensure!(anchor[5..7] == [0x10, ANCHOR_LEN as u8] && sum(anchor) == 0, "a broken anchor at {at:#x}");
    let (start, len) = (number(anchor, 8, 4)? as usize, number(anchor, 12, 4)? as usize);
    let allowed = start.is_multiple_of(16) && start >= reserved && start + len <= END;
    ensure!(allowed, "a record at {start:#x}, {len} bytes long");
    let record = &ram[start..start + len];
    let fixed = record.get(..PART_LEN).context("a record without its fixed part")?;
    ensure!(fixed.starts_with(b"VMBR") && fixed[4..7] == [0x10, PART_LEN as u8, 2], "no record at {start:#x}");
    ensure!(sum(fixed) == 0 && fixed[8..16] == [&anchor[12..16], &anchor[20..24]].concat(), "a broken fixed part");
    let word = |offset| number(fixed, offset, 2).map(|value| value as usize);
    let (live, offers, slots) = (word(48)?, word(52)?, word(56)?);
    let (entries, slot_count) = (usize::from(fixed[55]), usize::from(fixed[60]));
    ensure!(
        word(50)? == PART_LEN && usize::from(fixed[54]) == ENTRY_LEN && word(58)? == SLOT_LEN,
        "parts of other lengths"
    );
    ensure!(
        live >= PART_LEN
            && live.is_multiple_of(8)
            && offers >= live + PART_LEN
            && offers.is_multiple_of(4)
            && slots >= offers + entries * ENTRY_LEN
            && slots.is_multiple_of(8)
            && slot_count.is_power_of_two()
            && slots + slot_count * SLOT_LEN <= len,
        "parts out of place"
    );
    let live = &record[live..live + PART_LEN];
    ensure!(number(live, 0, 4)?.is_multiple_of(2), "the connection does not stand");
    ensure!(number(live, 4, 4)? == 0, "the lock is held");
    ensure!(number(live, 16, 4)? >= 0x3_0000, "version {:#x}", number(live, 16, 4)?);
    ensure!((1..1 << 24).contains(&number(live, 24, 4)?) && number(live, 28, 4)? == 0, "messages to nowhere");
    ensure!(number(live, 32, 4)? <= number(live, 36, 4)?, "numbers behind their end");
    ensure!(number(live, 48, 8)? & 1 == 1, "no hypercall page");
    ensure!(number(live, 56, 4)?.wrapping_sub(number(live, 60, 4)?) <= slot_count as u64, "more messages than slots");
    let mut channels: Vec<Channel> = Vec::new();
    for entry in record[offers..offers + entries * ENTRY_LEN].chunks_exact(ENTRY_LEN).filter(|entry| entry[44] != 0) {
        let channel = Channel { id: number(entry, 32, 4)? as u32, user: text(&entry[40..44]), state: entry[44] };
        let known = channels.iter().any(|known| known.id == channel.id);
        if known || channel.state > 3 || !(1..2048).contains(&channel.id) || number(entry, 36, 4)? == 0 {
            bail!("an impossible channel: {channel:?}");
        }
        channels.push(channel);
    }
    Ok(Record { owner: text(&fixed[16..20]), simp: number(live, 40, 8)?, channels })
}

fn sum(bytes: &[u8]) -> u8 {
    bytes.iter().fold(0, |sum, byte| sum.wrapping_add(*byte))
}

fn number(bytes: &[u8], at: usize, len: usize) -> Result<u64> {
    let bytes = bytes.get(at..at + len).context("a part is too short")?;
    Ok(bytes.iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte)))
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).trim_end_matches('\0').to_owned()
}
