//! The BIOS's own disk service, as a caller has it.

use static_assertions::const_assert;

use super::Rom;
use super::bios;
use super::resident::{self, BiosRegisters};
use crate::int13::{BOUNCE_LEN, BiosDisks, Registers};
use crate::mem::SegOff;
use crate::nic::MAX_FRAME_LEN;

// The frame buffer has room for it.
const_assert!(BOUNCE_LEN <= MAX_FRAME_LEN);

impl BiosDisks for Rom {
    fn int13(&self, registers: &mut Registers) {
        let answer = bios::call(
            bios::DISK,
            BiosRegisters {
                eax: registers.ax.into(),
                ebx: registers.bx.into(),
                ecx: registers.cx.into(),
                edx: registers.dx.into(),
                esi: registers.si.into(),
                edi: registers.di.into(),
                ds: registers.ds,
                es: registers.es,
                ..BiosRegisters::default()
            },
        );
        let BiosRegisters { eax, ebx, ecx, edx, esi, edi, ds, es, flags, .. } = answer;
        *registers = Registers::from_halves([eax, ebx, ecx, edx, esi, edi], ds, es, flags);
    }

    fn bounce(&self) -> SegOff {
        let layout = resident::layout();
        SegOff { segment: layout.segment, offset: layout.frame }
    }
}
