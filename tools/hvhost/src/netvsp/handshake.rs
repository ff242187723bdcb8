//! The NVSP handshake, in its strict order: INIT; SEND_NDIS_CONFIG (from version 2); then SEND_NDIS_VERSION,
//! SEND_RECV_BUF and perhaps SEND_SEND_BUF; the first RNDIS message ends it.

use serde::{Deserialize, Serialize};

use super::nvsp::{self, field};
use super::rxbuf::ReceiveBuffer;
use crate::vmbus::device::Io;
use crate::vmbus::gpadl::Region;

/// MTU when SEND_NDIS_CONFIG names none or a bad one; with the Ethernet header, as all MTUs here.
const DEFAULT_MTU: u32 = 1514;
const MAX_MTU: u32 = 9216;
/// MDLs in a chain, as OpenVMM says.
const MAX_MDL_CHAIN: u32 = 34;

/// What has been agreed on with the guest.
#[derive(Debug, Default, Deserialize, Serialize)]
pub(crate) struct Setup {
    /// 0 until INIT succeeded.
    version: u32,
    config: Option<u32>,
    ndis_version: Option<(u32, u32)>,
    pub receive: Option<ReceiveBuffer>,
    pub receive_id: u16,
    send: Option<(u32, Region)>,
    done: bool,
}

impl Setup {
    pub fn version(&self) -> u32 {
        self.version
    }

    pub fn mtu(&self) -> u32 {
        self.config.unwrap_or(DEFAULT_MTU)
    }

    pub fn is_ndis6(&self) -> bool {
        self.ndis_version.is_some_and(|(major, _)| major >= 6)
    }

    pub fn holds(&self, gpadl: u32) -> bool {
        self.receive.as_ref().is_some_and(|buffer| buffer.gpadl == gpadl)
            || self.send.as_ref().is_some_and(|(id, _)| *id == gpadl)
    }

    /// An RNDIS message: is everything there? Says whether it is the first.
    ///
    /// # Errors
    /// What is missing.
    pub fn finish(&mut self) -> Result<bool, &'static str> {
        let first = !self.done;
        if first {
            if self.ndis_version.is_none() {
                return Err("before SEND_NDIS_VERSION");
            }
            if self.receive.is_none() {
                return Err("before SEND_RECV_BUF");
            }
            self.done = true;
        }
        Ok(first)
    }

    /// What hosts with SR-IOV and sub-channels send unasked: no VF; an indirection table of 16 entries behind
    /// {count @4, offset @8}.
    pub fn unsolicited(&self) -> Vec<Vec<u8>> {
        let mut messages = Vec::new();
        if self.version >= nvsp::V4 {
            messages.push(self.reply(nvsp::SEND_VF_ASSOCIATION, &[0, 0]));
        }
        if self.version >= nvsp::V5 {
            let table = [&[nvsp::SEND_INDIRECTION_TABLE, 16, 12][..], &[0; 16]].concat();
            messages.push(table.iter().flat_map(|field| field.to_le_bytes()).collect());
        }
        messages
    }

    /// The used part of a section of the send buffer.
    pub fn send_section(&self, index: usize, size: usize, io: &Io<'_>) -> Option<Vec<u8>> {
        let (_, region) = self.send.as_ref()?;
        let start = index.checked_mul(nvsp::SEND_SECTION)?;
        if start.checked_add(size)? > region.len() || size > nvsp::SEND_SECTION {
            return None;
        }
        let mut bytes = vec![0; size];
        region.read(io.mem, start, &mut bytes).then_some(bytes)
    }

    /// Serves any message but SEND_RNDIS_PKT: the completion's payload.
    ///
    /// # Errors
    /// Why the channel stops.
    pub fn message(&mut self, kind: u32, message: &[u8], io: &mut Io<'_>) -> Result<Vec<u8>, &'static str> {
        let at = |offset| field(message, offset).ok_or("too short");
        let known = match kind {
            nvsp::INIT => true,
            nvsp::SEND_NDIS_VERSION..=nvsp::REVOKE_SEND_BUF => self.version >= nvsp::V1,
            nvsp::SEND_NDIS_CONFIG => self.version >= nvsp::V2,
            nvsp::SWITCH_DATA_PATH => self.version >= nvsp::V4,
            nvsp::OID_QUERY_EX | nvsp::SUBCHANNEL => self.version >= nvsp::V5,
            _ => false,
        };
        if !known {
            return Err("not a message of the negotiated version");
        }
        match kind {
            nvsp::INIT => self.init(at(4)?, io),
            nvsp::SEND_NDIS_CONFIG => {
                self.once(self.config.is_none())?;
                if self.receive.is_some() {
                    return Err("after SEND_RECV_BUF");
                }
                let mtu = at(4)?;
                self.config = Some(if (DEFAULT_MTU..=MAX_MTU).contains(&mtu) { mtu } else { DEFAULT_MTU });
                at(16)?;
                Ok(Vec::new())
            }
            nvsp::SEND_NDIS_VERSION => {
                self.once(self.ndis_version.is_none())?;
                self.ndis_version = Some((at(4)?, at(8)?));
                Ok(Vec::new())
            }
            nvsp::SEND_RECV_BUF => {
                self.once(self.receive.is_none())?;
                if self.version >= nvsp::V2 && self.config.is_none() {
                    return Err("before SEND_NDIS_CONFIG");
                }
                self.receive_buffer(at(4)?, at(8)? as u16, io)
            }
            nvsp::SEND_SEND_BUF => {
                self.once(self.send.is_none())?;
                let gpadl = at(4)?;
                at(8)?;
                self.send = Some((gpadl, io.region(gpadl).ok_or("no such GPADL in RAM")?));
                Ok(self.reply(nvsp::SEND_SEND_BUF_COMPLETE, &[nvsp::STATUS_SUCCESS, nvsp::SEND_SECTION as u32]))
            }
            nvsp::REVOKE_RECV_BUF | nvsp::REVOKE_SEND_BUF if !io.config.revoke_completes => {
                Err("a buffer was revoked, which ends the channel here")
            }
            nvsp::REVOKE_RECV_BUF => self.receive.take().map(|_| Vec::new()).ok_or("no receive buffer to revoke"),
            nvsp::REVOKE_SEND_BUF => self.send.take().map(|_| Vec::new()).ok_or("no send buffer to revoke"),
            nvsp::SWITCH_DATA_PATH => Ok(Vec::new()),
            nvsp::OID_QUERY_EX => Ok(self.reply(nvsp::OID_QUERY_EX_COMPLETE, &[super::oid::STATUS_NOT_SUPPORTED, 0])),
            nvsp::SUBCHANNEL => Ok(self.reply(nvsp::SUBCHANNEL, &[nvsp::STATUS_FAILURE, 0])),
            _ => Err("message type"),
        }
    }

    fn reply(&self, kind: u32, fields: &[u32]) -> Vec<u8> {
        nvsp::message(self.version, kind, fields)
    }

    fn once(&self, first: bool) -> Result<(), &'static str> {
        match (first, self.done) {
            (true, false) => Ok(()),
            (_, true) => Err("after the handshake"),
            (false, _) => Err("a second time"),
        }
    }

    fn init(&mut self, version: u32, io: &mut Io<'_>) -> Result<Vec<u8>, &'static str> {
        if self.version != 0 {
            return Err("INIT after it succeeded");
        }
        if !nvsp::VERSIONS.contains(&version) || version > io.config.max_nvsp_version {
            io.report.log(format!("channel {}: NVSP {version:#x} refused", io.relid));
            return Ok(self.reply(nvsp::INIT_COMPLETE, &[u32::MAX, MAX_MDL_CHAIN, nvsp::STATUS_NONE]));
        }
        io.report.log(format!("channel {}: NVSP {version:#x}", io.relid));
        self.version = version;
        // The field was once the version; only the first one still fills it.
        let negotiated = if version == nvsp::V1 { version } else { u32::MAX };
        Ok(self.reply(nvsp::INIT_COMPLETE, &[negotiated, MAX_MDL_CHAIN, nvsp::STATUS_SUCCESS]))
    }

    fn receive_buffer(&mut self, gpadl: u32, id: u16, io: &mut Io<'_>) -> Result<Vec<u8>, &'static str> {
        let region = io.region(gpadl).ok_or("no such GPADL in RAM")?;
        if io.config.faults.fail_receive_buffer {
            io.report.log(format!("channel {}: receive buffer refused, as configured", io.relid));
            return Ok(self.reply(nvsp::SEND_RECV_BUF_COMPLETE, &[nvsp::STATUS_FAILURE]));
        }
        let buffer = ReceiveBuffer::new(gpadl, region, self.mtu() as usize, io.config.rx_layout)
            .ok_or("receive buffer too small for control messages and data")?;
        let (size, count) = (buffer.sub_allocation as u32, buffer.count);
        io.report.log(format!("channel {}: receive buffer of {count} times {size} bytes", io.relid));
        self.receive = Some(buffer);
        self.receive_id = id;
        // one section: offset, size, count, end
        let fields = [nvsp::STATUS_SUCCESS, 1, 0, size, count, size * count];
        Ok(self.reply(nvsp::SEND_RECV_BUF_COMPLETE, &fields))
    }
}
