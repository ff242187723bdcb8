//! The body of an answer: where it ends, and what of it is framing. Source: RFC 9112, sections 6 and 7.

use crate::net::{NetError, Sink};

use super::head::Head;

/// Longest line of framing (size and extensions of a chunk, or the fields behind the last one), in bytes (policy).
const MAX_LINE: u16 = 1024;

/// What is left of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Body {
    /// This many bytes.
    Length(u64),
    /// Everything until the connection ends.
    UntilEnd,
    /// Chunks.
    Chunked(Chunk),
    /// Nothing.
    Done,
}

/// Where in a chunk the next byte is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Chunk {
    /// In the digits of the size; how many were there.
    Size { value: u64, digits: u8 },
    /// In what follows them on the line; how many bytes were there.
    Extension { value: u64, taken: u16 },
    /// In the data.
    Data(u64),
    /// In the line end behind the data.
    DataEnd,
    /// In the fields behind the last chunk: bytes in all, and on this line.
    Trailer { taken: u16, line: u16 },
}

/// Before the first digit of a chunk's size.
const NEXT_CHUNK: Chunk = Chunk::Size { value: 0, digits: 0 };

impl Body {
    /// The body that belongs to a head.
    pub(super) fn of(head: &Head) -> Self {
        match head.length {
            _ if head.chunked => Self::Chunked(NEXT_CHUNK),
            Some(0) => Self::Done,
            Some(length) => Self::Length(length),
            None => Self::UntilEnd,
        }
    }

    /// Takes bytes: hands at most `room` of them to `sink`, and drops the framing. Returns how many bytes it took, and
    /// how many of them it handed on.
    ///
    /// # Errors
    /// [`NetError::HttpBroken`] for broken framing; what `sink` reports.
    pub(super) fn take(&mut self, bytes: &[u8], room: usize, sink: &mut Sink<'_>) -> (usize, Result<usize, NetError>) {
        let mut taken = 0;
        loop {
            let rest = &bytes[taken..];
            let left = match *self {
                Self::Done => return (taken, Ok(0)),
                Self::UntilEnd => u64::MAX,
                Self::Length(left) | Self::Chunked(Chunk::Data(left)) => left,
                Self::Chunked(chunk) => {
                    let Some(&byte) = rest.first() else { return (taken, Ok(0)) };
                    taken += 1;
                    match chunk.step(byte) {
                        Ok(next) => *self = next,
                        Err(error) => return (taken, Err(error)),
                    }
                    continue;
                }
            };
            // One piece of data at a time; what is behind it comes with the next call.
            let len = rest.len().min(room).min(usize::try_from(left).unwrap_or(usize::MAX));
            if len == 0 {
                return (taken, Ok(0));
            }
            if let Err(error) = sink(&rest[..len]) {
                return (taken, Err(error));
            }
            let left = left - len as u64;
            *self = match *self {
                Self::Length(_) if left == 0 => Self::Done,
                Self::Length(_) => Self::Length(left),
                Self::Chunked(_) if left == 0 => Self::Chunked(Chunk::DataEnd),
                Self::Chunked(_) => Self::Chunked(Chunk::Data(left)),
                other => other,
            };
            return (taken + len, Ok(len));
        }
    }
}

impl Chunk {
    /// Goes on by a byte of framing.
    fn step(self, byte: u8) -> Result<Body, NetError> {
        const BROKEN: NetError = NetError::HttpBroken;
        let next = match (self, byte) {
            (Self::Size { value, digits }, _) if byte.is_ascii_hexdigit() => {
                let digit = char::from(byte).to_digit(16).unwrap_or(0);
                // Sixteen digits fill a u64.
                let digits = (digits < 16).then_some(digits + 1).ok_or(BROKEN)?;
                Self::Size { value: value << 4 | u64::from(digit), digits }
            }
            (Self::Size { digits: 0, .. }, _) => return Err(BROKEN),
            (Self::Size { value: 0, .. } | Self::Extension { value: 0, .. }, b'\n') => {
                Self::Trailer { taken: 0, line: 0 }
            }
            (Self::Size { value, .. } | Self::Extension { value, .. }, b'\n') => Self::Data(value),
            (Self::Size { value, .. }, b'\r' | b';' | b' ' | b'\t') => Self::Extension { value, taken: 0 },
            (Self::Size { .. }, _) => return Err(BROKEN),
            (Self::Extension { value, taken }, _) if taken < MAX_LINE => Self::Extension { value, taken: taken + 1 },
            (Self::DataEnd, b'\r') => Self::DataEnd,
            (Self::DataEnd, b'\n') => NEXT_CHUNK,
            (Self::Trailer { line: 0, .. }, b'\n') => return Ok(Body::Done),
            (Self::Trailer { taken, .. }, b'\n') => Self::Trailer { taken, line: 0 },
            (Self::Trailer { taken, line }, _) if taken < MAX_LINE => {
                Self::Trailer { taken: taken + 1, line: line + u16::from(byte != b'\r') }
            }
            (Self::Extension { .. } | Self::DataEnd | Self::Trailer { .. } | Self::Data(_), _) => return Err(BROKEN),
        };
        Ok(Body::Chunked(next))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Reads a body in pieces; returns it with what was left of the bytes.
    fn read(mut body: Body, mut bytes: &[u8], piece: usize, room: usize) -> Result<(Vec<u8>, Body, usize), NetError> {
        let mut data = Vec::new();
        loop {
            let part = &bytes[..bytes.len().min(piece)];
            let before = data.len();
            let (taken, result) = body.take(part, room, &mut |bytes| {
                data.extend_from_slice(bytes);
                Ok(())
            });
            assert_eq!(result?, data.len() - before);
            assert!(data.len() - before <= room);
            bytes = &bytes[taken..];
            if taken == 0 {
                return Ok((data, body, bytes.len()));
            }
        }
    }

    const CHUNKED: Body = Body::Chunked(NEXT_CHUNK);

    #[test]
    fn chunks_are_joined() {
        let text = b"4\r\nWiki\r\n006 ; x=\"y\"\r\npedia \r\nE\nin \r\n\r\nchunks.\r\n0\r\nA: b\r\n\r\nbehind";
        for piece in [1, 2, 7, 1000] {
            for room in [1, 3, 1000] {
                let (data, body, left) = read(CHUNKED, text, piece, room).unwrap();
                assert_eq!(data, b"Wikipedia in \r\n\r\nchunks.");
                assert_eq!((body, left), (Body::Done, 6));
            }
        }
    }

    #[test]
    fn lengths_end_where_they_say() {
        assert_eq!(read(Body::Length(3), b"abcdef", 2, 10).unwrap(), (b"abc".to_vec(), Body::Done, 3));
        assert_eq!(read(Body::Length(9), b"abcdef", 2, 10).unwrap().1, Body::Length(3));
        assert_eq!(read(Body::UntilEnd, b"abcdef", 4, 10).unwrap(), (b"abcdef".to_vec(), Body::UntilEnd, 0));
    }

    #[test]
    fn broken_framing_is_refused() {
        let long_extension = [&b"4;"[..], &[b'x'; 2000]].concat();
        let endless_trailer = [&b"0\r\n"[..], "a: b\r\n".repeat(1000).as_bytes()].concat();
        for text in [
            &b"x\r\n"[..],
            b"\r\n",
            b"-4\r\n",
            b"4x\r\n",
            b"4\r\nWikix",
            b"00000000000000000\r\n",
            &long_extension,
            &endless_trailer,
        ] {
            assert_eq!(read(CHUNKED, text, 100, 100), Err(NetError::HttpBroken));
        }
    }

    proptest! {
        #[test]
        fn any_framing_ends_or_is_refused(bytes in prop::collection::vec(any::<u8>(), 0..300), piece in 1_usize..40) {
            prop_assert_eq!(read(CHUNKED, &bytes, piece, 10), read(CHUNKED, &bytes, 1000, 1000));
        }

        #[test]
        fn any_data_comes_through_any_chunks(
            chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..40), 0..10),
            piece in 1_usize..40, room in 1_usize..40,
        ) {
            let mut text = Vec::new();
            for chunk in &chunks {
                text.extend(format!("{:x}\r\n", chunk.len()).bytes());
                text.extend(chunk);
                text.extend(b"\r\n");
            }
            text.extend(b"0\r\n\r\n");
            prop_assert_eq!(read(CHUNKED, &text, piece, room).unwrap(), (chunks.concat(), Body::Done, 0));
        }
    }
}
