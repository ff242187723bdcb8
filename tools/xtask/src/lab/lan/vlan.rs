//! The machine's port of a switch that is in a VLAN: frames from the machine must be tagged, and lose their tag; frames
//! for it get one. In user space, because not every kernel has VLAN devices.
//!
//! Source: IEEE 802.1Q, clause 9 (tag format).

use std::io::ErrorKind;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context, Result};

/// Longest wait for a frame, so that the end of the run is noticed (policy).
const LONGEST_WAIT: Duration = Duration::from_millis(50);
/// Longest frame with a tag.
const MAX_FRAME: usize = 1518;
/// Where a tag stands: behind both addresses.
const TAG_AT: usize = 12;
/// Tag protocol identifier of a C-VLAN.
const TPID: [u8; 2] = [0x81, 0x00];

/// One end of a cable: where it receives, and where the other end does.
pub struct End {
    /// Our socket.
    pub local: PathBuf,
    /// Theirs.
    pub remote: PathBuf,
}

/// The port under way. It ends when this value goes.
pub struct TagBox {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl TagBox {
    /// Joins a cable with tagged frames and one with plain frames.
    ///
    /// # Errors
    /// When a socket can't be made.
    pub fn start(id: u16, tagged: End, plain: End) -> Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let (machine, lan) = (bind(&tagged.local)?, bind(&plain.local)?);
        let (machine_out, lan_out) = (machine.try_clone()?, lan.try_clone()?);
        let inward = thread::spawn({
            let stop = Arc::clone(&stop);
            move || relay(&stop, &machine, &lan_out, &plain.remote, |frame| strip(frame, id))
        });
        let outward = thread::spawn({
            let stop = Arc::clone(&stop);
            move || relay(&stop, &lan, &machine_out, &tagged.remote, |frame| tag(frame, id))
        });
        Ok(Self { stop, threads: vec![inward, outward] })
    }
}

impl Drop for TagBox {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        for thread in self.threads.drain(..) {
            // A panic there has been printed already.
            let _ = thread.join();
        }
    }
}

fn bind(path: &Path) -> Result<UnixDatagram> {
    let socket = UnixDatagram::bind(path).with_context(|| format!("can't make the socket {}", path.display()))?;
    socket.set_read_timeout(Some(LONGEST_WAIT))?;
    socket.set_write_timeout(Some(LONGEST_WAIT))?;
    Ok(socket)
}

fn relay(
    stop: &AtomicBool,
    from: &UnixDatagram,
    out: &UnixDatagram,
    to: &Path,
    change: impl Fn(&[u8]) -> Option<Vec<u8>>,
) {
    let mut buffer = [0; MAX_FRAME];
    while !stop.load(Ordering::SeqCst) {
        match from.recv(&mut buffer) {
            Ok(len) => {
                if let Some(frame) = change(&buffer[..len]) {
                    // As on a cable: who isn't there, or doesn't keep up, loses it.
                    let _ = out.send_to(&frame, to);
                }
            }
            Err(error)
                if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted) => {}
            Err(_) => return,
        }
    }
}

/// The frame without its tag; `None` when it has another one, or none.
fn strip(frame: &[u8], id: u16) -> Option<Vec<u8>> {
    let tag = frame.get(TAG_AT..TAG_AT + 4)?;
    let found = u16::from_be_bytes([tag[2], tag[3]]) & 0xfff;
    (tag[..2] == TPID && found == id).then(|| [&frame[..TAG_AT], &frame[TAG_AT + 4..]].concat())
}

/// The frame with a tag of priority 0; `None` when it is no frame.
fn tag(frame: &[u8], id: u16) -> Option<Vec<u8>> {
    (frame.len() > TAG_AT).then(|| [&frame[..TAG_AT], &TPID, &id.to_be_bytes(), &frame[TAG_AT..]].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_right_tag_passes() {
        let mut frame = vec![0xff; 12];
        frame.extend([0x81, 0x00, 0x00, 0x05, 0x08, 0x06, 1, 2, 3]);
        let plain = strip(&frame, 5).unwrap();
        assert_eq!(plain[12..], [0x08, 0x06, 1, 2, 3]);
        assert_eq!(tag(&plain, 5).unwrap(), frame);
        assert_eq!(strip(&frame, 6), None);
        assert_eq!(strip(&plain, 5), None);
        assert_eq!(strip(&frame[..14], 5), None);
    }
}
