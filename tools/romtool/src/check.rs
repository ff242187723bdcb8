//! Re-reads a ROM as a BIOS does, and says what is in it.

use anyhow::{Context, Result, ensure};

use crate::header::{self, BLOCK, BLOCKS, PCIR_POINTER, PNP_LEN, PNP_POINTER, Table, UNDI_POINTER, read_u16};
use crate::settings::{self, Settings};

/// What a BIOS and a person want to know of a ROM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// Length in bytes.
    pub size: usize,
    /// Length of the packed core in bytes.
    pub packed_size: usize,
    /// The name that boot menus show; holds the version.
    pub product: String,
    /// Offset of the bootstrap entry vector.
    pub bev: u16,
    /// Offset of the UNDI ROM ID, when there is one.
    pub undi_id: Option<u16>,
    /// The settings.
    pub settings: Settings,
}

/// Checks a ROM and sums it up.
///
/// # Errors
/// The first rule that the ROM breaks.
pub fn rom(rom: &[u8]) -> Result<Summary> {
    ensure!(rom.starts_with(&[0x55, 0xaa]), "no ROM signature 55 AA at the start");
    ensure!(rom.len().is_multiple_of(BLOCK), "{} bytes are no whole number of 512-byte blocks", rom.len());
    ensure!(
        usize::from(rom[BLOCKS]) * BLOCK == rom.len(),
        "the header says {} blocks, the file has {}",
        rom[BLOCKS],
        rom.len() / BLOCK
    );
    ensure!(header::sum(rom) == 0, "the bytes of the ROM sum to {:#x}, not 0", header::sum(rom));

    let pcir = usize::from(read_u16(rom, PCIR_POINTER)?);
    ensure!(pcir.is_multiple_of(4), "the PCI data structure at {pcir:#x} is not aligned");
    ensure!(rom.get(pcir..pcir + 4) == Some(b"PCIR"), "no PCI data structure at {pcir:#x}");
    ensure!(usize::from(read_u16(rom, pcir + 0x10)?) * BLOCK == rom.len(), "the PCI data structure has another length");

    let table = Table::find(rom)?;
    let settings = Settings::from_bytes(&rom[table.settings..table.settings + settings::SIZE])?;

    let pnp = if settings.get("pnp") == 1 { read_u16(rom, PNP_POINTER)?.into() } else { table.pnp };
    ensure!(pnp.is_multiple_of(16), "the PnP header at {pnp:#x} is not aligned");
    let expansion = rom.get(pnp..pnp + PNP_LEN).with_context(|| format!("no PnP header at {pnp:#x}"))?;
    ensure!(expansion.starts_with(b"$PnP"), "no PnP header at {pnp:#x}");
    ensure!(header::sum(expansion) == 0, "the PnP header's checksum is wrong");
    let bev = read_u16(rom, pnp + 0x1a)?;
    ensure!(bev != 0 && usize::from(bev) < rom.len(), "the bootstrap entry vector {bev:#x} lies outside the ROM");

    let undi_id = match read_u16(rom, UNDI_POINTER)? {
        0 => None,
        at => Some(check_undi_id(rom, at)?),
    };

    let packed = &rom[table.packed_size..table.packed_size + 4];
    Ok(Summary {
        size: rom.len(),
        packed_size: usize::try_from(u32::from_le_bytes([packed[0], packed[1], packed[2], packed[3]]))?,
        product: text(rom, read_u16(rom, pnp + 0x10)?.into())?,
        bev,
        undi_id,
        settings,
    })
}

/// The UNDI ROM ID: signature, length, checksum.
fn check_undi_id(rom: &[u8], at: u16) -> Result<u16> {
    let structure =
        rom.get(usize::from(at)..).with_context(|| format!("the UNDI ROM ID {at:#x} is outside the ROM"))?;
    ensure!(structure.starts_with(b"UNDI"), "no UNDI ROM ID at {at:#x}");
    let length = structure.get(4).copied().unwrap_or_default().into();
    let structure = structure.get(..length).context("the UNDI ROM ID is cut off")?;
    ensure!(header::sum(structure) == 0, "the UNDI ROM ID's checksum is wrong");
    Ok(at)
}

fn text(rom: &[u8], at: usize) -> Result<String> {
    let bytes = rom.get(at..).with_context(|| format!("the string at {at:#x} lies outside the ROM"))?;
    let end = bytes.iter().position(|&byte| byte == 0).context("a string without end")?;
    Ok(String::from_utf8_lossy(&bytes[..end]).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_checksum_is_named() {
        let mut bytes = vec![0; BLOCK];
        bytes[..4].copy_from_slice(&[0x55, 0xaa, 1, 0x77]);
        assert_eq!(rom(&bytes).unwrap_err().to_string(), "the bytes of the ROM sum to 0x77, not 0");
    }

    #[test]
    fn a_wrong_length_is_named() {
        let mut bytes = vec![0; 2 * BLOCK];
        bytes[..3].copy_from_slice(&[0x55, 0xaa, 1]);
        assert!(rom(&bytes).unwrap_err().to_string().contains("header says 1 blocks"));
    }
}
