//! BIOSes whose disk is synthetic.

use hvpxe::hv::Hypervisor;
use hvpxe::wire::hv::{HV_X64_MSR_HYPERCALL, HV_X64_MSR_SIMP};
use hvpxe::wire::vmbus::{Header, OfferChannel, RelidMessage, message_type};
use zerocopy::IntoBytes;
use zerocopy::little_endian::U32;

use super::client::{Client, Slot, kind, payload};
use super::drive::Drive;
use super::record::Published;
use crate::machine::{Machine, Party};

/// The BIOS's guest OS id: the open-source form, a type that nobody uses.
const OS_ID: u64 = 0xf500_0000_0001_0000;
/// How often one request makes a careful BIOS connect again.
const RECONNECTS: u32 = 3;

/// How a BIOS treats VMBus.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// Takes VMBus at POST, leaves its message page enabled, and never looks again.
    Naive,
    /// Looks at SIMP and HYPERCALL on each call and connects again when they are not its own, or the drive is silent.
    Careful,
    /// As careful, and it keeps a record.
    Publishing,
    /// As publishing, with an interrupt for each message.
    InterruptDriven,
}

pub struct Bios {
    pub style: Style,
    client: Client,
    drive: Option<Drive>,
    published: Option<Published>,
    /// Channels that the host took back, and that are not released yet.
    rescinded: Vec<u32>,
    /// Connections made.
    pub contacts: u32,
}

impl Bios {
    /// POST: takes VMBus and opens the drive.
    pub fn post(machine: &Machine, style: Style) -> Self {
        let hv = machine.seen_by(Party::Bios);
        let shares = matches!(style, Style::Publishing | Style::InterruptDriven);
        let mut bios = Self {
            style,
            client: Client::new(&hv, OS_ID, style == Style::InterruptDriven),
            drive: None,
            published: shares.then(|| Published::new(&hv, OS_ID)),
            rescinded: Vec::new(),
            contacts: 0,
        };
        bios.connect();
        assert!(bios.drive.is_some(), "POST without a drive");
        bios
    }

    /// Connects, and opens the drive. The memory of an earlier connection is never used again.
    fn connect(&mut self) -> bool {
        self.client.take_calls();
        self.client.take_synic();
        if let Some(published) = &mut self.published {
            published.ends();
        }
        self.contacts += 1;
        self.rescinded.clear();
        self.drive = None;
        if self.client.contact() {
            self.drive = Drive::open(&mut self.client);
        }
        if let (Some(published), Some(drive)) = (&mut self.published, &self.drive) {
            published.stands(&self.client, drive.relid);
        }
        self.drive.is_some()
    }

    /// Whether the MSRs, and the record if there is one, are as this BIOS left them.
    pub fn is_owner(&self) -> bool {
        let hv = &self.client.hv;
        hv.read_msr(HV_X64_MSR_SIMP) == self.client.simp_msr()
            && hv.read_msr(HV_X64_MSR_HYPERCALL) == self.client.hypercall_msr()
            && self.published.as_ref().is_none_or(Published::is_current)
    }

    /// INT 13h. `None`: the drive does not answer.
    pub fn access(&mut self, write: bool, lba: u64, bytes: &mut [u8]) -> Option<()> {
        if self.style == Style::Naive {
            return self.drive.as_mut()?.access(&self.client, write, lba, bytes);
        }
        for _ in 0..RECONNECTS {
            if self.drive.is_none() || !self.is_owner() {
                self.connect();
            }
            self.service();
            if let Some(drive) = &mut self.drive
                && drive.access(&self.client, write, lba, bytes).is_some()
            {
                return Some(());
            }
            // Somebody may have ended the connection without leaving a trace.
            self.drive = None;
        }
        None
    }

    /// SINT2's interrupt.
    pub fn interrupt(&mut self) {
        if !self.published.as_ref().is_some_and(Published::is_locked) {
            self.service();
        }
    }

    /// Takes the messages that came: those kept in the record first.
    fn service(&mut self) {
        while let Some(slot) = self.published.as_ref().and_then(Published::take_message) {
            self.handle(&slot);
        }
        if self.client.hv.read_msr(HV_X64_MSR_SIMP) != self.client.simp_msr() {
            return;
        }
        while let Some(slot) = self.client.take_message() {
            self.handle(&slot);
        }
        let rescinded = std::mem::take(&mut self.rescinded);
        for id in rescinded {
            if self.published.as_ref().is_none_or(|published| published.rescind(id)) {
                let header = Header::new(message_type::RELID_RELEASED);
                self.client.post(RelidMessage { header, id: U32::new(id) }.as_bytes());
            } else {
                self.rescinded.push(id);
            }
        }
    }

    fn handle(&mut self, slot: &Slot) {
        match kind(slot) {
            message_type::OFFERCHANNEL => {
                let offer: OfferChannel = payload(slot);
                self.client.offers.push(offer);
                if let Some(published) = &self.published {
                    published.offer(&offer, false);
                }
            }
            message_type::RESCIND_CHANNELOFFER => {
                let id = payload::<RelidMessage>(slot).id.get();
                let known = self.client.offers.iter().any(|offer| offer.child_relid == id);
                let in_use = self.drive.as_ref().is_some_and(|drive| id == drive.relid);
                self.client.offers.retain(|offer| offer.child_relid != id);
                if known && !in_use && !self.rescinded.contains(&id) {
                    self.rescinded.push(id);
                }
            }
            _ => {}
        }
    }

    /// Channels that others have open on this BIOS's connection.
    pub fn guests(&self) -> usize {
        self.published.as_ref().map_or(0, Published::others_open)
    }
}
