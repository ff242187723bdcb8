//! `cargo xtask build`: the ROM for its own target, packed, and the plugin that makes QEMU a Hyper-V host.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};

use crate::process::run_visibly;
use crate::setup::rust_src;
use crate::workspace::Workspace;

/// What a build leaves behind.
#[derive(Clone, Debug)]
pub struct Products {
    /// The option ROM.
    pub rom: PathBuf,
    /// The QEMU plugin.
    pub plugin: PathBuf,
}

/// Builds all.
///
/// # Errors
/// When `rust-src` can't be brought, or a compiler says no.
pub fn all(workspace: &Workspace) -> Result<Products> {
    rust_src::ensure(workspace)?;
    Ok(Products { rom: workspace.root.join("dist/hvpxe.rom"), plugin: plugin(workspace)? })
}

/// Says what was built, and how large it is.
///
/// # Errors
/// When a product is missing after all.
pub fn report(products: &Products) -> Result<()> {
    let size = fs::metadata(&products.plugin).with_context(|| products.plugin.display().to_string())?.len();
    println!("QEMU plugin  {size:>8} bytes  {}", products.plugin.display());
    Ok(())
}

/// The plugin, for this machine.
fn plugin(workspace: &Workspace) -> Result<PathBuf> {
    run_visibly(cargo(workspace).args(["build", "--release", "--package", "qemu-hyperv"]))?;
    Ok(workspace.target().join("release/libqemu_hyperv.so"))
}

/// The cargo that runs us, in the workspace.
pub fn cargo(workspace: &Workspace) -> Command {
    let program = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(program);
    command.current_dir(&workspace.root);
    command
}
