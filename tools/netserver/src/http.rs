//! HTTP: one GET or HEAD per connection. Source: RFC 9112.

use std::sync::Arc;

use smoltcp::socket::tcp;

use crate::{Event, Files};

/// Longest request header.
const MAX_REQUEST: usize = 16_384;

/// One connection of the server.
#[derive(Default)]
pub struct Connection {
    request: Vec<u8>,
    answer: Vec<u8>,
    sent: usize,
}

impl Connection {
    /// Listens, reads, answers and closes, as far as it goes without waiting.
    pub fn serve(&mut self, socket: &mut tcp::Socket<'_>, files: &Files, events: &mut Vec<Event>) {
        if !socket.is_open() {
            *self = Self::default();
            // A closed socket may listen, and the port is not 0.
            let _ = socket.listen(80);
        }
        if self.answer.is_empty() {
            while socket.can_recv() {
                let taken = socket.recv(|bytes| (bytes.len(), bytes.to_vec())).unwrap_or_default();
                self.request.extend(taken);
            }
            if self.request.windows(4).any(|end| end == b"\r\n\r\n") || self.request.len() > MAX_REQUEST {
                self.answer = answer(&self.request, files, events);
            } else if socket.state() == tcp::State::CloseWait {
                socket.close();
            }
        }
        if self.sent < self.answer.len() && socket.can_send() {
            self.sent += socket.send_slice(&self.answer[self.sent..]).unwrap_or(0);
        }
        if !self.answer.is_empty() && self.sent == self.answer.len() && socket.may_send() {
            socket.close();
        }
    }
}

/// The whole answer to a request.
fn answer(request: &[u8], files: &Files, events: &mut Vec<Event>) -> Vec<u8> {
    let text = String::from_utf8_lossy(request);
    let mut words = text.lines().next().unwrap_or_default().split(' ');
    let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let path = target.split(['?', '#']).next().unwrap_or_default();
    let (status, body): (&str, Arc<[u8]>) = match (method, files.get(path)) {
        ("GET" | "HEAD", Some(contents)) => ("200 OK", contents),
        ("GET" | "HEAD", None) => ("404 Not Found", Arc::from(&b"not found\n"[..])),
        _ => ("501 Not Implemented", Arc::from(&b"not implemented\n"[..])),
    };
    events.push(Event::HttpRequest(path.to_string()));
    let mut answer =
        format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len()).into_bytes();
    if method != "HEAD" {
        answer.extend(body.iter());
    }
    answer
}
