//! Text as bytes: numbers and addresses read from it, and text from the network shown on the screen.
//!
//! `core` does all of this for `str`, with signs, padding and Unicode: 2 KB more in the ROM.

use core::fmt::{self, Write};
use core::net::Ipv4Addr;

/// A decimal number of digits only: `+1` is none.
#[must_use]
pub fn decimal(text: &[u8]) -> Option<u64> {
    if text.is_empty() {
        return None;
    }
    text.iter().try_fold(0_u64, |number, &byte| {
        let digit = byte.checked_sub(b'0').filter(|&digit| digit < 10)?;
        number.checked_mul(10)?.checked_add(digit.into())
    })
}

/// An address in dotted decimal. Leading zeroes are refused: who writes them may mean octal numbers.
#[must_use]
pub fn address(text: &[u8]) -> Option<Ipv4Addr> {
    let mut parts = text.split(|&byte| byte == b'.');
    let mut octets = [0; 4];
    for octet in &mut octets {
        let part = parts.next().filter(|part| part.len() == 1 || !part.starts_with(b"0"))?;
        *octet = u8::try_from(decimal(part)?).ok()?;
    }
    parts.next().is_none().then_some(octets.into())
}

/// True when both are the same word, whatever the case of their ASCII letters.
#[must_use]
#[inline(never)] // one copy for all callers
pub fn is_same(one: &[u8], other: &[u8]) -> bool {
    one.eq_ignore_ascii_case(other)
}

/// Shows an address in dotted decimal.
pub struct Dotted(pub Ipv4Addr);

impl fmt::Display for Dotted {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d] = self.0.octets();
        write!(formatter, "{a}.{b}.{c}.{d}")
    }
}

/// Shows text of ours as it is.
pub struct Plain(pub &'static str);

impl fmt::Display for Plain {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.0)
    }
}

/// Shows text from elsewhere, without anything that could steer a terminal: `?` stands for what isn't ASCII.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Printable<'a>(pub &'a [u8]);

impl fmt::Display for Printable<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|&byte| {
            let is_shown = matches!(byte, b' '..=b'~');
            formatter.write_char(if is_shown { byte.into() } else { '?' })
        })
    }
}

impl fmt::Debug for Printable<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "\"{self}\"")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn numbers_are_digits_alone() {
        assert_eq!(decimal(b"0"), Some(0));
        assert_eq!(decimal(b"18446744073709551615"), Some(u64::MAX));
        for wrong in ["", "+1", "-1", " 1", "1 ", "0x1", "18446744073709551616"] {
            assert_eq!(decimal(wrong.as_bytes()), None, "{wrong}");
        }
    }

    #[test]
    fn text_is_shown_without_control_characters() {
        assert_eq!(Printable(b"a b~\x1b[2J\xc3\xa9\x7f\n").to_string(), "a b~?[2J????");
    }

    proptest! {
        #[test]
        fn addresses_are_read_as_core_reads_them(text in "[0-9.]{0,16}|([0-9]{1,3}[.]){3}[0-9]{1,3}") {
            prop_assert_eq!(address(text.as_bytes()), text.parse().ok());
        }

        #[test]
        fn addresses_are_shown_as_core_shows_them(octets: [u8; 4]) {
            let address = Ipv4Addr::from(octets);
            prop_assert_eq!(Dotted(address).to_string(), address.to_string());
        }
    }
}
