//! A disk on the network: an iSCSI target (tgt) on loopback, which a machine on QEMU's user network reaches.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use super::http::free_port;
use super::network::HOST_SEEN_BY_SLIRP;
use crate::process::{OwnedChild, capture, ending_with_us, last_lines};
use crate::setup::qemu::private_program;

/// The target's name (RFC 7143, section 4.2.7.3): a month of no meaning, and a domain that is nobody's.
const NAME: &str = "iqn.2026-01.example:disk";
/// The disk's logical unit. 0 is the target's controller.
const LUN: u32 = 1;
/// What names the control socket for tgtd and tgtadm; each appends the number of its control port, 0.
const CONTROL: &str = "TGT_IPC_SOCKET";
/// How long the target may take to start (policy).
const START: Duration = Duration::from_secs(20);
/// Interval between two looks (policy).
const LOOK: Duration = Duration::from_millis(20);
/// How often another port is tried: a free one may be taken before the target has it (policy).
const TRIES: usize = 5;
/// What it says when it can't have its port. It goes on, and listens elsewhere.
const PORT_TAKEN: &str = "unable to bind server socket";
/// Lines shown of its log (policy).
const SHOWN_LINES: usize = 10;

/// The target. It ends when this value goes.
pub struct Target {
    server: OwnedChild,
    port: u16,
    dir: tempfile::TempDir,
}

impl Target {
    /// Serves this image as the only disk.
    ///
    /// # Errors
    /// When the target does not start, or can't be set up.
    pub fn serve(packages: &Path, image: &Path) -> Result<Self> {
        for _ in 0..TRIES {
            let target = Self::start(packages)?;
            // It answers when it has all its ports, or has not got them.
            target.order(packages, &format!("--op new --mode target --tid 1 --targetname {NAME}"))?;
            if target.log().contains(PORT_TAKEN) {
                continue;
            }
            let image = image.display();
            target
                .order(packages, &format!("--op new --mode logicalunit --tid 1 --lun {LUN} --backing-store {image}"))?;
            target.order(packages, "--op bind --mode target --tid 1 --initiator-address ALL")?;
            return Ok(target);
        }
        bail!("the iSCSI target found no free port in {TRIES} tries")
    }

    fn start(packages: &Path) -> Result<Self> {
        let dir = tempfile::Builder::new().prefix("hvpxe-iscsi-").tempdir()?;
        let port = free_port()?;
        let program = private_program(packages, "usr/sbin/tgtd");
        let mut command = ending_with_us(program.get_program());
        command.args(program.get_args()).env(CONTROL, dir.path().join("control"));
        command.arg("--foreground").arg("--iscsi").arg(format!("portal=127.0.0.1:{port}"));
        let log = File::create(log_path(dir.path()))?;
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let mut target = Self { server: OwnedChild::spawn(&mut command)?, port, dir };
        let deadline = Instant::now() + START;
        while !target.dir.path().join("control.0").exists() {
            let said = last_lines(&target.log(), SHOWN_LINES);
            ensure!(target.server.0.try_wait()?.is_none(), "the iSCSI target ended at once:\n{said}");
            ensure!(Instant::now() < deadline, "the iSCSI target does not start:\n{said}");
            thread::sleep(LOOK);
        }
        Ok(target)
    }

    /// Has the target do something; its arguments are words without blanks.
    fn order(&self, packages: &Path, words: &str) -> Result<()> {
        let mut command: Command = private_program(packages, "usr/sbin/tgtadm");
        command.args(["--lld", "iscsi"]).args(words.split(' ')).env(CONTROL, self.dir.path().join("control"));
        let done = capture(&mut command).map(drop);
        done.with_context(|| format!("can't set the iSCSI target up:\n{}", last_lines(&self.log(), SHOWN_LINES)))
    }

    /// The disk, as iPXE names it on QEMU's user network.
    pub fn uri(&self) -> String {
        format!("iscsi:{HOST_SEEN_BY_SLIRP}::{}:{LUN}:{NAME}", self.port)
    }

    fn log(&self) -> String {
        fs::read_to_string(log_path(self.dir.path())).unwrap_or_default()
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        // It takes no notice of SIGTERM while it has a disk, and keeps nothing back: what is written is in the image.
        let _ = self.server.0.kill();
        let _ = self.server.0.wait();
    }
}

fn log_path(dir: &Path) -> PathBuf {
    dir.join("log")
}
