//! DNS: one zone of addresses, asked by UDP. Source: RFC 1035.

use std::net::Ipv4Addr;

use crate::Event;
use crate::config::{Config, DnsFault};
use crate::frame::{self, Udp};

/// Longest name, dots included.
const MAX_NAME: usize = 253;

/// Answers a query.
pub fn handle(config: &Config, udp: &Udp<'_>, out: &mut Vec<Vec<u8>>, events: &mut Vec<Event>) {
    let Some((name, question)) = question(udp.payload) else {
        return events.push(Event::Violation("a DNS query that is none".into()));
    };
    events.push(Event::DnsQuery(name.clone()));
    let address = config.dns_names.iter().find(|(other, _)| other.eq_ignore_ascii_case(&name)).map(|&(_, at)| at);
    let answer = match config.dns_fault {
        DnsFault::Silent => return,
        DnsFault::ServerFailure => answer(udp.payload, question, 2, &[]),
        DnsFault::Alias => {
            let alias = [&[0xc0, 12, 0, 5, 0, 1, 0, 0, 0, 60, 0, 7][..], b"\x05alias\0"].concat();
            answer(udp.payload, question, 0, &[alias, record(address.unwrap_or(Ipv4Addr::UNSPECIFIED))])
        }
        DnsFault::Garbage => {
            let whole = answer(udp.payload, question, 0, &[record(config.server)]);
            for len in 0..whole.len() {
                out.push(frame::build(udp.mac, udp.destination, udp.source, &whole[..len]));
            }
            let mut other = whole.clone();
            other[0] ^= 0xff;
            out.push(frame::build(udp.mac, udp.destination, udp.source, &other));
            answer(udp.payload, question, 0, &[record(address.unwrap_or(config.server))])
        }
        DnsFault::None => match address {
            Some(address) => answer(udp.payload, question, 0, &[record(address)]),
            None => answer(udp.payload, question, 3, &[]),
        },
    };
    out.push(frame::build(udp.mac, udp.destination, udp.source, &answer));
}

/// The name that is asked for, and the question as it stands in the packet.
fn question(payload: &[u8]) -> Option<(String, &[u8])> {
    // A standard query with recursion desired and one question, and nothing else.
    if payload.len() < 12 || payload[2..12] != [1, 0, 0, 1, 0, 0, 0, 0, 0, 0] {
        return None;
    }
    let mut labels = Vec::new();
    let mut rest = &payload[12..];
    while let [len @ 1..=63, tail @ ..] = rest {
        let (label, tail) = tail.split_at_checked((*len).into())?;
        labels.push(String::from_utf8(label.to_vec()).ok()?);
        rest = tail;
    }
    let name = labels.join(".");
    // Type A, class IN, and the end.
    (rest == [0, 0, 1, 0, 1] && name.len() <= MAX_NAME).then_some((name, &payload[12..]))
}

fn answer(query: &[u8], question: &[u8], code: u8, records: &[Vec<u8>]) -> Vec<u8> {
    let header = [query[0], query[1], 0x81, 0x80 | code, 0, 1, 0, records.len() as u8, 0, 0, 0, 0];
    [&header[..], question, &records.concat()].concat()
}

/// An address record for the name in the question.
fn record(address: Ipv4Addr) -> Vec<u8> {
    [&[0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4][..], &address.octets()].concat()
}
