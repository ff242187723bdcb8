//! `PXENV_STATUS`: the word at the start of every parameter block.

use zerocopy::little_endian::U16;

/// A status code. Source: PXE 2.1, "PXENV_STATUS Codes".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PxenvStatus(pub u16);

/// AX of a call that succeeded.
pub const PXENV_EXIT_SUCCESS: u16 = 0;
/// AX of a call that failed.
pub const PXENV_EXIT_FAILURE: u16 = 1;

macro_rules! statuses {
    ($($name:ident = $value:literal,)*) => {
        #[allow(missing_docs)] // the names are PXE's own, without PXENV_STATUS_
        impl PxenvStatus {
            $(pub const $name: Self = Self($value);)*
        }
    };
}

statuses! {
    SUCCESS = 0x00,
    FAILURE = 0x01,
    BAD_FUNC = 0x02,
    UNSUPPORTED = 0x03,
    KEEP_UNDI = 0x04,
    KEEP_ALL = 0x05,
    OUT_OF_RESOURCES = 0x06,
    ARP_TIMEOUT = 0x11,
    UDP_CLOSED = 0x18,
    UDP_OPEN = 0x19,
    TFTP_CLOSED = 0x1a,
    TFTP_OPEN = 0x1b,
    MCOPY_PROBLEM = 0x20,
    BIS_INTEGRITY_FAILURE = 0x21,
    BIS_VALIDATE_FAILURE = 0x22,
    BIS_INIT_FAILURE = 0x23,
    BIS_SHUTDOWN_FAILURE = 0x24,
    BIS_GBOA_FAILURE = 0x25,
    BIS_FREE_FAILURE = 0x26,
    BIS_GSI_FAILURE = 0x27,
    BIS_BAD_CKSUM = 0x28,
    TFTP_CANNOT_ARP_ADDRESS = 0x30,
    TFTP_OPEN_TIMEOUT = 0x32,
    TFTP_UNKNOWN_OPCODE = 0x33,
    TFTP_READ_TIMEOUT = 0x35,
    TFTP_ERROR_OPCODE = 0x36,
    TFTP_CANNOT_OPEN_CONNECTION = 0x38,
    TFTP_CANNOT_READ_FROM_CONNECTION = 0x39,
    TFTP_TOO_MANY_PACKAGES = 0x3a,
    TFTP_FILE_NOT_FOUND = 0x3b,
    TFTP_ACCESS_VIOLATION = 0x3c,
    TFTP_NO_MCAST_ADDRESS = 0x3d,
    TFTP_NO_FILESIZE = 0x3e,
    TFTP_INVALID_PACKET_SIZE = 0x3f,
    DHCP_TIMEOUT = 0x51,
    DHCP_NO_IP_ADDRESS = 0x52,
    DHCP_NO_BOOTFILE_NAME = 0x53,
    DHCP_BAD_IP_ADDRESS = 0x54,
    UNDI_INVALID_FUNCTION = 0x60,
    UNDI_MEDIATEST_FAILED = 0x61,
    UNDI_CANNOT_INIT_NIC_FOR_MCAST = 0x62,
    UNDI_CANNOT_INITIALIZE_NIC = 0x63,
    UNDI_CANNOT_INITIALIZE_PHY = 0x64,
    UNDI_CANNOT_READ_CONFIG_DATA = 0x65,
    UNDI_CANNOT_READ_INIT_DATA = 0x66,
    UNDI_BAD_MAC_ADDRESS = 0x67,
    UNDI_BAD_EEPROM_CHECKSUM = 0x68,
    UNDI_ERROR_SETTING_ISR = 0x69,
    UNDI_INVALID_STATE = 0x6a,
    UNDI_TRANSMIT_ERROR = 0x6b,
    UNDI_INVALID_PARAMETER = 0x6c,
    BSTRAP_PROMPT_MENU = 0x74,
    BSTRAP_MCAST_ADDR = 0x76,
    BSTRAP_MISSING_LIST = 0x77,
    BSTRAP_NO_RESPONSE = 0x78,
    BSTRAP_FILE_TOO_BIG = 0x79,
    BINL_CANCELED_BY_KEYSTROKE = 0xa0,
    BINL_NO_PXE_SERVER = 0xa1,
    NOT_AVAILABLE_IN_PMODE = 0xa2,
    NOT_AVAILABLE_IN_RMODE = 0xa3,
    BUSD_DEVICE_NOT_SUPPORTED = 0xb0,
    LOADER_NO_FREE_BASE_MEMORY = 0xc0,
    LOADER_NO_BC_ROMID = 0xc1,
    LOADER_BAD_BC_ROMID = 0xc2,
    LOADER_BAD_BC_RUNTIME_IMAGE = 0xc3,
    LOADER_NO_UNDI_ROMID = 0xc4,
    LOADER_BAD_UNDI_ROMID = 0xc5,
    LOADER_BAD_UNDI_DRIVER_IMAGE = 0xc6,
    LOADER_NO_PXE_STRUCT = 0xc8,
    LOADER_NO_PXENV_STRUCT = 0xc9,
    LOADER_UNDI_START = 0xca,
    LOADER_BC_START = 0xcb,
}

impl PxenvStatus {
    /// What AX must be beside this status: 0 exactly for success.
    #[must_use]
    pub const fn ax(self) -> u16 {
        if self.0 == Self::SUCCESS.0 { PXENV_EXIT_SUCCESS } else { PXENV_EXIT_FAILURE }
    }

    /// As it lies in a block.
    #[must_use]
    pub const fn to_wire(self) -> U16 {
        U16::new(self.0)
    }
}
