//! `cargo xtask images`, `inspect` and `configure`: everything that starts hvpxe, as files.

use std::fmt::Write;
use std::fs;
use std::iter;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::Args;
use romtool::elf::Parts;
use romtool::inspect;
use romtool::medium::Medium;
use romtool::settings::KEYS;
use sha2::{Digest, Sha256};

use crate::build::{self, Edition};
use crate::workspace::Workspace;

/// Name of the file with the checksums, as `sha256sum --check` takes it.
const SUMS: &str = "SHA256SUMS";

/// How to build them.
#[derive(Args)]
pub struct ImagesArgs {
    /// Setting of all images, as for `configure`; may be repeated.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    settings: Vec<String>,
}

/// What to look into.
#[derive(Args)]
pub struct InspectArgs {
    /// An image of any kind: hvpxe.rom, hvpxe.0, hvpxe.img, hvpxe.iso, hvpxe.vhd, under any name.
    file: PathBuf,
}

/// What to change, and how.
#[derive(Args)]
pub struct ConfigureArgs {
    /// An image of any kind; it is changed in place.
    image: PathBuf,

    /// Settings, each `key=value`. Without any, those of the image are shown.
    #[arg(value_name = "KEY=VALUE")]
    settings: Vec<String>,
}

/// Builds one image of what was built.
///
/// # Errors
/// If what was built can't be read, or isn't what linker.ld makes.
pub fn build_one(medium: Medium, elf: &Path, rom: &Path) -> Result<Vec<u8>> {
    let image = medium.build(&Parts::read(&read(elf)?)?, &read(rom)?)?;
    inspect::image(&image).with_context(|| format!("{} as just built", medium.file_name()))?;
    Ok(image)
}

/// Builds all images, and writes them and their checksums to `dist/`.
///
/// # Errors
/// When the build fails, there is no such setting, or `dist/` can't be written.
pub fn run(workspace: &Workspace, args: &ImagesArgs) -> Result<()> {
    let (net, full) = build::cores(workspace)?;
    let dist = workspace.root.join("dist");
    fs::create_dir_all(&dist).with_context(|| format!("can't create {}", dist.display()))?;
    let mut sums = String::new();
    let small_rom = (Edition::Net.rom_name(), Medium::Rom, &net, "option ROM for every BIOS".to_owned());
    let full = Medium::ALL.map(|medium| match medium {
        Medium::Rom => (Edition::Full.rom_name(), medium, &full, "option ROM with the disk service".to_owned()),
        _ => (medium.file_name(), medium, &full, medium.to_string()),
    });
    for (name, medium, core, about) in iter::once(small_rom).chain(full) {
        let mut image = build_one(medium, &core.elf, &core.rom)?;
        inspect::configure(&mut image, &args.settings)?;
        let path = dist.join(name);
        write(&path, &image)?;
        writeln!(sums, "{}  {name}", hexadecimal(&Sha256::digest(&image)))?;
        println!("{:>8} bytes  {}  ({about})", image.len(), path.display());
    }
    let path = dist.join(SUMS);
    write(&path, sums.as_bytes())?;
    println!("Checksums are in {}.", path.display());
    Ok(())
}

/// Shows what is in an image, and checks it.
///
/// # Errors
/// When the image breaks a rule.
pub fn inspect(args: &InspectArgs) -> Result<()> {
    let inspection = inspect::image(&read(&args.file)?).with_context(|| args.file.display().to_string())?;
    println!("{inspection}");
    Ok(())
}

/// Changes settings in a finished image.
///
/// # Errors
/// When it is no good image, or there is no such setting; the file is as it was then.
pub fn configure(args: &ConfigureArgs) -> Result<()> {
    let mut image = read(&args.image)?;
    let settings = inspect::configure(&mut image, &args.settings).with_context(|| args.image.display().to_string())?;
    if !args.settings.is_empty() {
        write(&args.image, &image)?;
    }
    println!("{settings}");
    Ok(())
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("can't read {}", path.display()))
}

fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    fs::write(path, bytes).with_context(|| format!("can't write {}", path.display()))
}

/// All settings, for the help of `configure`.
pub fn settings_help() -> String {
    let mut help = "Settings:\n".to_owned();
    for key in &KEYS {
        // Writing to a string does not fail.
        let _ = writeln!(help, "  {:12} {}\n  {:12}   ({})", key.name, key.about, "", key.values());
    }
    help + "\nExample: cargo xtask configure dist/hvpxe.img quiet=on vlan=5"
}
