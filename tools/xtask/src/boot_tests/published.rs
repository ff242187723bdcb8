//! Two hvpxe on one machine: the first one publishes its VMBus connection, the second one is its guest.

use std::fs;

use anyhow::{Context, Result, ensure};
use romtool::medium::Medium;

use super::{BOOT, Bench, BootTest, finish};
use crate::images;
use crate::lab::clients::compose_grub;
use crate::lab::disk::DISK_TEXT;
use crate::lab::machine::Machine;
use crate::lab::record::{self, Channel};
use crate::lab::session::Session;

/// The tests of this file.
pub const TESTS: &[BootTest] = &[
    BootTest {
        name: "published-chain",
        about: "the ROM serves the disk and loads hvpxe.0, which boots GRUB as a guest on the ROM's VMBus connection",
        run: chain,
    },
    BootTest {
        name: "published-chain-ends",
        about: "the ROM loads hvpxe.0, and has no disk to serve: its record goes with its connection",
        run: chain_ends,
    },
];

/// What hvpxe.0 waits for a key with, before it boots; the ROM does not.
const WAITS: &str = "1 to 8 picks a card";
/// The channel of the only card, in use by nobody and by a guest.
const FREE: (&str, u8) = ("", 1);
const GUESTS: (&str, u8) = ("hvpa", 2);
/// Message types, as the counters name them.
const INITIATE_CONTACT: &str = "14";
const UNLOAD: &str = "16";

/// A machine with a synthetic disk whose ROM loads hvpxe.0.
fn machine(bench: &Bench, disks: &str) -> Result<Machine> {
    let mut image = images::build_one(Medium::Nbp, &bench.lab.full.elf, &bench.lab.full.rom)?;
    romtool::inspect::configure(&mut image, &["key-wait=60".to_owned()])?;
    bench.add_file(Medium::Nbp.file_name(), &image)?;
    let mut machine = bench.machine(bench.server(&[("boot-file", Medium::Nbp.file_name())]));
    machine.rom = Some(bench.lab.disk_rom.clone());
    machine.settings = vec![format!("disks={disks}")];
    let disk = bench.second_disk()?;
    if let Some(hyperv) = &mut machine.hyperv {
        hyperv.switches.push(format!("disk={}", disk.display()));
    }
    Ok(machine)
}

/// Has hvpxe.0, which waits, load GRUB rather than itself again.
fn go_on_with_grub(bench: &Bench, session: &mut Session, config: &str, files: &[(&str, &str)]) -> Result<()> {
    let grub = compose_grub(config, &bench.lab.packages, bench.files())?;
    for (name, content) in files {
        bench.add_file(name, content.as_bytes())?;
    }
    fs::copy(bench.files().join(grub), bench.files().join(Medium::Nbp.file_name()))?;
    session.type_text("\r")
}

fn chain(bench: &Bench) -> Result<()> {
    let mut session = bench.start_with_keyboard(&machine(bench, "on")?)?;
    session.expect(WAITS, BOOT)?;
    let card = only_channel(&session, FREE)?;
    let files = [
        ("grub/second.cfg", "echo THE GUEST HAS ITS NETWORK\nsource (pxe)/grub/third.cfg\n"),
        ("grub/third.cfg", "cat (hd0)0+1\necho AND THE OWNER ITS DISK\nread\nchainloader (hd0)+1\nboot\n"),
    ];
    go_on_with_grub(bench, &mut session, "cat (hd0)0+1\nsource (pxe)/grub/second.cfg\n", &files)?;
    session.expect("THE GUEST HAS ITS NETWORK", BOOT)?;
    session.expect("AND THE OWNER ITS DISK", BOOT)?;
    let guests = only_channel(&session, GUESTS)?;
    ensure!(guests.id == card.id, "the guest has {guests:?}, {card:?} was free");
    session.type_text("\r")?;
    session.expect_times(&DISK_TEXT[..DISK_TEXT.len() - 1], 3, BOOT)?;
    let report = finish(session)?;
    ensure!(report.log.contains("owner: VMBus is shared by its owner"), "no guest:\n{}", report.log);
    // When the boot entries are counted, and by the boot.
    judge(&report.counters, 2, 1)
}

fn chain_ends(bench: &Bench) -> Result<()> {
    let mut session = bench.start_with_keyboard(&machine(bench, "off")?)?;
    session.expect(WAITS, BOOT)?;
    let found = records(&session)?;
    ensure!(found.is_empty(), "the ROM has let go of VMBus, and says {found:?}");
    go_on_with_grub(bench, &mut session, "echo GRUB IS THERE\nread\n", &[])?;
    session.expect("GRUB IS THERE", BOOT)?;
    let found = records(&session)?;
    ensure!(found.len() == 1 && found[0].channels.iter().all(|channel| channel.state == 1), "hvpxe.0 says {found:?}");
    let report = finish(session)?;
    judge(&report.counters, 3, 2)
}

fn records(session: &Session) -> Result<Vec<record::Record>> {
    record::find(&fs::read(session.ram()).context("can't read the guest's RAM")?)
}

/// The only channel of the only record: with this user and state.
fn only_channel(session: &Session, (user, state): (&str, u8)) -> Result<Channel> {
    let found = records(session)?;
    let [record] = &found[..] else { anyhow::bail!("{} records: {found:?}", found.len()) };
    ensure!(record.owner == "hvpx" && record.simp & 1 == 0, "a record of somebody else: {record:?}");
    let [channel] = &record.channels[..] else { anyhow::bail!("one card was to be found: {record:?}") };
    ensure!(
        (channel.user.as_str(), channel.state) == (user, state),
        "{record:?} where {user:?} {state} was to be found"
    );
    Ok(channel.clone())
}

/// How often somebody connected, and ended his connection.
fn judge(counters: &str, contacts: u64, unloads: u64) -> Result<()> {
    let counters: serde_json::Value = serde_json::from_str(counters).context("the counters are no JSON")?;
    let sent = |kind: &str| counters["vmbus_from_guest"][kind].as_u64().unwrap_or(0);
    let found = (sent(INITIATE_CONTACT), sent(UNLOAD));
    ensure!(found == (contacts, unloads), "{found:?} times INITIATE_CONTACT and UNLOAD, not {:?}", (contacts, unloads));
    Ok(())
}
