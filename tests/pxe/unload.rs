//! The orders in which boot programs take the services down, each to its end.

use hvpxe::error::Error;
use hvpxe::pxe::Residency;

use super::sim::{LAYOUT, RESIDENT, Rig};

/// A rig as a boot program finds it: started, hooked, open.
fn running() -> Rig {
    let mut rig = Rig::new();
    rig.machine.hooked.set(true);
    rig.mem.poke(RESIDENT + u32::from(LAYOUT.pxenv), b"PXENV+");
    rig.mem.poke(RESIDENT + u32::from(LAYOUT.bang_pxe), b"!PXE");
    rig.open(3);
    rig
}

#[test]
fn every_surveyed_order_succeeds_and_leaves_the_card_quiet() {
    /// Who, the calls, and whether the hooks are out at the end.
    const ORDERS: [(&str, &[u16], bool); 8] = [
        ("Syslinux", &[0x31, 0x05, 0x70, 0x15], true),
        ("lpxelinux", &[0x07, 0x05, 0x70, 0x15], true),
        ("Syslinux, old API", &[0x31, 0x05, 0x70, 0x02], false),
        ("iPXE .pxe", &[0x05, 0x70, 0x15], true),
        ("iPXE .kpxe", &[0x05, 0x70, 0x05, 0x02, 0x15], true),
        ("GRUB, FreeBSD", &[0x07, 0x05, 0x70], false),
        ("OpenBSD, NetBSD", &[0x31, 0x05, 0x05, 0x05, 0x70, 0x70, 0x70], false),
        ("PXE 2.1", &[0x21, 0x31, 0x07, 0x05, 0x02, 0x76, 0x70, 0x15], true),
    ];
    for (who, opcodes, unhooked) in ORDERS {
        let mut rig = running();
        for &opcode in opcodes {
            rig.succeed(opcode);
        }
        assert!(!rig.card.open.get() && !rig.card.held.get(), "{who}");
        assert_eq!(rig.machine.hooked.get(), !unhooked, "{who}");
    }
}

#[test]
fn after_stop_undi_only_start_undi_works() {
    let mut rig = running();
    rig.succeed(0x05);
    rig.succeed(0x15);
    for opcode in 1..=0xff_u16 {
        assert_eq!(rig.call(opcode, &[0; 160]).0, 0x6a, "opcode {opcode:#x}");
    }
    assert!(!rig.card.held.get());
    let structures = [(LAYOUT.pxenv, &b"PXENV+"[..]), (LAYOUT.bang_pxe, b"!PXE")];
    let intact = |rig: &Rig| {
        structures.map(|(at, signature)| rig.mem.peek(RESIDENT + u32::from(at), signature.len()) == signature)
    };
    assert_eq!(intact(&rig), [false; 2], "who scans memory later must not find them");
    rig.succeed(0x00);
    assert!(rig.machine.hooked.get());
    assert_eq!(intact(&rig), [true; 2]);
    rig.succeed(0x01);
    rig.succeed(0x03);
    rig.open(7);
}

#[test]
fn a_hook_above_ours_keeps_undi() {
    let mut rig = running();
    rig.machine.hooked_above.set(true);
    rig.succeed(0x05);
    assert_eq!(rig.call(0x15, &[0, 0]).0, 4);
    assert!(rig.machine.hooked.get());
    rig.machine.hooked_above.set(false);
    rig.succeed(0x15);
}

#[test]
fn memory_that_the_host_keeps_keeps_undi() {
    let mut rig = running();
    rig.card.release_error.set(Some(Error::HostTimeout));
    rig.succeed(0x05);
    rig.card.release_error.set(None);
    assert_eq!(rig.call(0x15, &[0, 0]).0, 4);
    assert!(rig.machine.hooked.get(), "the memory must stay hidden");
}

#[test]
fn ipxe_can_restart_what_it_shut_down() {
    let mut rig = running();
    for opcode in [0x05, 0x70, 0x01, 0x03] {
        rig.succeed(opcode);
    }
    assert_eq!(rig.card.opened.get(), 2);
    rig.open(7);
    assert_eq!(rig.card.filter.get(), 7);
}

#[test]
fn a_returning_program_says_what_stays() {
    for (ax, residency, hooked) in [
        (0, Residency::Free, false),
        (4, Residency::Keep, true),
        (5, Residency::Keep, true),
        (0x6a, Residency::Free, false),
    ] {
        let mut rig = running();
        assert_eq!(rig.api.nbp_returned(ax), residency);
        assert_eq!(rig.machine.hooked.get(), hooked);
        assert_eq!(rig.card.held.get(), hooked, "AX={ax}");
    }
}

#[test]
fn a_program_that_unloaded_everything_may_return_too() {
    let mut rig = running();
    rig.succeed(0x05);
    rig.succeed(0x15);
    assert_eq!(rig.api.nbp_returned(0), Residency::Free);
    assert!(!rig.machine.hooked.get());
}
