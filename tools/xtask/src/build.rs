//! `cargo xtask build`: the ROM for its own target, packed, and the plugin that makes QEMU a Hyper-V host.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use romtool::settings::Settings;

use crate::process::run_visibly;
use crate::progress::Step;
use crate::setup::rust_src;
use crate::workspace::Workspace;

/// The ROM's target, a file in the workspace's root.
const TARGET: &str = "x86_64-bios";
/// Cargo's profile for it.
const PROFILE: &str = "rom";

/// What makes LLVM's code pack better, though not always smaller: registers given out in plain order, compare chains
/// rather than tables of jumps, and blocks in the order of the source. 1.4 KB of 52 in the packed core.
const SMALL_CODE: &str = "-Cllvm-args=-regalloc=basic -Cllvm-args=-min-jump-table-entries=12 \
                          -Cllvm-args=-disable-block-placement";

/// A build of the core, by what it can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Edition {
    /// The network boot, in an option ROM that every BIOS takes.
    Net,
    /// With the disk service. For all media, which have no limit, and as an option ROM of its own.
    Full,
}

impl Edition {
    /// Cargo's features.
    const fn features(self) -> &'static str {
        match self {
            Self::Net => "rom",
            Self::Full => "rom,disk",
        }
    }

    /// The name of its option ROM.
    pub const fn rom_name(self) -> &'static str {
        match self {
            Self::Net => "hvpxe.rom",
            Self::Full => "hvpxe-disk.rom",
        }
    }

    /// Most bytes of that ROM. VirtualBox drops larger ones than the first without a word; the second is what one segment
    /// of real mode reaches.
    const fn rom_limit(self) -> usize {
        match self {
            Self::Net => 57_344,
            Self::Full => 65_536,
        }
    }
}

/// A linked core, and the option ROM that it packs to.
#[derive(Clone, Debug)]
pub struct Core {
    /// The core, with the loaders of all media.
    pub elf: PathBuf,
    /// The option ROM.
    pub rom: PathBuf,
}

/// What a build leaves behind.
#[derive(Clone, Debug)]
pub struct Products {
    /// The core of the option ROM.
    pub net: Core,
    /// The core that media carry.
    pub full: Core,
    /// The option ROM.
    pub rom: PathBuf,
    /// The option ROM with the disk service.
    pub disk_rom: PathBuf,
    /// The QEMU plugin.
    pub plugin: PathBuf,
    /// The tests' own boot program, 512 bytes.
    pub probe: PathBuf,
}

/// Builds all.
///
/// # Errors
/// When `rust-src` can't be brought, a compiler says no, or the ROM is too large.
pub fn all(workspace: &Workspace) -> Result<Products> {
    let (net, full) = cores(workspace)?;
    fs::create_dir_all(workspace.root.join("dist"))?;
    // Copies: who changes settings in them doesn't change what is built from now on.
    let copy = |edition: Edition, core: &Core| -> Result<PathBuf> {
        let to = workspace.root.join("dist").join(edition.rom_name());
        fs::copy(&core.rom, &to).with_context(|| format!("can't write {}", to.display()))?;
        Ok(to)
    };
    let (rom, disk_rom) = (copy(Edition::Net, &net)?, copy(Edition::Full, &full)?);
    let probe = for_bios(workspace, "probe", "probe-sector", "sector")?;
    Ok(Products { net, full, rom, disk_rom, plugin: plugin(workspace)?, probe })
}

/// Builds both editions of the core with their option ROMs, and nothing for QEMU.
///
/// # Errors
/// As [`all`].
pub fn cores(workspace: &Workspace) -> Result<(Core, Core)> {
    rust_src::ensure(workspace)?;
    Ok((core(workspace, Edition::Net)?, core(workspace, Edition::Full)?))
}

/// Says what was built, and how large it is.
///
/// # Errors
/// When a product is missing after all, or isn't what a BIOS takes.
pub fn report(products: &Products) -> Result<()> {
    for (title, path) in [("Option ROM", &products.rom), ("  with disks", &products.disk_rom)] {
        let rom = romtool::check::rom(&read(path)?)?;
        println!("{title:12} {:>8} bytes  {}  ({})", rom.size, path.display(), rom.product);
        println!("  its packed core {:>6} bytes", rom.packed_size);
    }
    println!("QEMU plugin  {:>8} bytes  {}", read(&products.plugin)?.len(), products.plugin.display());
    Ok(())
}

/// The conformance boot program: a flat binary as a TFTP server gives it.
///
/// # Errors
/// When `rust-src` can't be brought, or a compiler says no.
pub fn conformance(workspace: &Workspace) -> Result<PathBuf> {
    rust_src::ensure(workspace)?;
    for_bios(workspace, "conformance", "conformance-nbp", "nbp")
}

/// The programs of tests/parties, as the linker leaves them.
#[derive(Clone, Debug)]
pub struct Parties {
    /// The option ROM, its address spaces still apart.
    pub rom: PathBuf,
    /// The boot program.
    pub thief: PathBuf,
    /// The boot sector of the disk.
    pub sector: PathBuf,
}

/// The boot sector that starts a network boot program by the UNDI loader.
///
/// # Errors
/// When `rust-src` can't be brought, or a compiler says no.
pub fn undi_sector(workspace: &Workspace) -> Result<PathBuf> {
    rust_src::ensure(workspace)?;
    for_bios(workspace, "probe", "undi-sector", "sector")
}

/// The parties that own VMBus beside us.
///
/// # Errors
/// When `rust-src` can't be brought, or a compiler says no.
pub fn parties(workspace: &Workspace) -> Result<Parties> {
    rust_src::ensure(workspace)?;
    Ok(Parties {
        rom: for_bios(workspace, "parties", "party-rom", "rom")?,
        thief: for_bios(workspace, "parties", "thief-nbp", "nbp")?,
        sector: for_bios(workspace, "parties", "disk-sector", "sector")?,
    })
}

/// The boot program that breaks the core: a flat binary as a TFTP server gives it.
///
/// # Errors
/// When `rust-src` can't be brought, or a compiler says no.
pub fn saboteur(workspace: &Workspace) -> Result<PathBuf> {
    rust_src::ensure(workspace)?;
    for_bios(workspace, "saboteur", "saboteur-nbp", "nbp")
}

/// The benchmark's boot program.
///
/// # Errors
/// When `rust-src` can't be brought, or a compiler says no.
pub fn meter(workspace: &Workspace) -> Result<PathBuf> {
    rust_src::ensure(workspace)?;
    for_bios(workspace, "meter", "meter-nbp", "nbp")
}

/// An edition of the core, and its ROM.
fn core(workspace: &Workspace, edition: Edition) -> Result<Core> {
    let linked = for_bios(workspace, "hvpxe", "hvpxe-rom", edition.features())?;
    // Apart from the other one, which cargo puts to the same place. Not written again when it is the same: `packed` looks.
    let elf = workspace.target().join("rom").join(edition.rom_name()).with_extension("elf");
    let content = read(&linked)?;
    if fs::read(&elf).ok().as_ref() != Some(&content) {
        fs::write(&elf, &content).with_context(|| format!("can't write {}", elf.display()))?;
    }
    let rom = packed(workspace, &elf, edition)?;
    Ok(Core { elf, rom })
}

/// Builds a program for the ROM's target. The library source is compiled with it, because no ready-made `core` is without
/// SSE.
fn for_bios(workspace: &Workspace, package: &str, bin: &str, features: &str) -> Result<PathBuf> {
    // In a directory of its own: other flags in the same one would have cargo build everything anew each time.
    let target_dir = workspace.target().join("rom");
    let mut command = cargo(workspace);
    // Without what is only for tests.
    command.args(["build", "--package", package, "--bin", bin, "--no-default-features", "--features", features]);
    command.args(["--profile", PROFILE]);
    command.arg("--target").arg(workspace.root.join(TARGET).with_extension("json"));
    command.arg("--target-dir").arg(&target_dir);
    command
        .args(["-Zbuild-std=core,compiler_builtins", "-Zbuild-std-features=compiler-builtins-mem,optimize_for_size"]);
    command.arg("-Zjson-target-spec");
    // These options are unstable in name only: the compiler is pinned.
    command.env("RUSTC_BOOTSTRAP", "1");
    command.env("RUSTFLAGS", ["-Cpanic=immediate-abort -Zunstable-options", SMALL_CODE].join(" "));
    command.env_remove("CARGO_ENCODED_RUSTFLAGS");
    run_visibly(&mut command)?;
    Ok(target_dir.join(TARGET).join(PROFILE).join(bin))
}

/// Packs the core into a ROM, unless that has been done with this very core.
fn packed(workspace: &Workspace, elf: &Path, edition: Edition) -> Result<PathBuf> {
    let rom = workspace.target().join("rom").join(edition.rom_name());
    let changed = |path: &Path| fs::metadata(path).and_then(|metadata| metadata.modified()).ok();
    // The packer is part of this program: a newer one packs anew.
    let sources = [changed(elf), std::env::current_exe().ok().and_then(|program| changed(&program))];
    if sources.iter().all(|source| source.is_some() && *source < changed(&rom)) {
        return Ok(rom);
    }
    let step = Step::start(format!("Packing {}", edition.rom_name()));
    let bytes = romtool::pack::rom(&read(elf)?, Settings::default(), edition.rom_limit())?;
    romtool::check::rom(&bytes).context("the ROM just packed is not one that a BIOS takes")?;
    fs::write(&rom, &bytes).with_context(|| format!("can't write {}", rom.display()))?;
    step.done(&format!("{} bytes", bytes.len()));
    Ok(rom)
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

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("can't read {}", path.display()))
}
