//! `cargo xtask run`: one boot of the ROM in the lab, to look at or to wait for a text.

use std::io::{IsTerminal, stdin, stdout};
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::{Args, ValueEnum};

use crate::build;
use crate::lab::Lab;
use crate::lab::clients::Client;
use crate::lab::display::Display;
use crate::lab::machine::{HyperV, Machine};
use crate::lab::network::Network;
use crate::lab::session::{Echo, Report, Session};
use crate::workspace::Workspace;

/// How long a run without a person in front of it takes at most, unless told otherwise (policy).
const DEFAULT_LIMIT: Duration = Duration::from_secs(60);

/// Shown below the options.
pub const EXAMPLES: &str = "\
Examples:
  cargo xtask run --client undionly
          iPXE gets a lease of its own and runs a script fetched by HTTP
  cargo xtask run --client grub --pcap boot.pcap
          GRUB, with a capture for Wireshark
  cargo xtask run --expect 'boot:'
          exit code 0 as soon as PXELINUX's prompt is there
  cargo xtask run --net dhcp.fault=silent
          what the ROM says without a DHCP server
  cargo xtask run --set max_vmbus_version=0.0
          what it says to a host that refuses every version";

/// How much the Hyper-V host tells on standard error; each level includes those before it.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum LogLevel {
    /// Nothing.
    Off,
    /// Rules that the guest breaks.
    Error,
    /// What happens on VMBus and its devices.
    Info,
    /// Each hypercall, MSR write and interrupt.
    Debug,
    /// Everything.
    Trace,
}

/// What to boot, on which machine, and when to stop.
#[derive(Args)]
pub struct RunArgs {
    /// Boot program that the ROM loads: undionly (iPXE), pxelinux, lpxelinux, grub, or the path of an NBP.
    #[arg(long, default_value = "pxelinux", value_name = "NAME|FILE")]
    client: Client,

    /// RAM of the machine, in MiB.
    #[arg(long, default_value_t = 256, value_name = "MIB", value_parser = clap::value_parser!(u32).range(16..=3072))]
    memory: u32,

    /// Any QEMU netdev as the network, without its id: `tap,ifname=tap0,script=no`. DHCP and TFTP are yours then;
    /// --client is not served.
    #[arg(long, value_name = "ARG", conflicts_with = "net")]
    netdev: Option<String>,

    /// Switch of the built-in network server, for example `dhcp.fault=nak`; may be repeated. The table is in
    /// tools/netserver/src/lib.rs. Without it the network is QEMU's own, except for undionly.
    #[arg(long, value_name = "KEY=VALUE", value_parser = key_value)]
    net: Vec<(String, String)>,

    /// Switch of the Hyper-V host, for example `max_vmbus_version=4.0` or `rescind_after=20`; may be repeated. The
    /// table is in tools/hvhost/src/config.rs.
    #[arg(long, value_name = "KEY=VALUE", value_parser = key_value, conflicts_with = "no_hyperv")]
    set: Vec<(String, String)>,

    /// Raw image of a disk on the synthetic SCSI controller; the guest may write to it unless `:ro` follows. May be
    /// repeated.
    #[arg(long, value_name = "FILE", conflicts_with = "no_hyperv")]
    disk: Vec<PathBuf>,

    /// Setting for the ROM, over its own, for example `quiet=on`; may be repeated. `cargo xtask configure --help` lists
    /// them.
    #[arg(long = "setting", value_name = "KEY=VALUE")]
    settings: Vec<String>,

    /// An ordinary PC instead of a Hyper-V machine: the ROM must say so and leave.
    #[arg(long)]
    no_hyperv: bool,

    /// Write the frames of the synthetic NIC to this file, for Wireshark.
    #[arg(long, value_name = "FILE", conflicts_with = "no_hyperv")]
    pcap: Option<PathBuf>,

    /// How much the Hyper-V host tells on standard error.
    #[arg(long, value_enum, default_value = "error", value_name = "LEVEL")]
    log: LogLevel,

    /// Show the machine's screen in a window, instead of its text in this terminal; by VNC on loopback, where QEMU
    /// has no windows.
    #[arg(long, conflicts_with = "expect")]
    window: bool,

    /// End the machine after this time. Without a terminal to type in: 60 seconds unless given.
    #[arg(long, value_name = "SECONDS")]
    time_limit: Option<u64>,

    /// Wait for this text on the console, then end with exit code 0; if it doesn't come in time, show the last lines
    /// and end with another code.
    #[arg(long, value_name = "TEXT")]
    expect: Option<String>,

    /// Another option ROM instead of the one built here.
    #[arg(long, value_name = "FILE")]
    rom: Option<PathBuf>,
}

fn key_value(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("not KEY=VALUE".to_owned()),
    }
}

/// Builds what is needed, and boots.
///
/// # Errors
/// When something can't be built or started, the expected text doesn't come, or the guest broke a rule of the interface.
pub fn run(workspace: &Workspace, args: RunArgs) -> Result<()> {
    let lab = Lab::prepare(workspace, &build::all(workspace)?)?;
    let files = tempfile::Builder::new().prefix("hvpxe-files-").tempdir()?;
    let network = args.network(&lab, files.path().to_owned())?;
    let mut machine = args.machine(&lab, network)?;
    if args.window {
        let display = Display::choose(&lab.qemu)?;
        eprintln!("The screen: {display}.");
        machine.display = Some(display);
    }
    args.announce(&machine);

    let typing = stdin().is_terminal() && args.expect.is_none();
    let keyboard = if typing { Stdio::inherit() } else { Stdio::null() };
    let echo = if stdout().is_terminal() { Echo::Raw } else { Echo::Plain };
    let mut session = Session::start(&lab.qemu, &machine, echo, keyboard)?;
    let limit = args.time_limit.map(Duration::from_secs);
    let outcome = match &args.expect {
        Some(text) => session.expect(text, limit.unwrap_or(DEFAULT_LIMIT)),
        None => session.wait(limit.or((!typing).then_some(DEFAULT_LIMIT))).map(drop),
    };
    let report = session.finish()?;
    println!();
    outcome?;
    judge(&report)
}

fn judge(report: &Report) -> Result<()> {
    match report.violations.as_deref() {
        None | Some("") => Ok(()),
        Some(violations) => bail!("the guest broke rules of the Hyper-V interface:\n{}", violations.trim_end()),
    }
}

impl RunArgs {
    fn network(&self, lab: &Lab, files: PathBuf) -> Result<Network> {
        if let Some(netdev) = &self.netdev {
            return Ok(Network::Netdev(netdev.clone()));
        }
        let bootfile = self.client.compose(&lab.packages, &files)?;
        if self.net.is_empty() && self.client != Client::Undionly {
            return Ok(Network::Slirp { files, bootfile, http_port: None });
        }
        let mut switches = self.client.server_switches(&bootfile);
        switches.extend(self.net.iter().cloned());
        Ok(Network::Server { files, switches })
    }

    fn machine(&self, lab: &Lab, network: Network) -> Result<Machine> {
        let absolute = |path: &PathBuf| std::path::absolute(path).with_context(|| path.display().to_string());
        let mut switches: Vec<_> = self.set.iter().map(|(key, value)| format!("{key}={value}")).collect();
        for disk in &self.disk {
            switches.push(format!("disk={}", absolute(disk)?.display()));
        }
        let hyperv = HyperV {
            plugin: lab.plugin.clone(),
            switches,
            log_level: self.log.to_possible_value().expect("no level is hidden").get_name().to_owned(),
            pcap: self.pcap.as_ref().map(absolute).transpose()?,
        };
        Ok(Machine {
            memory_mib: self.memory,
            rom: Some(match &self.rom {
                Some(rom) => absolute(rom)?,
                None => lab.rom.clone(),
            }),
            other_roms: Vec::new(),
            kernel: None,
            acpi_table: None,
            drives: Vec::new(),
            other_nic: None,
            settings: self.settings.clone(),
            rom_place: 0,
            restarts: false,
            kvm_from: None,
            hyperv: (!self.no_hyperv).then_some(hyperv),
            network,
            display: None,
        })
    }

    fn announce(&self, machine: &Machine) {
        let kind = if machine.hyperv.is_some() { "a Hyper-V machine" } else { "an ordinary PC" };
        eprintln!("Starting {kind} with {} MiB of RAM; its network: {}.", self.memory, machine.network);
        if stdin().is_terminal() && self.expect.is_none() && !self.window {
            eprintln!("This terminal is its console. Ctrl-A X ends it.");
        }
    }
}
