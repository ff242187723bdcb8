//! Running other programs: errors that say what failed, and children that never outlive us.

use std::ffi::OsStr;
use std::io::Read;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};

use crate::interrupt;

/// How many of a failed program's last lines are worth showing (policy).
const SHOWN_LINES: usize = 15;
/// How long a child may take to end after SIGTERM before it is killed (policy).
const GRACE: Duration = Duration::from_secs(3);
/// Interval between two looks at a child (policy).
const POLL: Duration = Duration::from_millis(20);

/// A command as a person would type it.
pub fn describe(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ")
}

/// The last lines of a text, for error messages.
pub fn last_lines(text: &str, count: usize) -> String {
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    lines[lines.len().saturating_sub(count)..].join("\n")
}

/// A command that the kernel kills when the thread that started it ends, however it ends: no server outlives a test.
pub fn ending_with_us(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "--"]).arg(program);
    command
}

/// Runs a command to its end and returns its output.
///
/// # Errors
/// When it can't be started, or ends with another code than 0; the error holds its last lines.
pub fn capture(command: &mut Command) -> Result<Output> {
    let output =
        command.stdin(Stdio::null()).output().with_context(|| format!("can't start `{}`", describe(command)))?;
    if !output.status.success() {
        let mut said = String::from_utf8_lossy(&output.stdout).into_owned();
        said.push('\n');
        said.push_str(&String::from_utf8_lossy(&output.stderr));
        bail!("`{}` failed ({}):\n{}", describe(command), output.status, last_lines(&said, SHOWN_LINES));
    }
    Ok(output)
}

/// Runs a command that writes to our own output, and says whether it succeeded.
///
/// # Errors
/// When it can't be started, or ends with another code than 0.
pub fn run_visibly(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| format!("can't start `{}`", describe(command)))?;
    if !status.success() {
        bail!("`{}` failed ({status}); its messages are above", describe(command));
    }
    Ok(())
}

/// Runs a command for at most `limit`, and returns what it wrote to stdout and stderr together with its status;
/// `None` when it had to be ended.
///
/// # Errors
/// When it can't be started.
pub fn run_limited(command: &mut Command, limit: Duration) -> Result<(Option<ExitStatus>, String)> {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = OwnedChild::spawn(command)?;
    let readers = [
        child.0.stdout.take().map(|pipe| thread::spawn(move || read_all(pipe))),
        child.0.stderr.take().map(|pipe| thread::spawn(move || read_all(pipe))),
    ];
    let status = child.wait_until(Instant::now() + limit)?;
    drop(child);
    let said = readers.into_iter().flatten().filter_map(|reader| reader.join().ok()).collect::<String>();
    Ok((status, said))
}

fn read_all(mut pipe: impl Read) -> String {
    let mut bytes = Vec::new();
    // A pipe that breaks has delivered what there was.
    let _ = pipe.read_to_end(&mut bytes);
    String::from_utf8_lossy(&bytes).into_owned()
}

/// A child process that is ended when this value goes, whatever the reason.
pub struct OwnedChild(pub Child);

impl OwnedChild {
    /// Starts a command.
    ///
    /// # Errors
    /// When it can't be started.
    pub fn spawn(command: &mut Command) -> Result<Self> {
        let child = command.spawn().with_context(|| format!("can't start `{}`", describe(command)))?;
        Ok(Self(child))
    }

    /// Waits for the child's end; `None` when the deadline or Ctrl-C came first.
    ///
    /// # Errors
    /// When the system can't say how the child is.
    pub fn wait_until(&mut self, deadline: Instant) -> Result<Option<ExitStatus>> {
        loop {
            if let Some(status) = self.0.try_wait()? {
                return Ok(Some(status));
            }
            if Instant::now() >= deadline || interrupt::requested() {
                return Ok(None);
            }
            thread::sleep(POLL);
        }
    }

    /// Ends the child: SIGTERM, so that it can write its files, and SIGKILL when that doesn't help.
    pub fn end(&mut self) {
        if matches!(self.0.try_wait(), Ok(Some(_))) {
            return;
        }
        if let Some(pid) = i32::try_from(self.0.id()).ok().and_then(Pid::from_raw) {
            // It may have ended by itself since; that is what we want.
            let _ = kill_process(pid, Signal::TERM);
        }
        let deadline = Instant::now() + GRACE;
        while Instant::now() < deadline {
            if matches!(self.0.try_wait(), Ok(Some(_))) {
                return;
            }
            thread::sleep(POLL);
        }
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Drop for OwnedChild {
    fn drop(&mut self) {
        self.end();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn last_lines_skips_blank_ones() {
        assert_eq!(last_lines("one\n\ntwo\nthree\n\n", 2), "two\nthree");
        assert_eq!(last_lines("one", 5), "one");
    }

    #[test]
    fn a_failing_command_shows_its_message() {
        let error = capture(Command::new("sh").args(["-c", "echo broken >&2; exit 3"])).unwrap_err();
        assert!(format!("{error}").contains("broken"), "{error}");
    }

    #[test]
    fn a_command_that_hangs_is_ended() {
        let start = Instant::now();
        let (status, said) =
            run_limited(Command::new("sh").args(["-c", "echo begun; exec sleep 60"]), Duration::from_millis(200))
                .unwrap();
        assert!(status.is_none());
        assert_eq!(said, "begun\n");
        assert!(start.elapsed() < Duration::from_secs(10));
    }
}
