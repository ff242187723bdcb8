//! Who is compared: a PXE stack, and the program that it started and that fetches the files.

use std::fs;
use std::net::Ipv4Addr;
use std::path::Path;

use anyhow::{Context, Result};

use super::plan::Setting;
use crate::lab::Lab;
use crate::lab::clients::{compose_syslinux, copy};
use crate::lab::drives::OtherNic;
use crate::lab::machine::{HyperV, Kernel, Machine};
use crate::lab::network::{Network, SERVER};
use crate::lab::rom_area;

/// The file that is fetched.
pub const FILE: &str = "big.bin";
/// What a script of iPXE says when a command failed.
const SCRIPT_FAILED: &str = "THE SCRIPT FAILED";
/// What shows that nothing more will come: of the scripts, the meter, SYSLINUX and SeaBIOS.
pub const FAILURES: &[&str] =
    &[SCRIPT_FAILED, meter::FAILED, "No more network devices", "Could not find kernel image", "No bootable device"];
/// RAM of every machine, in MiB: for a file of 100 MB twice.
const MEMORY_MIB: u32 = 512;
/// Block size that most boot programs ask of the TFTP API.
const PACKET: u16 = 1408;

/// A PXE stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stack {
    /// Our ROM.
    Hvpxe,
    /// Debian's `ipxe.lkrn`, with its own driver for the synthetic NIC.
    Ipxe,
    /// Debian's iPXE ROM on QEMU's e1000.
    IpxeE1000,
    /// Debian's iPXE ROM on QEMU's virtio-net.
    IpxeVirtio,
}

impl Stack {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Hvpxe => "hvpxe",
            Self::Ipxe => "ipxe",
            Self::IpxeE1000 => "ipxe-e1000",
            Self::IpxeVirtio => "ipxe-virtio",
        }
    }

    /// Whether its NIC is the synthetic one: only there does the lab see exits, and answers the lab's own server.
    pub fn is_synthetic(self) -> bool {
        matches!(self, Self::Hvpxe | Self::Ipxe)
    }

    /// The name in its option ROM; `None`: it has none.
    pub fn rom_name(self) -> Option<&'static str> {
        match self {
            Self::Hvpxe => Some(rom_area::HVPXE),
            Self::Ipxe => None,
            Self::IpxeE1000 | Self::IpxeVirtio => Some(rom_area::IPXE),
        }
    }

    /// The NIC that QEMU emulates for it, with its ROM, and a network on which QEMU itself serves these files; `None`: it
    /// is on the synthetic NIC.
    ///
    /// QEMU answers a frame while the guest sends it, so that runs repeat. virtio-net has to be told so: it would else send
    /// from a thread of its own.
    pub fn other_nic(self, lab: &Lab, files: &Path, boot_file: &str) -> Option<OtherNic> {
        let (device, rom) = match self {
            Self::Hvpxe | Self::Ipxe => return None,
            Self::IpxeE1000 => ("e1000", "pxe-e1000.rom"),
            Self::IpxeVirtio => ("virtio-net-pci,disable-legacy=on,ioeventfd=off,tx=timer", "pxe-virtio.rom"),
        };
        Some(OtherNic {
            device,
            rom: lab.packages.join("usr/share/qemu").join(rom),
            files: files.to_owned(),
            bootfile: boot_file.to_owned(),
        })
    }
}

/// What fetches the files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Program {
    /// The stack itself: our base code by one call of `TFTP_READ_FILE`, or for HTTP by the file extension; iPXE by `imgfetch`.
    Itself,
    /// One call of `TFTP_READ_FILE`.
    ReadFile,
    /// `TFTP_OPEN` and `TFTP_READ`.
    Packets,
    /// Debian's pxelinux.0, which has a TFTP client of its own on the UDP API.
    Pxelinux,
    /// Debian's lpxelinux.0, which has an IP stack of its own on UNDI.
    Lpxelinux,
    /// Debian's undionly.kpxe: iPXE on UNDI.
    Undionly,
}

/// By which protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Protocol {
    /// TFTP.
    Tftp,
    /// HTTP.
    Http,
}

impl Protocol {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Tftp => "TFTP",
            Self::Http => "HTTP",
        }
    }

    /// The marks at both ends of the transfer.
    pub fn marks(self) -> (String, String) {
        match self {
            Self::Tftp => (format!("tftp-request {FILE}"), format!("tftp-done {FILE}")),
            Self::Http => (format!("http-request /{FILE}"), format!("http-done /{FILE}")),
        }
    }
}

/// One of those who are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Contestant {
    /// The stack.
    pub stack: Stack,
    /// The program on it.
    pub program: Program,
}

impl Contestant {
    /// All of them.
    pub const ALL: [Self; 13] = {
        use Program::*;
        use Stack::*;
        const fn of(stack: Stack, program: Program) -> Contestant {
            Contestant { stack, program }
        }
        [
            of(Hvpxe, Itself),
            of(Ipxe, Itself),
            of(Hvpxe, Packets),
            of(Ipxe, Packets),
            of(Ipxe, ReadFile),
            of(Hvpxe, Pxelinux),
            of(Ipxe, Pxelinux),
            of(Hvpxe, Lpxelinux),
            of(Ipxe, Lpxelinux),
            of(Hvpxe, Undionly),
            of(Ipxe, Undionly),
            of(IpxeE1000, Itself),
            of(IpxeVirtio, Itself),
        ]
    };

    /// Its name, for tables and options.
    pub fn name(self) -> String {
        let stack = self.stack.name();
        let program = match self.program {
            Program::Itself => return stack.to_owned(),
            Program::ReadFile => "read-file",
            Program::Packets => "tftp-api",
            Program::Pxelinux => "pxelinux",
            Program::Lpxelinux => "lpxelinux",
            Program::Undionly => "undionly",
        };
        format!("{program}@{stack}")
    }

    /// Whom it is measured against.
    pub fn rival(self) -> Self {
        let program = match self.program {
            // What a boot program gets through our UNDI is to be compared with what iPXE gets from the NIC itself.
            Program::Undionly | Program::Itself => Program::Itself,
            other => other,
        };
        Self { stack: Stack::Ipxe, program }
    }

    /// Whether it may die in a known way instead of getting to the end.
    ///
    /// iPXE on iPXE's own UNDI gets a lease and a script; then, after a few blocks of a download, it executes its own transmit
    /// buffer, raises INT 05h by a BOUND instruction in there, and does so for ever.
    pub fn may_die(self) -> bool {
        self == Self { stack: Stack::Ipxe, program: Program::Undionly }
    }

    /// The protocols that it can fetch a file by.
    pub fn protocols(self) -> &'static [Protocol] {
        match (self.stack, self.program) {
            // For size, memory and boot only: a download says more about QEMU's NIC than about them.
            (Stack::IpxeE1000 | Stack::IpxeVirtio, _) => &[],
            // It dies on the way; by HTTP it had neither died nor ended after seven minutes.
            (Stack::Ipxe, Program::Undionly) => &[Protocol::Tftp],
            (_, Program::Itself | Program::Undionly | Program::Lpxelinux) => &[Protocol::Tftp, Protocol::Http],
            _ => &[Protocol::Tftp],
        }
    }

    /// The machine on which it fetches [`FILE`]; everything that the server needs besides is put into `files`.
    ///
    /// # Errors
    /// When a file is missing.
    pub fn machine(
        self,
        lab: &Lab,
        meter: &[u8],
        files: &Path,
        protocol: Protocol,
        setting: &Setting,
    ) -> Result<Machine> {
        let length = fs::metadata(files.join(FILE)).context("the file to be fetched")?.len() as u32;
        let server: Ipv4Addr = SERVER.parse().context("the server's address")?;
        let url = match protocol {
            Protocol::Tftp => format!("tftp://{SERVER}/{FILE}"),
            Protocol::Http => format!("http://{SERVER}/{FILE}"),
        };
        let fetch = format!("imgfetch {url}");
        let boot_file = match self.program {
            Program::Itself if self.stack == Stack::Ipxe => None,
            Program::Itself if protocol == Protocol::Http => {
                Some(write_meter(files, meter::orders::read_pieces(meter, &url))?)
            }
            Program::Itself | Program::ReadFile => {
                Some(write_meter(files, meter::orders::read_file(meter, server, FILE, length))?)
            }
            Program::Packets => Some(write_meter(
                files,
                meter::orders::read_packets(meter, server, FILE, setting.block.unwrap_or(PACKET)),
            )?),
            Program::Undionly => {
                fs::write(files.join("boot.ipxe"), script(&[&fetch]))?;
                Some(copy(&lab.packages.join("usr/lib/ipxe/undionly.kpxe"), files)?)
            }
            Program::Pxelinux | Program::Lpxelinux => {
                copy(&lab.packages.join("usr/lib/ipxe/ipxe.lkrn"), files)?;
                let initrd = if protocol == Protocol::Http { &url } else { FILE };
                let config = format!("DEFAULT it\nPROMPT 0\nLABEL it\n  LINUX ipxe.lkrn\n  INITRD {initrd}\n");
                let name = if self.program == Program::Pxelinux { "pxelinux.0" } else { "lpxelinux.0" };
                Some(compose_syslinux(name, &[], &config, &lab.packages, files)?)
            }
        };
        let mut switches = setting.server_switches();
        let mut commands = vec!["dhcp".to_owned()];
        match &boot_file {
            Some(name) => {
                switches.push(("boot-file".to_owned(), name.clone()));
                switches.push(("boot-file.ipxe".to_owned(), "boot.ipxe".to_owned()));
                commands.push(format!("chain tftp://{SERVER}/{name}"));
            }
            None => commands.push(fetch),
        }
        let commands: Vec<&str> = commands.iter().map(String::as_str).collect();
        machine(self.stack, lab, files, None, &script(&commands), switches, setting)
    }
}

/// A machine with a stack: a ROM boots by itself, `ipxe.lkrn` runs the script. A server on a network of QEMU's own names
/// the boot file.
///
/// # Errors
/// When the script can't be written.
pub fn machine(
    stack: Stack,
    lab: &Lab,
    files: &Path,
    boot_file: Option<&str>,
    script: &str,
    switches: Vec<(String, String)>,
    setting: &Setting,
) -> Result<Machine> {
    let initrd = files.join("script.ipxe");
    fs::write(&initrd, script)?;
    let image = lab.packages.join("usr/lib/ipxe/ipxe.lkrn");
    let kernel = Kernel { image, initrd, command_line: String::new() };
    Ok(Machine {
        memory_mib: MEMORY_MIB,
        rom: (stack == Stack::Hvpxe).then(|| lab.rom.clone()),
        kernel: (stack == Stack::Ipxe).then_some(kernel),
        acpi_table: None,
        drives: Vec::new(),
        other_nic: stack.other_nic(lab, files, boot_file.unwrap_or_default()),
        other_roms: Vec::new(),
        settings: Vec::new(),
        rom_place: 0,
        restarts: false,
        kvm_from: None,
        hyperv: Some(HyperV {
            plugin: lab.plugin.clone(),
            switches: setting.host_switches(files),
            log_level: "error".to_owned(),
            pcap: None,
        }),
        network: Network::Inside { files: files.to_owned(), switches, shift: setting.shift },
        display: None,
    })
}

/// A script for iPXE that says so when a command fails.
pub fn script(commands: &[&str]) -> String {
    let lines: String = commands.iter().map(|command| format!("{command} || goto failed\n")).collect();
    format!("#!ipxe\n{lines}prompt\n:failed\necho {SCRIPT_FAILED}\nprompt\n")
}

/// Writes the meter's boot program, and gives its name.
///
/// # Errors
/// When it isn't the meter, or the file can't be written.
pub fn write_meter(files: &Path, program: Result<Vec<u8>, &'static str>) -> Result<String> {
    let name = "meter.0";
    fs::write(files.join(name), program.map_err(anyhow::Error::msg)?)?;
    Ok(name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_rivals_compete() {
        let mut names: Vec<_> = Contestant::ALL.iter().map(|contestant| contestant.name()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), Contestant::ALL.len());
        for contestant in Contestant::ALL {
            assert!(Contestant::ALL.contains(&contestant.rival()), "{}", contestant.name());
            assert_eq!(contestant.rival().stack, Stack::Ipxe);
            assert!(contestant.stack.is_synthetic() || contestant.protocols().is_empty());
        }
    }

    #[test]
    fn a_script_stops_at_the_first_command_that_fails() {
        let text = script(&["dhcp", "imgfetch x"]);
        assert!(text.starts_with("#!ipxe\ndhcp || goto failed\nimgfetch x || goto failed\n"), "{text}");
        assert!(text.ends_with(":failed\necho THE SCRIPT FAILED\nprompt\n"), "{text}");
    }
}
