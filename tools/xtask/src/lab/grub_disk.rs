//! A hard disk that boots: GRUB in its first sectors, a Linux kernel behind it where no file system knows of it, and one
//! empty partition.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use super::machine::Kernel;
use crate::process::capture;
use crate::setup::qemu::private_program;

/// Bytes in a sector.
const SECTOR: usize = 512;
/// First sector of the kernel; GRUB has what is before (policy: where partitions begin nowadays).
const KERNEL_AT: usize = 2048;
/// Partition table in the boot sector (IBM PC): its first entry, its type for Linux.
const PARTITION_TABLE: usize = 446;
const LINUX_PARTITION: u8 = 0x83;

/// Makes the disk's image in `dir`, with a partition of so many MiB.
///
/// # Errors
/// When a file is missing, or GRUB's own tool can't make its image.
pub fn compose(kernel: &Kernel, partition_mib: usize, packages: &Path, dir: &Path) -> Result<PathBuf> {
    let read = |path: &Path| -> Result<Vec<u8>> {
        let mut content = fs::read(path).with_context(|| format!("can't read {}", path.display()))?;
        content.resize(content.len().next_multiple_of(SECTOR), 0);
        Ok(content)
    };
    let (linux, initrd) = (read(&kernel.image)?, read(&kernel.initrd)?);
    let initrd_at = (KERNEL_AT + linux.len() / SECTOR).next_multiple_of(2048);
    let partition_at = (initrd_at + initrd.len() / SECTOR).next_multiple_of(2048);
    let partition_len = partition_mib << 11;
    let config = format!(
        "echo GRUB CAME FROM THE DISK\nlinux (hd0){KERNEL_AT}+{} {}\ninitrd (hd0){initrd_at}+{}\nboot\n",
        linux.len() / SECTOR,
        kernel.command_line,
        initrd.len() / SECTOR,
    );
    let grub = grub(&config, packages, dir)?;
    ensure!(grub.len() <= KERNEL_AT * SECTOR, "GRUB does not fit in front of the kernel");

    let mut disk = vec![0; (partition_at + partition_len) * SECTOR];
    disk[..grub.len()].copy_from_slice(&grub);
    disk[KERNEL_AT * SECTOR..][..linux.len()].copy_from_slice(&linux);
    disk[initrd_at * SECTOR..][..initrd.len()].copy_from_slice(&initrd);
    let entry = [
        &[0x80, 0xff, 0xff, 0xff, LINUX_PARTITION, 0xff, 0xff, 0xff][..],
        &(partition_at as u32).to_le_bytes(),
        &(partition_len as u32).to_le_bytes(),
        &[0; 48], // three entries that are not used
    ];
    disk[PARTITION_TABLE..SECTOR - 2].copy_from_slice(&entry.concat());
    let image = dir.join("grub-disk.img");
    fs::write(&image, &disk).context("can't write the disk's image")?;
    Ok(image)
}

/// GRUB's boot sector, which loads what is in the sectors behind it: the rest of GRUB, which runs this configuration.
fn grub(config: &str, packages: &Path, dir: &Path) -> Result<Vec<u8>> {
    let modules = packages.join("usr/lib/grub/i386-pc");
    let (script, core) = (dir.join("grub-disk.cfg"), dir.join("core.img"));
    fs::write(&script, config)?;
    let mut make = private_program(packages, "usr/bin/grub-mkimage");
    make.arg("--directory").arg(&modules).arg("--config").arg(&script);
    make.args(["--format", "i386-pc", "--prefix", "(hd0)/grub", "--output"]).arg(&core);
    capture(make.args(["biosdisk", "linux", "echo", "boot"])).context("can't make GRUB's disk image")?;
    let mut grub = fs::read(modules.join("boot.img")).context("GRUB has no boot sector")?;
    ensure!(grub.len() == SECTOR, "GRUB's boot sector is none");
    grub.extend(fs::read(&core)?);
    Ok(grub)
}
