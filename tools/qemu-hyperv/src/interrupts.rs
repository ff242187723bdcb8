//! Interrupts of the SynIC at QEMU's local APICs.

use hvhost::Interrupt;

use crate::device::DeviceBus;

/// Where a write is an MSI for the local APICs; the destination APIC id goes into bits 12-19.
///
/// Source: Intel SDM volume 3, "Message Address Register Format".
const MSI_BASE: u64 = 0xfee0_0000;
/// In-service register, 8 words of 32 vectors, 16 bytes apart; within the vCPU's own local APIC.
const APIC_ISR: u64 = 0xfee0_0100;
/// End-of-interrupt register.
const APIC_EOI: u64 = 0xfee0_00b0;

/// Sends an interrupt: fixed delivery, edge triggered, to the processor whose APIC id is its VP index.
pub fn send(interrupt: Interrupt, bus: &mut impl DeviceBus) {
    bus.write(MSI_BASE | u64::from(interrupt.vp & 0xff) << 12, interrupt.vector.into());
}

/// Vectors of one processor that were sent with AutoEOI and not yet ended.
///
/// AutoEOI is unknown to TCG's local APIC, so the plugin writes the EOI: as soon as the processor has taken the interrupt,
/// when the vector is the highest one in service.
#[derive(Debug, Default)]
pub struct AutoEoi([u32; 8]);

impl AutoEoi {
    /// Notes that `vector` was sent and wants an EOI.
    pub fn expect(&mut self, vector: u8) {
        self.0[usize::from(vector >> 5)] |= 1 << (vector & 31);
    }

    /// Adds what another instance waits for.
    pub fn merge(&mut self, other: Self) {
        for (word, more) in self.0.iter_mut().zip(other.0) {
            *word |= more;
        }
    }

    /// Ends the vectors that the processor has taken. Call on its thread, after each interrupt.
    pub fn settle(&mut self, bus: &mut impl DeviceBus) {
        for (word, waiting) in self.0.iter_mut().enumerate() {
            if *waiting == 0 {
                continue;
            }
            let in_service = bus.read(APIC_ISR + 16 * word as u64).unwrap_or(0);
            let taken = *waiting & in_service;
            *waiting &= !taken;
            for _ in 0..taken.count_ones() {
                bus.write(APIC_EOI, 0);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Default)]
    struct Apic {
        in_service: [u32; 8],
        writes: Vec<(u64, u32)>,
    }

    impl DeviceBus for Apic {
        fn read(&mut self, gpa: u64) -> Option<u32> {
            Some(self.in_service[(gpa - 0xfee0_0100) as usize / 16])
        }

        fn write(&mut self, gpa: u64, value: u32) {
            self.writes.push((gpa, value));
        }
    }

    #[test]
    fn an_interrupt_is_an_msi_to_the_processor_of_the_vp() {
        let mut apic = Apic::default();
        send(Interrupt { vp: 3, vector: 0x75, auto_eoi: false }, &mut apic);
        assert_eq!(apic.writes, [(0xfee0_3000, 0x75)]);
    }

    #[test]
    fn eoi_is_written_once_and_only_when_the_vector_is_in_service() {
        let mut apic = Apic::default();
        let mut eoi = AutoEoi::default();
        eoi.expect(0x75);
        eoi.settle(&mut apic);
        assert!(apic.writes.is_empty());
        apic.in_service[3] = 1 << 0x15;
        eoi.settle(&mut apic);
        assert_eq!(apic.writes, [(0xfee0_00b0, 0)]);
        eoi.settle(&mut apic);
        assert_eq!(apic.writes.len(), 1);
    }

    #[test]
    fn a_vector_that_was_not_sent_here_is_left_in_service() {
        let mut apic = Apic { in_service: [0, 0, 0, 1 << 0x15 | 1 << 1, 0, 0, 0, 0], ..Apic::default() };
        let mut eoi = AutoEoi::default();
        eoi.expect(0x61);
        eoi.settle(&mut apic);
        assert_eq!(apic.writes.len(), 1);
    }
}
