//! GPADLs: lists of guest pages that the guest shares with the host.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::memory::GuestMemory;
use crate::overlay::PAGE_SIZE;

/// A GPADL is known by its id within its channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize)]
pub(crate) struct GpadlKey {
    pub relid: u32,
    pub id: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub(crate) enum Stage {
    /// Bodies are still to come.
    InProgress,
    Created,
    /// Teardown requested; it waits for the channel to close.
    TearingDown,
}

/// One contiguous range of guest-virtual addresses: length and offset in bytes, and its pages.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub(crate) struct Range {
    pub len: u32,
    pub offset: u32,
    pub pfns: Vec<u64>,
}

impl Range {
    /// Address of the first byte.
    pub fn start(&self) -> u64 {
        self.pfns.first().map_or(0, |pfn| pfn.wrapping_mul(PAGE_SIZE as u64)) + u64::from(self.offset)
    }

    /// The first `len` bytes, of which there are no more than [`len`](Self::len); `None` when they are not in RAM.
    pub fn read(&self, len: usize, mem: &dyn GuestMemory) -> Option<Vec<u8>> {
        let mut bytes = vec![0; len];
        Region::new(&self.pfns, mem)?.read(mem, self.offset as usize, &mut bytes).then_some(bytes)
    }

    /// Writes the first bytes; as [`read`](Self::read).
    pub fn write(&self, from: &[u8], mem: &mut dyn GuestMemory) -> Option<()> {
        Region::new(&self.pfns, mem)?.write(mem, self.offset as usize, from).then_some(())
    }
}

#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Gpadl {
    pub stage: Stage,
    count: u16,
    words_due: usize,
    words: Vec<u64>,
    pub ranges: Vec<Range>,
}

/// What became of a GPADL_HEADER or GPADL_BODY.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    /// Bodies are still to come.
    More,
    /// All pages are there.
    Complete(GpadlKey),
    /// To be answered with a failure.
    Refused(GpadlKey, &'static str),
    /// To be ignored.
    Dropped(&'static str),
}

/// All GPADLs of a connection.
#[derive(Debug, Default, Deserialize, Serialize)]
pub(crate) struct Gpadls {
    map: BTreeMap<GpadlKey, Gpadl>,
}

impl Gpadls {
    pub fn clear(&mut self) {
        self.map.clear();
    }

    pub fn get(&self, key: GpadlKey) -> Option<&Gpadl> {
        self.map.get(&key)
    }

    pub fn get_mut(&mut self, key: GpadlKey) -> Option<&mut Gpadl> {
        self.map.get_mut(&key)
    }

    pub fn remove(&mut self, key: GpadlKey) {
        self.map.remove(&key);
    }

    /// The GPADLs of channel `relid`.
    pub fn of_channel(&self, relid: u32) -> Vec<GpadlKey> {
        self.map.keys().filter(|key| key.relid == relid).copied().collect()
    }

    /// The pages of a finished one-range GPADL that starts on a page boundary; `None` otherwise.
    pub fn pages(&self, key: GpadlKey) -> Option<&[u64]> {
        let gpadl = self.map.get(&key).filter(|gpadl| gpadl.stage == Stage::Created)?;
        match &gpadl.ranges[..] {
            [range] if range.offset == 0 => Some(&range.pfns),
            _ => None,
        }
    }

    /// Whether any GPADL holds page `pfn`, leaving `except` out.
    pub fn holds(&self, pfn: u64, except: Option<GpadlKey>) -> bool {
        self.map
            .iter()
            .filter(|(key, _)| Some(**key) != except)
            .any(|(_, gpadl)| gpadl.ranges.iter().any(|range| range.pfns.contains(&pfn)))
    }

    pub fn header(&mut self, key: GpadlKey, len: u16, count: u16, words: Vec<u64>) -> Progress {
        if self.map.contains_key(&key) {
            return Progress::Refused(key, "id is in use on this channel");
        }
        if self.in_progress(key.id).is_some() {
            return Progress::Refused(key, "id belongs to an unfinished GPADL");
        }
        if count == 0 || len == 0 || !len.is_multiple_of(8) {
            return Progress::Refused(key, "range buffer of no or odd length");
        }
        let gpadl = Gpadl {
            stage: Stage::InProgress,
            count,
            words_due: usize::from(len / 8),
            words: Vec::new(),
            ranges: Vec::new(),
        };
        self.map.insert(key, gpadl);
        self.append(key, &words)
    }

    pub fn body(&mut self, id: u32, words: &[u64]) -> Progress {
        match self.in_progress(id) {
            Some(key) => self.append(key, words),
            None => Progress::Dropped("body of a GPADL that is not in progress"),
        }
    }

    fn in_progress(&self, id: u32) -> Option<GpadlKey> {
        self.map.iter().find(|(key, gpadl)| key.id == id && gpadl.stage == Stage::InProgress).map(|(key, _)| *key)
    }

    fn append(&mut self, key: GpadlKey, words: &[u64]) -> Progress {
        let Some(gpadl) = self.map.get_mut(&key) else { return Progress::Dropped("no such GPADL") };
        // Messages may be padded: what is beyond the announced length is ignored.
        let room = gpadl.words_due - gpadl.words.len();
        gpadl.words.extend_from_slice(&words[..words.len().min(room)]);
        if gpadl.words.len() < gpadl.words_due {
            return Progress::More;
        }
        match split(&gpadl.words, gpadl.count) {
            Some(ranges) => {
                gpadl.ranges = ranges;
                gpadl.stage = Stage::Created;
                gpadl.words = Vec::new();
                Progress::Complete(key)
            }
            None => {
                self.map.remove(&key);
                Progress::Refused(key, "ranges do not fit the announced length")
            }
        }
    }
}

/// Splits a range buffer: per range {byte count u32, byte offset u32}, then its page frame numbers.
pub(crate) fn split(words: &[u64], count: u16) -> Option<Vec<Range>> {
    let mut rest = words;
    let mut ranges = Vec::new();
    for _ in 0..count {
        let (&head, tail) = rest.split_first()?;
        let (len, offset) = (head as u32, (head >> 32) as u32);
        if len == 0 || offset >= PAGE_SIZE as u32 {
            return None;
        }
        let pages = (offset as usize + len as usize).div_ceil(PAGE_SIZE);
        let (pfns, tail) = tail.split_at_checked(pages)?;
        ranges.push(Range { len, offset, pfns: pfns.to_vec() });
        rest = tail;
    }
    rest.is_empty().then_some(ranges)
}

/// Pages as one piece of memory, by offset.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
pub(crate) struct Region {
    pages: Vec<u64>,
}

impl Region {
    /// `None` unless all pages are RAM.
    pub fn new(pfns: &[u64], mem: &dyn GuestMemory) -> Option<Self> {
        let pages: Vec<u64> = pfns.iter().map(|pfn| pfn.checked_mul(PAGE_SIZE as u64)).collect::<Option<_>>()?;
        pages.iter().all(|&page| mem.is_ram(page, PAGE_SIZE)).then_some(Self { pages })
    }

    pub fn len(&self) -> usize {
        self.pages.len() * PAGE_SIZE
    }

    /// Address of the byte at `offset`.
    pub fn address(&self, offset: usize) -> Option<u64> {
        self.pages.get(offset / PAGE_SIZE).map(|page| page + (offset % PAGE_SIZE) as u64)
    }

    /// Calls `access` for each piece of `offset..offset + len` that lies in one page: its address and position.
    fn pieces(&self, offset: usize, len: usize) -> impl Iterator<Item = (u64, std::ops::Range<usize>)> + '_ {
        let mut done = 0;
        std::iter::from_fn(move || {
            if done == len {
                return None;
            }
            let at = offset + done;
            let page = *self.pages.get(at / PAGE_SIZE)?;
            let piece = (PAGE_SIZE - at % PAGE_SIZE).min(len - done);
            let span = done..done + piece;
            done += piece;
            Some((page + (at % PAGE_SIZE) as u64, span))
        })
    }

    /// Reads at `offset`; the caller has checked that the range lies inside. `false` when RAM went away.
    pub fn read(&self, mem: &dyn GuestMemory, offset: usize, into: &mut [u8]) -> bool {
        self.pieces(offset, into.len()).all(|(gpa, span)| mem.read(gpa, &mut into[span]).is_ok())
    }

    /// Writes at `offset`; as [`read`](Self::read).
    pub fn write(&self, mem: &mut dyn GuestMemory, offset: usize, from: &[u8]) -> bool {
        self.pieces(offset, from.len()).all(|(gpa, span)| mem.write(gpa, &from[span]).is_ok())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: GpadlKey = GpadlKey { relid: 5, id: 0x5200_0001 };

    fn words(pages: u64) -> Vec<u64> {
        std::iter::once(pages * 4096).chain(0x100..0x100 + pages).collect()
    }

    #[test]
    fn forty_pages_take_a_header_and_a_body() {
        let mut gpadls = Gpadls::default();
        let all = words(40);
        assert_eq!(gpadls.header(KEY, 0x148, 1, all[..27].to_vec()), Progress::More);
        assert_eq!(gpadls.pages(KEY), None);
        assert_eq!(gpadls.body(KEY.id, &all[27..]), Progress::Complete(KEY));
        assert_eq!(gpadls.pages(KEY).unwrap().len(), 40);
        assert!(gpadls.holds(0x127, None));
        assert!(!gpadls.holds(0x127, Some(KEY)));
    }

    #[test]
    fn padding_behind_the_pages_is_ignored() {
        let mut padded = words(2);
        padded.extend_from_slice(&[0xdead; 5]);
        assert_eq!(Gpadls::default().header(KEY, 24, 1, padded), Progress::Complete(KEY));
    }

    #[test]
    fn malformed_range_buffers_are_refused() {
        let refused = |len, count, words: Vec<u64>| {
            matches!(Gpadls::default().header(KEY, len, count, words), Progress::Refused(..))
        };
        assert!(refused(24, 0, words(2)), "no range");
        assert!(refused(24, 1, vec![0, 1, 2]), "no bytes");
        assert!(refused(24, 1, vec![0x1000_0000_2000, 1, 2]), "offset 0x1000");
        assert!(refused(16, 1, words(2)), "pages missing");
        assert!(refused(32, 1, vec![8192, 1, 2, 3]), "a page too many");
    }

    #[test]
    fn an_id_may_serve_two_channels_but_not_twice_one() {
        let mut gpadls = Gpadls::default();
        let other = GpadlKey { relid: 6, ..KEY };
        assert_eq!(gpadls.header(KEY, 16, 1, words(1)), Progress::Complete(KEY));
        assert_eq!(gpadls.header(other, 16, 1, words(1)), Progress::Complete(other));
        assert!(matches!(gpadls.header(KEY, 16, 1, words(1)), Progress::Refused(..)));
    }
}
