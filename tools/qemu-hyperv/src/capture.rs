//! A capture file of what passes the cables, readable while the machine runs.

use std::borrow::Cow;
use std::fs::File;
use std::path::Path;
use std::sync::Mutex;

use anyhow::{Context, Result};
use pcap_file::pcap::{PcapPacket, PcapWriter};

use crate::clock::Instant;

/// The capture file. Frames of all NICs go into it, in order.
pub struct Capture {
    writer: Mutex<PcapWriter<File>>,
    now: Instant,
}

impl Capture {
    /// Creates or replaces the file. Packets are stamped with `now`, the machine's reference time.
    ///
    /// # Errors
    /// When the file can't be written.
    pub fn create(path: &Path, now: Instant) -> Result<Self> {
        let file = File::create(path).with_context(|| format!("creating {}", path.display()))?;
        let writer = PcapWriter::new(file).with_context(|| format!("writing {}", path.display()))?;
        Ok(Self { writer: Mutex::new(writer), now })
    }

    /// Appends a frame. The writer has no buffer of its own, so the packet is in the file at once.
    ///
    /// A full disk must not change what the guest sees: an error only shortens the capture.
    pub fn frame(&self, frame: &[u8]) {
        let len = u32::try_from(frame.len()).unwrap_or(u32::MAX);
        let packet = PcapPacket { timestamp: self.now.get(), orig_len: len, data: Cow::Borrowed(frame) };
        let mut writer = self.writer.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let _ = writer.write_packet(&packet);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pcap_file::pcap::PcapReader;

    #[test]
    fn packets_are_in_the_file_as_soon_as_they_have_passed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.pcap");
        let now = Instant::default();
        let capture = Capture::create(&path, now.clone()).unwrap();
        now.set(25_000_000);
        capture.frame(&[7; 60]);
        let mut reader = PcapReader::new(File::open(&path).unwrap()).unwrap();
        let packet = reader.next_packet().unwrap().unwrap();
        assert_eq!(packet.timestamp, std::time::Duration::from_millis(2500));
        assert_eq!((packet.data.len(), packet.data[0]), (60, 7));
    }
}
