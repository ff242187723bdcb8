//! The TFTP functions, and `RESTART_TFTP`. One transfer at a time; opening another closes the first.

use core::mem::offset_of;
use core::net::Ipv4Addr;

use zerocopy::little_endian::{U16, U32};

use super::api::{Api, State};
use super::block::{Answer, Block, buffer};
use crate::error::Error;
use crate::machine::Machine;
use crate::mem::{PhysMem, SegOff};
use crate::net::tftp::{DEFAULT_BLOCK, Request, download, file_size};
use crate::net::{Net, NetError};
use crate::nic::Nic;
use crate::wire::pxe::*;

/// Largest block that callers get, in bytes: what the largest of them ask for (GRUB4DOS). Most ask for 1456 at most, what
/// vendor ROMs give.
const MAX_CALLER_BLOCK: u16 = crate::net::tftp::MAX_FRAGMENTED_BLOCK;
/// Block and window of whole-file transfers (policy: no fragments, and the receive buffers hold a window with ease).
const BULK_BLOCK: u16 = crate::net::tftp::MAX_BLOCK;
/// As above, in blocks.
const BULK_WINDOW: u16 = crate::net::tftp::WINDOW;

/// Where boot programs are loaded and started (PXE 2.1, "NBP").
pub(super) const NBP_BASE: u32 = 0x7c00;

impl<N: Nic, M: PhysMem, C: Machine> Api<'_, N, M, C> {
    /// `TFTP_OPEN`.
    pub(super) fn tftp_open(&mut self, block: &Block<M>) -> Answer {
        let open: PxenvTftpOpen = block.read()?;
        self.require_open()?;
        self.keep_lease();
        let (mut net, transfer) = self.net_and_transfer();
        let request = Request {
            port: open.tftp_port.get(),
            block_size: open.packet_size.get().clamp(DEFAULT_BLOCK, MAX_CALLER_BLOCK),
            window: 1, // a caller may be slow, and a full queue loses blocks
            ..request(open.server_ip_address, open.gateway_ip_address, &open.file_name)
        };
        transfer.open(&mut net, &request)?;
        block.write(offset_of!(PxenvTftpOpen, packet_size), &U16::new(transfer.block_size()))
    }

    /// `TFTP_READ`: one block, in sequence.
    pub(super) fn tftp_read(&mut self, block: &Block<M>) -> Answer {
        let mut read: PxenvTftpRead = block.read()?;
        let into = SegOff::from(read.buffer);
        buffer(read.buffer, 0)?;
        self.require_up(PxenvStatus::TFTP_CLOSED)?;
        self.keep_lease();
        let mem = self.mem.clone();
        let (mut net, transfer) = self.net_and_transfer();
        let mut sink = |bytes: &[u8]| match into.fits(bytes.len()) {
            true => Ok(mem.write(into.linear(), bytes)?),
            false => Err(Error::InvalidParameter.into()),
        };
        let done = transfer.read(&mut net, &mut sink)?;
        read.packet_number = done.number.into();
        read.buffer_size = done.len.into();
        let out = offset_of!(PxenvTftpRead, packet_number)..offset_of!(PxenvTftpRead, buffer);
        block.write(out.start, &zerocopy::IntoBytes::as_bytes(&read)[out])
    }

    /// `TFTP_CLOSE`: no error when nothing is open.
    pub(super) fn tftp_close(&mut self) -> Answer {
        let (mut net, transfer) = self.net_and_transfer();
        transfer.close(&mut net);
        Ok(())
    }

    /// `TFTP_READ_FILE`: straight to a physical address, above 1 MiB too. Multicast TFTP is not offered; the same file
    /// comes by plain TFTP.
    pub(super) fn tftp_read_file(&mut self, block: &Block<M>) -> Answer {
        let read: PxenvTftpReadFile = block.read()?;
        let len = self.read_file(&read, read.buffer.get(), read.buffer_size.get())?;
        block.write(offset_of!(PxenvTftpReadFile, buffer_size), &U32::new(len))
    }

    /// `TFTP_GET_FSIZE`.
    pub(super) fn tftp_get_fsize(&mut self, block: &Block<M>) -> Answer {
        let query: PxenvTftpGetFsize = block.read()?;
        self.require_open()?;
        let request = request(query.server_ip_address, query.gateway_ip_address, &query.file_name);
        let (mut net, _) = self.net_and_transfer();
        let size = file_size(&mut net, &request)?;
        let size = u32::try_from(size).map_err(|_| PxenvStatus::TFTP_NO_FILESIZE)?;
        block.write(offset_of!(PxenvTftpGetFsize, file_size), &U32::new(size))
    }

    /// `RESTART_TFTP`: as the first boot program was loaded. The caller often lies where the file goes, block and all.
    pub(super) fn restart_tftp(&mut self, block: &Block<M>) -> Answer {
        let restart: PxenvTftpReadFile = block.read()?;
        let room = self.nbp_room();
        match self.read_file(&restart, NBP_BASE, room) {
            Ok(0) => Err(PxenvStatus::TFTP_FILE_NOT_FOUND),
            Ok(_) => {
                // As quiet as for the first program, if the card can still be told.
                let _ = self.close_receiver();
                Ok(())
            }
            Err(PxenvStatus::TFTP_TOO_MANY_PACKAGES) => Err(PxenvStatus::BSTRAP_FILE_TOO_BIG),
            Err(status) => Err(status),
        }
    }

    /// Bytes from 7C00h to what base memory keeps for others, us among them.
    pub(super) fn nbp_room(&self) -> u32 {
        let free = u32::from(self.machine.base_memory_kib()) * 1024;
        let ours = u32::from(self.machine.resident().segment) << 4;
        free.min(ours).saturating_sub(NBP_BASE)
    }

    /// Fetches a whole file to a physical address; returns its length.
    fn read_file(&mut self, read: &PxenvTftpReadFile, to: u32, room: u32) -> Answer<u32> {
        self.require_open()?;
        let request = Request {
            block_size: BULK_BLOCK,
            window: BULK_WINDOW,
            ..request(read.server_ip_address, read.gateway_ip_address, &read.file_name)
        };
        let mem = self.mem.clone();
        let (mut net, _) = self.net_and_transfer();
        let mut sink = |offset, bytes: &[u8]| write_piece(&mem, to, offset, bytes);
        let len = download(&mut net, &request, u64::from(room), &mut sink, &mut |_, _| ())?;
        u32::try_from(len).map_err(|_| PxenvStatus::TFTP_TOO_MANY_PACKAGES)
    }

    /// What an exchange on the wire needs, and the transfer of the TFTP functions beside it.
    fn net_and_transfer(&mut self) -> (Net<'_, N, C>, &mut crate::net::tftp::Transfer) {
        let State { stack, transfer, .. } = &mut *self.state;
        (Net { stack, nic: &mut self.nic, machine: &self.machine, watch_keys: false }, transfer)
    }
}

/// Writes a piece of a file to its place in memory.
pub(super) fn write_piece(mem: &impl PhysMem, to: u32, offset: u64, bytes: &[u8]) -> Result<(), NetError> {
    let at = u64::from(to) + offset;
    let at = u32::try_from(at).map_err(|_| Error::InvalidParameter)?;
    Ok(mem.write(at, bytes)?)
}

/// A caller's address; `None` for 0.0.0.0.
pub(super) fn given(address: [u8; 4]) -> Option<Ipv4Addr> {
    Some(Ipv4Addr::from(address)).filter(|address| !address.is_unspecified())
}

/// The fields that all requests share. The server's port and the sizes are the defaults.
fn request(server: [u8; 4], gateway: [u8; 4], name: &[u8; 128]) -> Request<'_> {
    let len = name.iter().position(|&byte| byte == 0).unwrap_or(name.len());
    Request {
        server: server.into(),
        gateway: given(gateway),
        port: 0,
        file: &name[..len],
        block_size: DEFAULT_BLOCK,
        window: 1,
    }
}
