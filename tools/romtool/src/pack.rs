//! From the linked ELF file to an option ROM.

use anyhow::{Context, Result, bail, ensure};

use crate::elf::Parts;
use crate::header::{self, BLOCK, BLOCKS, PNP_POINTER, Table};
use crate::packer;
use crate::settings::{self, Settings};

/// Makes an option ROM of the linked ELF file.
///
/// # Errors
/// If the file isn't what linker.ld makes, or the ROM is over `limit` bytes.
pub fn rom(elf: &[u8], settings: Settings, limit: usize) -> Result<Vec<u8>> {
    let parts = Parts::read(elf)?;
    ensure!(
        parts.unpack_tables == packer::tables(),
        "asm/unpack_stream.s and tools/romtool/src/packer disagree about their tables"
    );
    let core = summed(parts.core)?;
    let packed = packer::pack(&core);
    ensure!(packer::unpack(&packed, core.len()) == core, "the packed core unpacks to something else");

    let mut rom = [parts.rom, parts.resident, parts.init].concat();
    rom.extend_from_slice(&packed);
    rom.resize(rom.len().next_multiple_of(BLOCK), 0);
    ensure!(
        rom.len() <= limit,
        "the ROM has {} bytes, {} over the limit of {limit}; the core packs to {}",
        rom.len(),
        rom.len() - limit,
        packed.len()
    );

    let table = Table::find(&rom)?;
    let blocks = u8::try_from(rom.len() / BLOCK)?;
    rom[BLOCKS] = blocks;
    rom[table.pcir_blocks..table.pcir_blocks + 2].copy_from_slice(&u16::from(blocks).to_le_bytes());
    rom[table.packed_size..table.packed_size + 4].copy_from_slice(&u32::try_from(packed.len())?.to_le_bytes());
    configure(&mut rom, settings)?;
    Ok(rom)
}

/// Sets the last word of the core's image so that all of them add up to 0: by that asm/unpack.s knows a damaged stream.
fn summed(mut core: Vec<u8>) -> Result<Vec<u8>> {
    let (words, []) = core.as_chunks_mut() else { bail!("the core is {} bytes, no whole words", core.len()) };
    let sum = words.iter().fold(0, |sum: u32, &word| sum.wrapping_add(u32::from_le_bytes(word)));
    let last = words.last_mut().context("there is no core")?;
    ensure!(*last == [0; 4], "linker.ld keeps no word for the sum");
    *last = sum.wrapping_neg().to_le_bytes();
    Ok(core)
}

/// Puts settings into a finished ROM and makes its checksums right.
///
/// # Errors
/// If it is no ROM of ours.
pub fn configure(rom: &mut [u8], settings: Settings) -> Result<()> {
    let table = Table::find(rom)?;
    rom[table.settings..table.settings + settings::SIZE].copy_from_slice(&settings.to_bytes());
    let pnp_pointer = if settings.get("pnp") == 1 { u16::try_from(table.pnp)? } else { 0 };
    rom[PNP_POINTER..PNP_POINTER + 2].copy_from_slice(&pnp_pointer.to_le_bytes());
    balance(&mut rom[table.pnp..table.pnp + header::PNP_LEN], header::PNP_CHECKSUM);
    if let undi @ 1.. = usize::from(header::read_u16(rom, header::UNDI_POINTER)?) {
        let id = rom.get_mut(undi..undi + header::UNDI_ID_LEN).context("the UNDI ROM ID lies outside the ROM")?;
        balance(id, header::UNDI_ID_CHECKSUM);
    }
    balance(rom, table.checksum);
    Ok(())
}

/// Sets the byte at `at` so that all bytes sum to 0 modulo 256.
fn balance(bytes: &mut [u8], at: usize) {
    bytes[at] = 0;
    bytes[at] = header::sum(bytes).wrapping_neg();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn balanced_bytes_sum_to_zero() {
        let mut bytes = [0x55, 0xaa, 0x12, 0x34, 0xff];
        balance(&mut bytes, 3);
        assert_eq!(header::sum(&bytes), 0);
    }

    #[test]
    fn the_words_of_a_core_add_up_to_zero() {
        let core = summed(vec![0xff, 0xff, 0xff, 0xff, 0x34, 0x12, 0, 0, 0, 0, 0, 0]).unwrap();
        assert_eq!(core[8..], 0xffff_edcd_u32.to_le_bytes());
        for bad in [&[][..], &[0; 5], &[0, 0, 0, 0, 1, 0, 0, 0]] {
            assert!(summed(bad.to_vec()).is_err(), "{bad:x?}");
        }
    }

    #[test]
    fn a_file_that_is_no_elf_file_is_refused() {
        let error = rom(b"\x7fELF but not really", Settings::default(), 0).unwrap_err();
        assert_eq!(error.to_string(), "the linked ROM is no ELF file");
    }
}
