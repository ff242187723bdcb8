//! Who owns VMBus: other parties own it or take it, and both the network boot and the disk go on working.
//!
//! A test is one cell of the matrix; `cargo xtask matrix` runs them all.

pub mod cell;
pub mod plan;
pub mod run;

use std::sync::OnceLock;

use anyhow::{Result, bail};

use self::cell::{Cell, Party, Way};
use super::{Bench, BootTest};
use crate::lab::party::Programs;
use crate::workspace::Workspace;

/// The tests of this file.
pub const TESTS: &[BootTest] = &[
    BootTest {
        name: "owner-theft-dhcp",
        about: "VMBus is taken from the timer interrupt during DHCP",
        run: |bench| test(bench, Party::Nobody, Way::TheftDhcp),
    },
    BootTest {
        name: "owner-theft-file",
        about: "a boot program takes VMBus ten times while it reads 20 MB",
        run: |bench| test(bench, Party::Nobody, Way::TheftFile),
    },
    BootTest {
        name: "owner-theft-msrs",
        about: "the same by MSRs only: the connection goes on",
        run: |bench| test(bench, Party::Nobody, Way::TheftFileMsrs),
    },
    BootTest {
        name: "owner-theft-bios",
        about: "the same beside a BIOS that owns VMBus",
        run: |bench| test(bench, Party::Naive, Way::TheftFile),
    },
    BootTest {
        name: "owner-theft-between",
        about: "a boot program takes VMBus between its calls and INT 13h",
        run: |bench| test(bench, Party::Naive, Way::TheftBetween),
    },
    BootTest {
        name: "owner-network",
        about: "the BIOS owns VMBus: the network boots, and its disk can be read",
        run: |bench| test(bench, Party::Naive, Way::Network),
    },
    BootTest {
        name: "owner-network-fails",
        about: "the BIOS owns VMBus: the network fails, and its disk boots",
        run: |bench| test(bench, Party::Naive, Way::Fails),
    },
    BootTest {
        name: "owner-declines",
        about: "the BIOS owns VMBus, and is left alone: its disk boots",
        run: |bench| test(bench, Party::Naive, Way::Declines),
    },
    BootTest {
        name: "owner-attach",
        about: "vmbus-owner=attach: the BIOS publishes its connection, and both the network and its disk boot",
        run: |bench| test(bench, Party::Publishing, Way::Attaches),
    },
    BootTest {
        name: "owner-attach-declines",
        about: "vmbus-owner=attach: the BIOS publishes nothing, and is left alone: its disk boots",
        run: |bench| test(bench, Party::Naive, Way::Attaches),
    },
    BootTest {
        name: "owner-localboot",
        about: "the BIOS owns VMBus: PXELINUX goes back to it, and its disk boots",
        run: |bench| test(bench, Party::Naive, Way::Localboot),
    },
    BootTest {
        name: "owner-chain",
        about: "the BIOS looks after VMBus: PXELINUX reads its disk, and boots it",
        run: |bench| test(bench, Party::Careful, Way::Chain),
    },
    BootTest {
        name: "owner-interrupts",
        about: "the BIOS has an interrupt handler for SINT2, which still runs",
        run: |bench| test(bench, Party::Interrupts, Way::Network),
    },
    BootTest {
        name: "owner-publishing",
        about: "the BIOS publishes a $VMBS record",
        run: |bench| test(bench, Party::Publishing, Way::Network),
    },
];

fn test(bench: &Bench, party: Party, way: Way) -> Result<()> {
    run::run(bench, programs()?, &Cell::new(party, way), false)
}

/// The parties, built once for all tests: cargo needs a second to see that nothing has changed.
///
/// # Errors
/// When a compiler says no.
pub fn programs() -> Result<&'static Programs> {
    static PROGRAMS: OnceLock<Result<Programs, String>> = OnceLock::new();
    let build = || Workspace::find().and_then(|workspace| Programs::build(&workspace));
    match PROGRAMS.get_or_init(|| build().map_err(|error| format!("{error:#}"))) {
        Ok(programs) => Ok(programs),
        Err(why) => bail!("{why}"),
    }
}
