//! Boot programs that nobody here wrote, with the files that each of them loads.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use anyhow::{Context, Result, bail};

use super::network::SERVER;
use crate::process::capture;
use crate::setup::qemu::private_program;

/// Where Debian's packages have Syslinux's modules.
const SYSLINUX_MODULES: &str = "usr/lib/syslinux/modules/bios";

/// What PXELINUX shows before its prompt.
const PXELINUX_WELCOME: &str = "
  This is PXELINUX. hvpxe loaded it, and its modules and this text, over
  Hyper-V's synthetic network card.

  Type a name and press Enter:

    ipxe   load iPXE, which drives the network card through hvpxe (UNDI)
    disk   go on with the next boot device

";

const PXELINUX_CONFIG: &str = "\
DEFAULT ipxe
PROMPT 1
TIMEOUT 0
DISPLAY welcome.txt
LABEL ipxe
  PXE undionly.kpxe
LABEL disk
  LOCALBOOT -1
";

/// What iPXE fetches by HTTP and runs, once it has its own lease.
const IPXE_SCRIPT: &str = "\
#!ipxe
echo iPXE got this script over HTTP, through hvpxe's UNDI
ifstat
route
echo iPXE is ready
shell
";

/// Says what the machine has, from inside; the last line is what a test waits for.
const GRUB_CONFIG: &str = "\
set pager=0
set timeout=0
echo \"GRUB read its configuration over TFTP from $net_default_server\"
net_ls_addr
echo \"GRUB is ready\"
";

/// Modules in GRUB's image; what its configuration uses, and what a person at the prompt may want.
const GRUB_MODULES: [&str; 18] = [
    "pxe",
    "tftp",
    "http",
    "net",
    "normal",
    "configfile",
    "echo",
    "minicmd",
    "cat",
    "ls",
    "test",
    "sleep",
    "linux",
    "chain",
    "pxechain",
    "biosdisk",
    "lsmmap",
    "boot",
];

/// A boot program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Client {
    /// iPXE on our UNDI.
    Undionly,
    /// PXELINUX, which uses the UDP and TFTP API.
    Pxelinux,
    /// PXELINUX with its own IP stack on UNDI.
    Lpxelinux,
    /// GRUB's i386-pc-pxe image.
    Grub,
    /// Any other NBP.
    File(PathBuf),
}

impl FromStr for Client {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(match text {
            "undionly" => Self::Undionly,
            "pxelinux" => Self::Pxelinux,
            "lpxelinux" => Self::Lpxelinux,
            "grub" => Self::Grub,
            file => Self::File(file.into()),
        })
    }
}

impl fmt::Display for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Undionly => f.write_str("undionly"),
            Self::Pxelinux => f.write_str("pxelinux"),
            Self::Lpxelinux => f.write_str("lpxelinux"),
            Self::Grub => f.write_str("grub"),
            Self::File(path) => path.display().fmt(f),
        }
    }
}

impl Client {
    /// Puts the program and its files into a directory for TFTP and HTTP. Returns the name of the boot file.
    ///
    /// `packages` is the root of the unpacked packages.
    ///
    /// # Errors
    /// When a file is missing.
    pub fn compose(&self, packages: &Path, dir: &Path) -> Result<String> {
        match self {
            Self::Undionly => {
                fs::write(dir.join("boot.ipxe"), IPXE_SCRIPT)?;
                copy(&packages.join("usr/lib/ipxe/undionly.kpxe"), dir)?;
                Ok("undionly.kpxe".to_owned())
            }
            Self::Pxelinux => compose_pxelinux("pxelinux.0", packages, dir),
            Self::Lpxelinux => compose_pxelinux("lpxelinux.0", packages, dir),
            Self::Grub => compose_grub(GRUB_CONFIG, packages, dir),
            Self::File(path) => {
                if !path.is_file() {
                    bail!(
                        "{}: no such file (known boot programs: undionly, pxelinux, lpxelinux, grub)",
                        path.display()
                    );
                }
                copy(path, dir)
            }
        }
    }
}

impl Client {
    /// Switches of our own server for this program: which boot file the ROM gets, and which one iPXE.
    pub fn server_switches(&self, bootfile: &str) -> Vec<(String, String)> {
        let mut switches = vec![("boot-file".to_owned(), bootfile.to_owned())];
        if *self == Self::Undionly {
            switches.push(("boot-file.ipxe".to_owned(), format!("http://{SERVER}/boot.ipxe")));
        }
        switches
    }
}

/// Copies a file into a directory and returns its name there.
///
/// # Errors
/// When it is missing.
pub fn copy(from: &Path, dir: &Path) -> Result<String> {
    let name = from.file_name().with_context(|| format!("{} is no file", from.display()))?;
    fs::copy(from, dir.join(name)).with_context(|| format!("can't copy {}", from.display()))?;
    Ok(name.to_string_lossy().into_owned())
}

fn compose_pxelinux(program: &str, packages: &Path, dir: &Path) -> Result<String> {
    copy(&packages.join("usr/lib/ipxe/undionly.kpxe"), dir)?;
    fs::write(dir.join("welcome.txt"), PXELINUX_WELCOME)?;
    compose_syslinux(program, &["pxechn.c32"], PXELINUX_CONFIG, packages, dir)
}

/// Puts a PXELINUX with a configuration into a directory, and the modules that the configuration uses. Returns its name.
///
/// # Errors
/// When a file is missing.
pub fn compose_syslinux(program: &str, modules: &[&str], config: &str, packages: &Path, dir: &Path) -> Result<String> {
    let from = packages.join(SYSLINUX_MODULES);
    for module in ["ldlinux.c32", "libcom32.c32", "libutil.c32"].iter().chain(modules) {
        copy(&from.join(module), dir)?;
    }
    fs::create_dir_all(dir.join("pxelinux.cfg"))?;
    fs::write(dir.join("pxelinux.cfg/default"), config)?;
    copy(&packages.join("usr/lib/PXELINUX").join(program), dir)
}

/// Makes a GRUB that runs this configuration. Returns its name.
///
/// # Errors
/// When GRUB's own tool can't make it.
pub fn compose_grub(config: &str, packages: &Path, dir: &Path) -> Result<String> {
    let image = "grub.0";
    fs::create_dir_all(dir.join("grub"))?;
    fs::write(dir.join("grub/grub.cfg"), config)?;
    let mut make = private_program(packages, "usr/bin/grub-mkimage");
    make.arg("--directory").arg(packages.join("usr/lib/grub/i386-pc"));
    make.args(["--format", "i386-pc-pxe", "--prefix", "(pxe)/grub", "--output"]).arg(dir.join(image));
    capture(make.args(GRUB_MODULES)).context("can't make GRUB's PXE image")?;
    Ok(image.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_have_names_and_everything_else_is_a_file() {
        for name in ["undionly", "pxelinux", "lpxelinux", "grub"] {
            let client: Client = name.parse().unwrap();
            assert_eq!(client.to_string(), name);
            assert!(!matches!(client, Client::File(_)));
        }
        assert_eq!("x/y.0".parse(), Ok(Client::File("x/y.0".into())));
    }

    #[test]
    fn a_missing_file_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let error = Client::File("/none.0".into()).compose(dir.path(), dir.path()).unwrap_err();
        assert!(error.to_string().starts_with("/none.0: no such file"), "{error}");
    }
}
