//! The registers of a caller.

use crate::mem::SegOff;

/// Carry flag in FLAGS.
const CARRY: u16 = 1 << 0;

/// What INT 13h gets and gives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Registers {
    /// Register of the same name.
    pub ax: u16,
    /// Register of the same name.
    pub bx: u16,
    /// Register of the same name.
    pub cx: u16,
    /// Register of the same name.
    pub dx: u16,
    /// Register of the same name.
    pub si: u16,
    /// Register of the same name.
    pub di: u16,
    /// Register of the same name.
    pub ds: u16,
    /// Register of the same name.
    pub es: u16,
    /// FLAGS as the caller will have them after IRET.
    pub flags: u16,
}

impl Registers {
    /// From the lower halves of EAX, EBX, ECX, EDX, ESI and EDI.
    #[must_use]
    pub const fn from_halves([ax, bx, cx, dx, si, di]: [u32; 6], ds: u16, es: u16, flags: u16) -> Self {
        Self { ax: ax as u16, bx: bx as u16, cx: cx as u16, dx: dx as u16, si: si as u16, di: di as u16, ds, es, flags }
    }

    /// AH: the function; in an answer the status.
    #[must_use]
    pub const fn ah(&self) -> u8 {
        (self.ax >> 8) as u8
    }

    /// AL.
    #[must_use]
    pub const fn al(&self) -> u8 {
        self.ax as u8
    }

    /// DL: the drive.
    #[must_use]
    pub const fn dl(&self) -> u8 {
        self.dx as u8
    }

    /// Carry: the call failed.
    #[must_use]
    pub const fn carry(&self) -> bool {
        self.flags & CARRY != 0
    }

    pub(super) fn set_ah(&mut self, ah: u8) {
        self.ax = u16::from(ah) << 8 | self.ax & 0xff;
    }

    pub(super) fn set_al(&mut self, al: u8) {
        self.ax = self.ax & 0xff00 | u16::from(al);
    }

    pub(super) fn set_carry(&mut self, carry: bool) {
        self.flags = if carry { self.flags | CARRY } else { self.flags & !CARRY };
    }

    /// DS:SI.
    pub(super) const fn ds_si(&self) -> u32 {
        SegOff { segment: self.ds, offset: self.si }.linear()
    }

    /// ES:BX.
    pub(super) const fn es_bx(&self) -> u32 {
        SegOff { segment: self.es, offset: self.bx }.linear()
    }
}
