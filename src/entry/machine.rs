//! [`Machine`] on the BIOS.

use super::resident::{self, BiosRegisters, Resident};
use super::{Rom, bios, hooks, memory, settings, smbios};
use crate::arch::cpu;
use crate::hv::Hypervisor;
use crate::log;
use crate::machine::{Key, Machine, ResidentLayout};
use crate::settings::Setting;
use crate::time::Ticks100ns;

/// INT 16h AH=01h: is a key waiting? ZF set when not. AH=00h: take it; AH = scan code, AL = ASCII.
const KEY_WAITING: u32 = 0x0100;
const KEY_TAKE: u32 = 0x0000;

impl Machine for Rom {
    fn now(&self) -> Ticks100ns {
        Hypervisor::now(self)
    }

    fn idle(&self) {
        bios::interrupt_window();
    }

    fn print(&self, text: &str) {
        log::text(text);
        bios::print(text);
    }

    fn note(&self, text: &str) {
        if settings::is_on(Setting::Quiet) {
            log::text(text);
        } else {
            self.print(text);
        }
    }

    fn key(&self) -> Option<Key> {
        let waiting = bios::call(bios::KEYBOARD, BiosRegisters { eax: KEY_WAITING, ..BiosRegisters::default() });
        if waiting.flags & bios::ZERO != 0 {
            return None;
        }
        let key = bios::call(bios::KEYBOARD, BiosRegisters { eax: KEY_TAKE, ..BiosRegisters::default() });
        let (scan_code, ascii) = ((key.eax >> 8) as u8, key.eax as u8);
        Some(match (scan_code, ascii) {
            (_, 0x1b | 0x03) => Key::Cancel,
            (_, b'\r') => Key::Enter,
            (0x42, 0) => Key::F8,
            (0x48, 0 | 0xe0) => Key::Up,
            (0x50, 0 | 0xe0) => Key::Down,
            (_, ascii) => Key::Other(ascii),
        })
    }

    fn random(&self) -> u32 {
        // The low bits of the time-stamp counter at the moments of network traffic and key presses; mixed so that
        // neighbouring values differ everywhere (multiplication by 2^32 divided by the golden ratio).
        let stamp = cpu::time_stamp();
        (stamp as u32 ^ (stamp >> 32) as u32).wrapping_mul(0x9e37_79b9).rotate_left(13)
    }

    fn key_wait_seconds(&self) -> u16 {
        settings::get(Setting::KeyWait)
    }

    fn link_wait_seconds(&self) -> u16 {
        settings::get(Setting::LinkWait)
    }

    fn dhcp_wait_seconds(&self) -> u16 {
        settings::get(Setting::DhcpWait)
    }

    fn boot_card(&self) -> usize {
        Resident::read(|exchange| exchange.card).into()
    }

    fn system_uuid(&self) -> Option<[u8; 16]> {
        smbios::system_uuid()
    }

    fn base_memory_kib(&self) -> u16 {
        memory::base_memory_kib()
    }

    fn resident(&self) -> ResidentLayout {
        resident::layout()
    }

    fn hook_interrupts(&self) {
        hooks::install();
    }

    fn unhook_interrupts(&self) -> bool {
        hooks::remove()
    }
}
