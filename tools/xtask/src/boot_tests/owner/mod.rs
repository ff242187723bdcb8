//! Who owns VMBus: other parties own it or take it, and both the network boot and the disk go on working.
//!
//! A test is one cell of the matrix; `cargo xtask matrix` runs them all.

pub mod cell;
pub mod plan;
pub mod run;

use anyhow::Result;

use self::cell::{Cell, Party, Way};
use super::{Bench, BootTest};
use crate::lab::party::Programs;
use crate::workspace::Workspace;

/// The tests of this file.
pub const TESTS: &[BootTest] = &[
    BootTest {
        name: "owner-theft-file",
        about: "a boot program takes VMBus ten times while it reads 20 MB",
        run: |bench| test(bench, Party::Nobody, Way::TheftFile),
    },
    BootTest {
        name: "owner-theft-dhcp",
        about: "VMBus is taken from the timer interrupt during DHCP",
        run: |bench| test(bench, Party::Nobody, Way::TheftDhcp),
    },
    BootTest {
        name: "owner-theft-between",
        about: "a boot program takes VMBus between its calls",
        run: |bench| test(bench, Party::Nobody, Way::TheftBetween),
    },
    BootTest {
        name: "owner-declines",
        about: "the BIOS owns VMBus, and is left alone: its disk boots",
        run: |bench| test(bench, Party::Naive, Way::Declines),
    },
];

fn test(bench: &Bench, party: Party, way: Way) -> Result<()> {
    run::run(bench, &Programs::build(&Workspace::find()?)?, &Cell::new(party, way), false)
}
