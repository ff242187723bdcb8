//! UNDI's data path: `TRANSMIT`, and `ISR`, by which a caller receives.
//!
//! The card is polled. `ISR` START says "ours" exactly when PROCESS would deliver something: some callers process only
//! then (Syslinux, Haiku), others never call START or ignore its answer (winBoot/i; GRUB, FreeBSD), so PROCESS and
//! GET_NEXT poll as well.

use core::mem::offset_of;

use zerocopy::FromZeros;

use super::{Phase, is_multicast};
use crate::error::Error;
use crate::machine::Machine;
use crate::mem::{PhysMem, SegOff};
use crate::nic::{MacAddress, Nic, PacketFilter};
use crate::pxe::api::Api;
use crate::pxe::block::{Answer, Block, buffer};
use crate::wire::pxe::*;

/// Length of an Ethernet header.
const ETH_HLEN: usize = 14;
/// The broadcast address.
const ETH_BROADCAST: MacAddress = [0xff; 6];
/// EtherTypes: IPv4, ARP, RARP (IANA, "EtherType"), each with the protocol that PXE makes of it.
const ETHERTYPES: [(u16, u8); 3] = [(0x0800, P_IP), (0x0806, P_ARP), (0x8035, P_RARP)];
/// How long `TRANSMIT` waits for room before it gives up (policy). Syslinux repeats a refused frame for ever without
/// calling `ISR`, so the room has to come from here.
const TRANSMIT_WAIT_MS: u64 = 50;
/// Most frames that one poll looks at while none passes the filter (policy: bounds a call under a broadcast storm).
const MAX_UNWANTED: usize = 64;

impl<N: Nic, M: PhysMem, C: Machine> Api<'_, N, M, C> {
    /// `UNDI_TRANSMIT`: the frame is copied before this returns.
    pub(in crate::pxe) fn undi_transmit(&mut self, block: &Block<M>) -> Answer {
        let transmit: PxenvUndiTransmit = block.read()?;
        let mut len = self.frame_header(&transmit)?;

        let tbd_at = buffer(transmit.tbd, size_of::<PxenvUndiTbd>())?;
        let mut tbd = PxenvUndiTbd::new_zeroed();
        self.mem.read(tbd_at, zerocopy::IntoBytes::as_mut_bytes(&mut tbd))?;
        let blocks = usize::from(tbd.data_blk_count.get());
        if blocks > MAX_DATA_BLKS {
            return Err(PxenvStatus::UNDI_INVALID_PARAMETER);
        }
        buffer(transmit.tbd, size_of::<PxenvUndiTbd>() + blocks * size_of::<TbdBlock>())?;
        let immediate = usize::from(tbd.immed_length.get());
        self.append(&mut len, immediate, in_segment(SegOff::from(tbd.xmit), immediate))?;
        for index in 0..blocks {
            let mut piece = TbdBlock::default();
            let at = tbd_at + (size_of::<PxenvUndiTbd>() + index * size_of::<TbdBlock>()) as u32;
            self.mem.read(at, zerocopy::IntoBytes::as_mut_bytes(&mut piece))?;
            let pointer = piece.td_data_ptr.get();
            let piece_len = usize::from(piece.td_data_len.get());
            let at = match piece.td_ptr_type {
                0 => Some(pointer).filter(|&at| at != 0),
                _ => in_segment(SegOff { offset: pointer as u16, segment: (pointer >> 16) as u16 }, piece_len),
            };
            self.append(&mut len, piece_len, at)?;
        }
        if len < ETH_HLEN {
            return Err(PxenvStatus::UNDI_INVALID_PARAMETER);
        }

        self.require_open()?;
        self.send(len)?;
        self.state.undi.sent = self.state.undi.sent.saturating_add(1);
        Ok(())
    }

    /// Writes the Ethernet header that the caller left to us, and returns its length.
    fn frame_header(&mut self, transmit: &PxenvUndiTransmit) -> Answer<usize> {
        if transmit.protocol == P_UNKNOWN {
            // A whole frame: flag and address have no meaning (Syslinux passes BROADCAST, GRUB a null pointer).
            return Ok(0);
        }
        let (ethertype, _) = ETHERTYPES
            .iter()
            .find(|(_, protocol)| *protocol == transmit.protocol)
            .ok_or(PxenvStatus::UNDI_INVALID_PARAMETER)?;
        let station = self.station();
        let frame = &mut self.state.outgoing;
        match transmit.xmit_flag {
            XMT_DESTADDR => self.mem.read(buffer(transmit.dest_addr, ETH_ALEN)?, &mut frame[..ETH_ALEN])?,
            XMT_BROADCAST => frame[..ETH_ALEN].fill(0xff),
            _ => return Err(PxenvStatus::UNDI_INVALID_PARAMETER),
        }
        frame[ETH_ALEN..2 * ETH_ALEN].copy_from_slice(&station);
        frame[2 * ETH_ALEN..ETH_HLEN].copy_from_slice(&ethertype.to_be_bytes());
        Ok(ETH_HLEN)
    }

    /// Copies a piece of a frame from the caller's memory. Where an empty piece lies has no meaning.
    fn append(&mut self, len: &mut usize, piece_len: usize, at: Option<u32>) -> Answer {
        if piece_len == 0 {
            return Ok(());
        }
        let at = at.ok_or(PxenvStatus::UNDI_INVALID_PARAMETER)?;
        let piece = self.state.outgoing.get_mut(*len..*len + piece_len);
        self.mem.read(at, piece.ok_or(PxenvStatus::UNDI_INVALID_PARAMETER)?)?;
        *len += piece_len;
        Ok(())
    }

    /// Sends the frame that was put together, waiting a little for room. The clock is only asked when there is none.
    fn send(&mut self, len: usize) -> Answer {
        let mut deadline = None;
        loop {
            match self.nic.transmit(&[&self.state.outgoing[..len]]) {
                Ok(()) => return Ok(()),
                Err(Error::RingFull) => {
                    let now = self.machine.now();
                    if now >= *deadline.get_or_insert(now.plus_millis(TRANSMIT_WAIT_MS)) {
                        return Err(PxenvStatus::OUT_OF_RESOURCES);
                    }
                    self.machine.idle();
                }
                Err(Error::InvalidParameter) => return Err(PxenvStatus::UNDI_INVALID_PARAMETER),
                Err(_) => return Err(PxenvStatus::UNDI_TRANSMIT_ERROR),
            }
        }
    }

    /// `UNDI_ISR`.
    pub(in crate::pxe) fn undi_isr(&mut self, block: &Block<M>) -> Answer {
        let mut isr: PxenvUndiIsr = block.read()?;
        let function = isr.func_flag.get();
        // `Frame` stays as it is when nothing is delivered.
        isr = PxenvUndiIsr { status: isr.status, frame: isr.frame, ..PxenvUndiIsr::new_zeroed() };
        let outcome = match function {
            PXENV_UNDI_ISR_IN_START => self.isr_start(&mut isr),
            PXENV_UNDI_ISR_IN_PROCESS | PXENV_UNDI_ISR_IN_GET_NEXT => self.isr_next(&mut isr),
            _ => Err(PxenvStatus::UNDI_INVALID_PARAMETER),
        };
        let bytes = zerocopy::IntoBytes::as_bytes(&isr);
        let out = offset_of!(PxenvUndiIsr, func_flag);
        block.write(out, &bytes[out..])?;
        outcome
    }

    /// START: may come at interrupt time, so it opens nothing.
    fn isr_start(&mut self, isr: &mut PxenvUndiIsr) -> Answer {
        isr.func_flag = PXENV_UNDI_ISR_OUT_NOT_OURS.into();
        if self.state.undi.is_opened() {
            // A frame that went out is reason enough.
            if self.state.undi.sent == 0 {
                self.poll_frame()?;
            }
            if self.state.undi.sent > 0 || self.state.undi.frame_len.is_some() {
                isr.func_flag = PXENV_UNDI_ISR_OUT_OURS.into();
            }
        }
        Ok(())
    }

    /// PROCESS and GET_NEXT: a completed transmission first, then a frame.
    fn isr_next(&mut self, isr: &mut PxenvUndiIsr) -> Answer {
        if self.state.undi.phase < Phase::Initialized {
            return Ok(()); // shut down: nothing to process, and an interrupt must not bring the card up again
        }
        self.require_open()?;
        if self.state.undi.sent > 0 {
            self.state.undi.sent -= 1;
            isr.func_flag = PXENV_UNDI_ISR_OUT_TRANSMIT.into();
            return Ok(());
        }
        self.poll_frame()?;
        let Some(len) = self.state.undi.frame_len.take() else { return Ok(()) };
        let frame = &self.state.undi.frame[..usize::from(len)];
        let layout = self.machine.resident();
        self.mem.write_resident(layout.frame, frame);
        isr.func_flag = PXENV_UNDI_ISR_OUT_RECEIVE.into();
        // Always in one piece: Syslinux and Haiku can't put fragments together.
        isr.buffer_length = len.into();
        isr.frame_length = len.into();
        isr.frame_header_length = (ETH_HLEN as u16).into();
        isr.frame = SegOff { offset: layout.frame, segment: layout.segment }.into();
        let ethertype = u16::from_be_bytes([frame[12], frame[13]]);
        let known = ETHERTYPES.iter().find(|(number, _)| *number == ethertype);
        isr.prot_type = known.map_or(P_OTHER, |(_, protocol)| *protocol);
        isr.pkt_type = packet_type(destination(frame), self.station());
        Ok(())
    }

    /// Takes the next wanted frame from the card, unless one is waiting already.
    fn poll_frame(&mut self) -> Answer {
        for _ in 0..MAX_UNWANTED {
            if self.state.undi.frame_len.is_some() {
                break;
            }
            let Some(len) = self.nic.receive(&mut self.state.undi.frame)? else { break };
            if len >= ETH_HLEN && self.wants(destination(&self.state.undi.frame)) {
                self.state.undi.frame_len = Some(len as u16);
            }
        }
        Ok(())
    }

    /// Sorts by destination what the card's own filter can't tell apart.
    fn wants(&self, destination: MacAddress) -> bool {
        let filter = self.state.undi.filter;
        // PROMISCUOUS alone means everything (GRUB opens with nothing else).
        filter.contains(PacketFilter::PROMISCUOUS)
            || match packet_type(destination, self.station()) {
                P_DIRECTED => filter.contains(PacketFilter::DIRECTED),
                P_BROADCAST => filter.contains(PacketFilter::BROADCAST),
                P_MULTICAST => {
                    filter.contains(PacketFilter::DIRECTED) && self.state.undi.multicast.contains(&destination)
                }
                _ => false,
            }
    }
}

/// The linear address of bytes of a caller; `None` for a null pointer, and when they would run past the segment.
fn in_segment(pointer: SegOff, len: usize) -> Option<u32> {
    Some(pointer.linear()).filter(|&at| at != 0 && pointer.fits(len))
}

/// The destination address of a frame.
fn destination(frame: &[u8]) -> MacAddress {
    let mut address = MacAddress::default();
    address.copy_from_slice(&frame[..ETH_ALEN]);
    address
}

/// `PktType` of a frame.
fn packet_type(destination: MacAddress, station: MacAddress) -> u8 {
    if destination == ETH_BROADCAST {
        P_BROADCAST
    } else if is_multicast(destination) {
        P_MULTICAST
    } else if destination == station {
        P_DIRECTED
    } else {
        P_PROMISCUOUS
    }
}
