//! MODE SENSE. Source: SPC-4, "MODE SENSE(6) command", "Mode parameters"; SBC-3, "Caching mode page".

use super::sense::Sense;

const CACHING: u8 = 0x08;
const ALL_PAGES: u8 = 0x3f;
/// Device-specific parameter: write protected.
const WRITE_PROTECTED: u8 = 0x80;

/// MODE SENSE (6): header of 4 bytes, no block descriptor.
pub(crate) fn sense_6(cdb: &[u8; 16], read_only: bool) -> Result<Vec<u8>, Sense> {
    let pages = pages(cdb)?;
    Ok([&[3 + pages.len() as u8, 0, protection(read_only), 0][..], &pages].concat())
}

/// MODE SENSE (10): header of 8 bytes.
pub(crate) fn sense_10(cdb: &[u8; 16], read_only: bool) -> Result<Vec<u8>, Sense> {
    let pages = pages(cdb)?;
    Ok([&[0, 6 + pages.len() as u8, 0, protection(read_only), 0, 0, 0, 0][..], &pages].concat())
}

fn protection(read_only: bool) -> u8 {
    if read_only { WRITE_PROTECTED } else { 0 }
}

/// The pages asked for: only the caching page exists, with its write cache on.
fn pages(cdb: &[u8; 16]) -> Result<Vec<u8>, Sense> {
    let (control, page, sub_page) = (cdb[2] >> 6, cdb[2] & 0x3f, cdb[3]);
    let known = (page == CACHING && sub_page == 0) || (page == ALL_PAGES && matches!(sub_page, 0 | 0xff));
    if !known {
        return Err(Sense::INVALID_FIELD);
    }
    const SAVED_VALUES: u8 = 3;
    const CHANGEABLE_VALUES: u8 = 1;
    let mut caching = vec![0; 20];
    (caching[0], caching[1]) = (CACHING, 18);
    match control {
        SAVED_VALUES => return Err(Sense { key: 0x5, code: (0x39, 0x00) }),
        CHANGEABLE_VALUES => {}
        _ => caching[2] = 1 << 2,
    }
    Ok(caching)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_and_write_protection_are_told() {
        let mut cdb = [0; 16];
        cdb[2] = 0x3f;
        let short = sense_6(&cdb, true).unwrap();
        assert_eq!((usize::from(short[0]) + 1, short[2]), (short.len(), 0x80));
        let long = sense_10(&cdb, false).unwrap();
        assert_eq!((usize::from(long[1]) + 2, long[3]), (long.len(), 0));
        assert_eq!(long[8..11], [8, 18, 4]);
        cdb[2] = 0x1c;
        assert_eq!(sense_6(&cdb, false), Err(Sense::INVALID_FIELD));
        cdb[2] = 0xc8;
        assert_eq!(sense_6(&cdb, false).unwrap_err().code, (0x39, 0));
    }
}
