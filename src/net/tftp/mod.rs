//! The TFTP client.
//!
//! One request asks for everything at once: `tsize`, `blksize` and `windowsize`. A [`Transfer`] is pulled block by
//! block; [`download`] pulls a whole file.
//!
//! Sources: RFC 1350, RFC 2347, RFC 2348, RFC 2349, RFC 7440.

mod packet;
mod transfer;

use core::net::Ipv4Addr;

use crate::machine::Machine;
use crate::nic::Nic;

use super::{FileSink, Net, NetError};

pub use transfer::{Transfer, file_size};

/// Largest block in one Ethernet frame, in bytes (1500 - 20 - 8 - 4).
pub const MAX_BLOCK: u16 = 1468;

/// Largest block, in bytes, in IP fragments (policy: the largest that clients ask for).
pub const MAX_FRAGMENTED_BLOCK: u16 = 16384;

/// Blocks per acknowledgement that suit our receive buffers (policy: 64 blocks are 94 KB in flight, a third of what the
/// largest receive buffer holds).
pub const WINDOW: u16 = 64;

/// Block size without negotiation, in bytes (RFC 1350).
pub const DEFAULT_BLOCK: u16 = 512;

/// Blocks between two looks at the keyboard when none of them had to be waited for (policy: some milliseconds).
const IDLE_BLOCKS: u16 = 64;

/// What to fetch, and how.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// The server.
    pub server: Ipv4Addr,
    /// Next hop instead of the lease's gateway, for an off-link server.
    pub gateway: Option<Ipv4Addr>,
    /// The server's port; 0 means 69.
    pub port: u16,
    /// The file name, as the server knows it, without NUL.
    pub file: &'a [u8],
    /// Largest block wanted, in bytes; cut to [`MAX_FRAGMENTED_BLOCK`]. Above
    /// [`MAX_BLOCK`] one lost fragment costs the whole block.
    pub block_size: u16,
    /// Blocks per acknowledgement; 1 asks for no window.
    pub window: u16,
}

impl<'a> Request<'a> {
    /// A whole file, as fast as it goes, from the well-known port.
    #[must_use]
    pub fn bulk(server: Ipv4Addr, file: &'a [u8]) -> Self {
        Self { server, gateway: None, port: 0, file, block_size: MAX_BLOCK, window: WINDOW }
    }
}

/// A block that [`Transfer::read`] delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Block {
    /// Number in the transfer, from 1, wrapping from 65535 to 0.
    pub number: u16,
    /// Length in bytes.
    pub len: u16,
    /// No block follows.
    pub last: bool,
}

/// Fetches a whole file and returns its length in bytes.
///
/// `sink` gets each piece with its offset in the file; `progress` gets the bytes done and, if the server told, the
/// total, once per block. A file longer than `capacity` bytes is refused before its first byte when the server tells
/// its size.
///
/// # Errors
/// [`NetError::TftpTooBig`], and those of [`Transfer::open`] and [`Transfer::read`].
pub fn download<N: Nic, M: Machine>(
    net: &mut Net<'_, N, M>,
    request: &Request<'_>,
    capacity: u64,
    sink: &mut FileSink<'_>,
    progress: &mut dyn FnMut(u64, Option<u64>),
) -> Result<u64, NetError> {
    let mut transfer = Transfer::closed();
    transfer.open(net, request)?;
    let total = transfer.size();
    if total.is_some_and(|total| total > capacity) {
        transfer.close(net);
        return Err(NetError::TftpTooBig);
    }
    let mut done = 0;
    loop {
        let block = transfer.read(net, &mut |bytes| {
            let end = done + bytes.len() as u64;
            if end > capacity {
                return Err(NetError::TftpTooBig);
            }
            sink(done, bytes)?;
            done = end;
            Ok(())
        })?;
        progress(done, total);
        if block.last {
            return Ok(done);
        }
        if block.number.is_multiple_of(IDLE_BLOCKS) {
            net.idle().inspect_err(|_| transfer.close(net))?;
        }
    }
}
