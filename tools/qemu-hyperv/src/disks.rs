//! Disk images as the host model wants them.

use anyhow::{Context, Result};
use hvhost::{DiskBackend, FileDisk, Host};

use crate::args::DiskArg;

/// Gives the machine its SCSI controllers.
///
/// # Errors
/// When an image can't be opened.
pub fn attach(host: &mut Host, args: &[DiskArg]) -> Result<()> {
    let count = args.iter().map(|disk| disk.controller + 1).max().unwrap_or(0);
    for controller in 0..count {
        let disks: Vec<Box<dyn DiskBackend>> =
            args.iter().filter(|disk| disk.controller == controller).map(open).collect::<Result<_>>()?;
        host.add_scsi_controller(disks);
    }
    Ok(())
}

fn open(disk: &DiskArg) -> Result<Box<dyn DiskBackend>> {
    let file = FileDisk::open(&disk.path, disk.read_only).with_context(|| format!("disk {}", disk.path.display()))?;
    Ok(Box::new(file))
}
