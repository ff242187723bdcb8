//! UNDI's queries. All of them are answered in every state: callers ask early.

use core::mem::offset_of;

use zerocopy::FromZeros;

use super::Phase;
use crate::machine::Machine;
use crate::mem::PhysMem;
use crate::nic::{MacAddress, Nic};
use crate::pxe::api::Api;
use crate::pxe::block::{Answer, Block};
use crate::wire::pxe::*;

/// Longest payload of a frame. Limine derives its TFTP block size from it, so the header must not be counted.
const MTU: u16 = 1500;
/// ARP hardware type of Ethernet.
const HW_TYPE_ETHERNET: u16 = 1;
/// NDIS interface type; Symantec's driver takes no other.
const IFACE_TYPE: [u8; 16] = *b"DIX+802.3\0\0\0\0\0\0\0";
/// In bits per second. No known caller uses it, and the field can't hold what a virtual switch does.
const LINK_SPEED: u32 = 1_000_000_000;

impl<N: Nic, M: PhysMem, C: Machine> Api<'_, N, M, C> {
    /// `UNDI_GET_INFORMATION`.
    pub(in crate::pxe) fn undi_get_information(&mut self, block: &Block<M>) -> Answer {
        write_all(block, &self.information())
    }

    /// The answer to `UNDI_GET_INFORMATION`: IRQ 0, by which callers know that the card is polled.
    pub(in crate::pxe) fn information(&self) -> PxenvUndiGetInformation {
        PxenvUndiGetInformation {
            max_tran_unit: MTU.into(),
            hw_type: HW_TYPE_ETHERNET.into(),
            hw_addr_len: (ETH_ALEN as u16).into(),
            current_node_address: mac_addr_16(self.station()),
            perm_node_address: mac_addr_16(self.nic.permanent_mac()),
            rx_buf_ct: 1.into(),
            tx_buf_ct: 1.into(),
            ..PxenvUndiGetInformation::new_zeroed()
        }
    }

    /// `UNDI_GET_STATISTICS`.
    pub(in crate::pxe) fn undi_get_statistics(&mut self, block: &Block<M>) -> Answer {
        let (now, then) = (self.nic.statistics(), self.state.undi.cleared);
        let statistics = PxenvUndiGetStatistics {
            xmt_good_frames: now.transmitted.saturating_sub(then.transmitted).into(),
            rcv_good_frames: now.received.saturating_sub(then.received).into(),
            rcv_resource_errors: now.dropped.saturating_sub(then.dropped).into(),
            ..PxenvUndiGetStatistics::new_zeroed()
        };
        write_all(block, &statistics)
    }

    /// `UNDI_CLEAR_STATISTICS`.
    pub(in crate::pxe) fn undi_clear_statistics(&mut self) -> Answer {
        self.state.undi.cleared = self.nic.statistics();
        Ok(())
    }

    /// `UNDI_GET_MCAST_ADDRESS`: 01:00:5e and the low 23 bits of the group (RFC 1112, section 6.4).
    pub(in crate::pxe) fn undi_get_mcast_address(&mut self, block: &Block<M>) -> Answer {
        let query: [u8; offset_of!(PxenvUndiGetMcastAddress, media_addr)] = block.read()?;
        let [_, _, _, b, c, d] = query;
        let address = mac_addr_16([0x01, 0x00, 0x5e, b & 0x7f, c, d]);
        block.write(offset_of!(PxenvUndiGetMcastAddress, media_addr), &address)
    }

    /// `UNDI_GET_IFACE_INFO`.
    pub(in crate::pxe) fn undi_get_iface_info(&mut self, block: &Block<M>) -> Answer {
        write_all(block, &iface_info())
    }

    /// `UNDI_GET_STATE`.
    pub(in crate::pxe) fn undi_get_state(&mut self, block: &Block<M>) -> Answer {
        write_all(block, &self.undi_state())
    }

    /// The answer to `UNDI_GET_STATE`.
    pub(in crate::pxe) fn undi_state(&self) -> PxenvUndiGetState {
        let undi_state = match self.state.undi.phase {
            Phase::Stopped | Phase::Loaded | Phase::Started => PXE_UNDI_GET_STATE_STARTED,
            Phase::Initialized => PXE_UNDI_GET_STATE_INITIALIZED,
            Phase::Opened => PXE_UNDI_GET_STATE_OPENED,
        };
        PxenvUndiGetState { undi_state, ..PxenvUndiGetState::new_zeroed() }
    }
}

/// The answer to `UNDI_GET_IFACE_INFO`.
pub(in crate::pxe) fn iface_info() -> PxenvUndiGetIfaceInfo {
    PxenvUndiGetIfaceInfo {
        iface_type: IFACE_TYPE,
        link_speed: LINK_SPEED.into(),
        service_flags: SERVICE_FLAGS_POLLED.into(),
        ..PxenvUndiGetIfaceInfo::new_zeroed()
    }
}

/// An address in PXE's 16 bytes.
fn mac_addr_16(address: MacAddress) -> MacAddr16 {
    let mut wide = MacAddr16::default();
    wide[..ETH_ALEN].copy_from_slice(&address);
    wide
}

/// Writes all of a block but its status.
fn write_all<M: PhysMem>(block: &Block<M>, answer: &(impl zerocopy::IntoBytes + zerocopy::Immutable)) -> Answer {
    block.write(size_of::<PxenvStatus>(), &answer.as_bytes()[size_of::<PxenvStatus>()..])
}
