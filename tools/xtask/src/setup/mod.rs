//! `cargo xtask setup`: everything that building, running and testing need, without root.

pub mod apt;
pub mod apt_sources;
pub mod packages;
pub mod qemu;
pub mod rust_src;

use anyhow::Result;

use self::qemu::Qemu;
use crate::workspace::{LAB_VARIABLE, Workspace};

/// Brings everything that is missing.
///
/// # Errors
/// When something can't be brought; the message says what and what to do.
pub fn run(workspace: &Workspace) -> Result<()> {
    rust_src::ensure(workspace)?;
    let qemu = packages::ensure(workspace, packages::Extent::Tests)?;
    let which = match &qemu {
        Qemu::Machine(path) => format!("the machine's own, {}", path.display()),
        Qemu::Private(_) => "a private one".to_owned(),
    };
    println!("QEMU {}: {which}", qemu.version()?);
    println!("Boot programs: below {} ({LAB_VARIABLE} moves it)", workspace.package_root().display());
    println!("Set-up complete. Next: cargo xtask run");
    Ok(())
}
