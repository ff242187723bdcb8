//! A machine in the lab, and the QEMU command that makes it.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use super::display::Display;
use super::drives::{Drive, OtherNic};
use super::network::Network;
use crate::setup::qemu::Qemu;

/// What the machine has for a Hyper-V host.
#[derive(Clone, Debug)]
pub struct HyperV {
    /// The QEMU plugin.
    pub plugin: PathBuf,
    /// Arguments for it, `key=value`: switches of the host model, and the plugin's own.
    pub switches: Vec<String>,
    /// How much the plugin logs to standard error.
    pub log_level: String,
    /// Where it writes the frames of the virtual NIC.
    pub pcap: Option<PathBuf>,
}

/// A Linux-style kernel that QEMU starts itself instead of a boot device.
#[derive(Clone, Debug)]
pub struct Kernel {
    /// The image, for instance `ipxe.lkrn`.
    pub image: PathBuf,
    /// Its initial RAM disk; for iPXE, a script.
    pub initrd: PathBuf,
    /// Its command line.
    pub command_line: String,
}

/// A BIOS machine. Its only NIC is the synthetic one, unless it has another to boot from.
#[derive(Clone, Debug)]
pub struct Machine {
    /// RAM in MiB.
    pub memory_mib: u32,
    /// The option ROM, first in the boot order but for `rom_place`.
    pub rom: Option<PathBuf>,
    /// Further option ROMs, behind all drives in the boot order. The BIOS starts those first whose file's name comes last.
    pub other_roms: Vec<PathBuf>,
    /// A kernel to start at once.
    pub kernel: Option<Kernel>,
    /// One more ACPI table, with its header.
    pub acpi_table: Option<PathBuf>,
    /// Drives, in the boot order.
    pub drives: Vec<Drive>,
    /// How many of them come before the option ROM, or the other NIC.
    pub rom_place: usize,
    /// Another NIC to boot from, at the option ROM's place in the boot order.
    pub other_nic: Option<OtherNic>,
    /// Whether a reset starts the machine anew, rather than ends it.
    pub restarts: bool,
    /// Settings for hvpxe, over those of its image: `key=value`, each `on` or `off`.
    pub settings: Vec<String>,
    /// `None`: an ordinary PC.
    pub hyperv: Option<HyperV>,
    /// A state that [`Session::save`](super::session::Session::save) kept: KVM goes on from there, without a Hyper-V host.
    pub kvm_from: Option<PathBuf>,
    /// What the NIC is connected to.
    pub network: Network,
    /// Where the screen is shown; `None`: its text goes to the serial port.
    pub display: Option<Display>,
}

/// The files of one run, in a directory that goes with this value.
pub struct SessionFiles {
    dir: tempfile::TempDir,
    /// Whether the run has a Hyper-V host, which writes violations and counters.
    pub hyperv: bool,
}

impl SessionFiles {
    /// Makes the directory.
    ///
    /// # Errors
    /// When the directory for temporary files can't be written.
    pub fn create(hyperv: bool) -> Result<Self> {
        let dir = tempfile::Builder::new().prefix("hvpxe-").tempdir().context("can't create a temporary directory")?;
        Ok(Self { dir, hyperv })
    }

    /// Where the plugin's NIC receives frames.
    pub fn nic_socket(&self) -> PathBuf {
        self.dir.path().join("nic")
    }

    /// Where it sends them.
    pub fn network_socket(&self) -> PathBuf {
        self.dir.path().join("net")
    }

    /// The same pair on the far side of a VLAN's switch port, with plain frames: where the switch port receives.
    pub fn plain_nic_socket(&self) -> PathBuf {
        self.dir.path().join("plain-nic")
    }

    /// Where it sends.
    pub fn plain_network_socket(&self) -> PathBuf {
        self.dir.path().join("plain-net")
    }

    /// Guest RAM.
    pub fn ram(&self) -> PathBuf {
        self.dir.path().join("ram")
    }

    /// What the guest wrote to port 0xE9.
    pub fn debug_log(&self) -> PathBuf {
        self.dir.path().join("e9.log")
    }

    /// What the guest wrote to COM2.
    pub fn com2(&self) -> PathBuf {
        self.dir.path().join("com2.log")
    }

    /// Rules that the guest broke.
    pub fn violations(&self) -> PathBuf {
        self.dir.path().join("violations")
    }

    /// The marks: counters at moments worth measuring, a line of JSON each.
    pub fn marks(&self) -> PathBuf {
        self.dir.path().join("marks")
    }

    /// What the host model counted; written when QEMU ends in order.
    pub fn counters(&self) -> PathBuf {
        self.dir.path().join("counters")
    }
}

impl Machine {
    /// The command that starts it.
    ///
    /// # Errors
    /// When the RAM file can't be made.
    pub fn command(&self, qemu: &Qemu, files: &SessionFiles) -> Result<Command> {
        let mut command = qemu.command();
        // Nothing that a person didn't ask for: no second NIC, no floppy, no CD.
        let accelerator = if self.kvm_from.is_some() { "kvm" } else { "tcg" };
        command.args(["-nodefaults", "-accel", accelerator, "-cpu", "max", "-vga", "std"]);
        if let Some(state) = &self.kvm_from {
            command.arg("-incoming").arg(words(["file:".into(), state.into()]));
            // The interrupt controllers of TCG, whose state the ones in the kernel do not go on from.
            command.args(["-machine", "kernel-irqchip=split"]);
        }
        if !self.restarts {
            command.arg("-no-reboot");
        }
        // The plugin maps guest RAM, and tests read it.
        let size = u64::from(self.memory_mib) << 20;
        fs::File::create(files.ram()).and_then(|file| file.set_len(size)).context("can't make the RAM file")?;
        command.arg("-m").arg(format!("{}M", self.memory_mib));
        command.arg("-object").arg(words([
            format!("memory-backend-file,id=ram,share=on,size={size},mem-path=").into(),
            escaped(&files.ram()),
        ]));
        let graphics = if self.display.is_some() { "on" } else { "off" };
        command.arg("-machine").arg(format!("pc,memory-backend=ram,graphics={graphics}"));
        command.args(["-serial", "mon:stdio"]);
        command.arg("-serial").arg(words(["file:".into(), escaped(&files.com2())]));
        command.arg("-display").arg(self.display.as_ref().map_or("none".to_owned(), Display::argument));
        command.arg("-chardev").arg(words(["file,id=e9,path=".into(), escaped(&files.debug_log())]));
        command.args(["-device", "isa-debugcon,iobase=0xe9,chardev=e9"]);
        // Should we be killed, QEMU goes too.
        command.args(["-run-with", "exit-with-parent=on"]);
        self.boot_arguments(&mut command);
        if let Some(hyperv) = &self.hyperv {
            command.arg("-plugin").arg(hyperv.argument(files, &self.network));
            self.network.add_netdevs(&mut command, files);
            self.network.add_clock(&mut command);
        }
        Ok(self.network.place(command))
    }

    fn boot_arguments(&self, command: &mut Command) {
        if let Some(rom) = &self.rom {
            let boot_index = format!(",bootindex={}", self.rom_place + 1);
            command.arg("-option-rom").arg(words([escaped(rom), boot_index.into()]));
        }
        for (index, rom) in self.other_roms.iter().enumerate() {
            let boot_index = format!(",bootindex={}", self.drives.len() + 2 + index);
            command.arg("-option-rom").arg(words([escaped(rom), boot_index.into()]));
        }
        if let Some(kernel) = &self.kernel {
            command.arg("-kernel").arg(&kernel.image).arg("-initrd").arg(&kernel.initrd);
            command.arg("-append").arg(&kernel.command_line);
        }
        if let Some(table) = &self.acpi_table {
            command.arg("-acpitable").arg(words(["file=".into(), escaped(table)]));
        }
        if !self.settings.is_empty() {
            let settings = self.settings.join(" ").replace(',', ",,");
            command.arg("-fw_cfg").arg(format!("name=opt/hvpxe/settings,string={settings}"));
        }
        if let Some(nic) = &self.other_nic {
            nic.add(command, self.rom_place + 1);
        }
        for (index, drive) in self.drives.iter().enumerate() {
            // In between is the ROM or the other NIC.
            drive.add(command, index + 1 + usize::from(index >= self.rom_place));
        }
    }
}

impl HyperV {
    fn argument(&self, files: &SessionFiles, network: &Network) -> OsString {
        let mut argument = escaped(&self.plugin);
        argument.extend(network.plugin_arguments(files));
        let mut add = |key: &str, value: OsString| {
            argument.push(key);
            argument.push(value);
        };
        add(",violations=", escaped(&files.violations()));
        add(",counters=", escaped(&files.counters()));
        add(",marks=", escaped(&files.marks()));
        add(",log=", OsString::from(&self.log_level));
        if let Some(pcap) = &self.pcap {
            add(",pcap=", escaped(pcap));
        }
        for switch in &self.switches {
            add(",", switch.replace(',', ",,").into());
        }
        argument
    }
}

/// One argument of several parts.
pub fn words<const N: usize>(parts: [OsString; N]) -> OsString {
    parts.into_iter().collect()
}

/// A path inside a QEMU option: a comma is written twice.
pub fn escaped(path: &Path) -> OsString {
    match path.to_str() {
        Some(text) => text.replace(',', ",,").into(),
        // Such a name has no comma that we could see; QEMU takes it as it is.
        None => path.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arguments(machine: &Machine) -> Vec<String> {
        let files = SessionFiles::create(machine.hyperv.is_some()).unwrap();
        let qemu = Qemu::Machine("qemu-system-x86_64".into());
        let command = machine.command(&qemu, &files).unwrap();
        command.get_args().map(|argument| argument.to_string_lossy().into_owned()).collect()
    }

    fn pc() -> Machine {
        Machine {
            memory_mib: 64,
            rom: None,
            other_roms: Vec::new(),
            kernel: None,
            acpi_table: None,
            drives: Vec::new(),
            other_nic: None,
            settings: Vec::new(),
            rom_place: 0,
            restarts: false,
            kvm_from: None,
            hyperv: None,
            network: Network::Netdev("user".to_owned()),
            display: None,
        }
    }

    #[test]
    fn an_ordinary_pc_has_neither_plugin_nor_nic() {
        let arguments = arguments(&pc());
        assert!(arguments.contains(&"-nodefaults".to_owned()));
        assert!(!arguments.iter().any(|argument| argument == "-plugin" || argument == "-netdev" || argument == "-nic"));
    }

    #[test]
    fn a_machine_whose_runs_repeat_has_the_server_inside() {
        let hyperv = HyperV { plugin: "/p.so".into(), switches: Vec::new(), log_level: "off".to_owned(), pcap: None };
        let switches = vec![("latency-ms".to_owned(), "10".to_owned())];
        let network = Network::Inside { files: "/x,y".into(), switches, shift: 6 };
        let arguments = arguments(&Machine { hyperv: Some(hyperv), network, ..pc() });
        let plugin = arguments.iter().find(|argument| argument.starts_with("/p.so")).unwrap();
        assert!(plugin.starts_with("/p.so,server=/x,,y,icount=6,server.latency-ms=10,"), "{plugin}");
        assert!(arguments.contains(&"shift=6,sleep=off".to_owned()));
        assert!(!arguments.contains(&"-netdev".to_owned()));
    }

    #[test]
    fn a_hyperv_machine_wires_the_plugin_to_the_netdev() {
        let hyperv = HyperV {
            plugin: "/x/plug,in.so".into(),
            switches: vec!["polling=off".to_owned()],
            log_level: "info".to_owned(),
            pcap: Some("/x/a.pcap".into()),
        };
        let arguments = arguments(&Machine { hyperv: Some(hyperv), rom: Some("/x/a,b.rom".into()), ..pc() });
        let plugin = arguments.iter().find(|argument| argument.starts_with("/x/plug,,in.so,net=")).unwrap();
        assert!(plugin.ends_with(",log=info,pcap=/x/a.pcap,polling=off"), "{plugin}");
        let (nic, net) = plugin.split_once("net=").unwrap().1.split_once(',').unwrap().0.split_once(':').unwrap();
        let dgram = arguments.iter().find(|argument| argument.starts_with("dgram,")).unwrap();
        assert!(dgram.contains(&format!("local.path={net},")), "QEMU receives where the plugin sends: {dgram}");
        assert!(dgram.contains(&format!("remote.path={nic}")), "QEMU sends where the plugin receives: {dgram}");
        assert!(arguments.contains(&"/x/a,,b.rom,bootindex=1".to_owned()));
    }
}
