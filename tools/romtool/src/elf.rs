//! The address spaces of linker.ld, as read from the linked ELF file.

use std::ops::Range;

use anyhow::{Context, Result, bail, ensure};
use object::{Object, ObjectSection, ObjectSymbol, SymbolKind};

/// What the linker made, cut up by where it runs.
#[derive(Debug)]
pub struct Parts {
    /// Header and BEV code; stays in the option-ROM area.
    pub rom: Vec<u8>,
    /// Image of the resident block in base memory; stays in the option-ROM area.
    pub resident: Vec<u8>,
    /// Init code; gone after POST.
    pub init: Vec<u8>,
    /// The unpacker's tables, which are part of [`Self::init`].
    pub unpack_tables: Vec<u8>,
    /// Flat image of the core.
    pub core: Vec<u8>,
    /// Loader of the boot program for other PXE ROMs.
    pub nbp: Vec<u8>,
    /// Boot sector of the disk images.
    pub boot_sector: Vec<u8>,
    /// Offset of [`Self::resident`] in the ROM, as the code expects it.
    pub resident_offset: usize,
    /// Offset of the packed core in the ROM, as the code expects it.
    pub payload_offset: usize,
    /// Offset of [`Self::init`] in the ROM, as the code expects it.
    pub init_offset: usize,
    /// Length of the core's block in memory, in bytes.
    pub block_size: u64,
    /// Base memory that the resident block takes, in KiB.
    pub resident_kib: u64,
}

impl Parts {
    /// Reads them from an ELF file.
    ///
    /// # Errors
    /// If the file is no ELF file, or lacks a section or symbol of linker.ld.
    pub fn read(elf: &[u8]) -> Result<Self> {
        let file = object::File::parse(elf).context("the linked ROM is no ELF file")?;
        let section = |name: &str| -> Result<Vec<u8>> {
            let section = file.section_by_name(name).with_context(|| format!("the ROM has no section {name}"))?;
            Ok(section.data()?.to_vec())
        };
        let symbol = |name: &str| -> Result<u64> {
            let symbol = file.symbol_by_name(name).with_context(|| format!("the ROM has no symbol {name}"))?;
            Ok(symbol.address())
        };
        let base = symbol("CORE")?;
        let mut core = vec![0; usize::try_from(symbol("core_image_size")?)?];
        for section in file.sections().filter(|section| section.address() >= base && !section.kind().is_bss()) {
            let start = usize::try_from(section.address() - base)?;
            let data = section.data()?;
            ensure!(start + data.len() <= core.len(), "section {:?} lies outside the core's image", section.name());
            core[start..start + data.len()].copy_from_slice(data);
        }
        let init_offset = usize::try_from(symbol("rom_init_image")?)?;
        let init = section(".init")?;
        let in_init = |name: &str| -> Result<usize> {
            let offset = usize::try_from(symbol(name)?)?.checked_sub(init_offset);
            offset.filter(|&offset| offset <= init.len()).with_context(|| format!("{name} is not in .init"))
        };
        let tables = in_init("unpack_tables")?..in_init("unpack_tables_end")?;
        let parts = Self {
            rom: section(".rom")?,
            resident: section(".resident")?,
            unpack_tables: init.get(tables).context("the unpacker's tables end before they begin")?.to_vec(),
            init,
            nbp: section(".nbp")?,
            boot_sector: section(".boot_sector")?,
            core,
            resident_offset: usize::try_from(symbol("rom_resident_image")?)?,
            payload_offset: usize::try_from(symbol("rom_payload")?)?,
            init_offset,
            block_size: symbol("core_block_size")?,
            resident_kib: symbol("resident_kib")?,
        };
        ensure!(
            parts.rom.len() == parts.resident_offset
                && parts.rom.len() + parts.resident.len() == parts.init_offset
                && parts.init_offset + parts.init.len() == parts.payload_offset,
            "linker.ld and its sections disagree about offsets in the ROM"
        );
        Ok(parts)
    }
}

/// Where in the core's image the only function is whose symbol contains `name`.
///
/// # Errors
/// If there is none or more than one.
pub fn function(elf: &[u8], name: &str) -> Result<Range<usize>> {
    let file = object::File::parse(elf).context("the linked ROM is no ELF file")?;
    let is_wanted = |symbol: &object::Symbol<'_, '_>| {
        symbol.kind() == SymbolKind::Text && symbol.name().is_ok_and(|found| found.contains(name))
    };
    let found: Vec<_> = file.symbols().filter(is_wanted).collect();
    let [symbol] = &found[..] else { bail!("{} functions of the core are named {name}", found.len()) };
    let base = file.symbol_by_name("CORE").context("the ROM has no symbol CORE")?.address();
    let start = usize::try_from(symbol.address() - base)?;
    Ok(start..start + usize::try_from(symbol.size())?)
}
