//! Overlay pages: hypervisor-owned pages that hide guest RAM while an MSR says so (TLFS "Overlay Pages").
//!
//! The engine has no second copy of a page to map, so contents are swapped in and out of RAM.

use serde::{Deserialize, Serialize};

use crate::config::OverlayMode;
use crate::memory::{BadGpa, GuestMemory};

/// Bytes in a page.
pub(crate) const PAGE_SIZE: usize = 4096;
/// A page's content.
pub(crate) type Page = [u8; PAGE_SIZE];

const ENABLE: u64 = 1;
const GPFN: u64 = !0xfff;

/// One overlay page and the MSR that places it: bit 0 enables, bits 63:12 are the page frame number.
#[derive(Debug, Default, Deserialize, Serialize)]
pub(crate) struct Overlay {
    msr: u64,
    /// While enabled: the RAM under it. While disabled: the overlay's own content.
    #[serde(with = "page")]
    hidden: Option<Box<Page>>,
}

impl Overlay {
    pub fn msr(&self) -> u64 {
        self.msr
    }

    /// Address of the page while it is enabled.
    pub fn gpa(&self) -> Option<u64> {
        (self.msr & ENABLE != 0).then_some(self.msr & GPFN)
    }

    /// Moves, enables or disables the page. With `content` the page gets that content whenever it appears.
    pub fn set(
        &mut self,
        value: u64,
        mode: OverlayMode,
        content: Option<&Page>,
        mem: &mut dyn GuestMemory,
    ) -> Result<(), BadGpa> {
        let new = (value & ENABLE != 0).then_some(value & GPFN);
        if let Some(gpa) = new
            && !mem.is_ram(gpa, PAGE_SIZE)
        {
            return Err(BadGpa { gpa, len: PAGE_SIZE });
        }
        if new != self.gpa() && mode != OverlayMode::Ram {
            if let Some(old) = self.gpa() {
                self.swap(old, mem)?;
            }
            if let Some(gpa) = new {
                match content {
                    Some(content) => self.hidden = Some(Box::new(*content)),
                    None if mode == OverlayMode::Zeroed => self.hidden = None,
                    None => {}
                }
                self.swap(gpa, mem)?;
            }
        } else if let (Some(gpa), Some(content)) = (new, content) {
            mem.write(gpa, content)?;
        }
        self.msr = value;
        Ok(())
    }

    /// Back to the state after VP reset: disabled, content zero, RAM visible again.
    pub fn reset(&mut self, mode: OverlayMode, mem: &mut dyn GuestMemory) {
        if let Some(gpa) = self.gpa()
            && mode != OverlayMode::Ram
        {
            // The page was RAM when it was enabled; if the engine took that RAM away there is nothing to put back.
            let _gone = self.swap(gpa, mem);
        }
        *self = Self::default();
    }

    fn swap(&mut self, gpa: u64, mem: &mut dyn GuestMemory) -> Result<(), BadGpa> {
        let mut visible = Box::new([0; PAGE_SIZE]);
        mem.read(gpa, &mut visible[..])?;
        let hidden = self.hidden.take().unwrap_or_else(|| Box::new([0; PAGE_SIZE]));
        mem.write(gpa, &hidden[..])?;
        self.hidden = Some(visible);
        Ok(())
    }
}

/// A page among saved bytes.
mod page {
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use super::Page;

    pub fn serialize<S: Serializer>(page: &Option<Box<Page>>, serializer: S) -> Result<S::Ok, S::Error> {
        page.as_ref().map(|page| &page[..]).serialize(serializer)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Box<Page>>, D::Error> {
        let bytes = Option::<Vec<u8>>::deserialize(deserializer)?;
        let page = |bytes: Vec<u8>| {
            Page::try_from(bytes).map(Box::new).map_err(|_| D::Error::custom("a page of another size"))
        };
        bytes.map(page).transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::FlatMemory;

    fn byte(mem: &FlatMemory, gpa: u64) -> u8 {
        let mut byte = [0];
        mem.read(gpa, &mut byte).unwrap();
        byte[0]
    }

    #[test]
    fn a_kept_overlay_moves_with_its_content_and_gives_ram_back() {
        let mut mem = FlatMemory::new(0x4000);
        mem.write(0x1000, &[0xaa]).unwrap();
        mem.write(0x2000, &[0xbb]).unwrap();
        let mut page = Overlay::default();
        page.set(0x1001, OverlayMode::Kept, None, &mut mem).unwrap();
        assert_eq!(byte(&mem, 0x1000), 0);
        mem.write(0x1000, &[0x55]).unwrap();
        page.set(0x2001, OverlayMode::Kept, None, &mut mem).unwrap();
        assert_eq!((byte(&mem, 0x1000), byte(&mem, 0x2000)), (0xaa, 0x55));
        page.set(0, OverlayMode::Kept, None, &mut mem).unwrap();
        assert_eq!(byte(&mem, 0x2000), 0xbb);
        page.set(0x1001, OverlayMode::Kept, None, &mut mem).unwrap();
        assert_eq!(byte(&mem, 0x1000), 0x55);
    }

    #[test]
    fn a_zeroed_overlay_forgets_and_a_ram_overlay_hides_nothing() {
        let mut mem = FlatMemory::new(0x4000);
        let mut page = Overlay::default();
        page.set(0x1001, OverlayMode::Zeroed, None, &mut mem).unwrap();
        mem.write(0x1000, &[0x55]).unwrap();
        page.set(0, OverlayMode::Zeroed, None, &mut mem).unwrap();
        page.set(0x2001, OverlayMode::Zeroed, None, &mut mem).unwrap();
        assert_eq!(byte(&mem, 0x2000), 0);

        mem.write(0x3000, &[0x77]).unwrap();
        let mut page = Overlay::default();
        page.set(0x3001, OverlayMode::Ram, None, &mut mem).unwrap();
        assert_eq!(byte(&mem, 0x3000), 0x77);
    }

    #[test]
    fn a_page_outside_ram_is_refused_and_nothing_changes() {
        let mut mem = FlatMemory::new(0x2000);
        let mut page = Overlay::default();
        page.set(0x1001, OverlayMode::Kept, None, &mut mem).unwrap();
        assert!(page.set(0x8000_0001, OverlayMode::Kept, None, &mut mem).is_err());
        assert_eq!(page.msr(), 0x1001);
    }
}
