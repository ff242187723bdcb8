//! What can go wrong on the network.

use crate::error::Error;

/// Why an exchange failed. [`crate::pxe`] maps each to a PXE status and a PXE-Exx text, in one exhaustive match.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NetError {
    /// The card or the machine failed, the caller's memory could not be written, or the user gave up.
    Core(Error),
    /// The stack has no address yet, or was never started.
    NotConfigured,
    /// The payload is too long, or the destination can't be sent to.
    InvalidDatagram,
    /// The destination is off-link and there is no gateway.
    NoRoute,
    /// Nobody answered for the address of the next hop (PXE-E11).
    ArpTimeout,
    /// Neither DHCP nor proxyDHCP servers answered (PXE-E51).
    NoOffer,
    /// Only proxyDHCP servers answered (PXE-E52).
    ProxyOnly,
    /// The DHCP server offered a lease but did not confirm it (no ACK in time, or refused again and again).
    LeaseRefused,
    /// No packet named a boot file (PXE-E53).
    NoBootFile,
    /// The proxyDHCP server did not answer on port 4011 (PXE-E55).
    ProxyTimeout,
    /// The boot menu or its prompt is broken (PXE-E74).
    BadMenu,
    /// Discovery allows none of multicast, broadcast and a server list (PXE-E76).
    NoDiscoveryMethod,
    /// Only listed boot servers are allowed, and none is listed (PXE-E77).
    NoServerList,
    /// No boot server of the chosen type answered (PXE-E78).
    NoBootServer,
    /// The TFTP server did not answer the request (PXE-E32).
    TftpOpenTimeout,
    /// The TFTP server stopped in the middle (PXE-E35).
    TftpReadTimeout,
    /// TFTP error 1 (PXE-E3B).
    TftpFileNotFound,
    /// TFTP error 2 (PXE-E3C).
    TftpAccessViolation,
    /// TFTP error 8: the options are the trouble (PXE-E36).
    TftpOptionsRefused,
    /// Any other TFTP error (PXE-E36).
    TftpRefused,
    /// The file is larger than the room for it (PXE-E3A, PXE-E79).
    TftpTooBig,
    /// The server does not tell file sizes (PXENV_STATUS_TFTP_NO_FILESIZE).
    TftpNoSize,
    /// The call needs an open transfer (PXENV_STATUS_TFTP_CLOSED).
    TftpClosed,
    /// The requested block size is under 8 bytes, or the name does not fit a request (PXE-E3F).
    TftpInvalidRequest,
    /// The URL has another scheme than http and tftp, is too long, or names no host.
    BadUrl,
    /// No name server answered, or none is known.
    NameTimeout,
    /// The name server knows no IPv4 address for the name.
    NameNotFound,
    /// The HTTP server did not answer the connection.
    HttpConnectTimeout,
    /// The HTTP server refused the connection.
    HttpRefused,
    /// The HTTP server stopped in the middle.
    HttpReadTimeout,
    /// The HTTP server broke the connection or the protocol.
    HttpBroken,
    /// Status 404 or 410.
    HttpNotFound,
    /// Status 401 or 403.
    HttpForbidden,
    /// Any other status, or too many redirections in a row.
    HttpStatus,
}

impl From<Error> for NetError {
    fn from(error: Error) -> Self {
        Self::Core(error)
    }
}
