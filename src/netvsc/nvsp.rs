//! NVSP: version, configuration and buffers of the card.

use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::{FromBytes, IntoBytes};

use super::device::Device;
use super::exchange::NVSP_TRANSACTION;
use crate::error::Error;
use crate::hv::Hypervisor;
use crate::nic::MAX_FRAME_LEN;
use crate::vmbus::Connection;
use crate::wire::nvsp::{
    Init, InitComplete, MESSAGE_LEN, MESSAGE_LEN_V6_1, RecvBufComplete, STATUS_SUCCESS, SendBufComplete, SendBuffer,
    SendNdisConfig, SendNdisVersion, VERSION_2, VERSION_5, VERSION_6_1, VERSIONS, message_type, padded,
};
use crate::wire::ring::{FLAG_COMPLETION_REQUESTED, PACKET_IN_BAND};

/// Our name for the receive buffer (policy: any).
const RECEIVE_BUFFER_ID: u16 = 0x5242;
/// Our name for the send buffer (policy: any; Linux uses 0).
const SEND_BUFFER_ID: u16 = 0;

impl<H: Hypervisor> Device<H> {
    /// Agrees on the newest version that the host takes.
    pub(super) fn negotiate(&mut self, connection: &mut Connection<H>) -> Result<u32, Error> {
        for version in VERSIONS {
            self.exchange.message_len = if version >= VERSION_6_1 { MESSAGE_LEN_V6_1 } else { MESSAGE_LEN };
            let init = Init {
                message_type: U32::new(message_type::INIT),
                version: U32::new(version),
                version_again: U32::new(version),
            };
            let complete: InitComplete = answer(self.nvsp_exchange(connection, init.as_bytes())?)?;
            // A refusal has status 0 on OpenVMM.
            if complete.message_type == message_type::INIT_COMPLETE && complete.status == STATUS_SUCCESS {
                return Ok(version);
            }
        }
        crate::log::line(format_args!("netvsc: the host speaks no NVSP version that we know"));
        Err(Error::HostRefused)
    }

    /// Tells the host what we are. Neither message is completed.
    pub(super) fn send_configuration(&mut self, connection: &Connection<H>, version: u32) -> Result<(), Error> {
        if version >= VERSION_2 {
            let config = SendNdisConfig {
                message_type: U32::new(message_type::SEND_NDIS_CONFIG),
                mtu: U32::new(MAX_FRAME_LEN as u32),
                reserved: U32::ZERO,
                capabilities: U64::ZERO,
            };
            self.nvsp_send(connection, 0, config.as_bytes())?;
        }
        let ndis = SendNdisVersion {
            message_type: U32::new(message_type::SEND_NDIS_VERSION),
            major: U32::new(6),
            minor: U32::new(if version >= VERSION_5 { 30 } else { 1 }),
        };
        self.nvsp_send(connection, 0, ndis.as_bytes())
    }

    /// Hands the host the receive buffer of `size` bytes.
    pub(super) fn announce_receive_buffer(
        &mut self,
        connection: &mut Connection<H>,
        gpadl: u32,
        size: usize,
    ) -> Result<(), Error> {
        let message = SendBuffer {
            message_type: U32::new(message_type::SEND_RECV_BUF),
            gpadl: U32::new(gpadl),
            id: U16::new(RECEIVE_BUFFER_ID),
            reserved: U16::ZERO,
        };
        let complete: RecvBufComplete = answer(self.nvsp_exchange(connection, message.as_bytes())?)?;
        if complete.message_type != message_type::SEND_RECV_BUF_COMPLETE {
            return Err(Error::HostProtocol);
        }
        if complete.status != STATUS_SUCCESS {
            return Err(Error::HostRefused);
        }
        // A hint at a host that means another buffer; each range is checked again when it comes.
        if complete.section_count == 0 || complete.end_offset.get() as usize > size {
            return Err(Error::HostProtocol);
        }
        Ok(())
    }

    /// Hands the host the send buffer; returns the length of a section.
    pub(super) fn announce_send_buffer(&mut self, connection: &mut Connection<H>, gpadl: u32) -> Result<u32, Error> {
        let message = SendBuffer {
            message_type: U32::new(message_type::SEND_SEND_BUF),
            gpadl: U32::new(gpadl),
            id: U16::new(SEND_BUFFER_ID),
            reserved: U16::ZERO,
        };
        let complete: SendBufComplete = answer(self.nvsp_exchange(connection, message.as_bytes())?)?;
        if complete.message_type != message_type::SEND_SEND_BUF_COMPLETE {
            return Err(Error::HostProtocol);
        }
        if complete.status != STATUS_SUCCESS {
            return Err(Error::HostRefused);
        }
        Ok(complete.section_size.get())
    }

    /// Sends a request and returns the payload of its completion.
    fn nvsp_exchange(
        &mut self,
        connection: &mut Connection<H>,
        request: &[u8],
    ) -> Result<&[u8; MESSAGE_LEN_V6_1], Error> {
        self.exchange.nvsp_answer = None;
        self.nvsp_send(connection, FLAG_COMPLETION_REQUESTED, request)?;
        self.wait(connection, |exchange| exchange.nvsp_answer.is_some())?;
        self.exchange.nvsp_answer.as_ref().ok_or(Error::HostProtocol)
    }

    fn nvsp_send(&mut self, connection: &Connection<H>, flags: u16, request: &[u8]) -> Result<(), Error> {
        let bytes = padded(request);
        let bytes = &bytes[..self.exchange.message_len];
        self.channel.send(connection, PACKET_IN_BAND, flags, NVSP_TRANSACTION, &[], bytes)
    }
}

/// What the payload of a completion says.
fn answer<A: FromBytes>(payload: &[u8; MESSAGE_LEN_V6_1]) -> Result<A, Error> {
    A::read_from_prefix(payload).map(|(answer, _)| answer).map_err(|_| Error::HostProtocol)
}
