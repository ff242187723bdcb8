//! The lab's packages: QEMU where the machine's is too old, and network boot programs that nobody here wrote.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::Path;

use anyhow::{Context, Result, ensure};

use super::apt::{Apt, BACKPORTS, RELEASE, file_name, unpack};
use super::qemu::Qemu;
use crate::progress::Step;
use crate::workspace::Workspace;

/// QEMU 11.1 or newer; Debian's release itself has 10.0.
const QEMU_PACKAGES: [&str; 1] = ["qemu-system-x86"];

/// Network boot programs, ROMs to compare with, and a kernel with hv_vmbus, hv_netvsc and hv_storvsc.
const CLIENT_PACKAGES: [&str; 8] = [
    "ipxe",
    "ipxe-qemu",
    "pxelinux",
    "syslinux-common",
    "grub-pc-bin",
    "grub-common",
    "linux-image-cloud-amd64",
    "busybox-static",
];

/// DHCP and TFTP servers that nobody here wrote, for the boot tests in network namespaces.
const SERVER_PACKAGES: [&str; 3] = ["dnsmasq-base", "tftpd-hpa", "atftpd"];

/// What only tests boot: a memory tester, an installer as people boot it from the network, and an iSCSI target's disk.
const TEST_PACKAGES: [&str; 3] = ["memtest86+", "debian-installer-13-netboot-amd64", "tgt"];

/// The record's file in the lab directory.
const RECORD: &str = "packages.txt";

/// How much of the lab is needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// What `cargo xtask run` offers.
    Boot,
    /// What the tests boot besides.
    Tests,
}

/// A file of each package that the lab can't do without: what a finished set-up must have.
const MUST_HAVE: [&str; 10] = [
    "usr/lib/ipxe/undionly.kpxe",
    "usr/lib/ipxe/ipxe.lkrn",
    "usr/lib/PXELINUX/pxelinux.0",
    "usr/lib/PXELINUX/lpxelinux.0",
    "usr/lib/syslinux/modules/bios/ldlinux.c32",
    "usr/lib/grub/i386-pc/pxeboot.img",
    "usr/bin/grub-mkimage",
    "usr/sbin/dnsmasq",
    "usr/sbin/in.tftpd",
    "usr/sbin/atftpd",
];

/// Brings what is missing, and returns the QEMU to use. Quick when everything is there.
///
/// # Errors
/// When the packages can't be fetched or unpacked.
pub fn ensure(workspace: &Workspace, extent: Extent) -> Result<Qemu> {
    let own = Qemu::of_machine();
    let root = workspace.package_root();
    fs::create_dir_all(&workspace.lab).with_context(|| format!("can't create {}", workspace.lab.display()))?;
    // Two set-ups at once would unpack over each other.
    let lock = File::create(workspace.lab.join("lock"))?;
    lock.lock().context("can't lock the lab directory")?;

    let stamp = Stamp { path: workspace.lab.join(RECORD), wanted: wanted(own.is_err(), extent) };
    if !stamp.holds(&root) {
        if let Err(reason) = &own {
            eprintln!("{reason}: QEMU is fetched privately, nothing is installed");
        }
        fetch(workspace, &stamp)?;
    }
    match own {
        Ok(qemu) => Ok(qemu),
        Err(_) => Qemu::of_packages(&root)
            .with_context(|| format!("no QEMU below {}: remove that directory and try again", root.display())),
    }
}

fn wanted(with_qemu: bool, extent: Extent) -> Vec<&'static str> {
    let qemu = if with_qemu { &QEMU_PACKAGES[..] } else { &[] };
    let tests = if extent == Extent::Tests { &TEST_PACKAGES[..] } else { &[] };
    [qemu, &CLIENT_PACKAGES, &SERVER_PACKAGES, tests].concat()
}

fn fetch(workspace: &Workspace, stamp: &Stamp) -> Result<()> {
    let step = Step::start("Package lists");
    let apt = Apt::prepare(&workspace.lab)?;
    step.done("up to date");

    let size = if stamp.wanted.contains(&TEST_PACKAGES[0]) { 210 } else { 60 };
    let step = Step::start(format!("Download of QEMU and boot programs (about {size} MB)"));
    // One by one: no machine could install both TFTP servers.
    for package in &stamp.wanted {
        step.detail(*package);
        let suite = if QEMU_PACKAGES.contains(package) { BACKPORTS } else { RELEASE };
        apt.download(suite, &[package])?;
    }
    let packages = apt.downloaded()?;
    step.done(&format!("{} packages", packages.len()));

    let step = Step::start("Unpacking");
    // Beside the place where it will be, so that a set-up that was interrupted leaves nothing half done there.
    let (partial, root) = (workspace.lab.join("root.partial"), workspace.package_root());
    remove_dir(&partial)?;
    fs::create_dir_all(&partial)?;
    for package in &packages {
        step.detail(file_name(package));
        unpack(package, &partial)?;
    }
    if let Some(missing) = first_missing(&partial) {
        anyhow::bail!("the packages hold no {missing}: Debian has moved it, and the list in setup/packages.rs is old");
    }
    remove_dir(&root)?;
    fs::rename(&partial, &root).with_context(|| format!("can't create {}", root.display()))?;
    stamp.write(&packages.iter().map(|package| file_name(package)).collect::<Vec<_>>())?;
    step.done(&format!("to {}", root.display()));
    Ok(())
}

fn remove_dir(dir: &Path) -> Result<()> {
    match fs::remove_dir_all(dir) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("can't remove {}", dir.display()))
        }
        _ => Ok(()),
    }
}

fn first_missing(root: &Path) -> Option<&'static str> {
    MUST_HAVE.into_iter().find(|file| !root.join(file).is_file())
}

/// Versions of the packages that the lab was set up with, by name.
///
/// # Errors
/// When there is no record of a set-up.
pub fn versions(workspace: &Workspace) -> Result<BTreeMap<String, String>> {
    let path = workspace.lab.join(RECORD);
    let text = fs::read_to_string(&path).with_context(|| format!("can't read {}", path.display()))?;
    Ok(text.lines().filter_map(version_of_file).collect())
}

/// Name and version from a package's file name, `NAME_VERSION_ARCHITECTURE.deb`, where apt writes `%3a` for a colon.
fn version_of_file(name: &str) -> Option<(String, String)> {
    let mut parts = name.strip_suffix(".deb")?.splitn(3, '_');
    let (package, version) = (parts.next()?, parts.next()?);
    Some((package.to_owned(), version.replace("%3a", ":")))
}

/// The record of a finished set-up: which packages were asked for, and which files came.
struct Stamp {
    path: std::path::PathBuf,
    wanted: Vec<&'static str>,
}

impl Stamp {
    fn first_line(&self) -> String {
        format!("wanted: {}", self.wanted.join(" "))
    }

    /// Whether the last set-up brought at least what is wanted.
    fn holds(&self, root: &Path) -> bool {
        let text = fs::read_to_string(&self.path).unwrap_or_default();
        let brought: Vec<_> = text.lines().next().unwrap_or_default().split_whitespace().collect();
        self.wanted.iter().all(|package| brought.contains(package)) && first_missing(root).is_none()
    }

    fn write(&self, files: &[String]) -> Result<()> {
        ensure!(!files.is_empty(), "nothing was downloaded");
        fs::write(&self.path, format!("{}\n{}\n", self.first_line(), files.join("\n")))
            .with_context(|| format!("can't write {}", self.path.display()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_from_file_names() {
        let of = |name: &str| version_of_file(name);
        assert_eq!(of("ipxe_1.21.1+git_all.deb"), Some(("ipxe".to_owned(), "1.21.1+git".to_owned())));
        assert_eq!(of("kmod_1%3a34-2_amd64.deb").unwrap().1, "1:34-2");
        assert_eq!(of("wanted: ipxe"), None);
    }

    #[test]
    fn a_stamp_for_other_packages_does_not_hold() {
        let dir = tempfile::tempdir().unwrap();
        for file in MUST_HAVE {
            let path = dir.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "x").unwrap();
        }
        let path = dir.path().join("packages.txt");
        let stamp = Stamp { path: path.clone(), wanted: wanted(false, Extent::Boot) };
        assert!(!stamp.holds(dir.path()));
        stamp.write(&["ipxe_1.deb".to_owned()]).unwrap();
        assert!(stamp.holds(dir.path()));
        assert!(!Stamp { path: path.clone(), wanted: wanted(true, Extent::Boot) }.holds(dir.path()));
        let all = Stamp { path, wanted: wanted(false, Extent::Tests) };
        assert!(!all.holds(dir.path()));
        all.write(&["memtest86+_7.deb".to_owned()]).unwrap();
        assert!(all.holds(dir.path()) && stamp.holds(dir.path()), "more than is wanted is good, too");
        fs::remove_file(dir.path().join(MUST_HAVE[0])).unwrap();
        assert!(!stamp.holds(dir.path()));
    }
}
