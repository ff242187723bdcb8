//! Option 43 of a PXE server: discovery, boot servers, menu and prompt.
//!
//! Source: PXE 2.1, "PXE vendor options", tags 6 to 10 and 71. Types are compared and echoed in the byte order of the
//! wire, so it doesn't matter which one a server means.

use core::net::Ipv4Addr;

use super::message::{Message, Options, code};

const DISCOVERY_CONTROL: u8 = 6;
const DISCOVERY_GROUP: u8 = 7;
const BOOT_SERVERS: u8 = 8;
const BOOT_MENU: u8 = 9;
const MENU_PROMPT: u8 = 10;
const BOOT_ITEM: u8 = 71;

/// Bits of the discovery control.
const NO_BROADCAST: u8 = 1 << 0;
const NO_MULTICAST: u8 = 1 << 1;
const ONLY_LISTED: u8 = 1 << 2;
const SKIP_MENU: u8 = 1 << 3;

/// Listed servers of one type that are asked (policy: bounds the time, 10 s for each that is silent).
const MAX_SERVERS: usize = 8;

/// Option 43 of a packet with option 60 `PXEClient`; without that option, an empty one.
pub(super) struct VendorOptions<'a>(&'a [u8]);

impl<'a> VendorOptions<'a> {
    /// Reads the option, all its parts, into `buffer`.
    pub(super) fn of(message: Message<'_>, buffer: &'a mut [u8]) -> Self {
        let contents = if message.is_pxe() { message.option(code::VENDOR, buffer) } else { None };
        Self(contents.unwrap_or(&[]))
    }

    fn value(&self, tag: u8) -> &'a [u8] {
        Options(self.0).find(|&(other, _)| other == tag).map_or(&[], |(_, value)| value)
    }

    fn control(&self, bit: u8) -> bool {
        self.value(DISCOVERY_CONTROL).first().is_some_and(|control| control & bit != 0)
    }

    /// A boot file in the packet goes before menu and discovery.
    pub(super) fn skips_menu(&self) -> bool {
        self.control(SKIP_MENU)
    }

    /// Only servers of the list are accepted.
    pub(super) fn only_listed(&self) -> bool {
        self.control(ONLY_LISTED)
    }

    /// Whether discovery may broadcast.
    pub(super) fn broadcast(&self) -> bool {
        !self.control(NO_BROADCAST)
    }

    /// The group to ask, if discovery may.
    pub(super) fn multicast(&self) -> Option<Ipv4Addr> {
        let group = self.value(DISCOVERY_GROUP).first_chunk().map(|&octets: &[u8; 4]| Ipv4Addr::from(octets))?;
        (group.is_multicast() && !self.control(NO_MULTICAST)).then_some(group)
    }

    /// Whether the packet lists servers at all.
    pub(super) fn lists_any(&self) -> bool {
        !self.value(BOOT_SERVERS).is_empty()
    }

    /// The listed servers of a type.
    pub(super) fn servers(&self, kind: u16) -> impl Iterator<Item = Ipv4Addr> + use<'a> {
        let list = self.server_list(kind).unwrap_or(&[]);
        list.as_chunks().0.iter().map(|&octets: &[u8; 4]| Ipv4Addr::from(octets)).take(MAX_SERVERS)
    }

    /// Whether the list allows this server for a type. An empty list for a type allows every server.
    pub(super) fn accepts_server(&self, kind: u16, server: Ipv4Addr) -> bool {
        self.server_list(kind).is_some_and(|list| list.is_empty() || self.servers(kind).any(|listed| listed == server))
    }

    /// Addresses of a type: `{ type, count, addresses }` repeated.
    fn server_list(&self, kind: u16) -> Option<&'a [u8]> {
        let mut rest = self.value(BOOT_SERVERS);
        while let [high, low, count, tail @ ..] = rest {
            let (addresses, tail) = tail.split_at_checked(usize::from(*count) * 4)?;
            if u16::from_be_bytes([*high, *low]) == kind {
                return Some(addresses);
            }
            rest = tail;
        }
        None
    }

    /// Whether there is a menu.
    pub(super) fn has_menu(&self) -> bool {
        !self.value(BOOT_MENU).is_empty()
    }

    /// The menu: `{ type, length, text }` repeated. Ends where a length runs past the option.
    pub(super) fn items(&self) -> impl Iterator<Item = (u16, &'a [u8])> + use<'a> {
        let mut rest = self.value(BOOT_MENU);
        core::iter::from_fn(move || {
            let [high, low, len, tail @ ..] = rest else { return None };
            let (text, tail) = tail.split_at_checked((*len).into())?;
            rest = tail;
            Some((u16::from_be_bytes([*high, *low]), text))
        })
    }

    /// Whether there is a prompt.
    pub(super) fn has_prompt(&self) -> bool {
        self.prompt().is_some()
    }

    /// Time-out in seconds, and text.
    pub(super) fn prompt(&self) -> Option<(u8, &'a [u8])> {
        self.value(MENU_PROMPT).split_first().map(|(&seconds, text)| (seconds, text))
    }

    /// The type of boot server that answers.
    pub(super) fn boot_item(&self) -> Option<u16> {
        self.value(BOOT_ITEM).first_chunk().map(|&kind| u16::from_be_bytes(kind))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_end_where_a_length_runs_past_them() {
        let options = VendorOptions(&[
            9, 9, 0, 0, 1, b'L', 0x80, 1, 200, b'x', b'y', // menu: one whole item, one that runs out
            8, 14, 0x80, 1, 1, 10, 0, 2, 3, 0x80, 2, 0, 0x80, 3, 2, 1, // servers: one address, none, one cut
            255,
        ]);
        assert!(options.items().eq([(0, &b"L"[..])]));
        assert!(options.servers(0x8001).eq([Ipv4Addr::new(10, 0, 2, 3)]));
        assert!(options.accepts_server(0x8002, Ipv4Addr::new(1, 2, 3, 4)), "no address means any");
        assert!(!options.accepts_server(0x8003, Ipv4Addr::new(1, 2, 3, 4)));
        assert!(!options.accepts_server(0x8001, Ipv4Addr::new(1, 2, 3, 4)));
    }

    #[test]
    fn without_control_bits_all_ways_of_discovery_are_open() {
        let options = VendorOptions(&[7, 4, 224, 0, 1, 2, 255]);
        assert_eq!((options.broadcast(), options.multicast()), (true, Some(Ipv4Addr::new(224, 0, 1, 2))));
        assert!(!options.only_listed() && !options.skips_menu());
        assert_eq!(VendorOptions(&[7, 4, 10, 0, 1, 2]).multicast(), None, "not a group");
        assert_eq!(VendorOptions(&[7, 4, 224, 0, 1, 2, 6, 1, 2]).multicast(), None, "forbidden");
    }
}
