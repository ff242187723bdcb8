//! One run: a machine, up to the mark that ends the measurement.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::Path;
use std::process::Stdio;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::contestant::{self, FAILURES, FILE, Stack};
use super::mark::{Counts, Marks, POWER_ON, is_there};
use super::plan::{Item, Setting, Task};
use super::profile;
use crate::lab::Lab;
use crate::lab::machine::Machine;
use crate::lab::rom_area;
use crate::lab::session::{Echo, Session};

/// Calls that are measured together, for one that does nothing.
pub const NULL_CALLS: u32 = 1000;
/// Real time for a run (policy): what the longest takes on a machine that does four other things.
const LIMIT: Duration = Duration::from_secs(900);
/// Where QEMU starts the real-mode part of a kernel (Linux boot protocol: 200h behind where it is loaded).
const KERNEL_ENTRY: u64 = 0x1_0200;
/// The BIOS's handler of INT 05h, at the same place in every PC: nobody presses Print Screen here.
const PRINT_SCREEN: u64 = 0xf_ff54;
/// The mark there.
const DIED: &str = "died";
/// What SeaBIOS says before it calls the ROM's boot entry.
const BEFORE_BOOT_ENTRY: &str = "Booting from ROM";

/// What every run needs.
pub struct Bench<'a> {
    lab: &'a Lab,
    /// The meter's boot program.
    meter: &'a [u8],
    /// Where SeaBIOS enters a stack's ROM, by the number of NICs.
    boot_entries: Mutex<BTreeMap<(Stack, u32), u64>>,
}

impl<'a> Bench<'a> {
    /// A bench without a run yet.
    pub fn new(lab: &'a Lab, meter: &'a [u8]) -> Self {
        Self { lab, meter, boot_entries: Mutex::default() }
    }

    /// Where a stack is entered on a machine with so many NICs: by SeaBIOS, which tries a ROM's first entry first, or by QEMU
    /// that loads a kernel. Where the further entries of our ROM lie, its unpacker ran before.
    fn boot_entry(&self, stack: Stack, setting: &Setting) -> Result<u64> {
        let Some(name) = stack.rom_name() else { return Ok(KERNEL_ENTRY) };
        let key = (stack, setting.nics);
        if let Some(&known) = self.known_entries().get(&key) {
            return Ok(known);
        }
        let files = directory()?;
        let machine = contestant::machine(stack, self.lab, files.path(), None, "", Vec::new(), setting)?;
        let mut session = start(self.lab, &machine)?;
        session.expect(BEFORE_BOOT_ENTRY, LIMIT)?;
        let memory = session.low_memory()?;
        let entries = rom_area::boot_entries(&memory, name)?;
        let first = entries.first().context("a ROM without a boot entry")?.vector;
        self.known_entries().insert(key, first);
        Ok(first)
    }

    fn known_entries(&self) -> MutexGuard<'_, BTreeMap<(Stack, u32), u64>> {
        self.boot_entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes a run; `None`: the contestant died in its known way.
    ///
    /// # Errors
    /// When the contestant doesn't get to the end, or breaks a rule of the host or the network on the way.
    pub fn attempt(&self, item: &Item) -> Result<Option<Counts>> {
        if item.task != Task::ModeChange {
            return self.run(item, None);
        }
        let directory = directory()?;
        let path = directory.path().join("profile");
        let counts = self.run(item, Some(&path))?.context("died in a call that does nothing")?;
        let profile = fs::read_to_string(&path).context("the plugin wrote no profile")?;
        Ok(Some(Counts { instructions: profile::in_stub(&profile)?, ..counts }))
    }

    /// Makes a run.
    ///
    /// # Errors
    /// As [`Self::attempt`]; also when the contestant died.
    pub fn measure(&self, item: &Item) -> Result<Counts> {
        self.attempt(item)?.with_context(|| format!("{}: {}: died", item.contestant.name(), item.words()))
    }

    /// Makes a run that writes its instructions by block of code to a file.
    ///
    /// # Errors
    /// As [`Self::measure`].
    pub fn profile(&self, item: &Item, into: &Path) -> Result<Counts> {
        self.run(item, Some(into))?.with_context(|| format!("{} died", item.contestant.name()))
    }

    fn run(&self, item: &Item, profile: Option<&Path>) -> Result<Option<Counts>> {
        let files = directory()?;
        let (mut machine, start_mark, end_mark) = self.prepare(item, files.path())?;
        if let (Some(path), Some(hyperv)) = (profile, &mut machine.hyperv) {
            hyperv.switches.push(format!("profile={}", path.display()));
            hyperv.switches.push(format!("profile_marks={start_mark}..{end_mark}"));
        }
        if let (true, Some(hyperv)) = (item.contestant.may_die(), &mut machine.hyperv) {
            hyperv.switches.push(format!("mark={DIED}:{PRINT_SCREEN:x}"));
        }
        let mut session = start(self.lab, &machine)?;
        let is_over = |text: &str| is_there(text, &end_mark) || is_there(text, DIED);
        let text = session.expect_mark(&end_mark, FAILURES, LIMIT, |text| is_over(text).then(|| text.to_owned()));
        let text = text.with_context(|| format!("{}: {}", item.contestant.name(), item.words()))?;
        let whole = &text[..text.rfind('\n').map_or(0, |end| end + 1)];
        if is_there(whole, DIED) {
            return Ok(None);
        }
        let counts = Marks::parse(whole)?.between(&start_mark, &end_mark)?;
        let report = session.finish()?;
        // A rule that iPXE breaks is its own affair; ours must not win by breaking one.
        if let (Stack::Hvpxe, Some(violations)) =
            (item.contestant.stack, report.violations.filter(|text| !text.is_empty()))
        {
            bail!("{}: {}: broke rules:\n{violations}", item.contestant.name(), item.words());
        }
        Ok(Some(counts))
    }

    /// The machine, and the marks between which it is measured.
    fn prepare(&self, item: &Item, files: &Path) -> Result<(Machine, String, String)> {
        let Item { contestant, task, setting } = item;
        let at = |offset: usize| (meter::BASE + offset) as u64;
        match *task {
            Task::Download(protocol, bytes) => {
                File::create(files.join(FILE)).and_then(|file| file.set_len(bytes))?;
                let machine = contestant.machine(self.lab, self.meter, files, protocol, setting)?;
                let (start, end) = protocol.marks();
                Ok((machine, start, end))
            }
            Task::NullCall | Task::ModeChange => {
                let marks = [("begin", at(meter::BEGIN)), ("end", at(meter::END))];
                let machine = self.meter_machine(contestant.stack, files, NULL_CALLS, setting, &marks)?;
                Ok((machine, "begin".to_owned(), "end".to_owned()))
            }
            Task::PowerOn => {
                let marks = [("boot-program", at(0))];
                let machine = self.meter_machine(contestant.stack, files, 1, setting, &marks)?;
                Ok((machine, POWER_ON.to_owned(), "boot-program".to_owned()))
            }
            Task::Boot => {
                let entry = self.boot_entry(contestant.stack, setting)?;
                let marks = [("boot-entry", entry), ("boot-program", at(0))];
                let machine = self.meter_machine(contestant.stack, files, 1, setting, &marks)?;
                Ok((machine, "boot-entry".to_owned(), "boot-program".to_owned()))
            }
        }
    }

    /// A machine that boots the meter, with marks.
    fn meter_machine(
        &self,
        stack: Stack,
        files: &Path,
        calls: u32,
        setting: &Setting,
        marks: &[(&str, u64)],
    ) -> Result<Machine> {
        let name = contestant::write_meter(files, meter::orders::null_calls(self.meter, calls))?;
        let mut switches = setting.server_switches();
        switches.push(("boot-file".to_owned(), name.clone()));
        let script = contestant::script(&["autoboot"]);
        let mut machine = contestant::machine(stack, self.lab, files, Some(&name), &script, switches, setting)?;
        if let Some(hyperv) = &mut machine.hyperv {
            hyperv.switches.extend(marks.iter().map(|(name, address)| format!("mark={name}:{address:x}")));
        }
        Ok(machine)
    }
}

impl Item {
    /// What is measured, in words.
    pub fn words(&self) -> String {
        let task = self.task.words();
        match self.setting.words() {
            setting if setting.is_empty() => task,
            setting => format!("{task}, {setting}"),
        }
    }

    /// The same of the contestant that it is compared with.
    pub fn rival(&self) -> Self {
        if self.task == Task::ModeChange {
            // What another stack does for that can't be told from the rest of its call.
            return self.clone();
        }
        let mut rival = Self { contestant: self.contestant.rival(), ..self.clone() };
        // What only one of the two can vary is compared with the other's best.
        rival.setting.window = None;
        rival.setting.block = None;
        rival
    }
}

fn directory() -> Result<tempfile::TempDir> {
    tempfile::Builder::new().prefix("hvpxe-bench-").tempdir().context("can't make a temporary directory")
}

fn start(lab: &Lab, machine: &Machine) -> Result<Session> {
    Session::start(&lab.qemu, machine, Echo::Off, Stdio::null())
}
