//! Reading DHCP messages: fields, options wherever they lie, and PXE's cached image of a packet.
//!
//! Sources: RFC 2131; RFC 2132 (options 52, 66, 67); RFC 3396 (long options); PXE 2.1 (`BOOTPLAYER`).

use core::net::Ipv4Addr;

use heapless::Vec;
use smoltcp::wire::{DhcpOpCode, DhcpPacket, Ipv4Cidr};

use crate::nic::MacAddress;

use super::{FileName, MAX_FILE, PACKET_LEN, Packet};

/// First byte of the options.
pub(super) const OPTIONS: usize = 240;

/// The magic number before them (RFC 2131, section 3).
pub(super) const MAGIC: u32 = 0x6382_5363;

/// Bytes of `sname` in a message.
const SNAME: core::ops::Range<usize> = 44..108;

/// Bytes of `file` in a message.
pub(super) const FILE: core::ops::Range<usize> = 108..236;

/// Option codes that this client reads or writes.
pub(super) mod code {
    pub const SUBNET_MASK: u8 = 1;
    pub const ROUTER: u8 = 3;
    pub const NAME_SERVERS: u8 = 6;
    pub const VENDOR: u8 = 43;
    pub const REQUESTED_ADDRESS: u8 = 50;
    pub const LEASE_TIME: u8 = 51;
    pub const OVERLOAD: u8 = 52;
    pub const MESSAGE_TYPE: u8 = 53;
    pub const SERVER_ID: u8 = 54;
    pub const PARAMETER_LIST: u8 = 55;
    pub const MAX_SIZE: u8 = 57;
    pub const T1: u8 = 58;
    pub const T2: u8 = 59;
    pub const VENDOR_CLASS: u8 = 60;
    pub const CLIENT_ID: u8 = 61;
    pub const TFTP_SERVER: u8 = 66;
    pub const BOOT_FILE: u8 = 67;
    pub const ARCHITECTURE: u8 = 93;
    pub const INTERFACE: u8 = 94;
    pub const UUID: u8 = 97;
    pub const END: u8 = 255;
}

/// The options in one area: code and value. Ends at option 255, at the end of the area, or where a length runs past it.
/// Option 43's contents have the same form.
#[derive(Clone)]
pub(super) struct Options<'a>(pub(super) &'a [u8]);

impl<'a> Iterator for Options<'a> {
    type Item = (u8, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            match *self.0 {
                [0, ref rest @ ..] => self.0 = rest,
                [code, len, ref rest @ ..] if code != code::END => {
                    let (value, rest) = rest.split_at_checked(len.into())?;
                    self.0 = rest;
                    return Some((code, value));
                }
                _ => return None,
            }
        }
    }
}

/// True for a reply to us: transaction, station and magic number are right, and the fixed part is whole.
pub(super) fn is_reply_to(payload: &[u8], transaction: u32, mac: MacAddress) -> bool {
    if payload.len() < OPTIONS {
        return false;
    }
    let packet = DhcpPacket::new_unchecked(payload);
    packet.opcode() == DhcpOpCode::Reply
        && packet.transaction_id() == transaction
        && packet.client_hardware_address().0 == mac
        && packet.magic_number() == MAGIC
}

/// Makes PXE's image of a packet. Options that no longer fit are left out whole, so that every reader finds the end.
///
/// `payload` has the fixed part (see [`is_reply_to`]).
pub(super) fn store(payload: &[u8], image: &mut Packet) {
    let (fixed, options) = payload.split_at(OPTIONS);
    image.fill(0);
    image[..OPTIONS].copy_from_slice(fixed);
    let mut at = OPTIONS;
    for (code, value) in Options(options) {
        let end = at + 2 + value.len();
        if end < PACKET_LEN {
            image[at] = code;
            image[at + 1] = value.len() as u8;
            image[at + 2..end].copy_from_slice(value);
            at = end;
        }
    }
    image[at] = code::END;
}

/// A stored packet.
#[derive(Clone, Copy)]
pub(super) struct Message<'a>(pub(super) &'a Packet);

impl<'a> Message<'a> {
    /// `yiaddr`.
    pub(super) fn your_address(self) -> Ipv4Addr {
        self.fixed().your_ip()
    }

    /// `siaddr`, if set.
    pub(super) fn next_server(self) -> Option<Ipv4Addr> {
        Some(self.fixed().server_ip()).filter(|address| !address.is_unspecified())
    }

    /// Option 53; 0 for BOOTP.
    pub(super) fn message_type(self) -> u8 {
        self.option(code::MESSAGE_TYPE, &mut [0; 1]).map_or(0, |value| value[0])
    }

    /// True for option 60 `PXEClient...`.
    pub(super) fn is_pxe(self) -> bool {
        self.option(code::VENDOR_CLASS, &mut [0; 9]) == Some(b"PXEClient")
    }

    /// The first address in an option.
    pub(super) fn address(self, code: u8) -> Option<Ipv4Addr> {
        self.number(code).map(Ipv4Addr::from_bits)
    }

    /// The addresses in an option, as many as an option of one part holds.
    pub(super) fn addresses(self, code: u8, into: &mut [u8; 255]) -> impl Iterator<Item = Ipv4Addr> {
        let (octets, _) = self.option(code, into).unwrap_or_default().as_chunks::<4>();
        octets.iter().map(|&octets| octets.into())
    }

    /// The first 32 bits of an option.
    pub(super) fn number(self, code: u8) -> Option<u32> {
        let mut bytes = [0; 4];
        self.option(code, &mut bytes)?.first_chunk().copied().map(u32::from_be_bytes)
    }

    /// The netmask, if it is one.
    pub(super) fn mask(self) -> Option<Ipv4Addr> {
        self.address(code::SUBNET_MASK).filter(|&mask| Ipv4Cidr::from_netmask(Ipv4Addr::UNSPECIFIED, mask).is_ok())
    }

    /// All parts of an option one after another (RFC 3396), as much as fits; `None` when it is absent or empty.
    pub(super) fn option(self, code: u8, into: &mut [u8]) -> Option<&[u8]> {
        let mut len = 0;
        for area in self.areas() {
            for (_, value) in Options(area).filter(|&(other, _)| other == code) {
                let part = value.len().min(into.len() - len);
                into[len..len + part].copy_from_slice(&value[..part]);
                len += part;
            }
        }
        (len != 0).then_some(&into[..len])
    }

    /// The boot file: the `file` field, or option 67 when the field is empty or holds options. `None` when neither
    /// names one of at most [`MAX_FILE`] bytes without control characters.
    pub(super) fn boot_file(self) -> Option<FileName> {
        let mut buffer = [0; MAX_FILE + 2];
        let field = if self.overload() & 1 == 0 { text(&self.0[FILE]) } else { &[] };
        let name = if field.is_empty() { text(self.option(code::BOOT_FILE, &mut buffer)?) } else { field };
        if name.is_empty() || name.iter().any(u8::is_ascii_control) { None } else { Vec::from_slice(name).ok() }
    }

    /// The server in option 66, when it is an address: names would need DNS.
    pub(super) fn tftp_server(self) -> Option<Ipv4Addr> {
        let mut buffer = [0; 16];
        let name = text(self.option(code::TFTP_SERVER, &mut buffer)?);
        crate::text::address(name)
    }

    /// Option 52: bit 0 for options in `file`, bit 1 for options in `sname`.
    pub(super) fn overload(self) -> u8 {
        Options(&self.0[OPTIONS..])
            .find(|&(code, _)| code == code::OVERLOAD)
            .map_or(0, |(_, value)| value.first().copied().unwrap_or(0))
    }

    /// The areas that hold options, in the order of RFC 3396.
    fn areas(self) -> [&'a [u8]; 3] {
        let overload = self.overload();
        let file: &[u8] = if overload & 1 == 0 { &[] } else { &self.0[FILE] };
        let sname: &[u8] = if overload & 2 == 0 { &[] } else { &self.0[SNAME] };
        [&self.0[OPTIONS..], file, sname]
    }

    fn fixed(self) -> DhcpPacket<&'a [u8]> {
        DhcpPacket::new_unchecked(&self.0[..])
    }
}

/// A text up to its NUL, without the 0xff bytes that some servers pad with.
fn text(bytes: &[u8]) -> &[u8] {
    let end = bytes.iter().position(|&byte| byte == 0 || byte == 0xff).unwrap_or(bytes.len());
    &bytes[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAC: MacAddress = [0x00, 0x15, 0x5d, 1, 2, 3];

    /// A BOOTREPLY to [`MAC`] with transaction 0x01020304, and these options behind the magic number.
    fn reply(options: &[u8]) -> [u8; 600] {
        let mut bytes = [0; 600];
        bytes[..3].copy_from_slice(&[2, 1, 6]);
        bytes[4..8].copy_from_slice(&[1, 2, 3, 4]);
        bytes[28..34].copy_from_slice(&MAC);
        bytes[236..240].copy_from_slice(&[0x63, 0x82, 0x53, 0x63]);
        bytes[240..240 + options.len()].copy_from_slice(options);
        bytes
    }

    fn stored(payload: &[u8]) -> Packet {
        let mut image = [0xee; PACKET_LEN];
        store(payload, &mut image);
        image
    }

    #[test]
    fn only_replies_to_our_own_question_count() {
        let good = reply(&[53, 1, 2, 255]);
        assert!(is_reply_to(&good, 0x0102_0304, MAC));
        assert!(!is_reply_to(&good, 0x0102_0305, MAC));
        assert!(!is_reply_to(&good, 0x0102_0304, [0; 6]));
        assert!(!is_reply_to(&good[..239], 0x0102_0304, MAC));
        for at in [0, 236] {
            let mut bad = good;
            bad[at] ^= 3;
            assert!(!is_reply_to(&bad, 0x0102_0304, MAC), "byte {at}");
        }
    }

    #[test]
    fn an_option_that_runs_past_the_packet_ends_the_options() {
        let image = stored(&reply(&[53, 1, 2, 67, 250, b'x'])[..246]);
        assert_eq!(Message(&image).message_type(), 2);
        assert_eq!(Message(&image).boot_file(), None);
        assert_eq!(image[240..244], [53, 1, 2, 255]);
    }

    #[test]
    fn options_that_do_not_fit_are_left_out_whole_and_the_end_stays_inside() {
        let mut payload = reply(&[]).to_vec();
        payload.truncate(240);
        for _ in 0..6 {
            payload.extend([224, 200]);
            payload.extend([0xaa; 200]);
        }
        payload.extend([67, 1, b'f', 255]);
        let image = stored(&payload);
        assert_eq!(Options(&image[OPTIONS..]).filter(|&(code, value)| code == 224 && value == [0xaa; 200]).count(), 5);
        assert_eq!(Message(&image).boot_file().unwrap(), b"f", "a later, smaller one still fits");
        // Exactly full: 1019 bytes of options and the end.
        let mut full = payload[..240].to_vec();
        for len in [255, 255, 255, 246] {
            full.extend([224, len]);
            full.resize(full.len() + usize::from(len), 7);
        }
        assert_eq!(full.len(), PACKET_LEN - 1);
        assert_eq!(stored(&full)[PACKET_LEN - 1], 255);
        full[240 + 3 * 257 + 1] = 247;
        full.push(7);
        assert_eq!(stored(&full)[240 + 3 * 257], 255);
    }

    #[test]
    fn parts_of_an_option_are_joined_across_the_areas() {
        let mut bytes = reply(&[67, 2, b'p', b'x', 52, 1, 3, 67, 2, b'e', b'/', 255]);
        bytes[108..115].copy_from_slice(&[67, 2, b'a', b'.', 255, 67, 9]);
        bytes[44..48].copy_from_slice(&[67, 1, b'0', 255]);
        let image = stored(&bytes);
        assert_eq!(Message(&image).boot_file().unwrap(), b"pxe/a.0");
        assert_eq!(Message(&image).option(67, &mut [0; 3]), Some(&b"pxe"[..]), "as much as fits");
    }

    #[test]
    fn a_file_name_with_control_characters_is_not_taken() {
        let file = |name: &[u8]| {
            let mut bytes = reply(&[255]);
            bytes[108..108 + name.len()].copy_from_slice(name);
            Message(&stored(&bytes)).boot_file()
        };
        assert_eq!(file(b"boot\\x86\\wdsnbp.com").unwrap(), b"boot\\x86\\wdsnbp.com");
        assert_eq!(file(b"padded\xff\xff\xff").unwrap(), b"padded");
        assert_eq!(file(&[b'x'; 128]).unwrap().len(), 128, "the field may lack its NUL");
        assert_eq!(file(b"\x1b[2J"), None);
        assert_eq!(file(b"caf\xe9").unwrap(), b"caf\xe9", "in whatever character set");
        assert_eq!(file(b""), None);
    }

    #[test]
    fn addresses_and_masks_are_checked() {
        let image = stored(&reply(&[
            1, 4, 255, 0, 255, 0, 3, 8, 10, 0, 0, 1, 10, 0, 0, 2, 54, 3, 1, 2, 3, 66, 5, b'h', b'o', b's', b't', 0, 255,
        ]));
        let message = Message(&image);
        assert_eq!(message.mask(), None);
        assert_eq!(message.address(3), Some(Ipv4Addr::new(10, 0, 0, 1)));
        assert_eq!(message.address(54), None);
        assert_eq!(message.tftp_server(), None);
    }
}
