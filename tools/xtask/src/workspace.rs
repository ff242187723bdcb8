//! Where things are: the workspace, the lab's private packages, the products.

use std::env;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// Environment variable that moves the lab directory away from the workspace.
pub const LAB_VARIABLE: &str = "HVPXE_LAB";

/// The directories that every command works with.
#[derive(Clone, Debug)]
pub struct Workspace {
    /// The directory of the top `Cargo.toml`.
    pub root: PathBuf,
    /// Downloaded packages and what is unpacked from them: `.lab`, or `$HVPXE_LAB`.
    pub lab: PathBuf,
}

impl Workspace {
    /// Finds the workspace that this program was built from.
    ///
    /// # Errors
    /// When the source directory is gone, or `HVPXE_LAB` can't be made absolute.
    pub fn find() -> Result<Self> {
        let package = Path::new(env!("CARGO_MANIFEST_DIR"));
        let root = package.join("../..").canonicalize().with_context(|| {
            format!("the workspace above {} is gone: run cargo xtask again in it", package.display())
        })?;
        let lab = match env::var_os(LAB_VARIABLE) {
            Some(lab) => std::path::absolute(&lab).with_context(|| format!("{LAB_VARIABLE}={}", lab.display()))?,
            None => root.join(".lab"),
        };
        Ok(Self { root, lab })
    }

    /// Root of the unpacked packages: what would be `/` had they been installed.
    pub fn package_root(&self) -> PathBuf {
        self.lab.join("root")
    }

    /// Cargo's build directory.
    pub fn target(&self) -> PathBuf {
        env::var_os("CARGO_TARGET_DIR").map_or_else(|| self.root.join("target"), |dir| self.root.join(dir))
    }
}
