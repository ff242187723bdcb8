//! The IPv4 host: address, routes, neighbours (smoltcp), and the UDP queue.
//!
//! smoltcp sees one raw socket for UDP; the one for sending is built anew for each frame over a buffer of ours. So every
//! port is received without being opened, no unopened port is answered with ICMP, and a datagram that can't be sent yet
//! never blocks another one. Streams share its interface.

use core::net::Ipv4Addr;
use core::ops::Range;

use heapless::Vec;
use smoltcp::iface::{Config, Interface, Route as IpRoute, SocketSet, SocketStorage};
use smoltcp::phy::ChecksumCapabilities;
use smoltcp::socket::raw;
use smoltcp::storage::PacketMetadata;
use smoltcp::time::Instant;
use smoltcp::wire::{
    EthernetAddress, HardwareAddress, IpCidr, IpProtocol, IpVersion, Ipv4Cidr, Ipv4Packet, Ipv4Repr, UdpPacket, UdpRepr,
};

use crate::error::Error;
use crate::nic::{MAX_FRAME_LEN, MacAddress, Nic};
use crate::time::Ticks100ns;

use super::checksum::Sum;
use super::ingress::{self, Arrived, Frame};
use super::phy::Phy;
use super::reassembly::Reassembly;
use super::sockets::{BUFFERS_LEN, SocketPlaces, Sockets};
use super::udp::{Datagram, Filter, HEADERS_LEN, MAX_PAYLOAD, Queue, Route, Slot};
use super::{NetError, SECOND, classful_mask};

/// Name servers that are remembered (policy: DHCP names a second one in case the first is down).
pub const MAX_NAME_SERVERS: usize = 2;

/// ARP requests for one next hop, a second apart (PXE-E11: 4 tries; the second is smoltcp's own limit).
pub const ARP_TRIES: u64 = 4;

/// Frames handled by one [`Stack::poll`] or [`Stack::receive`] (policy: bounds the time on a flooded wire).
const MAX_FRAMES: usize = 64;

/// Seconds for which a station address is used without asking again (policy: smoltcp's own).
const NEXT_HOP_LIFE: u64 = 60;

/// Length of an Ethernet header.
const ETHERNET_HEADER: usize = 14;

/// Length of the IP headers that we send: no options.
const IP_HEADER: usize = 20;
/// Where checksums lie in the headers (RFC 791, RFC 768).
const IP_CHECKSUM: Range<usize> = 10..12;
/// Likewise.
const UDP_CHECKSUM: Range<usize> = 6..8;

/// Where the last packet went: the next one there needs no smoltcp, which copies a packet twice.
struct NextHop {
    /// Destination, and gateway if there is one.
    route: (Ipv4Addr, Option<Ipv4Addr>),
    /// Ethernet header of that packet.
    header: [u8; ETHERNET_HEADER],
    until: Ticks100ns,
}

/// Room for one IP packet.
type PacketBytes = [u8; MAX_FRAME_LEN];

/// All state of the IPv4 host. Large: meant to live in a static place, hence the `const` constructor.
///
/// In this order, because what lies within 127 bytes takes shorter instructions to reach.
#[repr(C)]
pub struct Stack {
    subnet: Option<Ipv4Cidr>,
    gateway: Option<Ipv4Addr>,
    outgoing_gateway: Option<Ipv4Addr>,
    next_hop: Option<NextHop>,
    outgoing_len: usize,
    pub(super) sockets: Option<Sockets>,
    name_servers: Vec<Ipv4Addr, MAX_NAME_SERVERS>,
    pub(super) interface: Option<Interface>,
    queue: Queue,
    fragments: Reassembly,
    pub(super) transmit: [u8; MAX_FRAME_LEN],
    packet: PacketBytes,
    outgoing: PacketBytes,
}

impl Stack {
    /// A stack without a card.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            interface: None,
            subnet: None,
            gateway: None,
            name_servers: Vec::new(),
            sockets: None,
            queue: Queue::new(),
            fragments: Reassembly::new(),
            transmit: [0; MAX_FRAME_LEN],
            packet: [0; MAX_FRAME_LEN],
            outgoing: [0; MAX_FRAME_LEN],
            outgoing_len: 0,
            outgoing_gateway: None,
            next_hop: None,
        }
    }

    /// Gives the stack the memory of its sockets, for good. It does nothing without.
    pub fn equip(&mut self, places: &'static mut SocketPlaces, buffers: &'static mut [u8; BUFFERS_LEN]) {
        self.sockets = Some(Sockets::new(places, buffers));
    }

    /// Begins anew on an open card, as the station `mac`: no IP address, empty queue.
    ///
    /// `seed` differs between boots: the first sequence numbers of TCP come from it.
    ///
    /// # Errors
    /// [`Error::HostProtocol`] when `mac` is a group address.
    pub fn start<N: Nic>(&mut self, nic: &mut N, mac: MacAddress, now: Ticks100ns, seed: u32) -> Result<(), NetError> {
        let mac = EthernetAddress(mac);
        if !mac.is_unicast() {
            return Err(Error::HostProtocol.into());
        }
        let mut config = Config::new(HardwareAddress::Ethernet(mac));
        config.random_seed = u64::from(seed);
        let interface = Interface::new(config, &mut Phy::new(nic, None, &mut self.transmit), instant(now));
        self.interface = Some(interface);
        self.subnet = None;
        self.gateway = None;
        self.next_hop = None;
        self.queue.clear();
        Ok(())
    }

    /// Takes an address into use: answers ARP for it from here on. The mask is the classful one when absent or not a
    /// mask.
    ///
    /// # Errors
    /// [`NetError::NotConfigured`] when the address can't be a host's, or before [`start`](Self::start).
    pub fn configure(
        &mut self,
        address: Ipv4Addr,
        mask: Option<Ipv4Addr>,
        gateway: Option<Ipv4Addr>,
    ) -> Result<(), NetError> {
        let interface = self.interface.as_mut().ok_or(NetError::NotConfigured)?;
        if !is_host(address) {
            return Err(NetError::NotConfigured);
        }
        let gateway = gateway.filter(|&gateway| is_host(gateway));
        let mut subnet = mask
            .filter(|mask| !mask.is_unspecified())
            .and_then(|mask| Ipv4Cidr::from_netmask(address, mask).ok())
            .or_else(|| Ipv4Cidr::from_netmask(address, classful_mask(address)).ok())
            .unwrap_or(Ipv4Cidr::new(address, 32));
        self.subnet = Some(subnet);
        self.next_hop = None;
        // smoltcp takes ARP answers from its own subnet only; clouds lease /32 with a gateway outside.
        while gateway.is_some_and(|gateway| !subnet.contains_addr(&gateway)) {
            subnet = Ipv4Cidr::new(address, subnet.prefix_len() - 1);
        }
        interface.update_ip_addrs(|addresses| {
            addresses.clear();
            // One address in a list of two: it fits.
            let _ = addresses.push(IpCidr::Ipv4(subnet));
        });
        self.gateway = gateway;
        set_gateway(interface, gateway);
        Ok(())
    }

    /// Takes note of the first name servers that can be hosts.
    pub fn set_name_servers(&mut self, servers: impl Iterator<Item = Ipv4Addr>) {
        self.name_servers = servers.filter(|&server| is_host(server)).take(MAX_NAME_SERVERS).collect();
    }

    /// The name servers, in the order of the lease.
    #[must_use]
    pub fn name_servers(&self) -> &Vec<Ipv4Addr, MAX_NAME_SERVERS> {
        &self.name_servers
    }

    /// Gives the address up: the stack is as after [`start`](Self::start), but for queued datagrams.
    ///
    /// # Errors
    /// [`NetError::NotConfigured`] before [`start`](Self::start).
    pub fn unconfigure(&mut self) -> Result<(), NetError> {
        let interface = self.interface.as_mut().ok_or(NetError::NotConfigured)?;
        interface.update_ip_addrs(|addresses| addresses.clear());
        set_gateway(interface, None);
        self.subnet = None;
        self.gateway = None;
        self.name_servers.clear();
        Ok(())
    }

    /// The station address that we send from; all zero before [`start`](Self::start).
    #[must_use]
    pub fn mac(&self) -> MacAddress {
        match self.interface.as_ref().map(Interface::hardware_addr) {
            Some(HardwareAddress::Ethernet(mac)) => mac.0,
            _ => [0; 6],
        }
    }

    /// Our address; 0.0.0.0 before [`configure`](Self::configure).
    #[must_use]
    pub fn address(&self) -> Ipv4Addr {
        self.subnet.map_or(Ipv4Addr::UNSPECIFIED, |subnet| subnet.address())
    }

    /// Our netmask; 0.0.0.0 before [`configure`](Self::configure).
    #[must_use]
    pub fn mask(&self) -> Ipv4Addr {
        self.subnet.map_or(Ipv4Addr::UNSPECIFIED, |subnet| subnet.netmask())
    }

    /// Our gateway.
    #[must_use]
    pub fn gateway(&self) -> Option<Ipv4Addr> {
        self.gateway
    }

    /// Handles waiting frames: ARP is answered, datagrams are queued.
    ///
    /// # Errors
    /// The card's errors; [`NetError::NotConfigured`] before [`start`](Self::start).
    pub fn poll<N: Nic>(&mut self, nic: &mut N, now: Ticks100ns) -> Result<(), NetError> {
        for _ in 0..MAX_FRAMES {
            if !self.poll_one(nic, now)? {
                break;
            }
        }
        Ok(())
    }

    /// Takes the oldest datagram that matches: from the queue, else from the wire. The others stay in the queue.
    ///
    /// # Errors
    /// As [`poll`](Self::poll).
    pub fn receive<N: Nic>(
        &mut self,
        nic: &mut N,
        now: Ticks100ns,
        filter: &Filter,
    ) -> Result<Option<Datagram<'_>>, NetError> {
        Ok(self.receive_slot(nic, now, filter)?.map(|slot| self.queue.datagram(slot)))
    }

    /// Whether datagrams are queued.
    #[must_use]
    pub fn has_datagrams(&self) -> bool {
        !self.queue.is_empty()
    }

    /// Drops all queued datagrams.
    pub fn clear_queue(&mut self) {
        self.queue.clear();
    }

    /// As [`receive`](Self::receive), for loops that the borrow checker could not follow.
    pub(super) fn receive_slot<N: Nic>(
        &mut self,
        nic: &mut N,
        now: Ticks100ns,
        filter: &Filter,
    ) -> Result<Option<Slot>, NetError> {
        for _ in 0..MAX_FRAMES {
            if let Some(slot) = self.queue.take(filter) {
                return Ok(Some(slot));
            }
            if !self.poll_one(nic, now)? {
                break;
            }
        }
        Ok(self.queue.take(filter))
    }

    /// As [`receive_slot`](Self::receive_slot), for readers that know their datagrams by more than addresses.
    pub(super) fn receive_if<N: Nic>(
        &mut self,
        nic: &mut N,
        now: Ticks100ns,
        filter: &Filter,
        accepts: &dyn Fn(&[u8]) -> bool,
    ) -> Result<Option<Slot>, NetError> {
        self.poll(nic, now)?;
        Ok(self.queue.take_if(filter, accepts))
    }

    /// The datagram that [`receive_slot`](Self::receive_slot) took.
    pub(super) fn datagram(&self, slot: Slot) -> Datagram<'_> {
        self.queue.datagram(slot)
    }

    /// Leaves the datagram for the next reader. Nothing may have been polled since it was taken.
    pub(super) fn put_back(&mut self, slot: Slot) {
        self.queue.put_back(slot);
    }

    /// Handles one waiting frame; false when none waits.
    pub(super) fn poll_one<N: Nic>(&mut self, nic: &mut N, now: Ticks100ns) -> Result<bool, NetError> {
        let Self { interface, fragments, transmit, queue, subnet, sockets, .. } = self;
        let (Some(interface), Some(sockets)) = (interface, sockets) else { return Err(NetError::NotConfigured) };
        let HardwareAddress::Ethernet(mac) = interface.hardware_addr();
        let (slot, buffer) = queue.spare();
        let Some(length) = nic.receive(buffer)? else { return Ok(false) };
        let frame = queue.frame(slot, length);
        match ingress::sort(frame, mac, subnet.as_ref()) {
            Frame::Datagram(arrived) => queue.commit(slot, arrived),
            Frame::Fragment => {
                fragments.take(frame);
                if let Some(packet) = fragments.complete()
                    && let Ok(ip) = Ipv4Packet::new_checked(packet)
                    && let Some(Arrived { source, destination, payload }) = ingress::datagram(&ip, subnet.as_ref())
                {
                    queue.push(source, destination, &packet[payload]);
                }
            }
            Frame::Other => {
                let mut phy = Phy::new(nic, Some(frame), transmit);
                interface.poll_ingress_single(instant(now), &mut phy, &mut sockets.set);
                phy.sent()?;
            }
            Frame::Nothing => {}
        }
        Ok(true)
    }

    /// Builds the packet that [`transmit_prepared`](Self::transmit_prepared) sends.
    pub(super) fn prepare(&mut self, route: &Route, payload: &[u8]) -> Result<(), NetError> {
        let source = route.source.unwrap_or(self.address());
        if self.interface.is_none() {
            return Err(NetError::NotConfigured);
        }
        if payload.len() > MAX_PAYLOAD || route.destination.is_unspecified() {
            return Err(NetError::InvalidDatagram);
        }
        let ip = Ipv4Repr {
            src_addr: source,
            dst_addr: route.destination,
            next_header: IpProtocol::Udp,
            payload_len: HEADERS_LEN - IP_HEADER + payload.len(),
            hop_limit: 64,
        };
        self.outgoing_len = HEADERS_LEN + payload.len();
        let bytes = &mut self.outgoing[..self.outgoing_len];
        // smoltcp's checksums take longer, for two bytes at a time.
        let none = ChecksumCapabilities::ignored();
        ip.emit(&mut Ipv4Packet::new_unchecked(&mut *bytes), &none);
        UdpRepr { src_port: route.source_port, dst_port: route.destination_port }.emit(
            &mut UdpPacket::new_unchecked(&mut bytes[IP_HEADER..]),
            &source.into(),
            &route.destination.into(),
            payload.len(),
            |into| into.copy_from_slice(payload),
            &none,
        );
        let (header, datagram) = bytes.split_at_mut(IP_HEADER);
        let checksum = Sum::default().add(header).checksum();
        header[IP_CHECKSUM].copy_from_slice(&checksum);
        let sum = Sum::default().add(datagram);
        let sum = sum.add_pseudo_header(source, route.destination, IpProtocol::Udp.into(), datagram.len() as u16);
        datagram[UDP_CHECKSUM].copy_from_slice(&sum.checksum());
        self.outgoing_gateway = self.check_route(route.destination, route.gateway)?;
        Ok(())
    }

    /// The gateway for a packet, the caller's before the lease's.
    ///
    /// # Errors
    /// [`NetError::NoRoute`] when one is needed and there is none.
    pub(super) fn check_route(
        &self,
        destination: Ipv4Addr,
        gateway: Option<Ipv4Addr>,
    ) -> Result<Option<Ipv4Addr>, NetError> {
        let gateway = gateway.filter(|&gateway| is_host(gateway)).or(self.gateway);
        let on_link = self.subnet.is_some_and(|subnet| subnet.contains_addr(&destination));
        if gateway.is_none() && !on_link && is_host(destination) { Err(NetError::NoRoute) } else { Ok(gateway) }
    }

    /// Tries to send the prepared packet; false while the next hop's address is unknown (an ARP request went out, at
    /// most one a second) or the transmit ring is full.
    pub(super) fn transmit_prepared<N: Nic>(&mut self, nic: &mut N, now: Ticks100ns) -> Result<bool, NetError> {
        let Self { interface, transmit, packet, outgoing, outgoing_len, outgoing_gateway, gateway, next_hop, .. } =
            self;
        let interface = interface.as_mut().ok_or(NetError::NotConfigured)?;
        let route = (Ipv4Packet::new_unchecked(&outgoing[..]).dst_addr(), *outgoing_gateway);
        if let Some(known) = next_hop.as_ref().filter(|known| known.route == route && now < known.until) {
            return match nic.transmit(&[&known.header, &outgoing[..*outgoing_len]]) {
                Ok(()) => Ok(true),
                Err(Error::RingFull) => Ok(false),
                Err(error) => Err(error.into()),
            };
        }
        let mut metadata = [PacketMetadata::EMPTY];
        let mut socket = raw::Socket::new(
            Some(IpVersion::Ipv4),
            Some(IpProtocol::Udp),
            raw::PacketBuffer::new(&mut [][..], &mut [][..]),
            raw::PacketBuffer::new(&mut metadata[..], &mut packet[..]),
        );
        // One packet in an empty buffer of a frame's length: it fits.
        let _ = socket.send_slice(&outgoing[..*outgoing_len]);
        let mut storage = [SocketStorage::EMPTY];
        let mut sockets = SocketSet::new(&mut storage[..]);
        let handle = sockets.add(socket);
        let mut phy = Phy::new(nic, None, transmit);
        set_gateway(interface, *outgoing_gateway);
        interface.poll_egress(instant(now), &mut phy, &mut sockets);
        set_gateway(interface, *gateway);
        phy.sent()?;
        let gone = sockets.get::<raw::Socket<'_>>(handle).send_queue() == 0;
        if gone {
            let mut header = [0; ETHERNET_HEADER];
            header.copy_from_slice(&transmit[..ETHERNET_HEADER]);
            *next_hop = Some(NextHop { route, header, until: now.plus_millis(NEXT_HOP_LIFE * SECOND) });
        }
        Ok(gone)
    }
}

impl Default for Stack {
    fn default() -> Self {
        Self::new()
    }
}

/// Makes `gateway` the only route.
fn set_gateway(interface: &mut Interface, gateway: Option<Ipv4Addr>) {
    interface.routes_mut().update(|routes| {
        routes.clear();
        if let Some(gateway) = gateway {
            // One route in a table of two: it fits.
            let _ = routes.push(IpRoute::new_ipv4_gateway(gateway));
        }
    });
}

/// True for an address that one host can have.
pub(super) fn is_host(address: Ipv4Addr) -> bool {
    !(address.is_unspecified() || address.is_broadcast() || address.is_multicast())
}

/// smoltcp's clock in microseconds, from ours in 100 ns.
pub(super) fn instant(now: Ticks100ns) -> Instant {
    Instant::from_micros((now.0 / 10) as i64)
}
