//! HTTP, ping and ARP, asked by a client on smoltcp.

use std::collections::VecDeque;
use std::net::Ipv4Addr;
use std::time::Duration;

use netserver::{Event, NetServer};
use smoltcp::iface::{Config, Interface, SocketSet};
use smoltcp::phy::{ChecksumCapabilities, Device, DeviceCapabilities, Medium, RxToken, TxToken};
use smoltcp::socket::{icmp, tcp};
use smoltcp::time::Instant;
use smoltcp::wire::{EthernetAddress, HardwareAddress, Icmpv4Packet, Icmpv4Repr, IpCidr, Ipv4Cidr};

const SERVER: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 2);

/// No exchange here takes longer.
const END: Duration = Duration::from_secs(120);

#[derive(Default)]
struct Wire {
    received: VecDeque<Vec<u8>>,
    sent: VecDeque<Vec<u8>>,
}

struct Received(Vec<u8>);

struct Transmit<'a>(&'a mut VecDeque<Vec<u8>>);

impl RxToken for Received {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, f: F) -> R {
        f(&self.0)
    }
}

impl TxToken for Transmit<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, f: F) -> R {
        let mut frame = vec![0; len.max(60)];
        let result = f(&mut frame[..len]);
        self.0.push_back(frame);
        result
    }
}

impl Device for Wire {
    type RxToken<'a> = Received;
    type TxToken<'a> = Transmit<'a>;

    fn receive(&mut self, _: Instant) -> Option<(Received, Transmit<'_>)> {
        self.received.pop_front().map(|frame| (Received(frame), Transmit(&mut self.sent)))
    }

    fn transmit(&mut self, _: Instant) -> Option<Transmit<'_>> {
        Some(Transmit(&mut self.sent))
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ethernet;
        capabilities.max_transmission_unit = 1514;
        capabilities
    }
}

/// Milliseconds that the connection has for its end.
const LAST_WORDS: u32 = 50;

/// A machine on the server's wire.
struct Client {
    server: NetServer,
    wire: Wire,
    interface: Interface,
    now: Duration,
}

impl Client {
    fn new(switches: &[(&str, &str)]) -> Self {
        let mut server = NetServer::new();
        for (key, value) in switches {
            server.set(key, value).unwrap();
        }
        let mut wire = Wire::default();
        let config = Config::new(HardwareAddress::Ethernet(EthernetAddress([2, 0, 0, 0, 0, 1])));
        let mut interface = Interface::new(config, &mut wire, Instant::ZERO);
        let own = IpCidr::Ipv4(Ipv4Cidr::new(Ipv4Addr::new(10, 0, 2, 15), 24));
        interface.update_ip_addrs(|list| list.push(own).unwrap());
        Self { server, wire, interface, now: Duration::ZERO }
    }

    /// Lets a millisecond pass.
    fn step(&mut self, sockets: &mut SocketSet<'_>) {
        self.now += Duration::from_millis(1);
        assert!(self.now < END, "no answer");
        while let Some(frame) = self.server.poll(self.now) {
            self.wire.received.push_back(frame);
        }
        self.interface.poll(Instant::from_micros(self.now.as_micros() as i64), &mut self.wire, sockets);
        for frame in self.wire.sent.drain(..) {
            self.server.handle(&frame, self.now);
        }
    }

    /// Sends a request and returns all that comes back until the server closes.
    fn ask(&mut self, port: u16, request: &str) -> Vec<u8> {
        let mut sockets = SocketSet::new(Vec::new());
        let buffer = || tcp::SocketBuffer::new(vec![0; 20_000]);
        let handle = sockets.add(tcp::Socket::new(buffer(), buffer()));
        sockets.get_mut::<tcp::Socket<'_>>(handle).connect(self.interface.context(), (SERVER, 80), port).unwrap();
        let mut answer = Vec::new();
        let mut is_asked = false;
        loop {
            self.step(&mut sockets);
            let socket = sockets.get_mut::<tcp::Socket<'_>>(handle);
            if socket.may_send() && !is_asked {
                socket.send_slice(request.as_bytes()).unwrap();
                is_asked = true;
            }
            while socket.can_recv() {
                answer.extend(socket.recv(|bytes| (bytes.len(), bytes.to_vec())).unwrap());
            }
            if is_asked && !socket.may_recv() {
                // The last acknowledgement may be delayed.
                (0..LAST_WORDS).for_each(|_| self.step(&mut sockets));
                return answer;
            }
        }
    }
}

/// Status line and body.
fn parts(answer: &[u8]) -> (&str, &[u8]) {
    let end = answer.windows(4).position(|end| end == b"\r\n\r\n").unwrap();
    (std::str::from_utf8(&answer[..end]).unwrap().lines().next().unwrap(), &answer[end + 4..])
}

#[test]
fn files_come_whole_over_a_wire_that_loses_frames() {
    let mut client = Client::new(&[("loss-percent", "2"), ("latency-ms", "1")]);
    let contents: Vec<u8> = (0..300_000_u32).map(|index| (index.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    client.server.files().add("boot/script.ipxe", contents.clone());
    let answer = client.ask(50_000, "GET /boot/script.ipxe?x=1 HTTP/1.1\r\nHost: 10.0.2.2\r\n\r\n");
    let (status, body) = parts(&answer);
    assert_eq!(status, "HTTP/1.1 200 OK");
    assert!(body == contents, "{} bytes", body.len());
    assert_eq!(client.server.take_events().first(), Some(&Event::HttpRequest("/boot/script.ipxe".into())));
}

#[test]
fn other_requests_get_the_status_they_deserve() {
    let mut client = Client::new(&[]);
    client.server.files().add("a", *b"contents");
    let missing = client.ask(50_001, "GET /b HTTP/1.0\r\n\r\n");
    assert_eq!(parts(&missing).0, "HTTP/1.1 404 Not Found");
    let head = client.ask(50_002, "HEAD /a HTTP/1.1\r\n\r\n");
    assert_eq!(parts(&head), ("HTTP/1.1 200 OK", &b""[..]));
    assert!(std::str::from_utf8(&head).unwrap().contains("Content-Length: 8\r\n"));
    assert_eq!(parts(&client.ask(50_003, "POST /a HTTP/1.1\r\n\r\n")).0, "HTTP/1.1 501 Not Implemented");
}

#[test]
fn an_answer_is_done_when_its_last_byte_is_confirmed() {
    let mut client = Client::new(&[("latency-ms", "1")]);
    client.server.files().add("a", vec![7; 20_000]);
    client.ask(50_004, "GET /a HTTP/1.0\r\n\r\n");
    assert_eq!(client.server.take_events(), [Event::HttpRequest("/a".into()), Event::HttpDone("/a".into())]);
}

#[test]
fn both_addresses_answer_a_ping() {
    for address in [SERVER, Ipv4Addr::new(10, 0, 2, 3)] {
        let mut client = Client::new(&[]);
        let mut sockets = SocketSet::new(Vec::new());
        let buffer = || icmp::PacketBuffer::new(vec![icmp::PacketMetadata::EMPTY; 2], vec![0; 200]);
        let handle = sockets.add(icmp::Socket::new(buffer(), buffer()));
        let socket = sockets.get_mut::<icmp::Socket<'_>>(handle);
        socket.bind(icmp::Endpoint::Ident(7)).unwrap();
        let echo = Icmpv4Repr::EchoRequest { ident: 7, seq_no: 1, data: b"are you there" };
        let bytes = socket.send(echo.buffer_len(), address.into()).unwrap();
        echo.emit(&mut Icmpv4Packet::new_unchecked(bytes), &ChecksumCapabilities::default());
        while !sockets.get_mut::<icmp::Socket<'_>>(handle).can_recv() {
            client.step(&mut sockets);
        }
        let (reply, from) = sockets.get_mut::<icmp::Socket<'_>>(handle).recv().unwrap();
        assert_eq!(from, address.into());
        assert!(reply.ends_with(b"are you there"));
    }
}
