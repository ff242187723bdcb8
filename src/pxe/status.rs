//! Errors as PXE status codes. No wildcard arm: a new error does not compile until somebody decides its code.

use crate::error::Error;
use crate::net::NetError;
use crate::wire::pxe::PxenvStatus;

impl From<Error> for PxenvStatus {
    fn from(error: Error) -> Self {
        match error {
            Error::NotHyperV | Error::NoVmbus | Error::NoNic => Self::BUSD_DEVICE_NOT_SUPPORTED,
            Error::VersionRefused
            | Error::VmbusOwned
            | Error::NicGone
            | Error::HostTimeout
            | Error::HostProtocol
            | Error::HostRefused => Self::UNDI_CANNOT_INITIALIZE_NIC,
            Error::NotOpen | Error::InvalidState => Self::UNDI_INVALID_STATE,
            Error::LinkDown => Self::UNDI_MEDIATEST_FAILED,
            Error::InvalidParameter => Self::UNDI_INVALID_PARAMETER,
            Error::Unsupported => Self::UNSUPPORTED,
            Error::RingFull | Error::OutOfResources => Self::OUT_OF_RESOURCES,
            Error::Cancelled => Self::BINL_CANCELED_BY_KEYSTROKE,
        }
    }
}

impl From<NetError> for PxenvStatus {
    fn from(error: NetError) -> Self {
        match error {
            NetError::Core(error) => error.into(),
            NetError::NotConfigured => Self::UNDI_INVALID_STATE,
            NetError::InvalidDatagram => Self::UNDI_INVALID_PARAMETER,
            NetError::NoRoute | NetError::ArpTimeout => Self::ARP_TIMEOUT,
            NetError::NoOffer | NetError::LeaseRefused => Self::DHCP_TIMEOUT,
            NetError::ProxyOnly => Self::DHCP_NO_IP_ADDRESS,
            NetError::NoBootFile => Self::DHCP_NO_BOOTFILE_NAME,
            NetError::ProxyTimeout => Self::BINL_NO_PXE_SERVER,
            NetError::BadMenu => Self::BSTRAP_PROMPT_MENU,
            NetError::NoDiscoveryMethod => Self::BSTRAP_MCAST_ADDR,
            NetError::NoServerList => Self::BSTRAP_MISSING_LIST,
            NetError::NoBootServer => Self::BSTRAP_NO_RESPONSE,
            NetError::TftpOpenTimeout => Self::TFTP_OPEN_TIMEOUT,
            NetError::TftpReadTimeout => Self::TFTP_READ_TIMEOUT,
            NetError::TftpFileNotFound => Self::TFTP_FILE_NOT_FOUND,
            NetError::TftpAccessViolation => Self::TFTP_ACCESS_VIOLATION,
            NetError::TftpOptionsRefused | NetError::TftpRefused => Self::TFTP_ERROR_OPCODE,
            NetError::TftpTooBig => Self::TFTP_TOO_MANY_PACKAGES,
            NetError::TftpNoSize => Self::TFTP_NO_FILESIZE,
            NetError::TftpClosed => Self::TFTP_CLOSED,
            NetError::TftpInvalidRequest => Self::TFTP_INVALID_PACKET_SIZE,
            NetError::BadUrl | NetError::NameNotFound => Self::DHCP_NO_BOOTFILE_NAME,
            NetError::NameTimeout | NetError::HttpRefused => Self::TFTP_CANNOT_OPEN_CONNECTION,
            NetError::HttpConnectTimeout => Self::TFTP_OPEN_TIMEOUT,
            NetError::HttpReadTimeout => Self::TFTP_READ_TIMEOUT,
            NetError::HttpBroken => Self::TFTP_CANNOT_READ_FROM_CONNECTION,
            NetError::HttpNotFound => Self::TFTP_FILE_NOT_FOUND,
            NetError::HttpForbidden => Self::TFTP_ACCESS_VIOLATION,
            NetError::HttpStatus => Self::TFTP_ERROR_OPCODE,
        }
    }
}
