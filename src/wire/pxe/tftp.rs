//! Parameter blocks and opcodes of the TFTP functions.

use static_assertions::const_assert_eq;
use zerocopy::little_endian::{U16, U32};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned, big_endian};

use super::SegOff16;

/// Opcode: open a file for reading.
pub const PXENV_TFTP_OPEN: u16 = 0x0020;
/// Opcode: close it.
pub const PXENV_TFTP_CLOSE: u16 = 0x0021;
/// Opcode: read the next block.
pub const PXENV_TFTP_READ: u16 = 0x0022;
/// Opcode: read a whole file.
pub const PXENV_TFTP_READ_FILE: u16 = 0x0023;
/// Opcode: ask for a file's size.
pub const PXENV_TFTP_GET_FSIZE: u16 = 0x0025;

/// `PXENV_TFTP_OPEN`, 142 bytes.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct PxenvTftpOpen {
    /// Out: status.
    pub status: U16,
    /// In: the server.
    pub server_ip_address: [u8; 4],
    /// In: the gateway to it; 0 for our own routing.
    pub gateway_ip_address: [u8; 4],
    /// In: NUL-terminated.
    pub file_name: [u8; 128],
    /// In: server port; some pass 0 for 69 (ReactOS).
    pub tftp_port: big_endian::U16,
    /// In: block size wanted, 512 or more; out: block size agreed on.
    pub packet_size: U16,
}
const_assert_eq!(size_of::<PxenvTftpOpen>(), 142);

/// `PXENV_TFTP_READ`, 10 bytes.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct PxenvTftpRead {
    /// Out: status.
    pub status: U16,
    /// Out: block number, from 1.
    pub packet_number: U16,
    /// Out: bytes written. Not a limit on the way in: callers leave garbage.
    pub buffer_size: U16,
    /// In: where to write.
    pub buffer: SegOff16,
}
const_assert_eq!(size_of::<PxenvTftpRead>(), 10);

/// `PXENV_TFTP_READ_FILE`, 158 bytes; `PXENV_RESTART_TFTP` has the same block.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct PxenvTftpReadFile {
    /// Out: status.
    pub status: U16,
    /// In: NUL-terminated.
    pub file_name: [u8; 128],
    /// In: room at `buffer`; out: bytes written.
    pub buffer_size: U32,
    /// In: physical address, also above 1 MiB.
    pub buffer: U32,
    /// In: the server.
    pub server_ip_address: [u8; 4],
    /// In: the gateway to it; 0 for our own routing.
    pub gateway_ip_address: [u8; 4],
    /// In: 0 for plain TFTP.
    pub mcast_ip_address: [u8; 4],
    /// In: MTFTP client port; not used.
    pub tftp_clnt_port: big_endian::U16,
    /// In: MTFTP server port; not used (plain TFTP is always on 69, as iPXE has it).
    pub tftp_srv_port: big_endian::U16,
    /// In: MTFTP open time-out in seconds; not used.
    pub tftp_open_time_out: U16,
    /// In: MTFTP reopen delay in seconds; not used.
    pub tftp_reopen_delay: U16,
}
const_assert_eq!(size_of::<PxenvTftpReadFile>(), 158);

/// `PXENV_TFTP_GET_FSIZE`, 142 bytes.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct PxenvTftpGetFsize {
    /// Out: status.
    pub status: U16,
    /// In: the server; always on port 69.
    pub server_ip_address: [u8; 4],
    /// In: the gateway to it; 0 for our own routing.
    pub gateway_ip_address: [u8; 4],
    /// In: NUL-terminated.
    pub file_name: [u8; 128],
    /// Out: in bytes.
    pub file_size: U32,
}
const_assert_eq!(size_of::<PxenvTftpGetFsize>(), 142);
