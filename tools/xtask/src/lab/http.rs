//! A HTTP server for a directory, on loopback, in a thread of its own.

use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use anyhow::{Result, anyhow};
use tiny_http::{Response, Server};

/// The server. It ends when this value goes.
pub struct FileServer {
    server: Arc<Server>,
    thread: Option<JoinHandle<()>>,
}

impl FileServer {
    /// Serves the files of a directory.
    ///
    /// # Errors
    /// When the port is taken.
    pub fn start(port: u16, dir: PathBuf) -> Result<Self> {
        let server = Server::http((Ipv4Addr::LOCALHOST, port))
            .map_err(|error| anyhow!("can't serve HTTP on loopback port {port}: {error}"))?;
        let server = Arc::new(server);
        let thread = thread::spawn({
            let server = Arc::clone(&server);
            move || {
                for request in server.incoming_requests() {
                    // A client that went away is its own affair.
                    let _ = match path_of(request.url()).and_then(|path| fs::read(dir.join(path)).ok()) {
                        Some(content) => request.respond(Response::from_data(content)),
                        None => request.respond(Response::from_string("no such file\n").with_status_code(404)),
                    };
                }
            }
        });
        Ok(Self { server, thread: Some(thread) })
    }
}

impl Drop for FileServer {
    fn drop(&mut self) {
        self.server.unblock();
        if let Some(thread) = self.thread.take() {
            // A panic there has been printed already.
            let _ = thread.join();
        }
    }
}

/// A port that was free a moment ago.
///
/// # Errors
/// When loopback has none.
pub fn free_port() -> Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

/// The file that a request names: a path below the directory, never above it.
fn path_of(url: &str) -> Option<&Path> {
    let path = url.split(['?', '#']).next()?.strip_prefix('/')?;
    let path = Path::new(path);
    path.components().all(|part| matches!(part, Component::Normal(_))).then_some(path)
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpStream;

    use super::*;

    fn get(port: u16, path: &str) -> String {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    #[test]
    fn files_of_the_directory_and_no_others() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("www")).unwrap();
        fs::write(dir.path().join("www/file"), "content").unwrap();
        fs::write(dir.path().join("secret"), "hidden").unwrap();
        let port = free_port().unwrap();
        let _server = FileServer::start(port, dir.path().join("www")).unwrap();
        let answer = get(port, "/file");
        assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("content"), "{answer}");
        for path in ["/none", "/../secret", "/"] {
            assert!(get(port, path).starts_with("HTTP/1.1 404"), "{path}");
        }
    }
}
