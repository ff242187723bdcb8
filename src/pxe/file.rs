//! The file extension: several files at a time, by URL, read without waiting.
//!
//! PXELINUX asks for it once, and uses it for URLs that it can't fetch itself; plain names go by TFTP as without it.
//! `FILE_EXEC` and the exit hook belong to iPXE's shell, and are not offered.

use core::mem::offset_of;

use zerocopy::IntoBytes;
use zerocopy::little_endian::{U16, U32};

use super::api::{Api, State};
use super::block::{Answer, Block, buffer};
use crate::machine::Machine;
use crate::mem::PhysMem;
use crate::net::file::File;
use crate::net::http::Progress;
use crate::net::sockets::STREAMS;
use crate::net::url::MAX_URL;
use crate::net::{Net, NetError};
use crate::nic::Nic;
use crate::wire::pxe::*;

/// All open files. The handle of a file is its place plus one, and its place is its stream.
pub(super) type Files = [File; STREAMS];

/// No file is open.
pub(super) const NO_FILES: Files = [const { File::Closed }; STREAMS];

/// Bits for the calls that are offered.
const API_MASK: u32 = {
    let offered = [
        PXENV_FILE_OPEN,
        PXENV_FILE_CLOSE,
        PXENV_FILE_SELECT,
        PXENV_FILE_READ,
        PXENV_GET_FILE_SIZE,
        PXENV_FILE_API_CHECK,
        PXENV_FILE_CMDLINE,
    ];
    let (mut mask, mut index) = (0, 0);
    while index < offered.len() {
        mask |= 1 << (offered[index] - PXENV_FILE_OPEN);
        index += 1;
    }
    mask
};

impl<N: Nic, M: PhysMem, C: Machine> Api<'_, N, M, C> {
    /// The part of the opcode table that is the extension's.
    pub(super) fn file_call(&mut self, opcode: u16, block: &Block<M>) -> Answer {
        match opcode {
            PXENV_FILE_OPEN => self.file_open(block),
            PXENV_FILE_CLOSE => self.file_close(block),
            PXENV_FILE_SELECT => self.file_select(block),
            PXENV_FILE_READ => self.file_read(block),
            PXENV_GET_FILE_SIZE => self.get_file_size(block),
            PXENV_FILE_API_CHECK => file_api_check(block),
            PXENV_FILE_CMDLINE => block.write(offset_of!(PxenvFileCmdline, buffer_size), &U16::new(0)),
            _ => Err(PxenvStatus::UNSUPPORTED),
        }
    }

    /// `FILE_OPEN`: waits until the server has said yes or no.
    fn file_open(&mut self, block: &Block<M>) -> Answer {
        let open: PxenvFileOpen = block.read()?;
        let mut name = [0; MAX_URL + 1];
        let name = self.read_name(open.file_name, &mut name)?;
        self.require_open()?;
        let place = self.state.files.iter().position(File::is_closed).ok_or(PxenvStatus::OUT_OF_RESOURCES)?;
        let server = self.state.info.next_server;
        let (mut net, files) = self.net_and_files();
        files[place] = File::open(&mut net, server, name, place)?;
        block.write(offset_of!(PxenvFileOpen, file_handle), &U16::new(place as u16 + 1))
    }

    /// `FILE_CLOSE`: no error when it is closed.
    fn file_close(&mut self, block: &Block<M>) -> Answer {
        let close: PxenvFileClose = block.read()?;
        self.with_file(close.file_handle, |net, file| {
            file.close(net);
            Ok(())
        })
    }

    /// `FILE_SELECT`.
    fn file_select(&mut self, block: &Block<M>) -> Answer {
        let select: PxenvFileSelect = block.read()?;
        // An error is for READ to tell.
        let ready = self.with_file(select.file_handle, |net, file| match file.is_ready(net) {
            Err(NetError::TftpClosed) => Err(PxenvStatus::TFTP_CLOSED),
            other => Ok(other.unwrap_or(true)),
        })?;
        block.write(offset_of!(PxenvFileSelect, ready), &U16::new(if ready { RDY_READ } else { 0 }))
    }

    /// `FILE_READ`: `TFTP_OPEN` (still open) when nothing is there yet.
    fn file_read(&mut self, block: &Block<M>) -> Answer {
        let read: PxenvFileRead = block.read()?;
        let room = usize::from(read.buffer_size.get());
        let mut to = buffer(read.buffer, room)?;
        let mem = self.mem.clone();
        let mut len = 0;
        self.with_file(read.file_handle, |net, file| {
            let sink = &mut |bytes: &[u8]| {
                mem.write(to, bytes)?;
                to += bytes.len() as u32;
                Ok(())
            };
            while len < room {
                match file.poll(net, room - len, sink) {
                    Ok(Progress::Bytes(more)) => len += more,
                    Ok(Progress::End) => break,
                    Ok(Progress::Nothing) if len == 0 => return Err(PxenvStatus::TFTP_OPEN),
                    // What went wrong behind these bytes will still be wrong with the next call.
                    Ok(Progress::Nothing) => break,
                    Err(_) if len > 0 => break,
                    Err(error) => return Err(error.into()),
                }
            }
            Ok(())
        })?;
        block.write(offset_of!(PxenvFileRead, buffer_size), &U16::new(len as u16))
    }

    /// `GET_FILE_SIZE`.
    fn get_file_size(&mut self, block: &Block<M>) -> Answer {
        let query: PxenvGetFileSize = block.read()?;
        let size = self.with_file(query.file_handle, |_, file| Ok(file.size()?))?;
        let size = u32::try_from(size).map_err(|_| PxenvStatus::TFTP_NO_FILESIZE)?;
        block.write(offset_of!(PxenvGetFileSize, file_size), &U32::new(size))
    }

    /// Closes all files.
    pub(super) fn close_files(&mut self) {
        let (mut net, files) = self.net_and_files();
        files.iter_mut().for_each(|file| file.close(&mut net));
    }

    /// Reads a caller's NUL-terminated name, no further than its end.
    fn read_name<'b>(&self, at: SegOff16, into: &'b mut [u8; MAX_URL + 1]) -> Answer<&'b [u8]> {
        for len in 0..into.len() {
            self.mem.read(buffer(at, len + 1)? + len as u32, &mut into[len..=len])?;
            if into[len] == 0 {
                return Ok(&into[..len]);
            }
        }
        Err(PxenvStatus::UNDI_INVALID_PARAMETER)
    }

    /// Does something with an open file.
    fn with_file<T>(
        &mut self,
        handle: U16,
        action: impl FnOnce(&mut Net<'_, N, C>, &mut File) -> Answer<T>,
    ) -> Answer<T> {
        self.require_up(PxenvStatus::TFTP_CLOSED)?;
        self.keep_lease();
        let (mut net, files) = self.net_and_files();
        let place = usize::from(handle.get()).wrapping_sub(1);
        action(&mut net, files.get_mut(place).ok_or(PxenvStatus::UNDI_INVALID_PARAMETER)?)
    }

    /// What an exchange on the wire needs, and the files beside it.
    fn net_and_files(&mut self) -> (Net<'_, N, C>, &mut Files) {
        let State { stack, files, .. } = &mut *self.state;
        (Net { stack, nic: &mut self.nic, machine: &self.machine, watch_keys: false }, files)
    }
}

/// `FILE_API_CHECK`.
fn file_api_check<M: PhysMem>(block: &Block<M>) -> Answer {
    // Magic first: without it, who knows how long the block is?
    let magic: U32 = block.read_at(offset_of!(PxenvFileApiCheck, magic))?;
    if magic.get() != FILE_API_CHECK_MAGIC_IN {
        return Err(PxenvStatus::BAD_FUNC);
    }
    let size: U16 = block.read_at(offset_of!(PxenvFileApiCheck, size))?;
    if usize::from(size.get()) < size_of::<PxenvFileApiCheck>() {
        return Err(PxenvStatus::OUT_OF_RESOURCES);
    }
    let answer = PxenvFileApiCheck {
        status: PxenvStatus::SUCCESS.to_wire(),
        size: (size_of::<PxenvFileApiCheck>() as u16).into(),
        magic: FILE_API_CHECK_MAGIC_OUT.into(),
        provider: FILE_API_PROVIDER.into(),
        api_mask: API_MASK.into(),
        flags: 0.into(),
    };
    let out = offset_of!(PxenvFileApiCheck, size);
    block.write(out, &answer.as_bytes()[out..])
}
