//! A private apt: Debian packages fetched, checked and unpacked without root and without touching the machine's own.
//!
//! Everything that apt keeps lies in the lab directory. Its status file is empty, so that a package comes with
//! everything that it depends on. The machine's proxy settings still hold.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

use super::apt_sources::{Source, debian_mirror, parse_deb822, parse_list};
use crate::process::capture;

/// Environment variable with the address of a Debian mirror, for machines whose apt has none.
pub const MIRROR_VARIABLE: &str = "HVPXE_DEBIAN_MIRROR";
/// The Debian release of the packages.
pub const RELEASE: &str = "trixie";
/// Its newer packages: QEMU and the compiler's source.
pub const BACKPORTS: &str = "trixie-backports";

/// apt's own downloader, in the package apt.
const APT_HELPER: &str = "/usr/lib/apt/apt-helper";

/// Debian's own archive keys: package debian-archive-keyring.
const KEYRINGS: [&str; 2] =
    ["/usr/share/keyrings/debian-archive-keyring.gpg", "/usr/share/keyrings/debian-archive-keyring.pgp"];

/// A private apt whose lists are up to date.
pub struct Apt {
    dir: PathBuf,
}

impl Apt {
    /// Prepares the directories below `lab` and brings the package lists.
    ///
    /// # Errors
    /// When this isn't a machine with Debian's package tools, no mirror is known, or the mirror can't be reached.
    pub fn prepare(lab: &Path) -> Result<Self> {
        let dir = lab.join("apt");
        for tool in ["apt-get", "apt-cache", "dpkg", "dpkg-deb"] {
            ensure!(in_path(tool), "`{tool}` is not installed: the set-up fetches packages with Debian's tools");
        }
        for below in ["state/lists/partial", "cache/archives/partial", "parts"] {
            fs::create_dir_all(dir.join(below))
                .with_context(|| format!("can't create {}", dir.join(below).display()))?;
        }
        fs::write(dir.join("state/status"), "")?;
        let (mirror, keyring) = (mirror()?, keyring()?);
        let lines: String = [RELEASE, BACKPORTS]
            .iter()
            .map(|suite| format!("deb [arch=amd64 signed-by={keyring}] {mirror} {suite} main\n"))
            .collect();
        fs::write(dir.join("sources.list"), lines)?;
        let apt = Self { dir };
        capture(apt.command("apt-get").arg("update").arg("-qq").arg("--error-on=any")).with_context(|| {
            format!("can't bring the package lists from {mirror} (set {MIRROR_VARIABLE} for another)")
        })?;
        Ok(apt)
    }

    /// A command of the apt family that works on the private state.
    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        let option = |name: &str, value: &Path| {
            let mut option = OsString::from(format!("{name}="));
            option.push(value);
            option
        };
        for (name, below) in [
            ("Dir::State", "state"),
            ("Dir::State::lists", "state/lists"),
            ("Dir::State::status", "state/status"),
            ("Dir::Cache", "cache"),
            ("Dir::Etc::sourcelist", "sources.list"),
            ("Dir::Etc::sourceparts", "parts"),
            ("Dir::Etc::preferences", "parts/none"),
            ("Dir::Etc::preferencesparts", "parts"),
        ] {
            command.arg("-o").arg(option(name, &self.dir.join(below)));
        }
        for fixed in [
            "APT::Architecture=amd64",
            "APT::Install-Recommends=false",
            // Root's apt would change to a user that can't write here.
            "APT::Sandbox::User=root",
        ] {
            command.args(["-o", fixed]);
        }
        command.env("LC_ALL", "C").env("DEBIAN_FRONTEND", "noninteractive");
        command
    }

    /// Downloads packages and all that they depend on, from `suite` where it has them.
    ///
    /// # Errors
    /// When a package doesn't exist or the download breaks.
    pub fn download(&self, suite: &str, packages: &[&str]) -> Result<()> {
        capture(
            self.command("apt-get")
                .args(["-y", "-qq", "--download-only", "-t", suite, "install"])
                .args(packages)
                .current_dir(&self.dir),
        )?;
        Ok(())
    }

    /// The packages downloaded so far.
    ///
    /// # Errors
    /// When the cache can't be read.
    pub fn downloaded(&self) -> Result<Vec<PathBuf>> {
        packages_in(&self.dir.join("cache/archives"))
    }
}

/// Downloads one file of the mirror's package pool to `directory` and returns it. The checksum stands in for the signed package
/// lists, which forget a version when a newer one comes; the pool keeps it for long.
///
/// # Errors
/// When no mirror is known, the mirror hasn't got the file, or it isn't the file with this checksum.
pub fn download_from_pool(directory: &Path, pool_path: &str, sha256: &str) -> Result<PathBuf> {
    fs::create_dir_all(directory).with_context(|| format!("can't create {}", directory.display()))?;
    let mirror = mirror()?;
    let (_, name) = pool_path.rsplit_once('/').context("a pool path has directories")?;
    let file = directory.join(name);
    let mut command = Command::new(APT_HELPER);
    command.args(["-o", "APT::Sandbox::User=root", "download-file"]);
    command.arg(format!("{}/{pool_path}", mirror.trim_end_matches('/'))).arg(&file).arg(format!("SHA256:{sha256}"));
    capture(command.env("LC_ALL", "C")).with_context(|| format!("can't download {name} from {mirror}"))?;
    Ok(file)
}

/// Unpacks one package below `root`. Its scripts aren't run.
///
/// # Errors
/// When dpkg refuses the file or the disk is full.
pub fn unpack(package: &Path, root: &Path) -> Result<()> {
    capture(Command::new("dpkg").arg("-x").arg(package).arg(root)).map(drop)
}

fn packages_in(dir: &Path) -> Result<Vec<PathBuf>> {
    let mut packages = Vec::new();
    for entry in fs::read_dir(dir).with_context(|| format!("can't read {}", dir.display()))? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "deb") {
            packages.push(path);
        }
    }
    packages.sort();
    Ok(packages)
}

/// The last part of a path, as text.
pub fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// Whether a program is in `PATH`.
pub fn in_path(program: &str) -> bool {
    find_in_path(program).is_some()
}

/// Where `PATH` has a program.
pub fn find_in_path(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|dir| dir.join(program)).find(|file| file.is_file())
}

/// The address to fetch from: the environment variable, else what the machine's apt uses for Debian itself.
fn mirror() -> Result<String> {
    if let Ok(mirror) = std::env::var(MIRROR_VARIABLE) {
        return Ok(mirror);
    }
    let sources = machine_sources();
    debian_mirror(&sources).map(str::to_owned).with_context(|| {
        format!(
            "this machine's apt configuration names no Debian archive: set {MIRROR_VARIABLE} to the address of a \
             Debian mirror (the directory that holds `dists`) and try again"
        )
    })
}

/// The machine's own sources. A file that can't be read has nothing for us.
fn machine_sources() -> Vec<Source> {
    let read = |path: &Path| fs::read_to_string(path).unwrap_or_default();
    let mut sources = parse_list(&read(Path::new("/etc/apt/sources.list")));
    let parts = fs::read_dir("/etc/apt/sources.list.d").into_iter().flatten().flatten();
    let mut parts: Vec<PathBuf> = parts.map(|entry| entry.path()).collect();
    parts.sort();
    for path in parts {
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("list") => sources.append(&mut parse_list(&read(&path))),
            Some("sources") => sources.append(&mut parse_deb822(&read(&path))),
            _ => {}
        }
    }
    sources
}

fn keyring() -> Result<&'static str> {
    match KEYRINGS.into_iter().find(|path| Path::new(path).is_file()) {
        Some(keyring) => Ok(keyring),
        None => bail!(
            "Debian's archive keys are not installed ({}): install the package debian-archive-keyring",
            KEYRINGS.join(" or ")
        ),
    }
}
