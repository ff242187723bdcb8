//! A disk behind the synthetic SCSI controller, reached in the simplest way: one request at a time, no recovery.

use hvpxe::hv::Hypervisor;
use hvpxe::mem::{PAGE_SIZE, SharedMem};
use hvpxe::vmbus::ring::{Rings, Signal};
use hvpxe::wire::ring::{FLAG_COMPLETION_REQUESTED, PACKET_COMPLETION, PACKET_GPA_DIRECT, PACKET_IN_BAND};
use hvpxe::wire::vmbus::CLASS_SCSI;
use hvpxe::wire::vstor::*;
use zerocopy::little_endian::{U16, U32};
use zerocopy::{FromBytes, FromZeros, IntoBytes};

use super::client::Client;
use crate::machine::Pages;

pub const BLOCK: usize = 512;
/// How long a request may take, in milliseconds.
const PATIENCE_MS: u64 = 30_000;
/// Tries of a request that the disk refuses for now.
const TRIES: u32 = 20;

/// An open drive.
pub struct Drive {
    rings: Rings<Pages>,
    data: Pages,
    connection_id: u32,
    pub relid: u32,
    transaction: u64,
}

impl Drive {
    /// Opens the first controller that is offered.
    pub fn open(client: &mut Client) -> Option<Self> {
        let offer = *client.offers.iter().find(|offer| offer.interface == CLASS_SCSI)?;
        let (ring, data) = (client.hv.alloc_pages(4)?, client.hv.alloc_pages(1)?);
        // The rings make their control pages before the host sees them.
        let rings = Rings::new(ring);
        if !client.open(offer.child_relid.get(), rings.pages()) {
            return None;
        }
        let mut drive = Self {
            rings,
            data,
            connection_id: offer.connection_id.get(),
            relid: offer.child_relid.get(),
            transaction: 0,
        };
        let version = ProtocolVersion { major_minor: U16::new(0x0501), revision: U16::ZERO };
        for (step, payload) in [
            (operation::BEGIN_INITIALIZATION, &[][..]),
            (operation::QUERY_PROTOCOL_VERSION, version.as_bytes()),
            (operation::QUERY_PROPERTIES, &[]),
            (operation::END_INITIALIZATION, &[]),
        ] {
            drive.run(client, step, payload, false)?;
        }
        Some(drive)
    }

    /// Reads or writes up to 8 blocks; `None` when the disk does not do it.
    pub fn access(&mut self, client: &Client, write: bool, lba: u64, bytes: &mut [u8]) -> Option<()> {
        for _ in 0..TRIES {
            if write {
                self.data.write(0, bytes);
            }
            let mut srb = Srb::new_zeroed();
            srb.length = U16::new(size_of::<Srb>() as u16);
            srb.cdb_length = 10;
            srb.sense_length = SENSE_LEN as u8;
            srb.data_in = if write { DATA_OUT } else { DATA_IN };
            srb.data_transfer_length = U32::new(bytes.len() as u32);
            srb.cdb_or_sense[0] = if write { 0x2a } else { 0x28 };
            srb.cdb_or_sense[2..6].copy_from_slice(&(lba as u32).to_be_bytes());
            srb.cdb_or_sense[7..9].copy_from_slice(&((bytes.len() / BLOCK) as u16).to_be_bytes());
            srb.queue_action = SIMPLE_QUEUE;
            srb.srb_flags = U32::new(if write { SRB_FLAGS_DATA_OUT } else { SRB_FLAGS_DATA_IN });
            srb.time_out_value = U32::new(60);
            let answer = self.run(client, operation::EXECUTE_SRB, srb.as_bytes(), true)?;
            let (answer, _) = Srb::read_from_prefix(&answer).ok()?;
            let moved = answer.data_transfer_length.get() as usize == bytes.len();
            if answer.srb_status & SRB_STATUS_MASK == SRB_STATUS_SUCCESS && answer.scsi_status == 0 && moved {
                if !write {
                    self.data.read(0, bytes);
                }
                return Some(());
            }
            let end = client.hv.now().plus_millis(50);
            while client.hv.now() < end {
                client.hv.relax();
            }
        }
        None
    }

    /// One packet and its completion. It never looks whether anybody listens.
    fn run(&mut self, client: &Client, operation: u32, payload: &[u8], with_data: bool) -> Option<[u8; PACKET_LEN]> {
        let mut packet = [0; PACKET_LEN];
        let header = PacketHeader {
            operation: U32::new(operation),
            flags: U32::new(FLAG_REQUEST_COMPLETION),
            status: U32::ZERO,
        };
        packet[..HEADER_LEN].copy_from_slice(header.as_bytes());
        packet[HEADER_LEN..][..payload.len()].copy_from_slice(payload);
        self.transaction += 1;
        let mut extra = Vec::new();
        let kind = if with_data {
            [0, 1, PAGE_SIZE as u32, 0].iter().for_each(|word| extra.extend(word.to_le_bytes()));
            let len = payload[12..16].to_vec();
            extra[8..12].copy_from_slice(&len);
            extra.extend(self.data.gpa().pfn().to_le_bytes());
            PACKET_GPA_DIRECT
        } else {
            PACKET_IN_BAND
        };
        let written = self.rings.write(kind, FLAG_COMPLETION_REQUESTED, self.transaction, &extra, &packet).ok()?;
        if written == Signal::Needed {
            client.signal(self.connection_id);
        }
        let end = client.hv.now().plus_millis(PATIENCE_MS);
        loop {
            while let Ok(packet) = self.rings.peek() {
                let mut bytes = [0; PACKET_LEN];
                let len = bytes.len().min(packet.length - packet.data_offset);
                self.rings.read(&packet, packet.data_offset, &mut bytes[..len]).ok()?;
                if self.rings.consume(&packet).ok()? == Signal::Needed {
                    client.signal(self.connection_id);
                }
                if packet.packet_type == PACKET_COMPLETION && packet.transaction_id == self.transaction {
                    let (header, rest) = PacketHeader::read_from_prefix(&bytes).ok()?;
                    let mut answer = [0; PACKET_LEN];
                    answer[..rest.len()].copy_from_slice(rest);
                    return (header.status == 0 || with_data).then_some(answer);
                }
            }
            if client.hv.now() > end {
                return None;
            }
            client.hv.relax();
        }
    }
}
