//! The preboot functions: cached packets, unloading.

use core::mem::offset_of;

use static_assertions::const_assert_eq;

use super::api::Api;
use super::block::{Answer, Block, buffer};
use crate::machine::Machine;
use crate::mem::{PhysMem, SegOff};
use crate::net::dhcp::PACKET_LEN;
use crate::nic::Nic;
use crate::wire::pxe::*;

const_assert_eq!(BOOTPLAYER_LEN, PACKET_LEN);

impl<N: Nic, M: PhysMem, C: Machine> Api<'_, N, M, C> {
    /// `UNLOAD_STACK`: base code lets go of its connections. Nothing below the UNDI segments is ours, so nothing has to
    /// be kept; the block is not looked at, it holds garbage from some callers (GRUB).
    pub(super) fn unload_stack(&mut self) -> Answer {
        self.close_files();
        self.tftp_close()?;
        self.udp_close()
    }

    /// `GET_CACHED_INFO`: one master copy per packet, in the resident block. Boot programs write into it and expect the
    /// program that they start to find what they wrote (wdsnbp, Syslinux's pxechn, GRUB's pxechainloader).
    pub(super) fn get_cached_info(&mut self, block: &Block<M>) -> Answer {
        let mut info: PxenvGetCachedInfo = block.read()?;
        let layout = self.machine.resident();
        let offset = match info.packet_type.get() {
            PXENV_PACKET_TYPE_DHCP_DISCOVER => layout.cached[0],
            PXENV_PACKET_TYPE_DHCP_ACK => layout.cached[1],
            PXENV_PACKET_TYPE_CACHED_REPLY => layout.cached[2],
            _ => return Err(PxenvStatus::UNSUPPORTED),
        };
        let cached = SegOff { offset, segment: layout.segment };
        let into = SegOff::from(info.buffer).linear();
        let room = usize::from(info.buffer_size.get());
        // Without room there is nothing to copy into, whatever the pointer holds.
        if room == 0 || into == 0 {
            info.buffer = cached.into();
            info.buffer_size = (BOOTPLAYER_LEN as u16).into();
        } else {
            let mut packet = [0; BOOTPLAYER_LEN];
            let packet = &mut packet[..room.min(BOOTPLAYER_LEN)];
            self.mem.read(cached.linear(), packet)?;
            self.mem.write(buffer(info.buffer, packet.len())?, packet)?;
            info.buffer_size = (packet.len() as u16).into();
        }
        let out = offset_of!(PxenvGetCachedInfo, buffer_size);
        block.write(out, &zerocopy::IntoBytes::as_bytes(&info)[out..])
    }
}
