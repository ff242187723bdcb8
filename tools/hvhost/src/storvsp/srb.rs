//! The SCSI request of an EXECUTE_SRB packet, and its answer.

use serde::{Deserialize, Serialize};

use super::sense::Sense;
use super::vstor::{self, u16_at, u32_at};

/// Statuses of an SRB.
pub(crate) mod srb_status {
    pub const SUCCESS: u8 = 0x01;
    pub const ABORTED: u8 = 0x02;
    pub const ERROR: u8 = 0x04;
    pub const BUSY: u8 = 0x05;
    pub const INVALID_REQUEST: u8 = 0x06;
    pub const NO_DEVICE: u8 = 0x08;
    pub const TIMEOUT: u8 = 0x09;
    pub const BUS_RESET: u8 = 0x0e;
    pub const DATA_OVERRUN: u8 = 0x12;
    pub const INVALID_LUN: u8 = 0x20;
    /// Flag: the sense data are valid.
    pub const AUTOSENSE_VALID: u8 = 0x80;
}

/// SCSI statuses.
pub(crate) const GOOD: u8 = 0x00;
pub(crate) const CHECK_CONDITION: u8 = 0x02;
pub(crate) const BUSY: u8 = 0x08;

/// Where the data go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub(crate) enum Direction {
    ToDevice,
    FromDevice,
    None,
}

/// A request.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Srb {
    pub path: u8,
    pub target: u8,
    pub lun: u8,
    pub direction: Direction,
    pub transfer: u32,
    pub cdb: [u8; 16],
}

impl Srb {
    /// Reads a packet that is as long as those of `version`. `remarks` gets what is wrong but harmless.
    ///
    /// # Errors
    /// What makes it no request at all.
    pub fn parse(packet: &[u8], version: u16, remarks: &mut Vec<&'static str>) -> Result<Self, &'static str> {
        let len = vstor::packet_len(version);
        if packet.len() < len {
            return Err("shorter than packets of the negotiated version");
        }
        if usize::from(u16_at(packet, 12)) != len - 12 {
            remarks.push("the request's length field is not that of the negotiated version");
        }
        let direction = match packet[22] {
            0 => Direction::ToDevice,
            1 => Direction::FromDevice,
            2 => Direction::None,
            _ => return Err("data direction"),
        };
        let cdb: [u8; 16] = *packet[28..].first_chunk().ok_or("no CDB")?;
        let sense = if version >= vstor::V5_1 { 0x14 } else { 0x12 };
        if packet[21] != sense {
            remarks.push("the sense length is not that of the negotiated version");
        }
        if usize::from(packet[20]) != cdb_len(cdb[0]) {
            remarks.push("the CDB length does not fit the operation code");
        }
        if version >= vstor::V5_1 {
            // SRB_FLAGS_DATA_IN and SRB_FLAGS_DATA_OUT
            let expected = match direction {
                Direction::ToDevice => 0x80,
                Direction::FromDevice => 0x40,
                Direction::None => 0,
            };
            if u32_at(packet, 52) & 0xc0 != expected {
                remarks.push("the SRB flags contradict the data direction");
            }
        }
        let transfer = u32_at(packet, 24);
        Ok(Self { path: packet[17], target: packet[18], lun: packet[19], direction, transfer, cdb })
    }
}

/// Bytes in a CDB, by its group.
fn cdb_len(operation: u8) -> usize {
    match operation >> 5 {
        0 => 6,
        1 | 2 => 10,
        4 => 16,
        _ => 12,
    }
}

/// How a request ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Outcome {
    pub srb_status: u8,
    pub scsi_status: u8,
    /// Bytes moved.
    pub moved: u32,
    pub sense: Option<Sense>,
}

impl Outcome {
    pub fn success(moved: usize) -> Self {
        Self { srb_status: srb_status::SUCCESS, scsi_status: GOOD, moved: moved as u32, sense: None }
    }

    /// A failure without sense data.
    pub fn failure(srb_status: u8, scsi_status: u8) -> Self {
        Self { srb_status, scsi_status, moved: 0, sense: None }
    }

    pub fn sense(sense: Sense) -> Self {
        Self { srb_status: srb_status::ERROR, scsi_status: CHECK_CONDITION, moved: 0, sense: Some(sense) }
    }

    /// The completion of `request`.
    pub fn packet(&self, request: &Srb, version: u16, len: usize) -> Vec<u8> {
        let status = match self.srb_status {
            srb_status::SUCCESS => vstor::STATUS_SUCCESS,
            srb_status::ABORTED | srb_status::BUS_RESET => vstor::STATUS_CANCELLED,
            srb_status::BUSY => vstor::STATUS_DEVICE_BUSY,
            srb_status::TIMEOUT => vstor::STATUS_IO_TIMEOUT,
            srb_status::NO_DEVICE | srb_status::INVALID_LUN => vstor::STATUS_DEVICE_DOES_NOT_EXIST,
            srb_status::DATA_OVERRUN => vstor::STATUS_BUFFER_OVERFLOW,
            _ => vstor::STATUS_IO_DEVICE_ERROR,
        };
        let autosense = if self.sense.is_some() { srb_status::AUTOSENSE_VALID } else { 0 };
        let mut payload = vec![0; vstor::packet_len(version) - 12];
        payload[0] = payload.len() as u8;
        payload[2] = self.srb_status | autosense;
        payload[3] = self.scsi_status;
        payload[5..8].copy_from_slice(&[request.path, request.target, request.lun]);
        payload[8..10].copy_from_slice(&[16, if version >= vstor::V5_1 { 0x14 } else { 0x12 }]);
        payload[12..16].copy_from_slice(&self.moved.to_le_bytes());
        if let Some(sense) = self.sense {
            payload[16..34].copy_from_slice(&sense.to_bytes());
        }
        vstor::packet(vstor::COMPLETE_IO, status, &payload, len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contradictions_are_remarked_on() {
        let mut packet = vec![0; 64];
        packet[12] = 0x34;
        packet[20..23].copy_from_slice(&[10, 0x14, 1]);
        packet[28] = 0x28;
        packet[52] = 0x40;
        let mut remarks = Vec::new();
        Srb::parse(&packet, vstor::V6_0, &mut remarks).unwrap();
        assert!(remarks.is_empty(), "{remarks:?}");
        packet[12] = 0x24;
        packet[20..22].copy_from_slice(&[16, 0x12]);
        packet[52] = 0x80;
        Srb::parse(&packet, vstor::V6_0, &mut remarks).unwrap();
        assert_eq!(remarks.len(), 4, "{remarks:?}");
        packet[22] = 3;
        assert!(Srb::parse(&packet, vstor::V6_0, &mut remarks).is_err());
        assert!(Srb::parse(&packet[..48], vstor::V6_0, &mut remarks).is_err());
    }
}
