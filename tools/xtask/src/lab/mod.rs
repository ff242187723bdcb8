//! The lab: BIOS machines in QEMU, with a Hyper-V host around them, a network beside them, and boot programs to load.

pub mod clients;
pub mod console;
pub mod disk;
pub mod display;
pub mod drives;
pub mod grub_disk;
pub mod http;
pub mod iscsi;
pub mod lan;
pub mod linux;
pub mod machine;
pub mod nbp;
pub mod network;
pub mod party;
pub mod record;
pub mod rom_area;
pub mod server;
pub mod session;

use std::path::PathBuf;

use anyhow::Result;

use crate::build::{Core, Products};
use crate::setup::packages::{self, Extent};
use crate::setup::qemu::Qemu;
use crate::workspace::Workspace;

/// What every machine of the lab is made from.
#[derive(Clone, Debug)]
pub struct Lab {
    /// QEMU.
    pub qemu: Qemu,
    /// The plugin that makes it a Hyper-V host.
    pub plugin: PathBuf,
    /// The core of the option ROM.
    pub net: Core,
    /// The core that media carry.
    pub full: Core,
    /// The option ROM.
    pub rom: PathBuf,
    /// The option ROM with the disk service.
    pub disk_rom: PathBuf,
    /// Root of the unpacked packages.
    pub packages: PathBuf,
    /// The tests' own boot program.
    pub probe: PathBuf,
}

impl Lab {
    /// Brings QEMU and the boot programs, and puts them together with what was built.
    ///
    /// # Errors
    /// When they can't be brought.
    pub fn prepare(workspace: &Workspace, products: &Products) -> Result<Self> {
        Self::with(workspace, products, Extent::Boot)
    }

    /// The same, with the packages that only tests use.
    ///
    /// # Errors
    /// When they can't be brought.
    pub fn prepare_for_tests(workspace: &Workspace, products: &Products) -> Result<Self> {
        Self::with(workspace, products, Extent::Tests)
    }

    fn with(workspace: &Workspace, products: &Products, extent: Extent) -> Result<Self> {
        Ok(Self {
            qemu: packages::ensure(workspace, extent)?,
            plugin: products.plugin.clone(),
            net: products.net.clone(),
            full: products.full.clone(),
            rom: products.rom.clone(),
            disk_rom: products.disk_rom.clone(),
            packages: workspace.package_root(),
            probe: products.probe.clone(),
        })
    }
}
