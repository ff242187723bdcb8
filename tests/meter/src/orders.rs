//! Orders for the program.

use core::net::Ipv4Addr;

use crate::{FIRST_BLOCK, MAGIC, ORDERS, SECOND_BLOCK};

/// `PXENV_UNDI_GET_INFORMATION`: an answer from memory, without a word to the card.
const UNDI_GET_INFORMATION: u16 = 0x0c;
/// `PXENV_TFTP_OPEN`.
const TFTP_OPEN: u16 = 0x20;
/// `PXENV_TFTP_READ`.
const TFTP_READ: u16 = 0x22;
/// `PXENV_TFTP_READ_FILE`.
const TFTP_READ_FILE: u16 = 0x23;
/// Where TFTP servers listen.
const TFTP_PORT: u16 = 69;
/// Where [`read_file`] puts the file: behind what any BIOS program uses.
const FILE_ADDRESS: u32 = 16 << 20;
/// Where [`read_packets`] puts each packet: segment 2000h.
const PACKET_SEGMENT: u16 = 0x2000;

/// A program that makes a call which does nothing, so many times.
///
/// # Errors
/// When these bytes are not the program.
pub fn null_calls(program: &[u8], count: u32) -> Result<Vec<u8>, &'static str> {
    patched(program, count, UNDI_GET_INFORMATION, &[0; 0x40], None)
}

/// A program that fetches a file by one call.
///
/// # Errors
/// As [`null_calls`]; also when the name is too long.
pub fn read_file(program: &[u8], server: Ipv4Addr, file: &str, room: u32) -> Result<Vec<u8>, &'static str> {
    let mut block = [0; 0x9e];
    block[2..][..file.len()].copy_from_slice(file.as_bytes().get(..127.min(file.len())).ok_or("the name is too long")?);
    block[0x82..0x86].copy_from_slice(&room.to_le_bytes());
    block[0x86..0x8a].copy_from_slice(&FILE_ADDRESS.to_le_bytes());
    block[0x8a..0x8e].copy_from_slice(&server.octets());
    block[0x98..0x9a].copy_from_slice(&TFTP_PORT.to_be_bytes());
    patched(program, 1, TFTP_READ_FILE, &block, None)
}

/// A program that fetches a file packet by packet.
///
/// # Errors
/// As [`read_file`].
pub fn read_packets(program: &[u8], server: Ipv4Addr, file: &str, size: u16) -> Result<Vec<u8>, &'static str> {
    let mut open = [0; 0x8e];
    open[2..6].copy_from_slice(&server.octets());
    open[10..][..file.len()].copy_from_slice(file.as_bytes());
    open[0x8a..0x8c].copy_from_slice(&TFTP_PORT.to_be_bytes());
    open[0x8c..].copy_from_slice(&size.to_le_bytes());
    let mut read = [0; 10];
    read[8..].copy_from_slice(&PACKET_SEGMENT.to_le_bytes());
    patched(program, 1, TFTP_OPEN, &open, Some((TFTP_READ, &read)))
}

fn patched(
    program: &[u8],
    count: u32,
    function: u16,
    block: &[u8],
    second: Option<(u16, &[u8])>,
) -> Result<Vec<u8>, &'static str> {
    let mut bytes = program.to_vec();
    if bytes.get(ORDERS..ORDERS + MAGIC.len()) != Some(&MAGIC) || bytes.len() < SECOND_BLOCK + 0x100 {
        return Err("not the meter's boot program");
    }
    let mut put = |at: usize, part: &[u8]| bytes[at..at + part.len()].copy_from_slice(part);
    put(ORDERS + 8, &count.to_le_bytes());
    put(ORDERS + 12, &function.to_le_bytes());
    put(FIRST_BLOCK, block);
    if let Some((function, block)) = second {
        put(ORDERS + 14, &function.to_le_bytes());
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
        assert!(null_calls(&[0; 0x400], 1).is_err(), "some other program");
    }
}
