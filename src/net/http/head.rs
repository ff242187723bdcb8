//! The head of an answer, byte by byte: lines are cut to a bounded length, so that no header can hurt.
//!
//! Source: RFC 9112, sections 2 to 6; RFC 9110, section 15 (status codes).

use heapless::Vec;

use crate::net::NetError;
use crate::net::url::{MAX_URL, UrlText};
use crate::text::{decimal, is_same};

/// Longest line that is looked at whole, in bytes: a redirection to the longest URL.
const MAX_LINE: usize = MAX_URL + "location: ".len();

/// Longest head, in bytes (policy; common servers send less than 1 KB and take 8 KB themselves).
const MAX_HEAD: usize = 0x4000;

/// What a head says about the body, and where to look for it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Head {
    /// The status code.
    pub(super) status: u16,
    /// `Content-Length`.
    pub(super) length: Option<u64>,
    /// `Transfer-Encoding: chunked`, which goes before the length.
    pub(super) chunked: bool,
    /// `Location`; empty when there is none.
    pub(super) location: UrlText,
}

impl Head {
    const NOTHING: Self = Self { status: 0, length: None, chunked: false, location: UrlText::new() };
}

/// A head in the making.
pub(super) struct Parser {
    head: Head,
    line: Vec<u8, MAX_LINE>,
    /// The line is longer than what is kept of it.
    is_cut: bool,
    taken: usize,
    is_whole: bool,
}

impl Parser {
    pub(super) const fn new() -> Self {
        Self { head: Head::NOTHING, line: Vec::new(), is_cut: false, taken: 0, is_whole: false }
    }

    /// Takes bytes up to the end of the head; returns how many.
    ///
    /// # Errors
    /// [`NetError::HttpBroken`] for what isn't HTTP/1, or frames its body in a way that can't be trusted.
    pub(super) fn take(&mut self, bytes: &[u8]) -> Result<usize, NetError> {
        for (at, &byte) in bytes.iter().enumerate() {
            if self.is_whole {
                return Ok(at);
            }
            self.taken += 1;
            if self.taken > MAX_HEAD {
                return Err(NetError::HttpBroken);
            }
            if byte == b'\n' {
                self.end_line()?;
                self.line.clear();
                self.is_cut = false;
            } else if self.line.push(byte).is_err() {
                self.is_cut = true;
            }
        }
        Ok(bytes.len())
    }

    /// What was read, once it is whole.
    pub(super) fn head(&self) -> Option<&Head> {
        self.is_whole.then_some(&self.head)
    }

    /// Looks at a line.
    fn end_line(&mut self) -> Result<(), NetError> {
        let Self { head, line, .. } = self;
        // Bare line feeds end lines too (RFC 9112, section 2.2).
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if head.status == 0 {
            head.status = status(line).ok_or(NetError::HttpBroken)?;
        } else if line.is_empty() {
            // 100 Continue and its like are followed by the real head.
            if head.status < 200 {
                *head = Head::NOTHING;
            } else {
                self.is_whole = true;
            }
        } else if let Some(colon) = line.iter().position(|&byte| byte == b':') {
            let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
            if is_same(name, b"content-length") {
                let length = decimal(value).filter(|_| !self.is_cut);
                if length.is_none() || (head.length.is_some() && head.length != length) {
                    return Err(NetError::HttpBroken);
                }
                head.length = length;
            } else if is_same(name, b"transfer-encoding") {
                if self.is_cut || !is_same(value, b"chunked") {
                    return Err(NetError::HttpBroken);
                }
                head.chunked = true;
            } else if is_same(name, b"location") && !self.is_cut {
                // Too long to be used is as good as absent.
                head.location = UrlText::from_slice(value).unwrap_or_default();
            }
        }
        Ok(())
    }
}

/// The code in a status line, `HTTP/1.1 200 OK`.
fn status(line: &[u8]) -> Option<u16> {
    match *line.strip_prefix(b"HTTP/1.")? {
        [b'0'..=b'9', b' ', a @ b'1'..=b'9', b @ b'0'..=b'9', c @ b'0'..=b'9', ref rest @ ..]
            if matches!(rest.first(), None | Some(b' ')) =>
        {
            Some([a, b, c].iter().fold(0, |code, digit| code * 10 + u16::from(digit - b'0')))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Parses a whole head, in pieces of one length.
    fn parse(text: &[u8], piece: usize) -> Result<Option<(Parser, usize)>, NetError> {
        let mut parser = Parser::new();
        let mut taken = 0;
        for bytes in text.chunks(piece) {
            let len = parser.take(bytes)?;
            taken += len;
            if parser.head().is_some() {
                return Ok(Some((parser, taken)));
            }
            assert_eq!(len, bytes.len());
        }
        Ok(None)
    }

    /// The same, to compare.
    fn outcome(text: &[u8], piece: usize) -> Result<Option<(String, usize)>, NetError> {
        Ok(parse(text, piece)?.map(|(parser, taken)| (format!("{:?}", parser.head), taken)))
    }

    fn head(text: &str) -> Head {
        let (parser, taken) = parse(text.as_bytes(), 1000).unwrap().expect("a whole head");
        assert_eq!(taken, text.len());
        parser.head
    }

    #[test]
    fn what_matters_is_found_and_the_rest_is_skipped() {
        let text = "HTTP/1.1 200 OK\r\nServer: x\r\ncontent-LENGTH:  12 \r\nno colon\r\nX: :\r\n\r\n";
        assert_eq!(head(text), Head { status: 200, length: Some(12), chunked: false, location: UrlText::new() });
        let text = "HTTP/1.0 302\nLocation: /x\nTransfer-Encoding: Chunked\nContent-Length: 1\nContent-Length: 1\n\n";
        let found = head(text);
        assert_eq!((found.status, found.chunked, &found.location[..]), (302, true, &b"/x"[..]));
        assert_eq!(head("HTTP/1.1 100 Continue\r\nContent-Length: 5\r\n\r\nHTTP/1.1 204 x\r\n\r\n").length, None);
    }

    #[test]
    fn the_body_is_left_alone() {
        let (_, taken) = parse(b"HTTP/1.1 200 OK\r\n\r\nbody", 1000).unwrap().unwrap();
        assert_eq!(taken, 19);
    }

    #[test]
    fn what_can_not_be_trusted_is_refused() {
        for text in [
            "\r\n\r\n",
            "SSH-2.0-x\r\n",
            "HTTP/2 200\r\n",
            "HTTP/1.1 20\r\n",
            "HTTP/1.1 2000\r\n",
            "HTTP/1.1 099 x\r\n",
            "HTTP/1.1 200 x\r\nContent-Length: -1\r\n",
            "HTTP/1.1 200 x\r\nContent-Length: +1\r\n",
            "HTTP/1.1 200 x\r\nContent-Length: \r\n",
            "HTTP/1.1 200 x\r\nContent-Length: 1, 1\r\n",
            "HTTP/1.1 200 x\r\nContent-Length: 1\r\nContent-Length: 2\r\n",
            "HTTP/1.1 200 x\r\nContent-Length: 99999999999999999999\r\n",
            "HTTP/1.1 200 x\r\nTransfer-Encoding: gzip, chunked\r\n",
        ] {
            assert_eq!(outcome(text.as_bytes(), 7), Err(NetError::HttpBroken), "{text}");
        }
        let endless = [b"HTTP/1.1 200 x\r\n", "a: b\r\n".repeat(10_000).as_bytes()].concat();
        assert_eq!(outcome(&endless, 1000), Err(NetError::HttpBroken));
        let long_line = [&b"HTTP/1.1 200 x\r\na:"[..], &[b'x'; 10_000], b"\r\n\r\n"].concat();
        assert_eq!(parse(&long_line, 1000).unwrap().unwrap().0.head.status, 200, "one long line does no harm");
        let long_location = [&b"HTTP/1.1 302 x\r\nLocation: /"[..], &[b'x'; 600], b"\r\n\r\n"].concat();
        assert!(parse(&long_location, 1000).unwrap().unwrap().0.head.location.is_empty());
    }

    proptest! {
        #[test]
        fn any_bytes_end_or_are_refused(bytes in prop::collection::vec(any::<u8>(), 0..600), piece in 1_usize..50) {
            let text = [&b"HTTP/1.1 200 \r\n"[..], &bytes].concat();
            prop_assert_eq!(outcome(&bytes, piece), outcome(&bytes, 1000));
            prop_assert_eq!(outcome(&text, piece), outcome(&text, 1000));
        }

        #[test]
        fn fields_are_found_among_any_others(
            lines in prop::collection::vec("[A-Za-z-]{1,20}: ?[ -~]{0,40}", 0..20), length: u64, at in 0_usize..20,
        ) {
            let mut lines: std::vec::Vec<_> = lines
                .into_iter()
                .filter(|line| !line.to_ascii_lowercase().starts_with("content-length"))
                .filter(|line| !line.to_ascii_lowercase().starts_with("transfer-encoding"))
                .collect();
            lines.insert(at.min(lines.len()), format!("Content-Length: {length}"));
            let text = format!("HTTP/1.1 200 OK\r\n{}\r\n\r\n", lines.join("\r\n"));
            prop_assert_eq!(head(&text).length, Some(length));
        }
    }
}
