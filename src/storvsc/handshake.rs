//! The VSTOR handshake: begin, version, properties, end.

use zerocopy::little_endian::U16;
use zerocopy::{FromBytes, IntoBytes};

use super::controller::Controller;
use crate::error::Error;
use crate::hv::Hypervisor;
use crate::log;
use crate::mem::{PAGE_SIZE, SharedMem};
use crate::vmbus::Connection;
use crate::wire::vstor::{Properties, ProtocolVersion, STATUS_REVISION_MISMATCH, STATUS_SUCCESS, VERSIONS, operation};

impl<H: Hypervisor> Controller<H> {
    /// Brings the controller up. The message page must be in place. On an error it must still be
    /// [`close`](Self::close)d.
    ///
    /// # Errors
    /// [`Error::VersionRefused`], [`Error::HostRefused`], [`Error::HostTimeout`], [`Error::HostProtocol`], and
    /// [`Error::NicGone`] when the host takes it back meanwhile.
    pub fn start(&mut self, connection: &mut Connection<H>) -> Result<(), Error> {
        self.step(connection, operation::BEGIN_INITIALIZATION)?;
        let version = self.negotiate(connection)?;
        let (status, payload) = self.exchange(connection, operation::QUERY_PROPERTIES, &[])?;
        let (properties, _) = Properties::read_from_prefix(&payload).map_err(|_| Error::HostProtocol)?;
        let limit = properties.max_transfer_bytes.get() as usize;
        if status != STATUS_SUCCESS || limit < PAGE_SIZE {
            return Err(Error::HostRefused);
        }
        // Whole blocks of any length.
        self.max_transfer = limit.min(self.data.len()) / PAGE_SIZE * PAGE_SIZE;
        self.step(connection, operation::END_INITIALIZATION)?;
        log::line(format_args!(
            "storvsc: VSTOR {}.{}, {} KiB a request",
            version >> 8,
            version & 0xff,
            self.max_transfer / 1024
        ));
        Ok(())
    }

    fn negotiate(&mut self, connection: &mut Connection<H>) -> Result<u16, Error> {
        for version in VERSIONS {
            let wanted = ProtocolVersion { major_minor: U16::new(version), revision: U16::ZERO };
            match self.exchange(connection, operation::QUERY_PROTOCOL_VERSION, wanted.as_bytes())?.0 {
                STATUS_SUCCESS => return Ok(version),
                STATUS_REVISION_MISMATCH => {}
                _ => return Err(Error::HostRefused),
            }
        }
        Err(Error::VersionRefused)
    }

    /// Resets the controller and all its disks. The message page must be in place.
    ///
    /// # Errors
    /// [`Error::HostRefused`] and what an exchange has.
    pub fn reset(&mut self, connection: &mut Connection<H>) -> Result<(), Error> {
        self.step(connection, operation::RESET_ADAPTER)
    }

    fn step(&mut self, connection: &mut Connection<H>, operation: u32) -> Result<(), Error> {
        match self.exchange(connection, operation, &[])?.0 {
            STATUS_SUCCESS => Ok(()),
            _ => Err(Error::HostRefused),
        }
    }
}
