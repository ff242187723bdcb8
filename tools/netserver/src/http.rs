//! HTTP: one GET or HEAD per connection. Source: RFC 9112.

use std::sync::Arc;

use smoltcp::socket::tcp;

use crate::{Config, Event, Files, HttpFault};

/// Longest request header.
const MAX_REQUEST: usize = 16_384;

/// One connection of the server.
#[derive(Default)]
pub struct Connection {
    request: Vec<u8>,
    answer: Vec<u8>,
    sent: usize,
    done: bool,
}

impl Connection {
    /// Listens, reads, answers and closes, as far as it goes without waiting.
    pub fn serve(&mut self, config: &Config, socket: &mut tcp::Socket<'_>, files: &Files, events: &mut Vec<Event>) {
        if !socket.is_open() {
            *self = Self::default();
            // A closed socket may listen; port 0 has no listener.
            let _ = socket.listen(config.http_port);
        }
        if self.answer.is_empty() {
            while socket.can_recv() {
                let taken = socket.recv(|bytes| (bytes.len(), bytes.to_vec())).unwrap_or_default();
                self.request.extend(taken);
            }
            if self.request.windows(4).any(|end| end == b"\r\n\r\n") || self.request.len() > MAX_REQUEST {
                self.answer = answer(config, &self.request, files, events);
                if self.answer.is_empty() {
                    match config.http_fault {
                        HttpFault::Close => socket.close(),
                        _ => self.request.clear(),
                    }
                }
            } else if socket.state() == tcp::State::CloseWait {
                socket.close();
            }
        }
        if self.sent < self.answer.len() && socket.can_send() {
            self.sent += socket.send_slice(&self.answer[self.sent..]).unwrap_or(0);
        }
        let is_whole = !self.answer.is_empty() && self.sent == self.answer.len();
        if is_whole && !self.done && socket.send_queue() == 0 {
            self.done = true;
            events.push(Event::HttpDone(path(&self.request)));
        }
        if is_whole && socket.may_send() && !matches!(config.http_fault, HttpFault::StallAfter(_)) {
            socket.close();
        }
    }
}

/// What a request asks for, without query and fragment.
fn path(request: &[u8]) -> String {
    let text = String::from_utf8_lossy(request);
    let target = text.lines().next().unwrap_or_default().split(' ').nth(1).unwrap_or_default();
    target.split(['?', '#']).next().unwrap_or_default().to_owned()
}

/// The whole answer to a request; empty for none.
fn answer(config: &Config, request: &[u8], files: &Files, events: &mut Vec<Event>) -> Vec<u8> {
    let text = String::from_utf8_lossy(request);
    let mut words = text.lines().next().unwrap_or_default().split(' ');
    let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let path = path(request);
    let (status, body): (&str, Arc<[u8]>) = match (method, files.get(&path)) {
        ("GET" | "HEAD", Some(contents)) => ("200 OK", contents),
        ("GET" | "HEAD", None) => ("404 Not Found", Arc::from(&b"not found\n"[..])),
        _ => ("501 Not Implemented", Arc::from(&b"not implemented\n"[..])),
    };
    events.push(Event::HttpRequest(path));
    if method != "GET" || status != "200 OK" {
        return whole(status, if method == "HEAD" { &[] } else { &body }, body.len());
    }
    if !text.lines().any(|line| line.to_ascii_lowercase().starts_with("host: ")) && text.contains("HTTP/1.1") {
        events.push(Event::Violation("an HTTP/1.1 request without Host".into()));
    }
    let open_ended = || [&b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"[..], &body].concat();
    match &config.http_fault {
        HttpFault::Silent | HttpFault::Close => Vec::new(),
        HttpFault::Status(code) => whole(&format!("{code} Whatever"), b"no\n", 3),
        HttpFault::Redirect(location) if location.rsplit('/').next() != target.rsplit('/').next() => {
            format!("HTTP/1.1 302 Found\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n").into_bytes()
        }
        HttpFault::NoLength => open_ended(),
        HttpFault::Truncated => whole(status, &body[..body.len().saturating_sub(1)], body.len()),
        HttpFault::StallAfter(len) => whole(status, &body[..body.len().min(*len)], body.len()),
        HttpFault::Chunked => chunked(&body, None),
        HttpFault::ChunkedGarbage => chunked(&body, Some(1)),
        HttpFault::EndlessHead => {
            [&b"HTTP/1.1 200 OK\r\n"[..], "X-Filler: and so on\r\n".repeat(10_000).as_bytes()].concat()
        }
        HttpFault::Text(text) => format!("{text}\r\n").into_bytes(),
        HttpFault::None | HttpFault::Redirect(_) => whole(status, &body, body.len()),
    }
}

/// An answer that says its length.
fn whole(status: &str, body: &[u8], len: usize) -> Vec<u8> {
    let head = format!("HTTP/1.1 {status}\r\nContent-Length: {len}\r\nConnection: close\r\n\r\n");
    [head.as_bytes(), body].concat()
}

/// An answer in chunks of many lengths; one of them may have a size that is none.
fn chunked(body: &[u8], broken: Option<usize>) -> Vec<u8> {
    let mut answer = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n".to_vec();
    let mut rest = body;
    for number in 0.. {
        let (chunk, behind) = rest.split_at(rest.len().min(1 + number * 977 % 4000));
        if chunk.is_empty() {
            break;
        }
        match broken {
            Some(place) if place == number => answer.extend(b"what\r\n"),
            _ => answer.extend(format!("{:X};number={number}\r\n", chunk.len()).bytes()),
        }
        answer.extend(chunk);
        answer.extend(b"\r\n");
        rest = behind;
    }
    answer.extend(b"0\r\nX-Checked: no\r\n\r\n");
    answer
}
