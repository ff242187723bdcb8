//! Files by name, however they are fetched: a URL says how, and a plain name means TFTP from the boot server.

use core::net::Ipv4Addr;

use crate::machine::Machine;
use crate::nic::Nic;

use super::http::{Download, Progress};
use super::tftp::{self, MAX_BLOCK, Request, Transfer};
use super::url::{Scheme, Url};
use super::{FileSink, Net, NetError, Sink, dns};

/// Bytes between two looks at the keyboard when none of them had to be waited for (policy: some milliseconds).
const IDLE_BYTES: u64 = 0x2_0000;

/// Fetches a whole file and returns its length in bytes. Plain names are asked for at `server`. No stream may be in use.
///
/// `sink` gets each piece with its offset in the file; `progress` gets the bytes done and, if the server told, the
/// total, once per piece. A file longer than `capacity` bytes is refused before its first byte when the server tells
/// its size.
///
/// # Errors
/// [`NetError::TftpTooBig`], [`NetError::BadUrl`], and those of the protocol.
pub fn download<N: Nic, M: Machine>(
    net: &mut Net<'_, N, M>,
    server: Ipv4Addr,
    name: &[u8],
    capacity: u64,
    sink: &mut FileSink<'_>,
    progress: &mut dyn FnMut(u64, Option<u64>),
) -> Result<u64, NetError> {
    let url = Url::parse(name)?;
    if !matches!(url, Some(Url { scheme: Scheme::Http, .. })) {
        let request = tftp_request(net, server, name, url)?;
        return tftp::download(net, &request, capacity, sink, progress);
    }
    let mut download = Download::open(net, 0, name)?;
    let result = pull(net, &mut download, capacity, sink, progress);
    download.close(net);
    result
}

/// Fetches the body of an HTTP answer.
fn pull<N: Nic, M: Machine>(
    net: &mut Net<'_, N, M>,
    download: &mut Download,
    capacity: u64,
    sink: &mut FileSink<'_>,
    progress: &mut dyn FnMut(u64, Option<u64>),
) -> Result<u64, NetError> {
    let total = download.size();
    if total.is_some_and(|total| total > capacity) {
        return Err(NetError::TftpTooBig);
    }
    let mut done = 0;
    let mut idled_at = 0;
    loop {
        let result = download.poll(net, usize::MAX, &mut |bytes| {
            let end = done + bytes.len() as u64;
            if end > capacity {
                return Err(NetError::TftpTooBig);
            }
            sink(done, bytes)?;
            done = end;
            Ok(())
        })?;
        match result {
            Progress::Bytes(_) => progress(done, total),
            Progress::Nothing => {}
            Progress::End => return Ok(done),
        }
        if result == Progress::Nothing || done - idled_at >= IDLE_BYTES {
            idled_at = done;
            net.idle()?;
        }
    }
}

/// What to ask a TFTP server for.
fn tftp_request<'a, N: Nic, M: Machine>(
    net: &mut Net<'_, N, M>,
    server: Ipv4Addr,
    name: &'a [u8],
    url: Option<Url<'a>>,
) -> Result<Request<'a>, NetError> {
    let Some(url) = url else { return Ok(Request::bulk(server, name)) };
    let server = dns::resolve(net, url.host)?;
    // The slash behind the host ends it; one more begins an absolute path (RFC 3617).
    let name = url.path.strip_prefix(b"/").unwrap_or(url.path);
    Ok(Request { port: url.port.unwrap_or(0), ..Request::bulk(server, name) })
}

/// An open file, read in pieces of the reader's choice. Plain data: it may lie still between two calls.
#[derive(Debug, Default)]
#[allow(clippy::large_enum_variant, reason = "there is no heap to put the block on")]
pub enum File {
    /// None.
    #[default]
    Closed,
    /// By TFTP: the block being read waits in a buffer.
    Tftp(TftpFile),
    /// By HTTP.
    Http(Download),
}

/// A file being read by TFTP.
#[derive(Debug)]
pub struct TftpFile {
    transfer: Transfer,
    block: [u8; MAX_BLOCK as usize],
    start: usize,
    end: usize,
}

impl File {
    /// Opens a file; `stream` is the one to use for HTTP.
    ///
    /// # Errors
    /// As [`download`], before the first byte.
    pub fn open<N: Nic, M: Machine>(
        net: &mut Net<'_, N, M>,
        server: Ipv4Addr,
        name: &[u8],
        stream: usize,
    ) -> Result<Self, NetError> {
        let url = Url::parse(name)?;
        if matches!(url, Some(Url { scheme: Scheme::Http, .. })) {
            return Ok(Self::Http(Download::open(net, stream, name)?));
        }
        let mut transfer = Transfer::closed();
        let request = tftp_request(net, server, name, url)?;
        transfer.open(net, &request)?;
        Ok(Self::Tftp(TftpFile { transfer, block: [0; MAX_BLOCK as usize], start: 0, end: 0 }))
    }

    /// True when there is none.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        matches!(self, Self::Closed)
    }

    /// Length of the file in bytes.
    ///
    /// # Errors
    /// [`NetError::TftpNoSize`] when the server didn't tell, [`NetError::TftpClosed`].
    pub fn size(&self) -> Result<u64, NetError> {
        match self {
            Self::Closed => Err(NetError::TftpClosed),
            Self::Tftp(file) => file.transfer.size().ok_or(NetError::TftpNoSize),
            Self::Http(download) => download.size().ok_or(NetError::TftpNoSize),
        }
    }

    /// Hands at most `room` bytes to `sink`, without waiting.
    ///
    /// # Errors
    /// [`NetError::TftpClosed`], those of the protocol, what `sink` reports.
    pub fn poll<N: Nic, M: Machine>(
        &mut self,
        net: &mut Net<'_, N, M>,
        room: usize,
        sink: &mut Sink<'_>,
    ) -> Result<Progress, NetError> {
        match self {
            Self::Closed => Err(NetError::TftpClosed),
            Self::Tftp(file) => file.poll(net, room, sink),
            Self::Http(download) => download.poll(net, room, sink),
        }
    }

    /// True when [`poll`](Self::poll) has something to say.
    ///
    /// # Errors
    /// As [`poll`](Self::poll).
    pub fn is_ready<N: Nic, M: Machine>(&mut self, net: &mut Net<'_, N, M>) -> Result<bool, NetError> {
        match self {
            Self::Closed => Err(NetError::TftpClosed),
            Self::Tftp(file) => Ok(file.fill(net)? != Progress::Nothing),
            Self::Http(download) => download.is_ready(net),
        }
    }

    /// Closes the file, if one is open.
    pub fn close<N: Nic, M: Machine>(&mut self, net: &mut Net<'_, N, M>) {
        match core::mem::replace(self, Self::Closed) {
            Self::Closed => {}
            Self::Tftp(mut file) => file.transfer.close(net),
            Self::Http(download) => download.close(net),
        }
    }
}

impl TftpFile {
    /// Makes sure that there is something in the buffer, if it can be had without waiting.
    fn fill<N: Nic, M: Machine>(&mut self, net: &mut Net<'_, N, M>) -> Result<Progress, NetError> {
        if self.start == self.end {
            let Self { transfer, block: buffer, .. } = self;
            let block = transfer.poll(net, &mut |bytes| {
                buffer[..bytes.len()].copy_from_slice(bytes);
                Ok(())
            })?;
            let Some(block) = block else { return Ok(Progress::Nothing) };
            (self.start, self.end) = (0, block.len.into());
        }
        Ok(if self.start == self.end { Progress::End } else { Progress::Bytes(self.end - self.start) })
    }

    fn poll<N: Nic, M: Machine>(
        &mut self,
        net: &mut Net<'_, N, M>,
        room: usize,
        sink: &mut Sink<'_>,
    ) -> Result<Progress, NetError> {
        match self.fill(net)? {
            Progress::Bytes(waiting) => {
                let len = waiting.min(room);
                sink(&self.block[self.start..self.start + len])?;
                self.start += len;
                Ok(Progress::Bytes(len))
            }
            other => Ok(other),
        }
    }
}
