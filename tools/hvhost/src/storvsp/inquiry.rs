//! INQUIRY. Source: SPC-4, "INQUIRY command" and "Vital product data"; SBC-3 for block limits and characteristics.

use super::lun::Lun;
use super::sense::Sense;

/// A target without this LUN: qualifier 3, type 1Fh.
pub(crate) const NO_UNIT: u8 = 0x7f;

const VENDOR: &[u8; 8] = b"Msft    ";
const PRODUCT: &[u8; 16] = b"Virtual Disk    ";
const REVISION: &[u8; 4] = b"1.0 ";

const SUPPORTED_PAGES: u8 = 0x00;
const SERIAL_NUMBER: u8 = 0x80;
const IDENTIFICATION: u8 = 0x83;
const BLOCK_LIMITS: u8 = 0xb0;
const BLOCK_CHARACTERISTICS: u8 = 0xb1;
const PAGES: [u8; 5] = [SUPPORTED_PAGES, SERIAL_NUMBER, IDENTIFICATION, BLOCK_LIMITS, BLOCK_CHARACTERISTICS];

/// The answer of a disk.
pub(crate) fn answer(cdb: &[u8; 16], lun: &Lun) -> Result<Vec<u8>, Sense> {
    match (cdb[1] & 1 != 0, cdb[2]) {
        (false, 0) => Ok(standard(0)),
        (false, _) => Err(Sense::INVALID_FIELD),
        (true, page) => vital(page, lun),
    }
}

/// Standard data of a device of this type: SPC-3, not removable, vendor, product and revision.
pub(crate) fn standard(device_type: u8) -> Vec<u8> {
    let mut bytes = vec![device_type, 0, 5, 2, 91, 0, 0, 2]; // length behind byte 4; command queueing
    bytes.extend_from_slice(VENDOR);
    bytes.extend_from_slice(PRODUCT);
    bytes.extend_from_slice(REVISION);
    bytes.resize(96, 0);
    bytes
}

fn vital(page: u8, lun: &Lun) -> Result<Vec<u8>, Sense> {
    let content = match page {
        SUPPORTED_PAGES => PAGES.to_vec(),
        SERIAL_NUMBER => lun.serial.clone().into_bytes(),
        IDENTIFICATION => {
            // T10 vendor identification in ASCII, of the logical unit.
            let id = [&VENDOR[..], lun.serial.as_bytes()].concat();
            [&[2, 1, 0, id.len() as u8][..], &id].concat()
        }
        BLOCK_LIMITS => vec![0; 60], // no limit of the disk's own; the controller says the longest transfer
        BLOCK_CHARACTERISTICS => vec![0; 60],
        _ => return Err(Sense::INVALID_FIELD),
    };
    Ok([&[0, page, 0, content.len() as u8][..], &content].concat())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::MemoryDisk;

    #[test]
    fn pages_say_their_length_and_all_listed_ones_exist() {
        let lun = Lun::new(Box::new(MemoryDisk::new(vec![0; 512])), "hvhost-0-1".into());
        let mut cdb = [0; 16];
        (cdb[0], cdb[1]) = (0x12, 1);
        let listed = answer(&cdb, &lun).unwrap()[4..].to_vec();
        assert_eq!(listed, PAGES);
        for page in listed {
            cdb[2] = page;
            let bytes = answer(&cdb, &lun).unwrap();
            assert_eq!((bytes[1], usize::from(bytes[3])), (page, bytes.len() - 4));
        }
        cdb[2] = 0xb2;
        assert_eq!(answer(&cdb, &lun), Err(Sense::INVALID_FIELD));
        cdb[1] = 0;
        assert_eq!(answer(&cdb, &lun), Err(Sense::INVALID_FIELD), "a page code without EVPD");
        assert_eq!(usize::from(standard(0)[4]) + 5, standard(0).len());
    }
}
