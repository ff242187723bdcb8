//! The HTTP client: one GET per connection, with redirections. Sources: RFC 9110, RFC 9112.

mod body;
mod head;

use core::fmt::Write;

use heapless::Vec;

use crate::machine::Machine;
use crate::nic::Nic;
use crate::time::Ticks100ns;

use super::sockets::SEND_LEN;
use super::tcp::Received;
use super::url::{Scheme, Url, UrlText};
use super::{Net, NetError, SECOND, Sink, dns};

use body::Body;
use head::{Head, Parser};

/// The well-known port.
const HTTP_PORT: u16 = 80;

/// Redirections that are followed (policy: a loop ends, and no honest server needs more).
const MAX_REDIRECTS: usize = 5;

/// Seconds without a byte after which the server is given up (policy: above TFTP's 15 s, because TCP waits longer from
/// one repetition to the next).
const SILENCE: u64 = 20;

/// A file on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Download {
    stream: usize,
    body: Body,
    size: Option<u64>,
    /// While nothing comes in: when the server is given up.
    silence: Option<Ticks100ns>,
}

/// What [`Download::poll`] came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// This many bytes went to the sink, at least one.
    Bytes(usize),
    /// Nothing is there yet.
    Nothing,
    /// The file is whole.
    End,
}

impl Download {
    /// Asks for a file and waits for the head of the answer; on `stream`, which no other download uses.
    ///
    /// # Errors
    /// Those of [`dns::resolve`] and of connecting, the server's refusal by its status, [`NetError::HttpBroken`],
    /// [`NetError::HttpReadTimeout`], [`NetError::BadUrl`], [`Error::Cancelled`](crate::error::Error), the card's errors.
    pub fn open<N: Nic, M: Machine>(net: &mut Net<'_, N, M>, stream: usize, url: &[u8]) -> Result<Self, NetError> {
        Self::follow(net, stream, url).inspect_err(|_| net.disconnect(stream))
    }

    /// Length of the file in bytes, if the server told.
    #[must_use]
    pub fn size(&self) -> Option<u64> {
        self.size
    }

    /// Hands at most `room` bytes to `sink`, without waiting.
    ///
    /// # Errors
    /// [`NetError::HttpBroken`] when the connection ends too early or the framing is broken,
    /// [`NetError::HttpReadTimeout`] when nothing comes in while it is asked, what `sink` reports, the card's errors.
    pub fn poll<N: Nic, M: Machine>(
        &mut self,
        net: &mut Net<'_, N, M>,
        room: usize,
        sink: &mut Sink<'_>,
    ) -> Result<Progress, NetError> {
        loop {
            if self.body == Body::Done {
                return Ok(Progress::End);
            }
            let mut handed_on = Ok(0);
            let reader = &mut |bytes: &[u8]| {
                let taken;
                (taken, handed_on) = self.body.take(bytes, room, sink);
                taken
            };
            match net.receive_stream(self.stream, reader)? {
                Received::Bytes => {
                    self.silence = None;
                    match handed_on? {
                        // Framing alone.
                        0 if room > 0 => {}
                        len => return Ok(Progress::Bytes(len)),
                    }
                }
                Received::End if self.body == Body::UntilEnd => self.body = Body::Done,
                Received::End => return Err(NetError::HttpBroken),
                Received::Nothing => {
                    check_silence(&mut self.silence, net.machine)?;
                    return Ok(Progress::Nothing);
                }
            }
        }
    }

    /// True when [`poll`](Self::poll) has something to say.
    ///
    /// # Errors
    /// The card's errors.
    pub fn is_ready<N: Nic, M: Machine>(&self, net: &mut Net<'_, N, M>) -> Result<bool, NetError> {
        let is_silent = self.silence.is_some_and(|deadline| net.machine.now() >= deadline);
        let is_done = is_silent || self.body == Body::Done;
        Ok(is_done || net.receive_stream(self.stream, &mut |_| 0)? != Received::Nothing)
    }

    /// Ends the download; the stream is free again.
    pub fn close<N: Nic, M: Machine>(self, net: &mut Net<'_, N, M>) {
        net.disconnect(self.stream);
    }

    fn follow<N: Nic, M: Machine>(net: &mut Net<'_, N, M>, stream: usize, url: &[u8]) -> Result<Self, NetError> {
        let mut text = UrlText::from_slice(url).map_err(|_| NetError::BadUrl)?;
        let mut redirects = 0;
        loop {
            let url = Url::parse(&text)?.filter(|url| url.scheme == Scheme::Http).ok_or(NetError::BadUrl)?;
            let request = request(&url).ok_or(NetError::BadUrl)?;
            let address = dns::resolve(net, url.host)?;
            net.connect(stream, (address, url.port.unwrap_or(HTTP_PORT)))?;
            net.send_stream(stream, &request)?;
            let mut parser = Parser::new();
            let head = read_head(net, stream, &mut parser)?;
            match head.status {
                200 | 203 => {
                    let size = head.length.filter(|_| !head.chunked);
                    return Ok(Self { stream, body: Body::of(head), size, silence: None });
                }
                301..=303 | 307 | 308 if redirects < MAX_REDIRECTS && !head.location.is_empty() => {
                    redirects += 1;
                    text = url.join(&head.location)?;
                }
                404 | 410 => return Err(NetError::HttpNotFound),
                401 | 403 => return Err(NetError::HttpForbidden),
                _ => return Err(NetError::HttpStatus),
            }
        }
    }
}

/// Waits for the whole head.
fn read_head<'p, N: Nic, M: Machine>(
    net: &mut Net<'_, N, M>,
    stream: usize,
    parser: &'p mut Parser,
) -> Result<&'p Head, NetError> {
    // The clock never starts anew: the head is bounded, and a server that sends it bit by bit means no good.
    let mut silence = None;
    while parser.head().is_none() {
        let mut result = Ok(0);
        let reader = &mut |bytes: &[u8]| {
            result = parser.take(bytes);
            *result.as_ref().unwrap_or(&0)
        };
        match net.receive_stream(stream, reader)? {
            Received::Bytes => {
                result?;
            }
            Received::End => return Err(NetError::HttpBroken),
            Received::Nothing => {
                check_silence(&mut silence, net.machine)?;
                net.idle()?;
            }
        }
    }
    parser.head().ok_or(NetError::HttpBroken)
}

/// Fails once it has been silent for too long since `silence` was `None`.
fn check_silence<M: Machine>(silence: &mut Option<Ticks100ns>, machine: &M) -> Result<(), NetError> {
    let now = machine.now();
    if now >= *silence.get_or_insert(now.plus_millis(SILENCE * SECOND)) {
        return Err(NetError::HttpReadTimeout);
    }
    Ok(())
}

/// The request; `None` when it is too long.
fn request(url: &Url<'_>) -> Option<Vec<u8, SEND_LEN>> {
    let mut request = Vec::new();
    request.extend_from_slice(b"GET ").ok()?;
    if !url.path.starts_with(b"/") {
        request.push(b'/').ok()?;
    }
    for &byte in url.path {
        if byte.is_ascii_graphic() {
            request.push(byte).ok()?;
        } else {
            write!(request, "%{byte:02X}").ok()?;
        }
    }
    let end = b"\r\nUser-Agent: hvpxe\r\nConnection: close\r\n\r\n";
    for part in [b" HTTP/1.1\r\nHost: ", url.authority, end] {
        request.extend_from_slice(part).ok()?;
    }
    Some(request)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_has_what_servers_want_to_know() {
        let text = |url: &str| request(&Url::parse(url.as_bytes()).unwrap().unwrap()).map(|bytes| bytes.to_vec());
        let expected = |target: &str, host: &str| {
            format!("GET {target} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: hvpxe\r\nConnection: close\r\n\r\n")
                .into_bytes()
        };
        assert_eq!(text("http://h:8080/a b?c=\u{e9}%20").unwrap(), expected("/a%20b?c=%C3%A9%20", "h:8080"));
        assert_eq!(text("http://h").unwrap(), expected("/", "h"));
        assert_eq!(text("http://h?q").unwrap(), expected("/?q", "h"));
        assert_eq!(text(&format!("http://h/{}", "\u{e9}".repeat(200))), None);
    }
}
