//! Names of servers: one question for an address, put to the servers that DHCP named. Source: RFC 1035.

use core::net::Ipv4Addr;

use smoltcp::wire::{DnsFlags, DnsOpcode, DnsPacket, DnsRcode, DnsRecord, DnsRecordData, Error as Malformed};

use heapless::Vec;

use crate::machine::Machine;
use crate::nic::Nic;
use crate::text::{address, is_same};

use super::udp::{Filter, Route};
use super::{Net, NetError, SECOND};

/// The well-known port.
const DNS_PORT: u16 = 53;

/// Waits for an answer, in seconds, one after each round through the servers (policy).
const WAITS: [u64; 3] = [1, 2, 4];

/// Longest name as it lies in a packet, in bytes (RFC 1035, section 3.1).
const MAX_NAME: usize = 255;

/// Length of a packet's header, in bytes.
const HEADER_LEN: usize = 12;

/// A query: header, name, type and class.
type Query = Vec<u8, { HEADER_LEN + MAX_NAME + 4 }>;

/// The address of a host, given by name or as an address.
///
/// # Errors
/// [`NetError::BadUrl`] when it can be neither; [`NetError::NameNotFound`]; [`NetError::NameTimeout`] when there is no
/// name server that answers; what sending can fail with.
pub fn resolve<N: Nic, M: Machine>(net: &mut Net<'_, N, M>, host: &[u8]) -> Result<Ipv4Addr, NetError> {
    if let Some(address) = address(host) {
        return Ok(address);
    }
    let query = query(net.machine.random() as u16, host).ok_or(NetError::BadUrl)?;
    let source_port = net.ephemeral_port();
    let servers = net.stack.name_servers().clone();
    for wait in WAITS {
        for &server in &servers {
            let route =
                Route { source: None, source_port, destination: server, destination_port: DNS_PORT, gateway: None };
            match net.send(&route, &query) {
                Ok(()) => {}
                // The other one may be up.
                Err(NetError::ArpTimeout | NetError::NoRoute | NetError::InvalidDatagram) => continue,
                Err(error) => return Err(error),
            }
            let filter = Filter { source: Some(server), source_port: Some(DNS_PORT), ..Filter::port(source_port) };
            let deadline = net.machine.now().plus_millis(wait * SECOND);
            while let Some(datagram) = net.wait(&filter, deadline)? {
                match answer(datagram.payload(), &query) {
                    Ok(Answer::Address(address)) => return Ok(address),
                    Ok(Answer::NoSuchName) => return Err(NetError::NameNotFound),
                    // Not an answer, or one of a server that can't say: the next one may.
                    Ok(Answer::Failure) => break,
                    Err(Malformed) => {}
                }
            }
        }
    }
    Err(NetError::NameTimeout)
}

/// What a server says.
#[derive(Debug, PartialEq, Eq)]
enum Answer {
    /// The host's first address.
    Address(Ipv4Addr),
    /// There is no such name, or it has no IPv4 address.
    NoSuchName,
    /// The server can't tell.
    Failure,
}

/// Reads a packet; an error when it is no answer to our question.
fn answer(payload: &[u8], query: &[u8]) -> Result<Answer, Malformed> {
    let packet = DnsPacket::new_checked(payload)?;
    let (ours, question) = query.split_at(HEADER_LEN);
    let (theirs, mut rest) = packet.payload().split_at_checked(question.len()).ok_or(Malformed)?;
    if payload[..2] != ours[..2]
        || !packet.flags().contains(DnsFlags::RESPONSE)
        || packet.opcode() != DnsOpcode::Query
        || packet.question_count() != 1
        || !is_same(theirs, question)
    {
        return Err(Malformed);
    }
    match packet.rcode() {
        DnsRcode::NoError => {}
        DnsRcode::NXDomain => return Ok(Answer::NoSuchName),
        _ => return Ok(Answer::Failure),
    }
    // A server that resolves for us answers with the whole chain of aliases, and the address at its end.
    for _ in 0..packet.answer_record_count() {
        let (behind, record) = DnsRecord::parse(rest)?;
        if let DnsRecordData::A(address) = record.data {
            return Ok(Answer::Address(address));
        }
        rest = behind;
    }
    Ok(Answer::NoSuchName)
}

/// The question for the address of a host, whose name is a row of labels there; `None` when it can't be a host's.
fn query(transaction_id: u16, host: &[u8]) -> Option<Query> {
    let [high, low] = transaction_id.to_be_bytes();
    // Recursion is wanted, one question follows.
    let mut query = Query::from_array([high, low, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
    for label in host.strip_suffix(b".").unwrap_or(host).split(|&byte| byte == b'.') {
        let is_valid = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        if !(1..=63).contains(&label.len()) || !label.iter().all(is_valid) {
            return None;
        }
        query.push(label.len() as u8).ok()?;
        query.extend_from_slice(label).ok()?;
    }
    // The end of the name, type A, class IN.
    query.extend_from_slice(&[0, 0, 1, 0, 1]).ok()?;
    Some(query)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const QUESTION: &[u8] = b"\x04boot\x07example\0\0\x01\0\x01";

    /// Reads an answer to the question for `boot.example` with this transaction id.
    fn answer_to(payload: &[u8], transaction_id: u16) -> Result<Answer, Malformed> {
        answer(payload, &query(transaction_id, b"boot.example").unwrap())
    }

    /// An answer with transaction 0x1234: flags and rcode, records in the answer section, and the records.
    fn packet(flags: [u8; 2], count: u8, records: &[u8]) -> std::vec::Vec<u8> {
        let header = [0x12, 0x34, flags[0], flags[1], 0, 1, 0, count, 0, 0, 0, 0];
        [&header[..], QUESTION, records].concat()
    }

    /// An address record for the name at offset 12.
    const A: &[u8] = &[0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 192, 0, 2, 7];
    /// An alias, `x`.
    const CNAME: &[u8] = &[0xc0, 12, 0, 5, 0, 1, 0, 0, 0, 60, 0, 3, 1, b'x', 0];

    #[test]
    fn names_become_labels() {
        let asked = |host: &[u8]| query(0x1234, host).unwrap()[HEADER_LEN..].to_vec();
        assert_eq!(asked(b"boot.example"), QUESTION);
        assert_eq!(asked(b"boot.example."), QUESTION);
        for wrong in ["", ".", "a..b", "a b", "h\u{e9}", &"x".repeat(64), &"abc.".repeat(70)] {
            assert_eq!(query(0, wrong.as_bytes()), None, "{wrong}");
        }
    }

    #[test]
    fn the_address_is_found_behind_aliases() {
        let address = Ok(Answer::Address(Ipv4Addr::new(192, 0, 2, 7)));
        assert_eq!(answer_to(&packet([0x81, 0x80], 1, A), 0x1234), address);
        assert_eq!(answer_to(&packet([0x81, 0x80], 2, &[CNAME, A].concat()), 0x1234), address);
        assert_eq!(answer_to(&packet([0x81, 0x80], 1, CNAME), 0x1234), Ok(Answer::NoSuchName));
        assert_eq!(answer_to(&packet([0x81, 0x83], 0, &[]), 0x1234), Ok(Answer::NoSuchName));
        assert_eq!(answer_to(&packet([0x81, 0x82], 0, &[]), 0x1234), Ok(Answer::Failure));
    }

    #[test]
    fn what_does_not_answer_our_question_is_nothing() {
        let good = packet([0x81, 0x80], 1, A);
        assert_eq!(answer_to(&good, 0x1235), Err(Malformed));
        assert_eq!(answer(&good, &query(0x1234, b"other").unwrap()), Err(Malformed));
        assert_eq!(answer_to(&packet([0x01, 0x80], 1, A), 0x1234), Err(Malformed), "a question");
        for len in 0..good.len() {
            assert_eq!(answer_to(&good[..len], 0x1234), Err(Malformed), "{len} bytes");
        }
        assert_eq!(answer_to(&packet([0x81, 0x80], 9, A), 0x1234).unwrap(), Answer::Address([192, 0, 2, 7].into()));
        assert_eq!(answer_to(&packet([0x81, 0x80], 2, CNAME), 0x1234), Err(Malformed), "a record is missing");
    }

    proptest! {
        #[test]
        fn any_packet_is_read_or_refused(records in prop::collection::vec(any::<u8>(), 0..200), count: u8) {
            let _ = answer_to(&packet([0x81, 0x80], count, &records), 0x1234);
        }
    }
}
