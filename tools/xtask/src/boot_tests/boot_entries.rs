//! Which card a boot uses: by boot entry, by key, or the first one that will do.

use std::collections::BTreeSet;
use std::fs;

use anyhow::{Context, Result, ensure};

use super::{BOOT, Bench, BootTest, finish};
use crate::lab::machine::Machine;
use crate::lab::rom_area;

/// The tests of this file.
pub const TESTS: &[BootTest] = &[
    BootTest { name: "entry-per-card", about: "two cards are two boot entries, tried in turn", run: entry_per_card },
    BootTest {
        name: "entries-named",
        about: "one, two, eight and nine cards: so many boot entries, eight at most",
        run: named,
    },
    BootTest { name: "key-picks-card", about: "a digit before the boot picks the card", run: key_picks_card },
    BootTest { name: "key-skips-boot", about: "Ctrl-C before the boot goes on to the disk", run: key_skips_boot },
];

fn entry_per_card(bench: &Bench) -> Result<()> {
    let mut session = bench.start(&machine(bench))?;
    session.expect("card 2 of 2", BOOT)?;
    let console = finish(session)?.console;
    let (first, failure) = (console.find("card 1 of 2"), console.find("PXE-E3B"));
    ensure!(first.is_some() && first < failure, "the first card was not tried first:\n{console}");
    ensure!(failure < console.find("card 2 of 2"), "the second card came before the first one had failed:\n{console}");
    Ok(())
}

/// Most boot entries: Hyper-V gives a machine no more cards.
const MOST_ENTRIES: usize = 8;

fn named(bench: &Bench) -> Result<()> {
    for cards in [1, 2, MOST_ENTRIES, MOST_ENTRIES + 1] {
        let mut machine = bench.machine(bench.server(&[]));
        machine.settings = vec!["key-wait=60".to_owned()];
        if let Some(hyperv) = &mut machine.hyperv {
            let directory = bench.files().display();
            hyperv.switches.extend((1..cards).map(|card| format!("net={directory}/{card}:{directory}/nowhere")));
        }
        let mut session = bench.start_with_keyboard(&machine)?;
        session.expect("1 to 8 picks a card", BOOT)?;
        let ram = fs::read(session.ram()).context("can't read the guest's RAM")?;
        let entries = rom_area::boot_entries(&ram, rom_area::HVPXE)?;
        finish(session)?;
        ensure!(entries.len() == cards.min(MOST_ENTRIES), "{cards} cards: {entries:?}");
        for (entry, number) in entries.iter().zip(1..) {
            let end =
                if cards == 1 { "(Hyper-V network)".to_owned() } else { format!("(Hyper-V network, card {number})") };
            ensure!(entry.name.ends_with(&end), "entry {number} of {cards} is named {:?}", entry.name);
        }
        let vectors: BTreeSet<_> = entries.iter().map(|entry| entry.vector).collect();
        ensure!(vectors.len() == entries.len(), "{cards} cards share vectors: {entries:?}");
    }
    Ok(())
}

fn key_picks_card(bench: &Bench) -> Result<()> {
    let mut machine = machine(bench);
    machine.settings = vec!["key-wait=60".to_owned()];
    let mut session = bench.start_with_keyboard(&machine)?;
    session.expect("1 to 8 picks a card", BOOT)?;
    session.type_text("2")?;
    session.expect("card 2 of 2", BOOT)?;
    let console = finish(session)?.console;
    ensure!(!console.contains("card 1 of 2"), "the first card was tried:\n{console}");
    Ok(())
}

fn key_skips_boot(bench: &Bench) -> Result<()> {
    let mut machine = bench.machine_with_disk(bench.server(&[]), &[])?;
    machine.settings = vec!["key-wait=60".to_owned()];
    let mut session = bench.start_with_keyboard(&machine)?;
    session.expect("1 to 8 picks a card", BOOT)?;
    session.type_text("\x03")?;
    session.expect("PXE-EA0", BOOT)?;
    session.expect(crate::lab::disk::DISK_TEXT, BOOT)?;
    let console = finish(session)?.console;
    ensure!(!console.contains("NIC "), "a card was opened:\n{console}");
    Ok(())
}

/// A machine with two cards: the first one's server has not got the file, the second one's wire leads nowhere.
fn machine(bench: &Bench) -> Machine {
    let mut machine = bench.machine(bench.server(&[("boot-file", "missing.0")]));
    if let Some(hyperv) = &mut machine.hyperv {
        let directory = bench.files().display();
        hyperv.switches.push(format!("net={directory}/second:{directory}/nowhere"));
    }
    machine
}
