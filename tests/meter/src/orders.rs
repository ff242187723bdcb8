//! Orders for the program.

use core::net::Ipv4Addr;

use crate::{BASE, FIRST_BLOCK, MAGIC, ORDERS, SECOND_BLOCK};

/// `PXENV_UNDI_GET_INFORMATION`: an answer from memory, without a word to the card.
const UNDI_GET_INFORMATION: u16 = 0x0c;
/// `PXENV_TFTP_OPEN`.
const TFTP_OPEN: u16 = 0x20;
/// `PXENV_TFTP_READ`.
const TFTP_READ: u16 = 0x22;
/// `PXENV_TFTP_READ_FILE`.
const TFTP_READ_FILE: u16 = 0x23;
/// `PXENV_FILE_OPEN`.
const FILE_OPEN: u16 = 0xe0;
/// `PXENV_FILE_READ`.
const FILE_READ: u16 = 0xe3;
/// Where TFTP servers listen.
const TFTP_PORT: u16 = 69;
/// Where [`read_file`] puts the file: behind what any BIOS program uses.
const FILE_ADDRESS: u32 = 16 << 20;
/// Where [`read_packets`] and [`read_pieces`] put each part: segment 2000h.
const PACKET_SEGMENT: u16 = 0x2000;
/// Room for a piece: 32 KiB.
const PIECE: u16 = 0x8000;
/// Where the URL lies, in the block of `FILE_OPEN` behind what that needs.
const URL: usize = 16;
/// Room for a name or URL, with the NUL that ends it.
const TEXT: usize = 128;

/// A program that makes a call which does nothing, so many times.
///
/// # Errors
/// When these bytes are not the program.
pub fn null_calls(program: &[u8], count: u32) -> Result<Vec<u8>, &'static str> {
    patched(program, count, UNDI_GET_INFORMATION, &[0; 0x40], None, 0)
}

/// A program that fetches a file by one call.
///
/// # Errors
/// As [`null_calls`]; also when the name is too long.
pub fn read_file(program: &[u8], server: Ipv4Addr, file: &str, room: u32) -> Result<Vec<u8>, &'static str> {
    let mut block = [0; 0x9e];
    put_text(&mut block[2..][..TEXT], file)?;
    block[0x82..0x86].copy_from_slice(&room.to_le_bytes());
    block[0x86..0x8a].copy_from_slice(&FILE_ADDRESS.to_le_bytes());
    block[0x8a..0x8e].copy_from_slice(&server.octets());
    block[0x98..0x9a].copy_from_slice(&TFTP_PORT.to_be_bytes());
    patched(program, 1, TFTP_READ_FILE, &block, None, 0)
}

/// A program that fetches a file packet by packet.
///
/// # Errors
/// As [`read_file`].
pub fn read_packets(program: &[u8], server: Ipv4Addr, file: &str, size: u16) -> Result<Vec<u8>, &'static str> {
    let mut open = [0; 0x8e];
    open[2..6].copy_from_slice(&server.octets());
    put_text(&mut open[10..][..TEXT], file)?;
    open[0x8a..0x8c].copy_from_slice(&TFTP_PORT.to_be_bytes());
    open[0x8c..].copy_from_slice(&size.to_le_bytes());
    let mut read = [0; 10];
    read[8..].copy_from_slice(&PACKET_SEGMENT.to_le_bytes());
    patched(program, 1, TFTP_OPEN, &open, Some((TFTP_READ, &read)), 0)
}

/// A program that fetches a file by its URL, by the file extension.
///
/// # Errors
/// As [`read_file`].
pub fn read_pieces(program: &[u8], url: &str) -> Result<Vec<u8>, &'static str> {
    let mut open = [0; URL + TEXT];
    open[4..6].copy_from_slice(&((BASE + FIRST_BLOCK + URL) as u16).to_le_bytes());
    put_text(&mut open[URL..], url)?;
    let mut read = [0; 10];
    read[8..].copy_from_slice(&PACKET_SEGMENT.to_le_bytes());
    patched(program, 1, FILE_OPEN, &open, Some((FILE_READ, &read)), PIECE)
}

fn put_text(place: &mut [u8], text: &str) -> Result<(), &'static str> {
    if text.len() >= place.len() {
        return Err("the name is too long");
    }
    place[..text.len()].copy_from_slice(text.as_bytes());
    Ok(())
}

fn patched(
    program: &[u8],
    count: u32,
    function: u16,
    block: &[u8],
    second: Option<(u16, &[u8])>,
    room: u16,
) -> Result<Vec<u8>, &'static str> {
    let mut bytes = program.to_vec();
    if bytes.get(ORDERS..ORDERS + MAGIC.len()) != Some(&MAGIC) || bytes.len() < ORDERS + 0x100 {
        return Err("not the meter's boot program");
    }
    let mut put = |at: usize, part: &[u8]| bytes[at..at + part.len()].copy_from_slice(part);
    put(ORDERS + 8, &count.to_le_bytes());
    put(ORDERS + 12, &function.to_le_bytes());
    put(FIRST_BLOCK, block);
    if let Some((function, block)) = second {
        put(ORDERS + 14, &function.to_le_bytes());
        put(ORDERS + 16, &room.to_le_bytes());
        put(SECOND_BLOCK, block);
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_go_where_the_program_has_them() {
        let mut program = vec![0; 0x400];
        program[ORDERS..ORDERS + 8].copy_from_slice(&MAGIC);
        let bytes = read_packets(&program, Ipv4Addr::new(10, 0, 2, 2), "a.bin", 1432).unwrap();
        assert_eq!(bytes[ORDERS + 8..ORDERS + 16], [1, 0, 0, 0, 0x20, 0, 0x22, 0]);
        assert_eq!(bytes[FIRST_BLOCK + 2..FIRST_BLOCK + 6], [10, 0, 2, 2]);
        assert_eq!(bytes[FIRST_BLOCK + 0x8c..FIRST_BLOCK + 0x8e], 1432_u16.to_le_bytes());
        assert_eq!(bytes[SECOND_BLOCK + 8..SECOND_BLOCK + 10], [0, 0x20]);
        let bytes = read_pieces(&program, "http://10.0.2.2/a").unwrap();
        assert_eq!(bytes[FIRST_BLOCK + 4..FIRST_BLOCK + 8], [0x10, 0x7d, 0, 0]);
        assert_eq!(bytes[FIRST_BLOCK + 16..FIRST_BLOCK + 23], *b"http://");
        assert_eq!(bytes[ORDERS + 16..ORDERS + 18], [0, 0x80]);
        assert!(read_pieces(&program, &"x".repeat(128)).is_err(), "no room for a NUL");
        assert!(null_calls(&[0; 0x400], 1).is_err(), "some other program");
    }
}
