//! Function numbers (PXE 2.1) and the sizes of their parameter blocks.

#![allow(missing_docs, reason = "the names are the specification's")]

pub const START_UNDI: u16 = 0x00;
pub const UNDI_STARTUP: u16 = 0x01;
pub const UNDI_CLEANUP: u16 = 0x02;
pub const UNDI_INITIALIZE: u16 = 0x03;
pub const UNDI_RESET_ADAPTER: u16 = 0x04;
pub const UNDI_SHUTDOWN: u16 = 0x05;
pub const UNDI_OPEN: u16 = 0x06;
pub const UNDI_CLOSE: u16 = 0x07;
pub const UNDI_TRANSMIT: u16 = 0x08;
pub const UNDI_SET_MCAST_ADDRESS: u16 = 0x09;
pub const UNDI_SET_STATION_ADDRESS: u16 = 0x0a;
pub const UNDI_SET_PACKET_FILTER: u16 = 0x0b;
pub const UNDI_GET_INFORMATION: u16 = 0x0c;
pub const UNDI_GET_STATISTICS: u16 = 0x0d;
pub const UNDI_CLEAR_STATISTICS: u16 = 0x0e;
pub const UNDI_INITIATE_DIAGS: u16 = 0x0f;
pub const UNDI_FORCE_INTERRUPT: u16 = 0x10;
pub const UNDI_GET_MCAST_ADDRESS: u16 = 0x11;
pub const UNDI_GET_NIC_TYPE: u16 = 0x12;
pub const UNDI_GET_IFACE_INFO: u16 = 0x13;
pub const UNDI_ISR: u16 = 0x14;
pub const STOP_UNDI: u16 = 0x15;
pub const UNDI_GET_STATE_EDK2: u16 = 0x16;
pub const TFTP_OPEN: u16 = 0x20;
pub const TFTP_CLOSE: u16 = 0x21;
pub const TFTP_READ: u16 = 0x22;
pub const TFTP_READ_FILE: u16 = 0x23;
pub const TFTP_GET_FSIZE: u16 = 0x25;
pub const UDP_OPEN: u16 = 0x30;
pub const UDP_CLOSE: u16 = 0x31;
pub const UDP_READ: u16 = 0x32;
pub const UDP_WRITE: u16 = 0x33;
pub const UNLOAD_STACK: u16 = 0x70;
pub const GET_CACHED_INFO: u16 = 0x71;
pub const RESTART_TFTP: u16 = 0x73;
pub const START_BASE: u16 = 0x75;
pub const STOP_BASE: u16 = 0x76;
pub const FILE_OPEN: u16 = 0xe0;
pub const FILE_CLOSE: u16 = 0xe1;
pub const FILE_SELECT: u16 = 0xe2;
pub const FILE_READ: u16 = 0xe3;
pub const GET_FILE_SIZE: u16 = 0xe4;
pub const FILE_API_CHECK: u16 = 0xe6;

/// Functions that every stack may have, with the size of the parameter block in bytes.
pub const KNOWN: [(u16, usize); 47] = [
    (START_UNDI, 12),
    (UNDI_STARTUP, 2),
    (UNDI_CLEANUP, 2),
    (UNDI_INITIALIZE, 14),
    (UNDI_RESET_ADAPTER, 132),
    (UNDI_SHUTDOWN, 2),
    (UNDI_OPEN, 136),
    (UNDI_CLOSE, 2),
    (UNDI_TRANSMIT, 20),
    (UNDI_SET_MCAST_ADDRESS, 132),
    (UNDI_SET_STATION_ADDRESS, 18),
    (UNDI_SET_PACKET_FILTER, 3),
    (UNDI_GET_INFORMATION, 50),
    (UNDI_GET_STATISTICS, 18),
    (UNDI_CLEAR_STATISTICS, 2),
    (UNDI_INITIATE_DIAGS, 2),
    (UNDI_FORCE_INTERRUPT, 2),
    (UNDI_GET_MCAST_ADDRESS, 22),
    (UNDI_GET_NIC_TYPE, 17),
    (UNDI_GET_IFACE_INFO, 42),
    (UNDI_ISR, 16),
    (STOP_UNDI, 3),
    (UNDI_GET_STATE_EDK2, 3),
    (TFTP_OPEN, 142),
    (TFTP_CLOSE, 2),
    (TFTP_READ, 10),
    (TFTP_READ_FILE, 158),
    (0x24, 158), // TFTP_READ_FILE_PMODE, obsolete
    (TFTP_GET_FSIZE, 142),
    (UDP_OPEN, 6),
    (UDP_CLOSE, 2),
    (UDP_READ, 20),
    (UDP_WRITE, 20),
    (UNLOAD_STACK, 12),
    (GET_CACHED_INFO, 12),
    (0x72, 158), // RESTART_DHCP, obsolete
    (RESTART_TFTP, 158),
    (0x74, 158), // MODE_SWITCH, obsolete
    (START_BASE, 2),
    (STOP_BASE, 2),
    (FILE_OPEN, 12),
    (FILE_CLOSE, 4),
    (FILE_SELECT, 6),
    (FILE_READ, 10),
    (GET_FILE_SIZE, 8),
    (0xe5, 6), // FILE_EXEC
    (FILE_API_CHECK, 20),
];

/// Further extension calls of iPXE: FILE_EXIT_HOOK and FILE_CMDLINE.
pub const EXTENSIONS: [u16; 2] = [0xe7, 0xe8];
