//! The cable of a NIC: Ethernet frames in datagrams on a pair of Unix sockets.
//!
//! QEMU's end is `-netdev dgram,local.type=unix,local.path=REMOTE,remote.type=unix,remote.path=LOCAL`, joined by a hub to any
//! other netdev. One datagram is one frame without FCS.

use std::io::ErrorKind;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result};
use hvhost::NetBackend;

use crate::args::NetArg;
use crate::capture::Capture;

/// Longest frame taken from the cable; policy: QEMU's own limit for a packet.
const MAX_FRAME: usize = 68 * 1024;

/// One end of the cable.
pub struct Cable {
    socket: UnixDatagram,
    remote: PathBuf,
    capture: Option<Arc<Capture>>,
    buf: Box<[u8]>,
}

impl Cable {
    /// Binds the plugin's end. QEMU's end does not exist yet when plugins are loaded, so frames are addressed one by one.
    ///
    /// # Errors
    /// When the socket can't be bound; one left over from an earlier run is replaced.
    pub fn new(arg: &NetArg, capture: Option<Arc<Capture>>) -> Result<Self> {
        remove_stale(&arg.local)?;
        let socket = UnixDatagram::bind(&arg.local).with_context(|| format!("binding {}", arg.local.display()))?;
        socket.set_nonblocking(true).context("making the socket non-blocking")?;
        Ok(Self { socket, remote: arg.remote.clone(), capture, buf: vec![0; MAX_FRAME].into_boxed_slice() })
    }
}

/// Removes a socket that an earlier run has left; anything else at that path is an error for `bind` to report.
fn remove_stale(path: &Path) -> Result<()> {
    use std::os::unix::fs::FileTypeExt;
    match std::fs::symlink_metadata(path) {
        Ok(meta) if meta.file_type().is_socket() => {
            std::fs::remove_file(path).with_context(|| format!("removing the old socket {}", path.display()))
        }
        _ => Ok(()),
    }
}

impl NetBackend for Cable {
    /// A frame that can't be sent is lost, as on a real cable: the netdev is not there yet, is gone, or does not keep up.
    fn send(&mut self, frame: &[u8]) {
        if let Some(capture) = &self.capture {
            capture.frame(frame);
        }
        let _ = self.socket.send_to(frame, &self.remote);
    }

    fn receive(&mut self) -> Option<Vec<u8>> {
        loop {
            match self.socket.recv(&mut self.buf) {
                Ok(len) => {
                    let frame = self.buf[..len].to_vec();
                    if let Some(capture) = &self.capture {
                        capture.frame(&frame);
                    }
                    return Some(frame);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return None,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(dir: &Path) -> (Cable, UnixDatagram, NetArg) {
        let arg = NetArg { local: dir.join("local"), remote: dir.join("remote") };
        let cable = Cable::new(&arg, None).unwrap();
        let peer = UnixDatagram::bind(&arg.remote).unwrap();
        (cable, peer, arg)
    }

    #[test]
    fn frames_go_both_ways_and_an_idle_cable_does_not_block() {
        let dir = tempfile::tempdir().unwrap();
        let (mut cable, peer, arg) = pair(dir.path());
        assert_eq!(cable.receive(), None);
        cable.send(&[1, 2, 3]);
        let mut buf = [0; 16];
        assert_eq!(peer.recv(&mut buf).unwrap(), 3);
        peer.send_to(&[4; 9], &arg.local).unwrap();
        peer.send_to(&[5; 8], &arg.local).unwrap();
        assert_eq!(cable.receive(), Some(vec![4; 9]));
        assert_eq!(cable.receive(), Some(vec![5; 8]));
        assert_eq!(cable.receive(), None);
    }

    #[test]
    fn a_missing_peer_loses_frames_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let (mut cable, peer, arg) = pair(dir.path());
        drop(peer);
        cable.send(&[1]);
        std::fs::remove_file(&arg.remote).unwrap();
        cable.send(&[2]);
        let peer = UnixDatagram::bind(&arg.remote).unwrap();
        cable.send(&[3]);
        let mut buf = [0; 4];
        assert_eq!((peer.recv(&mut buf).unwrap(), buf[0]), (1, 3));
    }

    #[test]
    fn a_left_over_socket_is_replaced_and_a_file_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let (cable, _peer, arg) = pair(dir.path());
        drop(cable);
        Cable::new(&arg, None).unwrap();
        let file = NetArg { local: dir.path().join("file"), remote: arg.remote };
        std::fs::write(&file.local, "kept").unwrap();
        assert!(Cable::new(&file, None).is_err());
        assert_eq!(std::fs::read(&file.local).unwrap(), b"kept");
    }
}
