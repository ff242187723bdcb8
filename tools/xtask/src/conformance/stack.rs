//! The stacks that are compared, and the machines that have them.

use std::path::{Path, PathBuf};

use clap::ValueEnum;

use crate::lab::Lab;
use crate::lab::drives::{Drive, OtherNic};
use crate::lab::machine::{HyperV, Machine};
use crate::lab::network::Network;

/// A PXE stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum Stack {
    /// Our ROM, on the synthetic NIC.
    Hvpxe,
    /// Debian's iPXE ROM, on QEMU's e1000.
    IpxeE1000,
    /// Debian's iPXE ROM, on QEMU's virtio-net.
    IpxeVirtio,
}

impl Stack {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Hvpxe, Self::IpxeE1000, Self::IpxeVirtio];

    /// Its name on the command line and in the table.
    pub fn name(self) -> &'static str {
        match self {
            Self::Hvpxe => "hvpxe",
            Self::IpxeE1000 => "ipxe-e1000",
            Self::IpxeVirtio => "ipxe-virtio",
        }
    }

    /// A machine with it, on QEMU's user network, which serves these files; the disk is next in the boot order.
    pub fn machine(self, lab: &Lab, files: &Path, boot_file: &str, disk: PathBuf) -> Machine {
        let other_nic = |device, rom: &str| OtherNic {
            device,
            rom: lab.packages.join("usr/share/qemu").join(rom),
            files: files.to_owned(),
            bootfile: boot_file.to_owned(),
        };
        let other_nic = match self {
            Self::Hvpxe => None,
            Self::IpxeE1000 => Some(other_nic("e1000", "pxe-e1000.rom")),
            Self::IpxeVirtio => Some(other_nic("virtio-net-pci,disable-legacy=on", "pxe-virtio.rom")),
        };
        let hyperv =
            HyperV { plugin: lab.plugin.clone(), switches: Vec::new(), log_level: "error".to_owned(), pcap: None };
        let is_ours = other_nic.is_none();
        Machine {
            memory_mib: 128,
            rom: is_ours.then(|| lab.rom.clone()),
            other_roms: Vec::new(),
            kernel: None,
            acpi_table: None,
            drives: vec![Drive::Disk(disk)],
            rom_place: 0,
            restarts: false,
            kvm_from: None,
            other_nic,
            settings: Vec::new(),
            hyperv: is_ours.then_some(hyperv),
            network: Network::Slirp { files: files.to_owned(), bootfile: boot_file.to_owned(), http_port: None },
            display: None,
        }
    }
}
