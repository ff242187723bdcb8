//! The plugin's arguments, as QEMU hands them over: one `key=value` string each.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use hvhost::Config;

use crate::report::Level;

/// Instructions between two polls of the host model when nothing else happens; policy: a fraction of a millisecond
/// at TCG's speed.
const DEFAULT_POLL: u64 = 20_000;

/// The datagram sockets of one NIC.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NetArg {
    /// Where the plugin receives: QEMU's `remote.path`.
    pub local: PathBuf,
    /// Where the plugin sends: QEMU's `local.path`.
    pub remote: PathBuf,
}

/// One disk of a SCSI controller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DiskArg {
    /// Raw image.
    pub path: PathBuf,
    /// Whether the guest may only read it.
    pub read_only: bool,
    /// Controller, 0 or 1.
    pub controller: usize,
}

/// All arguments.
#[derive(Debug)]
pub struct Args {
    /// One synthetic NIC each.
    pub nets: Vec<NetArg>,
    /// Directory served by a network server inside the plugin, on one more NIC, the first.
    pub server: Option<PathBuf>,
    /// Switches of that server.
    pub server_switches: Vec<(String, String)>,
    /// Disks; the LUNs of a controller in this order.
    pub disks: Vec<DiskArg>,
    /// Capture file for the frames of all NICs.
    pub pcap: Option<PathBuf>,
    /// How much is logged.
    pub log_level: Level,
    /// Where the log goes instead of standard error.
    pub log_file: Option<PathBuf>,
    /// File to which violations are appended.
    pub violations: Option<PathBuf>,
    /// File written at exit.
    pub counters: Option<PathBuf>,
    /// File to which each mark is appended.
    pub marks: Option<PathBuf>,
    /// Marks at linear addresses.
    pub mark_addresses: Vec<(String, u64)>,
    /// File for the instructions by block, and the marks between which they are counted.
    pub profile: Option<PathBuf>,
    /// See `profile`.
    pub profile_marks: Option<(String, String)>,
    /// QEMU runs with `-icount shift=N`: time comes from the instruction count.
    pub icount: Option<u8>,
    /// Instructions between polls.
    pub poll: u64,
    /// Switches of the host model.
    pub config: Config,
}

impl Args {
    /// Understands the arguments, for a machine of `vcpus` processors.
    ///
    /// # Errors
    /// Names the argument that was not understood.
    pub fn parse<S: AsRef<str>>(args: &[S], vcpus: u32) -> Result<Self> {
        let mut parsed = Self {
            nets: Vec::new(),
            server: None,
            server_switches: Vec::new(),
            disks: Vec::new(),
            pcap: None,
            log_level: Level::Info,
            log_file: None,
            violations: None,
            counters: None,
            marks: None,
            mark_addresses: Vec::new(),
            profile: None,
            profile_marks: None,
            icount: None,
            poll: DEFAULT_POLL,
            config: Config { vps: vcpus, ..Config::default() },
        };
        for arg in args {
            let arg = arg.as_ref();
            let (key, value) = arg.split_once('=').with_context(|| format!("{arg}: not KEY=VALUE"))?;
            parsed.take(key, value).with_context(|| format!("argument {arg}"))?;
        }
        Ok(parsed)
    }

    fn take(&mut self, key: &str, value: &str) -> Result<()> {
        match key {
            "net" => self.nets.push(net(value)?),
            "server" => self.server = Some(value.into()),
            "disk" => self.disks.push(disk(value, 0)),
            "disk2" => self.disks.push(disk(value, 1)),
            "pcap" => self.pcap = Some(value.into()),
            "log" => match value.parse() {
                Ok(level) => self.log_level = level,
                Err(_) => self.log_file = Some(value.into()),
            },
            "violations" => self.violations = Some(value.into()),
            "counters" => self.counters = Some(value.into()),
            "marks" => self.marks = Some(value.into()),
            "mark" => self.mark_addresses.push(mark(value)?),
            "profile" => self.profile = Some(value.into()),
            "profile_marks" => {
                let (start, end) = value.split_once("..").context("not START..END")?;
                self.profile_marks = Some((start.to_owned(), end.to_owned()));
            }
            // QEMU's own limit for -icount is 10 bits of shift.
            "icount" => self.icount = Some(value.parse().ok().filter(|&shift| shift <= 10).context("not 0 to 10")?),
            "poll" => self.poll = value.parse().ok().filter(|&count| count > 0).context("not a count")?,
            "set" => {
                let (key, value) = value.split_once('=').context("not set=KEY=VALUE")?;
                self.set(key, value)?;
            }
            _ => match key.strip_prefix("server.") {
                Some(switch) => self.server_switches.push((switch.to_owned(), value.to_owned())),
                None => self.set(key, value)?,
            },
        }
        Ok(())
    }

    fn set(&mut self, key: &str, value: &str) -> Result<()> {
        self.config.set(key, value).map_err(anyhow::Error::msg)
    }
}

fn net(value: &str) -> Result<NetArg> {
    match value.split_once(':') {
        Some((local, remote)) if !local.is_empty() && !remote.is_empty() && !remote.contains(':') => {
            Ok(NetArg { local: local.into(), remote: remote.into() })
        }
        _ => bail!("not LOCAL:REMOTE, two socket paths without a colon"),
    }
}

fn mark(value: &str) -> Result<(String, u64)> {
    let (name, address) = value.rsplit_once(':').context("not NAME:ADDRESS")?;
    let address =
        u64::from_str_radix(address.trim_start_matches("0x"), 16).ok().context("not a hexadecimal address")?;
    Ok((name.to_owned(), address))
}

fn disk(value: &str, controller: usize) -> DiskArg {
    let (path, read_only) = value.strip_suffix(":ro").map_or((value, false), |path| (path, true));
    DiskArg { path: path.into(), read_only, controller }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_argument_is_taken() {
        let args = Args::parse(
            &[
                "net=/run/b:/run/a",
                "net=c:d",
                "server=/srv",
                "server.tftp.max-window=4",
                "disk=/a:b.img",
                "disk2=c.img:ro",
                "pcap=/tmp/x.pcap",
                "log=debug",
                "log=/tmp/log",
                "violations=v",
                "counters=c.json",
                "marks=m.json",
                "mark=entry:0x7c00",
                "profile=p",
                "profile_marks=entry..tftp-done a.b",
                "icount=7",
                "poll=500",
                "set=max_vmbus_version=5.3",
                "polling=off",
            ],
            2,
        )
        .unwrap();
        assert_eq!(args.nets.len(), 2);
        assert_eq!(args.nets[0], NetArg { local: "/run/b".into(), remote: "/run/a".into() });
        assert_eq!(args.server, Some("/srv".into()));
        assert_eq!(args.server_switches, [("tftp.max-window".to_owned(), "4".to_owned())]);
        assert_eq!(args.disks[0], DiskArg { path: "/a:b.img".into(), read_only: false, controller: 0 });
        assert_eq!(args.disks[1], DiskArg { path: "c.img".into(), read_only: true, controller: 1 });
        assert_eq!(args.pcap, Some("/tmp/x.pcap".into()));
        assert_eq!((args.log_level, args.log_file), (Level::Debug, Some("/tmp/log".into())));
        assert_eq!((args.violations, args.counters), (Some("v".into()), Some("c.json".into())));
        assert_eq!(args.marks, Some("m.json".into()));
        assert_eq!(args.mark_addresses, [("entry".to_owned(), 0x7c00)]);
        assert_eq!(args.profile, Some("p".into()));
        assert_eq!(args.profile_marks, Some(("entry".to_owned(), "tftp-done a.b".to_owned())));
        assert_eq!((args.icount, args.poll), (Some(7), 500));
        assert_eq!(args.config.vps, 2);
        assert_eq!(args.config.max_vmbus_version, 0x5_0003);
        assert_eq!(args.config.features & 1 << 17, 0, "an unknown key is one of the host model's");
    }

    #[test]
    fn nonsense_is_named_in_the_error() {
        for (arg, reason) in [
            ("pcap", "not KEY=VALUE"),
            ("net=only-one", "not LOCAL:REMOTE"),
            ("net=:b", "not LOCAL:REMOTE"),
            ("net=a:b:c", "not LOCAL:REMOTE"),
            ("mark=entry", "not NAME:ADDRESS"),
            ("mark=entry:xyz", "not a hexadecimal address"),
            ("profile_marks=a", "not START..END"),
            ("icount=11", "not 0 to 10"),
            ("poll=0", "not a count"),
            ("set=mac", "not set=KEY=VALUE"),
            ("colour=red", "no such switch"),
        ] {
            let error = format!("{:#}", Args::parse(&[arg], 1).unwrap_err());
            assert!(error.contains(reason) && error.contains(arg), "{error}");
        }
    }
}
