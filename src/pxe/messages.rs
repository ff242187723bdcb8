//! What a failed network boot says to the user: a PXE-Exx code, what happened, and what to do about it.
//!
//! The codes are those of vendor ROMs, so that their manuals apply; most equal the PXE status.

use crate::error::Error;
use crate::net::NetError;
use crate::wire::pxe::PxenvStatus;

/// What happened, and below it what to do about it.
macro_rules! with_advice {
    ($what:literal, $advice:literal) => {
        concat!($what, "\n         ", $advice)
    };
}

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

    /// What happened, and on a second line, where there is something to do about it, what. That line begins below the
    /// first one's text, with the code before which both fit the 80 columns of the screen.
    pub(super) fn text(self) -> &'static str {
        match self {
            Self::Net(error) => net_text(error),
            Self::TooBigForBaseMemory => {
                with_advice!("The boot file does not fit into base memory.", "Choose a smaller boot program.")
            }
            Self::EfiProgram => with_advice!(
                "The boot file is for UEFI machines.",
                "Have the DHCP server give BIOS clients (architecture 0) another."
            ),
            Self::EmptyFile => with_advice!("The boot file is empty.", "Check it on the server."),
        }
    }
}

fn net_text(error: NetError) -> &'static str {
    match error {
        NetError::Core(error) => core_text(error),
        NetError::NotConfigured => {
            with_advice!("The address that the DHCP server gave can't be used.", "Check the DHCP server.")
        }
        NetError::InvalidDatagram => with_advice!("The boot server's address can't be used.", "Check the DHCP server."),
        NetError::NoRoute => {
            with_advice!(
                "The boot server is in another network, and there is no router.",
                "Check the DHCP server's router option."
            )
        }
        NetError::ArpTimeout => with_advice!("The boot server, or the router to it, does not answer ARP.", "Is it up?"),
        NetError::NoOffer => {
            with_advice!(
                "No DHCP server answered.",
                "Is the card in the right network, and is there a DHCP server in it?"
            )
        }
        NetError::ProxyOnly => {
            with_advice!("A boot server answered, but no DHCP server gave an address.", "Check the DHCP server.")
        }
        NetError::LeaseRefused => {
            with_advice!("The DHCP server offered an address, then did not grant it.", "See the DHCP server's log.")
        }
        NetError::NoBootFile => {
            with_advice!(
                "The DHCP server named no boot file.",
                "Set next-server and filename (options 66 and 67) on it."
            )
        }
        NetError::ProxyTimeout => {
            with_advice!("The proxyDHCP server does not answer on port 4011.", "Is its service running?")
        }
        NetError::BadMenu => {
            with_advice!("The boot menu from the server is damaged.", "Check option 43 on the server.")
        }
        NetError::NoDiscoveryMethod => {
            with_advice!("The server allows no way to find boot servers.", "Check option 43 on the server.")
        }
        NetError::NoServerList => {
            with_advice!("The server's list of boot servers is missing.", "Check option 43 on the server.")
        }
        NetError::NoBootServer => with_advice!("No boot server of the chosen kind answered.", "Is it up?"),
        NetError::TftpOpenTimeout => {
            with_advice!("The TFTP server does not answer.", "Is its service running, and UDP port 69 reachable?")
        }
        NetError::TftpReadTimeout => {
            with_advice!("The TFTP server stopped in the middle of the file.", "Is the network stable?")
        }
        NetError::TftpFileNotFound => {
            with_advice!(
                "The TFTP server has no such file.",
                "Check the name on the DHCP server, and the TFTP directory."
            )
        }
        NetError::TftpAccessViolation => {
            with_advice!("The TFTP server may not read the file.", "Check the file's permissions.")
        }
        NetError::TftpOptionsRefused | NetError::TftpRefused => {
            with_advice!("The TFTP server refused the file.", "See the TFTP server's log.")
        }
        NetError::TftpTooBig => "The file is larger than the room for it.",
        NetError::TftpNoSize => "The TFTP server does not tell file sizes.",
        NetError::TftpClosed => "The TFTP transfer was closed.",
        NetError::TftpInvalidRequest => {
            with_advice!("The name of the boot file can't be sent by TFTP.", "Check the DHCP server.")
        }
        NetError::BadUrl => with_advice!("The URL of the boot file can't be used.", "Only http and tftp are offered."),
        NetError::NameTimeout => {
            with_advice!("No name server answered.", "Check the DHCP server's option 6, or use an address.")
        }
        NetError::NameNotFound => {
            with_advice!("The name server knows no address of the boot server.", "Check the URL.")
        }
        NetError::HttpConnectTimeout => with_advice!("The HTTP server does not answer.", "Is it up?"),
        NetError::HttpRefused => with_advice!("The HTTP server refused the connection.", "Is its service running?"),
        NetError::HttpReadTimeout => with_advice!("The HTTP server stopped in the middle.", "Is the network stable?"),
        NetError::HttpBroken => with_advice!("The HTTP server broke off.", "See the HTTP server's log."),
        NetError::HttpNotFound => with_advice!("The HTTP server has no such file.", "Check the URL."),
        NetError::HttpForbidden => {
            with_advice!("The HTTP server does not give the file away.", "See the HTTP server's log.")
        }
        NetError::HttpStatus => with_advice!("The HTTP server refused the file.", "See the HTTP server's log."),
    }
}

fn core_text(error: Error) -> &'static str {
    match error {
        Error::NotHyperV => "Not a Hyper-V machine: no network card for this ROM.",
        Error::NoVmbus => "The hypervisor offers no VMBus: no network card for this ROM.",
        Error::VersionRefused => "The host speaks no VMBus version that this ROM knows.",
        Error::VmbusOwned => "Something else in this machine uses VMBus, and was left alone.",
        Error::NoNic => with_advice!("This machine has no synthetic network card.", "Add a network adapter to it."),
        Error::NicGone => "The host has taken the network card away.",
        Error::NotOpen | Error::InvalidState => "The network card is not ready.",
        Error::LinkDown => with_advice!("The network card has no link.", "Connect it to a virtual switch."),
        Error::InvalidParameter => "The boot file can't be written to its place in memory.",
        Error::Unsupported => "The host does not support what the network card needs.",
        Error::RingFull | Error::OutOfResources => "Out of memory for the network card.",
        Error::HostTimeout => "The host does not answer.",
        Error::HostProtocol => "The host's answer made no sense.",
        Error::HostRefused => "The host refused to open the network card.",
        Error::Cancelled => "Network boot cancelled by keystroke.",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The screen's 80 columns without the last, where a BIOS wraps.
    const COLUMNS: usize = 80 - 1;

    #[test]
    fn messages_fit_the_screen_and_have_the_codes_of_vendor_roms() {
        let net = [
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
            (NetError::TftpOptionsRefused, 0x36),
            (NetError::TftpRefused, 0x36),
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
            (NetError::HttpStatus, 0x36),
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
            let text = format!("PXE-E00: {}", error.text());
            assert!(
                text.lines().count() <= 2 && text.lines().all(|line| (10..=COLUMNS).contains(&line.len())),
                "{text}"
            );
            assert_eq!(error.code(), code, "{error:?}");
        }
    }
}
