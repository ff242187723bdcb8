//! SINT2 with a vector of its own, and the handler behind it.

use hvpxe::wire::hv::{HV_MESSAGE_SIZE, VMBUS_SINT};
use parties::bare::Bare;
use runtime::memory;

use super::drives::Drives;
use super::entry::{Call, Function};

/// SINT2's vector; 60h to 66h are for users (IBM PC/AT Technical Reference).
const VECTOR: u8 = 0x62;
/// The vector of [`super::bios::Bios::question`].
pub const QUESTION_VECTOR: u8 = parties::options::QUESTION_VECTOR;

/// Registers of the local APIC (Intel SDM volume 3, "Local APIC Register Address Map").
const APIC_EOI: u32 = 0xfee0_00b0;
const APIC_ICR_LOW: u32 = 0xfee0_0300;
/// Interrupt command: fixed delivery, to the processor itself.
const TO_SELF: u32 = 1 << 18;

/// What the handler has seen.
#[derive(Debug, Default)]
pub struct Interrupts {
    count: u16,
    messages: u16,
}

impl Interrupts {
    /// Hooks the vector. SINT2 gets it when VMBus is taken.
    pub fn install(call: &Call, hv: Bare) -> Self {
        call.hook(VECTOR, Function::Interrupt);
        hv.want_sint2(VECTOR.into());
        Self::default()
    }

    /// The handler.
    pub fn handle(&mut self, drives: &mut Drives) {
        self.count = self.count.wrapping_add(1);
        let slot = drives.message_page() as u32 + (VMBUS_SINT * HV_MESSAGE_SIZE) as u32;
        if drives.is_untouched() && memory::read_u32(slot) != 0 {
            self.messages = self.messages.wrapping_add(1);
            drives.take_messages();
        }
        memory::write_register(APIC_EOI, 0);
    }

    /// How often it ran, and how often there was a message.
    pub fn counts(&self) -> (u16, u16) {
        (self.count, self.messages)
    }
}

/// An interrupt for the handler, when interrupts are on again.
pub fn send_to_ourselves() {
    memory::write_register(APIC_ICR_LOW, TO_SELF | u32::from(VECTOR));
}
