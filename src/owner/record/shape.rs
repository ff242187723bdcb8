//! Anchor and fixed part of a record: what may be believed about where things are.

use core::ops::Range;

use zerocopy::FromBytes;

use crate::wire::hv::VMBUS_SINT;
use crate::wire::vmbs::{
    ALIGNMENT, ANCHOR_SIGNATURE, Anchor, Fixed, Live, MAX_RECORD_LEN, OfferEntry, RECORD_SIGNATURE, REVISION, SLOT_LEN,
    byte_sum,
};

/// End of base memory and of the whole first megabyte; start of the option ROMs and of the system BIOS.
pub(super) const BASE_MEMORY_END: u32 = 0xa_0000;
pub(super) const ROMS: Range<u32> = 0xc_0000..0x10_0000;
pub(super) const SYSTEM_BIOS: Range<u32> = 0xe_0000..0x10_0000;

/// The longest anchor and the longest fixed part that a later revision may have: their lengths are bytes.
pub(super) const MAX_PART: usize = 255;

/// Where the parts of a record are, as physical addresses. All inside the record, none overlapping.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    pub record: u32,
    pub live: u32,
    pub offers: u32,
    pub offer_length: u32,
    pub offer_count: u32,
    pub slots: u32,
    pub slot_length: u32,
    pub slot_count: u32,
}

/// The anchor at the start of `bytes`, if it is one. `bytes` goes up to the end of the area searched, or is long enough
/// for any anchor.
pub(super) fn anchor(bytes: &[u8]) -> Option<Anchor> {
    let (anchor, _) = Anchor::read_from_prefix(bytes).ok()?;
    let length = usize::from(anchor.length);
    let sound = anchor.signature == ANCHOR_SIGNATURE
        && is_readable(anchor.revision)
        && length >= size_of::<Anchor>()
        && length.is_multiple_of(ALIGNMENT as usize)
        && byte_sum(bytes.get(..length)?) == 0;
    sound.then_some(anchor)
}

/// The addresses of the record, if they are allowed: in reserved memory below 1 MiB, and clear of ours. `reserved` is where
/// reserved base memory starts.
pub(super) fn extent(anchor: &Anchor, reserved: u32, ours: &Range<u32>) -> Option<Range<u32>> {
    let (start, length) = (anchor.record.get(), anchor.record_length.get());
    let end = start.checked_add(length)?;
    let allowed = start.is_multiple_of(ALIGNMENT)
        && (MIN_RECORD_LEN..=MAX_RECORD_LEN).contains(&length)
        && (reserved <= start && end <= BASE_MEMORY_END || ROMS.start <= start && end <= ROMS.end)
        && (end <= ours.start || ours.end <= start);
    allowed.then_some(start..end)
}

/// One entry and one slot.
const MIN_RECORD_LEN: u32 = (size_of::<Fixed>() + size_of::<Live>() + size_of::<OfferEntry>() + SLOT_LEN) as u32;

/// Checks the fixed part, whose bytes are at the start of `bytes`.
pub(super) fn shape(bytes: &[u8], anchor: &Anchor) -> Option<(Fixed, Shape)> {
    let (fixed, _) = Fixed::read_from_prefix(bytes).ok()?;
    let length = usize::from(fixed.length);
    let sound = fixed.signature == RECORD_SIGNATURE
        && is_readable(fixed.revision)
        && length >= size_of::<Fixed>()
        && byte_sum(bytes.get(..length)?) == 0
        && fixed.serial == anchor.serial
        && fixed.serial != 0
        && fixed.record_length == anchor.record_length
        && usize::from(fixed.sint) == VMBUS_SINT
        && fixed.slot_count.is_power_of_two();
    if !sound {
        return None;
    }
    let shape = Shape {
        record: anchor.record.get(),
        live: fixed.live_offset.get().into(),
        offers: fixed.offers_offset.get().into(),
        offer_length: fixed.offer_length.into(),
        offer_count: fixed.offer_count.into(),
        slots: fixed.slots_offset.get().into(),
        slot_length: fixed.slot_length.get().into(),
        slot_count: fixed.slot_count.into(),
    };
    let live_length = u32::from(fixed.live_length.get());
    let sound = live_length as usize >= size_of::<Live>()
        && shape.offer_length as usize >= size_of::<OfferEntry>()
        && shape.slot_length as usize >= SLOT_LEN
        && (shape.live | shape.slots).is_multiple_of(8)
        && shape.offers.is_multiple_of(4)
        // In this order, and none overlaps. At most 0xffff + 0xffff * 0xff: no overflow.
        && length as u32 <= shape.live
        && shape.live + live_length <= shape.offers
        && shape.offers + shape.offer_length * shape.offer_count <= shape.slots
        && shape.slots + shape.slot_length * shape.slot_count <= anchor.record_length.get();
    let at = |offset| shape.record + offset;
    sound.then(|| (fixed, Shape { live: at(shape.live), offers: at(shape.offers), slots: at(shape.slots), ..shape }))
}

/// Minor revisions only add.
const fn is_readable(revision: u8) -> bool {
    revision >> 4 == REVISION >> 4
}
