//! The source of `core`, which the ROM is built with for its own target: rustup's component `rust-src`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::apt::{download_from_pool, in_path, unpack};
use crate::process::{capture, last_lines, run_limited};
use crate::progress::Step;
use crate::workspace::Workspace;

/// How long rustup may take for 3 MB before we go to Debian (policy).
const RUSTUP_LIMIT: Duration = Duration::from_secs(120);

/// Debian's package for the compiler that rust-toolchain.toml pins. trixie-backports has moved on, so it is taken from the
/// pool by name and checksum.
const DEBIAN_VERSION: &str = "1.95.0";
const DEBIAN_POOL_PATH: &str = "pool/main/r/rustc/rust-src_1.95.0+dfsg1-2~bpo13+1_all.deb";
const DEBIAN_SHA256: &str = "7b76db5b880a77f9e52975d2baa6209d2f76d2c9c2789515c3088cb960e2c83b";

/// Finds `rust-src`, or brings it: by rustup, else from Debian's package of the same compiler version.
///
/// # Errors
/// When neither has it, or the toolchain's directory can't be written.
pub fn ensure(workspace: &Workspace) -> Result<()> {
    let library = library_dir(workspace)?;
    if is_there(&library) {
        return Ok(());
    }
    let step = Step::start("Rust's library source (rust-src)");
    step.detail("asking rustup");
    let by_rustup = add_by_rustup(workspace);
    if is_there(&library) {
        step.done("added by rustup");
        return Ok(());
    }
    step.detail("asking Debian");
    add_from_debian(workspace, &library).with_context(|| {
        format!(
            "rust-src is missing at {}.\nrustup: {by_rustup}\nAdd it by hand (`rustup component add rust-src`, or \
             Debian's package rust-src of the same version) and try again. Debian's package failed",
            library.display()
        )
    })?;
    step.done("taken from Debian's package");
    Ok(())
}

fn is_there(library: &Path) -> bool {
    library.join("core/src/lib.rs").is_file()
}

/// Where cargo looks for it: in the sysroot of the compiler that the workspace pins.
fn library_dir(workspace: &Workspace) -> Result<PathBuf> {
    let output = capture(Command::new("rustc").args(["--print", "sysroot"]).current_dir(&workspace.root))?;
    let sysroot = String::from_utf8(output.stdout).context("the sysroot's path is no UTF-8")?;
    Ok(Path::new(sysroot.trim()).join("lib/rustlib/src/rust/library"))
}

/// Tries rustup, and says what came of it. It is not to be trusted: without a network it may panic or wait for long.
fn add_by_rustup(workspace: &Workspace) -> String {
    if !in_path("rustup") {
        return "not installed".to_owned();
    }
    let mut command = Command::new("rustup");
    command.args(["component", "add", "rust-src"]).current_dir(&workspace.root);
    match run_limited(&mut command, RUSTUP_LIMIT) {
        Ok((Some(_), said)) => last_lines(&said, 3),
        Ok((None, _)) => format!("ended, because it took longer than {} s", RUSTUP_LIMIT.as_secs()),
        Err(error) => format!("{error:#}"),
    }
}

fn add_from_debian(workspace: &Workspace, library: &Path) -> Result<()> {
    let version = compiler_version(workspace)?;
    ensure!(version == DEBIAN_VERSION, "known is Debian's package of {DEBIAN_VERSION}, and the compiler is {version}");
    let package = download_from_pool(&workspace.lab.join("apt/alone"), DEBIAN_POOL_PATH, DEBIAN_SHA256)?;
    // Unpacked beside its place, then moved: cargo must never see half of it.
    let parent = library.parent().context("the sysroot has no parent")?;
    let partial = parent.join("library.partial");
    fs::create_dir_all(&partial).with_context(|| {
        format!(
            "the toolchain's directory can't be written by this user; as its owner, run `cargo xtask setup` once ({})",
            parent.display()
        )
    })?;
    unpack(&package, &partial)?;
    let source = partial.join(format!("usr/src/rustc-{version}/library"));
    fs::rename(&source, library).with_context(|| format!("the package holds no {}", source.display()))?;
    fs::remove_dir_all(&partial).with_context(|| format!("can't remove {}", partial.display()))
}

/// `release` of `rustc -vV`, for instance `1.95.0`.
fn compiler_version(workspace: &Workspace) -> Result<String> {
    let output = capture(Command::new("rustc").arg("-vV").current_dir(&workspace.root))?;
    let text = String::from_utf8_lossy(&output.stdout);
    let release = text.lines().find_map(|line| line.strip_prefix("release: "));
    release.map(|version| version.trim().to_owned()).context("rustc -vV names no release")
}
