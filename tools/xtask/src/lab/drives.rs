//! What a machine can boot from besides the option ROM: drives, and another NIC with a PXE ROM of its own.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::Command;

use super::machine::{escaped, words};

/// A drive with an image in it. The guest's writes are forgotten.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Drive {
    /// The first floppy drive.
    Floppy(PathBuf),
    /// An IDE disk.
    Disk(PathBuf),
    /// An IDE disk, the image a VHD.
    Vhd(PathBuf),
    /// An IDE CD drive.
    Cd(PathBuf),
    /// A USB stick.
    Usb(PathBuf),
}

impl Drive {
    /// Adds it, at this place in the boot order.
    pub fn add(&self, command: &mut Command, boot_index: usize) {
        let (device, format, path) = match self {
            Self::Floppy(path) => ("floppy", "raw", path),
            Self::Disk(path) => ("ide-hd", "raw", path),
            Self::Vhd(path) => ("ide-hd", "vpc", path),
            Self::Cd(path) => ("ide-cd", "raw", path),
            Self::Usb(path) => ("usb-storage", "raw", path),
        };
        if matches!(self, Self::Usb(_)) {
            command.arg("-usb");
        }
        let id = format!("drive{boot_index}");
        command
            .arg("-drive")
            .arg(words([format!("if=none,id={id},format={format},snapshot=on,file=").into(), escaped(path)]));
        if matches!(self, Self::Floppy(_)) {
            // The controller has the place in the boot order, not the drive.
            command.arg("-device").arg(format!("{device},drive={id}"));
            command.arg("-global").arg(format!("isa-fdc.bootindexA={boot_index}"));
        } else {
            command.arg("-device").arg(format!("{device},drive={id},bootindex={boot_index}"));
        }
    }
}

/// Another NIC, one that QEMU emulates, on a network of its own: like Hyper-V's legacy network adapter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OtherNic {
    /// QEMU's device, with properties.
    pub device: &'static str,
    /// Its PXE ROM; empty: none.
    pub rom: PathBuf,
    /// Directory of its TFTP server.
    pub files: PathBuf,
    /// What its DHCP server names.
    pub bootfile: String,
}

impl OtherNic {
    /// Adds it, at this place in the boot order.
    pub fn add(&self, command: &mut Command, boot_index: usize) {
        let mut netdev = OsString::from("user,id=other,net=192.168.77.0/24,tftp=");
        netdev.push(escaped(&self.files));
        netdev.push(format!(",bootfile={}", self.bootfile.replace(',', ",,")));
        command.arg("-netdev").arg(netdev);
        let device = format!("{},netdev=other,bootindex={boot_index},romfile=", self.device);
        command.arg("-device").arg(words([device.into(), escaped(&self.rom)]));
    }
}
