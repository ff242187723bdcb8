//! What the client sends.
//!
//! Sources: RFC 2131, section 4.1; RFC 4578 (options 93, 94, 97, 128-135); PXE 2.1, "DHCPDISCOVER" and "DHCPREQUEST".

use core::net::Ipv4Addr;

use smoltcp::wire::{DhcpFlags, DhcpOpCode, DhcpOption, DhcpPacket, EthernetAddress};

use crate::machine::Machine;
use crate::net::udp::Route;
use crate::net::{Net, NetError, SECOND};
use crate::nic::Nic;
use crate::time::Ticks100ns;

use super::message::{MAGIC, OPTIONS, code};
use super::{PACKET_LEN, Packet};

/// The client's port (RFC 2131).
pub(super) const CLIENT_PORT: u16 = 68;

/// The DHCP server's port (RFC 2131).
pub(super) const SERVER_PORT: u16 = 67;

/// The port of proxyDHCP and boot servers (PXE 2.1).
pub(super) const PXE_PORT: u16 = 4011;

/// Message types (RFC 2132, option 53).
pub(super) const DISCOVER: u8 = 1;
pub(super) const OFFER: u8 = 2;
pub(super) const REQUEST: u8 = 3;
pub(super) const ACK: u8 = 5;
pub(super) const NAK: u8 = 6;

/// Vendor class of a PXE 2.1 client on an x86 PC with BIOS.
const VENDOR_CLASS: &[u8] = b"PXEClient:Arch:00000:UNDI:002001";

/// What we ask for. 1, 3, 43, 60, 66, 67 and 128-135 are PXE's; some servers look for 128-135 to know a PXE client.
const PARAMETERS: &[u8] =
    &[1, 3, 6, 7, 12, 15, 17, 26, 42, 43, 54, 60, 66, 67, 119, 121, 128, 129, 130, 131, 132, 133, 134, 135];

/// Shortest BOOTP message in bytes (RFC 1542, section 2.1).
const MIN_LEN: usize = 300;

/// Largest IP datagram that we take, in bytes (option 57): what fits a cached packet.
const MAX_SIZE: u16 = PACKET_LEN as u16;

/// A search for a lease and a boot file: what stays the same in all its messages.
#[derive(Clone, Copy)]
pub(super) struct Session {
    pub(super) transaction: u32,
    started: Ticks100ns,
}

/// What differs between the messages.
#[derive(Clone, Copy, Default)]
pub(super) struct Contents {
    /// Option 53.
    pub(super) message_type: u8,
    /// Option 50.
    pub(super) requested: Option<Ipv4Addr>,
    /// Option 54.
    pub(super) server: Option<Ipv4Addr>,
    /// Option 43.71: the type of boot server looked for, and layer 0.
    pub(super) boot_item: Option<u16>,
}

impl Session {
    pub(super) fn new<M: Machine>(machine: &M) -> Self {
        Self { transaction: machine.random(), started: machine.now() }
    }

    /// Builds a message in `image` and returns its length in bytes.
    pub(super) fn build<N: Nic, M: Machine>(
        &self,
        net: &Net<'_, N, M>,
        contents: &Contents,
        image: &mut Packet,
    ) -> usize {
        let own = net.stack.address();
        let mac = net.stack.mac();
        image.fill(0);
        let mut packet = DhcpPacket::new_unchecked(&mut image[..]);
        packet.set_opcode(DhcpOpCode::Request);
        packet.set_hardware_type(smoltcp::wire::ArpHardware::Ethernet);
        packet.set_hardware_len(6);
        packet.set_transaction_id(self.transaction);
        packet.set_secs((net.machine.now().millis_since(self.started) / SECOND).min(u64::from(u16::MAX)) as u16);
        // Without an address, some servers can't unicast to us: they would need ARP.
        packet.set_flags(if own.is_unspecified() { DhcpFlags::BROADCAST } else { DhcpFlags::empty() });
        packet.set_client_ip(own);
        packet.set_client_hardware_address(EthernetAddress(mac));
        packet.set_magic_number(MAGIC);

        let uuid = net.machine.system_uuid();
        let mut identity = [0; 17];
        identity[1..].copy_from_slice(&uuid.unwrap_or_default());
        let requested = contents.requested.map(|address| address.octets());
        let server = contents.server.map(|address| address.octets());
        let [kind_high, kind_low] = contents.boot_item.unwrap_or(0).to_be_bytes();
        let boot_item = [71, 4, kind_high, kind_low, 0, 0, code::END];
        let mut client_id = [1; 7];
        client_id[1..].copy_from_slice(&mac);
        // Option 53 first: some relays and servers know a DHCP message by it.
        let options: [(u8, Option<&[u8]>); 11] = [
            (code::MESSAGE_TYPE, Some(&[contents.message_type])),
            (code::REQUESTED_ADDRESS, requested.as_ref().map(|octets| &octets[..])),
            (code::SERVER_ID, server.as_ref().map(|octets| &octets[..])),
            (code::MAX_SIZE, Some(&MAX_SIZE.to_be_bytes())),
            (code::VENDOR_CLASS, Some(VENDOR_CLASS)),
            (code::CLIENT_ID, Some(&client_id)),
            (code::ARCHITECTURE, Some(&[0, 0])),
            (code::INTERFACE, Some(&[1, 2, 1])),
            (code::UUID, uuid.map(|_| &identity[..])),
            (code::VENDOR, contents.boot_item.map(|_| &boot_item[..])),
            (code::PARAMETER_LIST, Some(PARAMETERS)),
        ];
        let mut writer = packet.options_mut();
        let mut len = OPTIONS + 1;
        for (kind, value) in options {
            let Some(data) = value else { continue };
            // All of them together are far below the image's 1024 bytes.
            let _ = writer.emit(DhcpOption { kind, data });
            len += 2 + data.len();
        }
        let _ = writer.end();
        len.max(MIN_LEN)
    }

    /// Builds and sends a message.
    pub(super) fn send<N: Nic, M: Machine>(
        &self,
        net: &mut Net<'_, N, M>,
        contents: &Contents,
        to: (Ipv4Addr, u16),
        image: &mut Packet,
    ) -> Result<(), NetError> {
        let len = self.build(net, contents, image);
        let route =
            Route { source: None, source_port: CLIENT_PORT, destination: to.0, destination_port: to.1, gateway: None };
        net.send(&route, &image[..len])
    }
}
