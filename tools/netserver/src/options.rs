//! DHCP messages: taking requests apart, building replies. Sources: RFC 951, RFC 2131, RFC 2132.

use std::net::Ipv4Addr;

/// First byte of the options: BOOTP's 236 bytes and the magic number.
const OPTIONS: usize = 240;

/// RFC 2131, section 3.
const MAGIC: [u8; 4] = [99, 130, 83, 99];

/// A message from a client.
pub struct Request<'a> {
    /// All its bytes.
    pub bytes: &'a [u8],
    options: Vec<(u8, &'a [u8])>,
}

impl<'a> Request<'a> {
    /// Takes a message apart.
    ///
    /// # Errors
    /// What a client must not send.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, String> {
        if bytes.len() < OPTIONS || bytes[0] != 1 || bytes[1..3] != [1, 6] || bytes[236..OPTIONS] != MAGIC {
            return Err("not a BOOTREQUEST for Ethernet with DHCP options".into());
        }
        let mut options = Vec::new();
        let mut rest = &bytes[OPTIONS..];
        loop {
            match *rest {
                [255, ..] => break,
                [0, ref tail @ ..] => rest = tail,
                [code, len, ref tail @ ..] if tail.len() >= usize::from(len) => {
                    let (value, tail) = tail.split_at(usize::from(len));
                    options.push((code, value));
                    rest = tail;
                }
                _ => return Err("options without an end".into()),
            }
        }
        Ok(Self { bytes, options })
    }

    /// What a client should not do, though it can be answered.
    pub fn complaint(&self) -> Option<String> {
        if self.bytes.len() < 300 {
            return Some(format!("BOOTP message of {} bytes, under 300 (RFC 1542)", self.bytes.len()));
        }
        let misplaced = self.options.iter().position(|&(code, _)| code == 53).is_some_and(|place| place != 0);
        misplaced.then(|| "option 53 is not the first".into())
    }

    /// The value of an option.
    pub fn option(&self, code: u8) -> Option<&'a [u8]> {
        self.options.iter().find(|&&(other, _)| other == code).map(|&(_, value)| value)
    }

    /// The message type (option 53).
    pub fn message_type(&self) -> u8 {
        self.option(53).and_then(|value| value.first().copied()).unwrap_or(0)
    }

    /// The architecture (option 93).
    pub fn architecture(&self) -> Option<u16> {
        self.option(93)?.first_chunk().map(|&bytes| u16::from_be_bytes(bytes))
    }

    /// Whether the user class (option 77) is or contains this name, alone or behind a length (RFC 3004).
    pub fn has_user_class(&self, name: &str) -> bool {
        let value = self.option(77).unwrap_or_default();
        value == name.as_bytes()
            || value
                .windows(name.len() + 1)
                .any(|part| usize::from(part[0]) == name.len() && &part[1..] == name.as_bytes())
    }

    /// Whether the client asks for broadcast replies.
    pub fn wants_broadcast(&self) -> bool {
        self.bytes[10] & 0x80 != 0
    }
}

/// A reply under construction.
pub struct Reply {
    /// All bytes so far.
    pub bytes: Vec<u8>,
}

impl Reply {
    /// The fixed part: transaction, addresses and flags of the request.
    pub fn new(request: &Request<'_>, your: Ipv4Addr, next: Ipv4Addr) -> Self {
        let mut bytes = vec![0; OPTIONS];
        bytes[0] = 2;
        bytes[1..3].copy_from_slice(&[1, 6]);
        bytes[4..8].copy_from_slice(&request.bytes[4..8]);
        bytes[10..12].copy_from_slice(&request.bytes[10..12]);
        bytes[12..16].copy_from_slice(&request.bytes[12..16]);
        bytes[16..20].copy_from_slice(&your.octets());
        bytes[20..24].copy_from_slice(&next.octets());
        bytes[24..28].copy_from_slice(&request.bytes[24..28]);
        bytes[28..44].copy_from_slice(&request.bytes[28..44]);
        bytes[236..OPTIONS].copy_from_slice(&MAGIC);
        Self { bytes }
    }

    /// Writes text into `sname` or `file`, cut to the field.
    pub fn field(&mut self, offset: usize, len: usize, value: &[u8]) {
        let len = value.len().min(len);
        self.bytes[offset..offset + len].copy_from_slice(&value[..len]);
    }

    /// Adds an option; over 255 bytes are split (RFC 3396).
    pub fn option(&mut self, code: u8, value: &[u8]) {
        for part in value.chunks(255) {
            self.bytes.extend([code, part.len() as u8]);
            self.bytes.extend(part);
        }
    }

    /// Adds an option that is an address, unless there is none.
    pub fn address(&mut self, code: u8, value: Option<Ipv4Addr>) {
        if let Some(value) = value {
            self.option(code, &value.octets());
        }
    }

    /// Ends the options and pads to BOOTP's 300 bytes.
    pub fn finish(mut self) -> Vec<u8> {
        self.bytes.push(255);
        self.bytes.resize(self.bytes.len().max(300), 0);
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A DHCPDISCOVER with these options.
    fn discover(options: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0; 240];
        bytes[..3].copy_from_slice(&[1, 1, 6]);
        bytes[236..].copy_from_slice(&MAGIC);
        bytes.extend(options);
        bytes.resize(300, 0);
        bytes
    }

    #[test]
    fn a_request_must_begin_with_its_type_and_end() {
        let good = discover(&[53, 1, 1, 255]);
        assert_eq!(Request::parse(&good).unwrap().message_type(), 1);
        assert_eq!(Request::parse(&good).unwrap().complaint(), None);
        assert!(Request::parse(&good[..299]).unwrap().complaint().is_some());
        assert!(Request::parse(&discover(&[93, 2, 0, 0, 53, 1, 1, 255])).unwrap().complaint().is_some());
        assert!(Request::parse(&discover(&[53, 1, 1])).is_err());
        assert!(Request::parse(&good[..239]).is_err());
    }

    #[test]
    fn user_classes_come_bare_and_with_lengths() {
        let mut bytes = discover(&[53, 1, 1, 77, 4, b'i', b'P', b'X', b'E', 255]);
        assert!(Request::parse(&bytes).unwrap().has_user_class("iPXE"));
        bytes = discover(&[53, 1, 1, 77, 5, 4, b'i', b'P', b'X', b'E', 255]);
        assert!(Request::parse(&bytes).unwrap().has_user_class("iPXE"));
        bytes = discover(&[53, 1, 1, 77, 5, b'h', b'v', b'p', b'x', b'e', 255]);
        assert!(!Request::parse(&bytes).unwrap().has_user_class("iPXE"));
    }
}
