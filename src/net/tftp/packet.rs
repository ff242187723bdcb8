//! TFTP packets. Sources: RFC 1350, section 5; RFC 2347 (OACK).

use core::fmt::Write;

use heapless::Vec;

use crate::net::NetError;
use crate::text::{decimal, is_same};

use super::{DEFAULT_BLOCK, Request};

/// Longest request packet (RFC 2347: 512 bytes, options included).
pub(super) const MAX_REQUEST: usize = 512;

/// Error code "Unknown transfer ID".
pub(super) const ERROR_UNKNOWN_TID: u16 = 5;

/// Error code "option negotiation failed" (RFC 2347).
pub(super) const ERROR_OPTION: u16 = 8;

/// What a server can send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Packet<'a> {
    /// A block of the file.
    Data { number: u16, bytes: &'a [u8] },
    /// The server's refusal, by its code.
    Error(u16),
    /// Accepted options: names and values, each ended by NUL.
    Oack(&'a [u8]),
    /// Anything else.
    Other,
}

impl<'a> Packet<'a> {
    pub(super) fn parse(payload: &'a [u8]) -> Self {
        match *payload {
            [0, 3, high, low, ref bytes @ ..] => Self::Data { number: u16::from_be_bytes([high, low]), bytes },
            [0, 5, high, low, ..] => Self::Error(u16::from_be_bytes([high, low])),
            [0, 6, ref options @ ..] => Self::Oack(options),
            _ => Self::Other,
        }
    }
}

/// What the server said about our options.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Granted {
    pub(super) block_size: u16,
    pub(super) window: u16,
    pub(super) size: Option<u64>,
}

impl Granted {
    /// A server that knows no options.
    pub(super) const NOTHING: Self = Self { block_size: DEFAULT_BLOCK, window: 1, size: None };

    /// Reads an OACK; `None` when it grants what was not asked for (RFC 2348: less than asked is the server's right,
    /// more is not).
    pub(super) fn parse(options: &[u8], request: &Request<'_>) -> Option<Self> {
        let mut granted = Self::NOTHING;
        let mut texts = options.split(|&byte| byte == 0);
        while let (Some(name), Some(value)) = (texts.next(), texts.next()) {
            let number = decimal(value);
            if is_same(name, b"blksize") {
                granted.block_size = within(number, 8, request.block_size)?;
            } else if is_same(name, b"windowsize") {
                granted.window = within(number, 1, request.window)?;
            } else if is_same(name, b"tsize") {
                granted.size = number;
            }
        }
        Some(granted)
    }
}

fn within(number: Option<u64>, least: u16, most: u16) -> Option<u16> {
    u16::try_from(number?).ok().filter(|number| (least..=most).contains(number))
}

/// Builds a read request; `None` when the name doesn't fit or has control characters, NUL among them.
pub(super) fn read_request(request: &Request<'_>, with_options: bool) -> Option<Vec<u8, MAX_REQUEST>> {
    let mut packet = Vec::new();
    if request.file.is_empty() || request.file.iter().any(u8::is_ascii_control) {
        return None;
    }
    packet.extend_from_slice(&[0, 1]).ok()?;
    packet.extend_from_slice(request.file).ok()?;
    packet.extend_from_slice(b"\0octet\0").ok()?;
    if with_options {
        packet.extend_from_slice(b"tsize\x000\0").ok()?;
        if request.block_size != DEFAULT_BLOCK {
            write!(packet, "blksize\0{}\0", request.block_size).ok()?;
        }
        if request.window > 1 {
            write!(packet, "windowsize\0{}\0", request.window).ok()?;
        }
    }
    Some(packet)
}

/// An acknowledgement.
pub(super) fn ack(number: u16) -> [u8; 4] {
    let [high, low] = number.to_be_bytes();
    [0, 4, high, low]
}

/// An error without text.
pub(super) fn error(code: u16) -> [u8; 5] {
    let [high, low] = code.to_be_bytes();
    [0, 5, high, low, 0]
}

/// What a server's error means to us.
pub(super) fn refusal(code: u16) -> NetError {
    match code {
        1 => NetError::TftpFileNotFound,
        2 => NetError::TftpAccessViolation,
        ERROR_OPTION => NetError::TftpOptionsRefused,
        _ => NetError::TftpRefused,
    }
}

#[cfg(test)]
mod tests {
    use core::net::Ipv4Addr;

    use super::*;

    const REQUEST: Request<'_> = Request {
        server: Ipv4Addr::new(10, 0, 2, 2),
        gateway: None,
        port: 0,
        file: b"pxelinux.0",
        block_size: 1468,
        window: 16,
    };

    #[test]
    fn a_request_asks_for_everything_at_once() {
        let packet = read_request(&REQUEST, true).unwrap();
        assert_eq!(packet, b"\0\x01pxelinux.0\0octet\0tsize\x000\0blksize\x001468\0windowsize\x0016\0");
        assert_eq!(read_request(&REQUEST, false).unwrap(), b"\0\x01pxelinux.0\0octet\0");
        let plain = Request { block_size: 512, window: 1, ..REQUEST };
        assert_eq!(read_request(&plain, true).unwrap(), b"\0\x01pxelinux.0\0octet\0tsize\x000\0");
    }

    #[test]
    fn short_and_strange_packets_are_nothing() {
        for packet in [&[][..], &[0], &[0, 3], &[0, 3, 0], &[0, 5, 0], &[0, 4, 0, 1], &[3, 0, 0, 1], &[0, 1, b'x', 0]] {
            assert_eq!(Packet::parse(packet), Packet::Other, "{packet:?}");
        }
        assert_eq!(Packet::parse(&[0, 3, 1, 2]), Packet::Data { number: 0x0102, bytes: &[] });
        assert_eq!(Packet::parse(&[0, 5, 0, 1]), Packet::Error(1));
    }

    #[test]
    fn an_oack_may_grant_less_but_not_more() {
        let parse = |options: &[u8]| Granted::parse(options, &REQUEST);
        let all = parse(b"TSIZE\x00123\0BlkSize\x001024\0windowsize\x004\0").unwrap();
        assert_eq!(all, Granted { block_size: 1024, window: 4, size: Some(123) });
        assert_eq!(parse(b"").unwrap(), Granted::NOTHING);
        assert_eq!(parse(b"blksize\x00512").unwrap().block_size, 512, "the last NUL may be missing");
        assert_eq!(parse(b"tsize\0-1\0").unwrap().size, None);
        for wrong in ["blksize\x007\0", "blksize\x001469\0", "blksize\0\0", "windowsize\x0017\0", "windowsize\x000\0"] {
            assert_eq!(parse(wrong.as_bytes()), None, "{wrong:?}");
        }
    }
}
