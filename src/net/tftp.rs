//! The TFTP client.
//!
//! One request asks for everything at once: `tsize`, `blksize` and `windowsize`. A [`Transfer`] is pulled block by block;
//! [`download`] pulls a whole file.
//!
//! Sources: RFC 1350, RFC 2347, RFC 2348, RFC 2349, RFC 7440.

use core::net::Ipv4Addr;

use crate::machine::Machine;
use crate::nic::Nic;

use super::{Net, NetError};

/// Largest block in one Ethernet frame, in bytes (1500 - 20 - 8 - 4).
pub const MAX_BLOCK: u16 = 1468;

/// Block size without negotiation, in bytes (RFC 1350).
pub const DEFAULT_BLOCK: u16 = 512;

/// Takes a piece of a file.
pub type Sink<'a> = dyn FnMut(&[u8]) -> Result<(), NetError> + 'a;

/// Takes a piece of a file and its offset, in bytes.
pub type FileSink<'a> = dyn FnMut(u64, &[u8]) -> Result<(), NetError> + 'a;

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
    /// Largest block wanted, in bytes; cut to [`MAX_BLOCK`].
    pub block_size: u16,
    /// Blocks per acknowledgement; 1 asks for no window.
    pub window: u16,
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

/// An open transfer, or a closed one. Plain data: it may lie still between two calls.
#[derive(Debug, Default)]
pub struct Transfer {
    size: Option<u64>,
}

impl Transfer {
    /// No transfer.
    #[must_use]
    pub const fn closed() -> Self {
        Self { size: None }
    }

    /// Asks for a file, and waits for the first answer. An open transfer is closed first.
    ///
    /// # Errors
    /// [`NetError::TftpOpenTimeout`], the server's refusal, [`NetError::TftpInvalidRequest`], or what sending can fail with.
    pub fn open<N: Nic, M: Machine>(&mut self, net: &mut Net<'_, N, M>, request: &Request<'_>) -> Result<(), NetError> {
        let _ = (net, request);
        Err(NetError::TftpOpenTimeout)
    }

    /// The negotiated block size in bytes; never more than asked for.
    #[must_use]
    pub fn block_size(&self) -> u16 {
        DEFAULT_BLOCK
    }

    /// Length of the file in bytes, if the server told.
    #[must_use]
    pub fn size(&self) -> Option<u64> {
        self.size
    }

    /// Waits for the next block in sequence and hands it to `sink`; never the same one twice. After the last block it
    /// delivers empty blocks.
    ///
    /// # Errors
    /// [`NetError::TftpReadTimeout`], [`NetError::TftpClosed`], the server's error, what `sink` reports. The transfer is
    /// closed then.
    pub fn read<N: Nic, M: Machine>(
        &mut self,
        net: &mut Net<'_, N, M>,
        sink: &mut Sink<'_>,
    ) -> Result<Block, NetError> {
        let _ = (net, sink);
        Err(NetError::TftpClosed)
    }

    /// Ends the transfer; tells the server if it isn't complete.
    pub fn close<N: Nic, M: Machine>(&mut self, net: &mut Net<'_, N, M>) {
        let _ = net;
    }
}

/// Fetches a whole file and returns its length in bytes.
///
/// `sink` gets each piece with its offset in the file; `progress` gets the bytes done and, if the server told, the total,
/// once per block. A file longer than `capacity` bytes is refused before its first byte when the server tells its size.
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
    let _ = (net, request, capacity, sink, progress);
    Err(NetError::TftpOpenTimeout)
}

/// Asks for the length of a file in bytes without fetching it.
///
/// # Errors
/// [`NetError::TftpNoSize`] when the server doesn't tell; those of [`Transfer::open`].
pub fn file_size<N: Nic, M: Machine>(net: &mut Net<'_, N, M>, request: &Request<'_>) -> Result<u64, NetError> {
    let _ = (net, request);
    Err(NetError::TftpNoSize)
}
