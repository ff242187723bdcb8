//! What a failed network boot says to the user: a PXE-Exx code, what happened, and what to do about it.
//!
//! The codes are those of vendor ROMs, so that their manuals apply; most equal the PXE status.

use crate::error::Error;
use crate::net::NetError;
use crate::wire::pxe::PxenvStatus;

/// Why there is no boot program to start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BootError {
    /// The card or the network failed.
    Net(NetError),
    /// The boot file is larger than the base memory from 7C00h up.
    TooBigForBaseMemory,
    /// The boot file is an EFI program (or a DOS one): it starts with `MZ`.
    EfiProgram,
    /// The boot file has no bytes.
    EmptyFile,
}

impl From<NetError> for BootError {
    fn from(error: NetError) -> Self {
        match error {
            NetError::TftpTooBig => Self::TooBigForBaseMemory,
            other => Self::Net(other),
        }
    }
}

impl From<Error> for BootError {
    fn from(error: Error) -> Self {
        NetError::from(error).into()
    }
}

impl BootError {
    /// The number of the PXE-Exx text.
    pub(super) fn code(self) -> u16 {
        /// "proxyDHCP: no reply to request on port 4011"; the status beside it has another number.
        const PROXY_TIMEOUT: u16 = 0x55;
        match self {
            Self::Net(NetError::ProxyTimeout) => PROXY_TIMEOUT,
            Self::Net(error) => PxenvStatus::from(error).0,
            Self::TooBigForBaseMemory => PxenvStatus::BSTRAP_FILE_TOO_BIG.0,
            Self::EfiProgram | Self::EmptyFile => PxenvStatus::DHCP_NO_BOOTFILE_NAME.0,
        }
    }

    /// What happened, and on a second line what to do about it (empty when there is nothing to do). With the code
    /// before them, both fit the 80 columns of the screen.
    pub(super) fn text(self) -> (&'static str, &'static str) {
        match self {
            Self::Net(error) => net_text(error),
            Self::TooBigForBaseMemory => {
                ("The boot file does not fit into base memory.", "Choose a smaller boot program.")
            }
            Self::EfiProgram => (
                "The boot file is for UEFI machines.",
                "Have the DHCP server give BIOS clients (architecture 0) another.",
            ),
            Self::EmptyFile => ("The boot file is empty.", "Check it on the server."),
        }
    }
}

/// What this build can fetch.
const URL_ADVICE: &str =
    if cfg!(feature = "http") { "Only http and tftp are offered." } else { "This build knows plain TFTP names only." };

fn net_text(error: NetError) -> (&'static str, &'static str) {
    match error {
        NetError::Core(error) => core_text(error),
        NetError::Cancelled => ("Network boot cancelled by keystroke.", ""),
        NetError::NotConfigured => ("The address that the DHCP server gave can't be used.", "Check the DHCP server."),
        NetError::InvalidDatagram => ("The boot server's address can't be used.", "Check the DHCP server."),
        NetError::NoRoute => {
            ("The boot server is in another network, and there is no router.", "Check the DHCP server's router option.")
        }
        NetError::ArpTimeout => ("The boot server, or the router to it, does not answer ARP.", "Is it up?"),
        NetError::NoOffer => {
            ("No DHCP server answered.", "Is the card in the right network, and is there a DHCP server in it?")
        }
        NetError::ProxyOnly => {
            ("A boot server answered, but no DHCP server gave an address.", "Check the DHCP server.")
        }
        NetError::LeaseRefused => {
            ("The DHCP server offered an address, then did not grant it.", "See the DHCP server's log.")
        }
        NetError::NoBootFile => {
            ("The DHCP server named no boot file.", "Set next-server and filename (options 66 and 67) on it.")
        }
        NetError::ProxyTimeout => ("The proxyDHCP server does not answer on port 4011.", "Is its service running?"),
        NetError::BadMenu => ("The boot menu from the server is damaged.", "Check option 43 on the server."),
        NetError::NoDiscoveryMethod => {
            ("The server allows no way to find boot servers.", "Check option 43 on the server.")
        }
        NetError::NoServerList => ("The server's list of boot servers is missing.", "Check option 43 on the server."),
        NetError::NoBootServer => ("No boot server of the chosen kind answered.", "Is it up?"),
        NetError::TftpOpenTimeout => {
            ("The TFTP server does not answer.", "Is its service running, and UDP port 69 reachable?")
        }
        NetError::TftpReadTimeout => ("The TFTP server stopped in the middle of the file.", "Is the network stable?"),
        NetError::TftpFileNotFound => {
            ("The TFTP server has no such file.", "Check the name on the DHCP server, and the TFTP directory.")
        }
        NetError::TftpAccessViolation => ("The TFTP server may not read the file.", "Check the file's permissions."),
        NetError::TftpRefused(_) => ("The TFTP server refused the file.", "See the TFTP server's log."),
        NetError::TftpTooBig => ("The file is larger than the room for it.", ""),
        NetError::TftpNoSize => ("The TFTP server does not tell file sizes.", ""),
        NetError::TftpClosed => ("The TFTP transfer was closed.", ""),
        NetError::TftpInvalidRequest => ("The name of the boot file can't be sent by TFTP.", "Check the DHCP server."),
        NetError::BadUrl => ("The URL of the boot file can't be used.", URL_ADVICE),
        NetError::NameTimeout => ("No name server answered.", "Check the DHCP server's option 6, or use an address."),
        NetError::NameNotFound => ("The name server knows no address of the boot server.", "Check the URL."),
        NetError::HttpConnectTimeout => ("The HTTP server does not answer.", "Is it up?"),
        NetError::HttpRefused => ("The HTTP server refused the connection.", "Is its service running?"),
        NetError::HttpReadTimeout => ("The HTTP server stopped in the middle.", "Is the network stable?"),
        NetError::HttpBroken => ("The HTTP server broke off.", "See the HTTP server's log."),
        NetError::HttpNotFound => ("The HTTP server has no such file.", "Check the URL."),
        NetError::HttpForbidden => ("The HTTP server does not give the file away.", "See the HTTP server's log."),
        NetError::HttpStatus(_) => ("The HTTP server refused the file.", "See the HTTP server's log."),
    }
}

fn core_text(error: Error) -> (&'static str, &'static str) {
    match error {
        Error::NotHyperV => ("Not a Hyper-V machine: no network card for this ROM.", ""),
        Error::NoVmbus => ("The hypervisor offers no VMBus: no network card for this ROM.", ""),
        Error::VersionRefused => ("The host speaks no VMBus version that this ROM knows.", ""),
        Error::VmbusOwned => ("Something else in this machine uses VMBus, and was left alone.", ""),
        Error::NoNic => ("This machine has no synthetic network card.", "Add a network adapter to it."),
        Error::NicGone => ("The host has taken the network card away.", ""),
        Error::NotOpen | Error::InvalidState => ("The network card is not ready.", ""),
        Error::LinkDown => ("The network card has no link.", "Connect it to a virtual switch."),
        Error::InvalidParameter => ("The boot file can't be written to its place in memory.", ""),
        Error::Unsupported => ("The host does not support what the network card needs.", ""),
        Error::RingFull | Error::OutOfResources => ("Out of memory for the network card.", ""),
        Error::HostTimeout => ("The host does not answer.", ""),
        Error::HostProtocol => ("The host's answer made no sense.", ""),
        Error::HostRefused => ("The host refused to open the network card.", ""),
        Error::Cancelled => ("Network boot cancelled by keystroke.", ""),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The screen's 80 columns without the last, where a BIOS wraps, and without the code before the text.
    const COLUMNS: usize = 80 - 1 - "PXE-E00: ".len();

    #[test]
    fn messages_fit_the_screen_and_have_the_codes_of_vendor_roms() {
        let net = [
            (NetError::Cancelled, 0xa0),
            (NetError::NotConfigured, 0x6a),
            (NetError::InvalidDatagram, 0x6c),
            (NetError::NoRoute, 0x11),
            (NetError::ArpTimeout, 0x11),
            (NetError::NoOffer, 0x51),
            (NetError::ProxyOnly, 0x52),
            (NetError::LeaseRefused, 0x51),
            (NetError::NoBootFile, 0x53),
            (NetError::ProxyTimeout, 0x55),
            (NetError::BadMenu, 0x74),
            (NetError::NoDiscoveryMethod, 0x76),
            (NetError::NoServerList, 0x77),
            (NetError::NoBootServer, 0x78),
            (NetError::TftpOpenTimeout, 0x32),
            (NetError::TftpReadTimeout, 0x35),
            (NetError::TftpFileNotFound, 0x3b),
            (NetError::TftpAccessViolation, 0x3c),
            (NetError::TftpRefused(0), 0x36),
            (NetError::TftpTooBig, 0x79),
            (NetError::TftpNoSize, 0x3e),
            (NetError::TftpClosed, 0x1a),
            (NetError::TftpInvalidRequest, 0x3f),
            (NetError::BadUrl, 0x53),
            (NetError::NameTimeout, 0x38),
            (NetError::NameNotFound, 0x53),
            (NetError::HttpConnectTimeout, 0x32),
            (NetError::HttpRefused, 0x38),
            (NetError::HttpReadTimeout, 0x35),
            (NetError::HttpBroken, 0x39),
            (NetError::HttpNotFound, 0x3b),
            (NetError::HttpForbidden, 0x3c),
            (NetError::HttpStatus(500), 0x36),
        ];
        let core = [
            (Error::NotHyperV, 0xb0),
            (Error::NoVmbus, 0xb0),
            (Error::NoNic, 0xb0),
            (Error::VersionRefused, 0x63),
            (Error::VmbusOwned, 0x63),
            (Error::NicGone, 0x63),
            (Error::HostTimeout, 0x63),
            (Error::HostProtocol, 0x63),
            (Error::HostRefused, 0x63),
            (Error::NotOpen, 0x6a),
            (Error::InvalidState, 0x6a),
            (Error::LinkDown, 0x61),
            (Error::InvalidParameter, 0x6c),
            (Error::Unsupported, 0x03),
            (Error::RingFull, 0x06),
            (Error::OutOfResources, 0x06),
            (Error::Cancelled, 0xa0),
        ];
        let own = [(BootError::TooBigForBaseMemory, 0x79), (BootError::EfiProgram, 0x53), (BootError::EmptyFile, 0x53)];
        let net = net.map(|(error, code)| (BootError::from(error), code));
        let core = core.map(|(error, code)| (BootError::from(error), code));
        for (error, code) in net.into_iter().chain(core).chain(own) {
            let (what, advice) = error.text();
            assert!(!what.is_empty() && what.len() <= COLUMNS && advice.len() <= COLUMNS, "{error:?}");
            assert_eq!(error.code(), code, "{error:?}");
        }
    }
}
