//! A host on the LAN, and the servers that run there.

use std::fs::{self, File};
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};

use super::namespace::{Namespace, within};
use crate::process::{OwnedChild, last_lines};
use crate::setup::qemu::private_program;

/// How long a server may take to listen (policy).
const START: Duration = Duration::from_secs(20);
/// Interval between two looks (policy).
const LOOK: Duration = Duration::from_millis(20);
/// Lines shown of the log of a server that didn't start (policy).
const SHOWN_LINES: usize = 10;

/// A host. It ends, with its servers, when this value goes.
pub struct Host {
    // In this order they go: the servers before what they run in.
    servers: Vec<OwnedChild>,
    namespace: Namespace,
    logs: tempfile::TempDir,
    address: Ipv4Addr,
}

impl Host {
    /// Gives the host its address and brings its cable up.
    pub(super) fn configure(namespace: Namespace, address: &str) -> Result<Self> {
        namespace.ip(&format!("addr add {address} dev eth0"))?;
        namespace.ip("link set eth0 up")?;
        // Otherwise a server's own first broadcasts would have no way out.
        namespace.ip("route add default dev eth0")?;
        let address = address.split('/').next().unwrap_or_default().parse().context("not an IPv4 address")?;
        let logs = tempfile::Builder::new().prefix("hvpxe-lan-").tempdir()?;
        Ok(Self { servers: Vec::new(), namespace, logs, address })
    }

    /// Its address.
    pub fn address(&self) -> Ipv4Addr {
        self.address
    }

    /// Joins a multicast group for whatever server listens on all addresses.
    ///
    /// # Errors
    /// When `ip` says no.
    pub fn join_group(&self, group: Ipv4Addr) -> Result<()> {
        self.namespace.ip(&format!("addr add {group}/32 dev eth0 autojoin"))
    }

    /// Starts dnsmasq as DHCP server, with a log of each message, and no DNS.
    ///
    /// # Errors
    /// When it doesn't listen in time; the error shows its log.
    pub fn dnsmasq(&mut self, packages: &Path, options: &[&str]) -> Result<()> {
        let mut command = private_program(packages, "usr/sbin/dnsmasq");
        command.args(["--keep-in-foreground", "--conf-file=/dev/null", "--log-facility=-", "--pid-file="]);
        command.args(["--user=root", "--group=root", "--port=0", "--log-dhcp", "--leasefile-ro", "--no-ping"]);
        command.args(options);
        let port = if options.iter().any(|option| option.starts_with("--dhcp-range")) { 67 } else { 69 };
        self.start(&command, "dnsmasq", port)
    }

    /// Starts the TFTP server of H. P. Anvin.
    ///
    /// # Errors
    /// As [`dnsmasq`](Self::dnsmasq).
    pub fn tftpd_hpa(&mut self, packages: &Path, files: &Path) -> Result<()> {
        let mut command = private_program(packages, "usr/sbin/in.tftpd");
        command.args(["--foreground", "--verbose", "--user", "root", "--secure"]).arg(files);
        self.start(&command, "tftpd-hpa", 69)
    }

    /// Starts the "advanced" TFTP server.
    ///
    /// # Errors
    /// As [`dnsmasq`](Self::dnsmasq).
    pub fn atftpd(&mut self, packages: &Path, files: &Path) -> Result<()> {
        let mut command = private_program(packages, "usr/sbin/atftpd");
        command.args(["--daemon", "--no-fork", "--user", "root.root", "--logfile", "-", "--verbose=7"]).arg(files);
        self.start(&command, "atftpd", 69)
    }

    /// What a server has logged.
    pub fn log(&self, server: &str) -> String {
        fs::read(self.log_path(server)).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
    }

    /// Waits until a server has logged something that many times.
    ///
    /// # Errors
    /// When the limit comes first; the error shows the end of the log.
    pub fn expect_log(&self, server: &str, text: &str, times: usize, limit: Duration) -> Result<()> {
        let deadline = Instant::now() + limit;
        while self.log(server).matches(text).count() < times {
            if Instant::now() >= deadline || crate::interrupt::requested() {
                let log = last_lines(&self.log(server), SHOWN_LINES);
                bail!("{server} did not log `{text}` {times} times within {} s:\n{log}", limit.as_secs());
            }
            thread::sleep(LOOK);
        }
        Ok(())
    }

    /// Has the servers read their files again (dnsmasq: SIGHUP).
    pub fn reload(&self) {
        for server in &self.servers {
            if let Some(pid) = i32::try_from(server.0.id()).ok().and_then(Pid::from_raw) {
                // One that has ended shows in the test's result.
                let _ = kill_process(pid, Signal::HUP);
            }
        }
    }

    fn log_path(&self, server: &str) -> PathBuf {
        self.logs.path().join(server)
    }

    fn start(&mut self, command: &Command, name: &str, port: u16) -> Result<()> {
        let log = File::create(self.log_path(name))?;
        let mut command = within(&self.namespace.path(), command);
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let mut server = OwnedChild::spawn(&mut command)?;
        let deadline = Instant::now() + START;
        // Some servers take IPv4 through an IPv6 socket.
        let tables = ["udp", "udp6"].map(|table| format!("/proc/{}/net/{table}", self.namespace.pid()));
        while !tables.iter().any(|table| listens(&fs::read_to_string(table).unwrap_or_default(), port)) {
            let said = last_lines(&self.log(name), SHOWN_LINES);
            ensure!(server.0.try_wait()?.is_none(), "{name} ended at once:\n{said}");
            ensure!(Instant::now() < deadline, "{name} does not listen on port {port}:\n{said}");
            thread::sleep(LOOK);
        }
        self.servers.push(server);
        Ok(())
    }
}

/// Whether a table of sockets, as the kernel prints it, has one on this port (proc(5), `/proc/net/udp`).
fn listens(table: &str, port: u16) -> bool {
    let local = format!(":{port:04X}");
    table.lines().skip(1).filter_map(|line| line.split_whitespace().nth(1)).any(|address| address.ends_with(&local))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_read_from_the_kernels_table() {
        let table = "   sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid\n\
                     \x20 50: 00000000:0043 00000000:0000 07 00000000:00000000 00:00000000 00000000     0\n";
        assert!(listens(table, 67));
        assert!(!listens(table, 69));
        assert!(!listens("", 67));
    }
}
