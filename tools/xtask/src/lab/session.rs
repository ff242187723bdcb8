//! A running machine: its console, its log, and what is known once it has ended.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use netserver::Event;

use super::console::Console;
use super::machine::{Machine, SessionFiles};
use super::network::Services;
use crate::interrupt;
use crate::process::{OwnedChild, last_lines};
use crate::setup::qemu::Qemu;

/// How often a wait looks whether QEMU is still there (policy).
const LOOK: Duration = Duration::from_millis(100);
/// Typed on the console, it takes the keyboard to QEMU's monitor: Ctrl-A, C.
const TO_MONITOR: &str = "\x01c";
/// The monitor's prompt: it has done the command before.
const PROMPT: &str = "(qemu)";
/// Console lines shown when something expected did not come (policy).
const SHOWN_LINES: usize = 20;
/// Bytes of the first megabyte.
const LOW_MEMORY: usize = 1 << 20;

/// Where a copy of the console goes while the machine runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Echo {
    /// Nowhere.
    Off,
    /// To our own output, as it comes, for a terminal.
    Raw,
    /// To our own output, as plain text.
    Plain,
}

/// What the console thread and the waiting thread share.
#[derive(Default)]
struct Shared {
    console: Mutex<Console>,
    messages: Mutex<String>,
    changed: Condvar,
}

impl Shared {
    fn console(&self) -> MutexGuard<'_, Console> {
        self.console.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A machine under way. It ends when this value goes.
pub struct Session {
    qemu: OwnedChild,
    shared: Arc<Shared>,
    readers: Vec<JoinHandle<()>>,
    files: SessionFiles,
    /// Servers that live as long as the machine.
    services: Services,
}

/// What is left of a machine that has ended.
#[derive(Debug)]
pub struct Report {
    /// The console, as plain text.
    pub console: String,
    /// Port 0xE9: the ROM's log.
    pub log: String,
    /// COM2.
    pub com2: String,
    /// Rules of the interface that the guest broke, one a line; empty is good. `None`: not a Hyper-V machine.
    pub violations: Option<String>,
    /// What the Hyper-V host counted, as JSON; empty when this is no Hyper-V machine.
    pub counters: String,
    /// What our own network server saw.
    pub events: Vec<Event>,
}

impl Session {
    /// Starts a machine.
    ///
    /// # Errors
    /// When QEMU or one of the servers can't be started.
    pub fn start(qemu: &Qemu, machine: &Machine, echo: Echo, keyboard: Stdio) -> Result<Self> {
        let files = SessionFiles::create(machine.hyperv.is_some())?;
        let services = machine.network.start(&files)?;
        let mut command = machine.command(qemu, &files)?;
        command.stdin(keyboard).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut qemu = OwnedChild::spawn(&mut command)?;
        let console = qemu.0.stdout.take().context("QEMU has no output")?;
        let messages = qemu.0.stderr.take().context("QEMU has no error output")?;
        let shared = Arc::new(Shared::default());
        let (for_console, for_messages) = (Arc::clone(&shared), Arc::clone(&shared));
        let readers = vec![
            thread::spawn(move || read_console(console, &for_console, echo)),
            thread::spawn(move || read_messages(messages, &for_messages, echo)),
        ];
        Ok(Self { qemu, shared, readers, files, services })
    }

    /// Waits for a text on the console.
    ///
    /// # Errors
    /// When it doesn't come within `limit`, QEMU ends, or the user presses Ctrl-C; the error shows the last lines.
    pub fn expect(&mut self, text: &str, limit: Duration) -> Result<()> {
        self.expect_times(text, 1, limit)
    }

    /// Waits for one of several texts, and says which came: the first of the list that is there.
    ///
    /// # Errors
    /// As [`Self::expect`].
    pub fn expect_any(&mut self, texts: &[&str], limit: Duration) -> Result<usize> {
        self.await_console(&texts.join("` or `"), limit, |console| {
            let said = console.text();
            texts.iter().position(|text| said.contains(text))
        })
    }

    /// Waits until a text has come so many times since the machine was started.
    ///
    /// # Errors
    /// As [`Self::expect`].
    pub fn expect_times(&mut self, text: &str, times: usize, limit: Duration) -> Result<()> {
        self.await_console(text, limit, |console| (console.text().matches(text).count() >= times).then_some(()))
    }

    /// Waits until `look` finds something on the console; `text` is for the error.
    fn await_console<T>(&mut self, text: &str, limit: Duration, look: impl Fn(&Console) -> Option<T>) -> Result<T> {
        let deadline = Instant::now() + limit;
        loop {
            if let Some(found) = self.wait_for_change(deadline, &look) {
                return Ok(found);
            }
            let reason = match self.qemu.0.try_wait()? {
                // What it wrote last may still be on its way.
                Some(status) => {
                    self.join_readers();
                    if let Some(found) = look(&self.shared.console()) {
                        return Ok(found);
                    }
                    format!("QEMU ended ({status}) before it came")
                }
                None if interrupt::requested() => "interrupted before it came".to_owned(),
                None if Instant::now() >= deadline => format!("it did not come within {} s", limit.as_secs()),
                None => continue,
            };
            bail!("waiting for `{text}` on the console: {reason}\n{}", self.last_words());
        }
    }

    /// Waits until QEMU ends by itself; `None` when the limit or Ctrl-C came first.
    ///
    /// # Errors
    /// When the system can't say how QEMU is.
    pub fn wait(&mut self, limit: Option<Duration>) -> Result<Option<ExitStatus>> {
        let far = Duration::from_secs(365 * 86_400);
        self.qemu.wait_until(Instant::now() + limit.unwrap_or(far))
    }

    /// Waits until the plugin has written a mark that `found` makes something of, and gives that.
    ///
    /// # Errors
    /// As [`Self::expect`]; also when one of the `failures` is on the console before.
    pub fn expect_mark<T>(
        &mut self,
        what: &str,
        failures: &[&str],
        limit: Duration,
        found: impl Fn(&str) -> Option<T>,
    ) -> Result<T> {
        let deadline = Instant::now() + limit;
        loop {
            // The file is there before the first instruction.
            let marks = fs::read_to_string(self.files.marks()).unwrap_or_default();
            if let Some(result) = found(&marks) {
                return Ok(result);
            }
            let console = self.console_text();
            let reason = if let Some(failure) = failures.iter().find(|failure| console.contains(**failure)) {
                format!("`{failure}` came first")
            } else if let Some(status) = self.qemu.0.try_wait()? {
                self.join_readers();
                format!("QEMU ended ({status}) before it came")
            } else if interrupt::requested() {
                "interrupted before it came".to_owned()
            } else if Instant::now() >= deadline {
                format!("it did not come within {} s", limit.as_secs())
            } else {
                thread::sleep(LOOK / 5);
                continue;
            };
            bail!("waiting for the mark `{what}`: {reason}\n{}", self.last_words());
        }
    }

    /// Presses keys: writes to the serial console.
    ///
    /// # Errors
    /// When the machine was started without a keyboard, or has ended.
    pub fn type_text(&mut self, text: &str) -> Result<()> {
        let keyboard = self.qemu.0.stdin.as_mut().context("this machine has no keyboard")?;
        keyboard.write_all(text.as_bytes())?;
        keyboard.flush()?;
        Ok(())
    }

    /// Keeps the state of the machine in a file, and stops it. It needs a keyboard: QEMU's monitor is on the serial port, too.
    ///
    /// # Errors
    /// As [`Self::expect`].
    pub fn save(&mut self, state: &Path, limit: Duration) -> Result<()> {
        let path = state.to_str().context("QEMU's monitor takes no such path")?;
        self.type_text(TO_MONITOR)?;
        self.expect(PROMPT, limit)?;
        self.type_text(&format!("migrate file:{path}\n"))?;
        self.expect_times(PROMPT, 2, limit)
    }

    /// The console up to now, as plain text.
    pub fn console_text(&self) -> String {
        self.shared.console().text()
    }

    /// The guest's RAM, as a file.
    pub fn ram(&self) -> PathBuf {
        self.files.ram()
    }

    /// Its first megabyte: base memory, option ROMs, the BIOS.
    ///
    /// # Errors
    /// When it can't be read.
    pub fn low_memory(&self) -> Result<Vec<u8>> {
        let mut memory = vec![0; LOW_MEMORY];
        fs::File::open(self.ram())?.read_exact(&mut memory).context("can't read the guest's RAM")?;
        Ok(memory)
    }

    /// Ends the machine and says what is left of it.
    ///
    /// # Errors
    /// When a file that QEMU or the plugin should have written is not there.
    pub fn finish(mut self) -> Result<Report> {
        self.qemu.end();
        self.join_readers();
        let violations = match self.files.hyperv {
            true => Some(read(&self.files.violations()).context("the lab wrote no list of violations")?),
            false => None,
        };
        let counters = match self.files.hyperv {
            // The plugin writes it last of all: without it QEMU has crashed, or the plugin was never loaded.
            true => read(&self.files.counters()).context("the Hyper-V host did not end in order")?,
            false => String::new(),
        };
        let [log, com2] = [self.files.debug_log(), self.files.com2()].map(|path| fs::read(path).unwrap_or_default());
        Ok(Report {
            console: self.console_text(),
            log: String::from_utf8_lossy(&log).into_owned(),
            com2: String::from_utf8_lossy(&com2).into_owned(),
            violations,
            counters,
            events: self.services.events(),
        })
    }

    fn wait_for_change<T>(&self, deadline: Instant, look: impl Fn(&Console) -> Option<T>) -> Option<T> {
        let console = self.shared.console();
        if let Some(found) = look(&console) {
            return Some(found);
        }
        let pause = LOOK.min(deadline.saturating_duration_since(Instant::now()));
        let (console, _) = self.shared.changed.wait_timeout(console, pause).unwrap_or_else(PoisonError::into_inner);
        look(&console)
    }

    fn join_readers(&mut self) {
        for reader in self.readers.drain(..) {
            // It only panics when our own output is gone, and then nobody reads this either.
            let _ = reader.join();
        }
    }

    fn last_words(&self) -> String {
        let console = last_lines(&self.console_text(), SHOWN_LINES);
        let log = fs::read(self.files.debug_log()).unwrap_or_default();
        let log = last_lines(&String::from_utf8_lossy(&log), SHOWN_LINES);
        let messages = self.shared.messages.lock().unwrap_or_else(PoisonError::into_inner);
        let messages = last_lines(&messages, SHOWN_LINES);
        [("console", console), ("ROM's log", log), ("messages of QEMU and the Hyper-V host", messages)]
            .into_iter()
            .filter(|(_, text)| !text.is_empty())
            .map(|(title, text)| format!("--- last lines of the {title} ---\n{text}\n"))
            .collect()
    }
}

fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).with_context(|| format!("can't read {}", path.display()))
}

fn read_console(mut pipe: impl Read, shared: &Shared, echo: Echo) {
    let mut buffer = [0; 4096];
    let mut shown = 0;
    while let Ok(count @ 1..) = pipe.read(&mut buffer) {
        let text = {
            let mut console = shared.console();
            console.feed(&buffer[..count]);
            shared.changed.notify_all();
            (echo == Echo::Plain).then(|| console.text())
        };
        match (echo, text) {
            (Echo::Raw, _) => show(&buffer[..count]),
            // A line is shown when it has ended: until then it may still change.
            (Echo::Plain, Some(text)) => {
                let end = text.rfind('\n').map_or(0, |at| at + 1);
                show(text.as_bytes().get(shown..end).unwrap_or_default());
                shown = end;
            }
            _ => {}
        }
    }
    if echo == Echo::Plain {
        show(shared.console().text().as_bytes().get(shown..).unwrap_or_default());
    }
}

fn show(bytes: &[u8]) {
    let mut out = std::io::stdout().lock();
    // A reader of our output that went away is no reason to stop the machine.
    let _ = out.write_all(bytes).and_then(|()| out.flush());
}

/// What QEMU says at the end or the start of every run, and means nothing here.
const NOISE: [&str; 2] = ["warning: hub 0 with no nics", "terminating on signal 15"];

fn read_messages(pipe: impl Read, shared: &Shared, echo: Echo) {
    for line in BufReader::new(pipe).lines().map_while(std::result::Result::ok) {
        if NOISE.iter().any(|noise| line.contains(noise)) {
            continue;
        }
        if echo != Echo::Off {
            eprintln!("{line}");
        }
        let mut messages = shared.messages.lock().unwrap_or_else(PoisonError::into_inner);
        messages.push_str(&line);
        messages.push('\n');
    }
}
