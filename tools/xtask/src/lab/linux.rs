//! Debian's cloud kernel with busybox as a guest: an initial RAM disk that does one script, and the ACPI table without
//! which Linux does not look for VMBus.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::machine::Kernel;

/// Modules for VMBus, its NIC and its disks, each behind those that it needs.
const MODULES: [&str; 7] = [
    "kernel/drivers/hv/hv_vmbus.ko.xz",
    "kernel/drivers/net/hyperv/hv_netvsc.ko.xz",
    "kernel/drivers/scsi/scsi_common.ko.xz",
    "kernel/drivers/scsi/scsi_mod.ko.xz",
    "kernel/drivers/scsi/scsi_transport_fc.ko.xz",
    "kernel/drivers/scsi/sd_mod.ko.xz",
    "kernel/drivers/scsi/hv_storvsc.ko.xz",
];

/// What runs before the script: busybox's commands, the usual file systems, the modules.
///
/// `fail WHY` ends the machine, which was started so that it does not reboot. `check SUM FILE` compares; `disk BLOCKS` waits
/// for the disk of that size and names it `$disk`.
const PROLOGUE: &str = "\
#!/bin/busybox sh
/bin/busybox mkdir -p /proc /sys /dev /tmp /mnt
/bin/busybox --install -s /bin
export PATH=/bin
mount -t proc proc /proc; mount -t sysfs sys /sys; mount -t devtmpfs dev /dev
fail() { dmesg | tail -n 20; echo \"LINUX FAILED: $1\"; sleep 1; reboot -f; }
load() { xzcat /modules/$1.ko.xz > /tmp/module && insmod /tmp/module || fail \"insmod $1\"; rm /tmp/module; }
# Waits for a file, ten seconds at most.
await() { i=0; while [ ! -e $1 ]; do i=$((i+1)); [ $i -gt 100 ] && fail \"no $1\"; usleep 100000; done; }
check() { echo \"$1  $2\" | sha256sum -c -s || fail \"$2 has changed\"; }
disk() {
  i=0; while :; do
    for d in /sys/block/sd*; do
      [ \"$(cat $d/size 2>/dev/null)\" = $1 ] && disk=/dev/${d##*/} && await $disk && return
    done
    i=$((i+1)); [ $i -gt 200 ] && fail \"no disk of $1 blocks\"; usleep 100000
  done
}
";

/// A lease over the synthetic NIC, and a file by HTTP, checked: `/tmp/file`.
pub fn fetch(url: &str, sum: &str) -> String {
    format!(
        "await /sys/class/net/eth0\n\
         ip link set eth0 up\n\
         udhcpc -i eth0 -n -q -t 10 -s /lease || fail lease\n\
         wget -q -O /tmp/file {url} || fail wget\n\
         check {sum} /tmp/file\n"
    )
}

/// What udhcpc calls when it has a lease.
const LEASE: &str = "#!/bin/sh\n[ \"$1\" = bound ] && ip addr add $ip/$mask dev $interface\nexit 0\n";

/// The kernel of the packages, with an initial RAM disk whose last act is `script`.
///
/// # Errors
/// When a file is missing, or `dir` can't be written.
pub fn kernel(packages: &Path, dir: &Path, script: &str) -> Result<Kernel> {
    let image = newest(&packages.join("boot"), "vmlinuz-")?;
    let modules = newest(&packages.join("usr/lib/modules"), "")?;
    let mut archive = Archive::default();
    for directory in ["bin", "modules"] {
        archive.directory(directory);
    }
    archive.file("bin/busybox", &read(&packages.join("usr/bin/busybox"))?);
    let mut loads = String::new();
    for module in MODULES {
        let name = module.rsplit('/').next().unwrap_or(module);
        archive.file(&format!("modules/{name}"), &read(&modules.join(module))?);
        loads += &format!("load {}\n", name.trim_end_matches(".ko.xz"));
    }
    archive.file("lease", LEASE.as_bytes());
    archive.file("init", [PROLOGUE, &loads, script].concat().as_bytes());
    let initrd = dir.join("initrd");
    fs::write(&initrd, archive.end()).context("can't write the initial RAM disk")?;
    let command_line = "console=ttyS0 loglevel=4 panic=-1 random.trust_cpu=on".to_owned();
    Ok(Kernel { image, initrd, command_line })
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("can't read {}", path.display()))
}

/// The last entry of a directory whose name starts so.
fn newest(dir: &Path, prefix: &str) -> Result<PathBuf> {
    let entries = fs::read_dir(dir).with_context(|| format!("can't read {}", dir.display()))?;
    entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(prefix)))
        .max()
        .with_context(|| format!("nothing called {prefix}* in {}", dir.display()))
}

/// A cpio archive in the "new ASCII" format. Source: Linux `Documentation/driver-api/early-userspace/buffer-format.rst`.
#[derive(Default)]
struct Archive {
    bytes: Vec<u8>,
    entries: u32,
}

impl Archive {
    fn directory(&mut self, name: &str) {
        self.entry(name, 0o040_755, &[]);
    }

    /// A file that may be executed.
    fn file(&mut self, name: &str, content: &[u8]) {
        self.entry(name, 0o100_755, content);
    }

    fn end(mut self) -> Vec<u8> {
        self.entry("TRAILER!!!", 0, &[]);
        self.bytes
    }

    fn entry(&mut self, name: &str, mode: u32, content: &[u8]) {
        self.entries += 1;
        // inode, mode, uid, gid, links, time, size, device (2), special device (2), length of the name, check
        let name_len = name.len() as u32 + 1;
        let fields = [self.entries, mode, 0, 0, 1, 0, content.len() as u32, 0, 0, 0, 0, name_len, 0];
        self.bytes.extend_from_slice(b"070701");
        for field in fields {
            self.bytes.extend_from_slice(format!("{field:08X}").as_bytes());
        }
        self.bytes.extend_from_slice(name.as_bytes());
        self.bytes.push(0);
        self.align();
        self.bytes.extend_from_slice(content);
        self.align();
    }

    fn align(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }
}

/// An SSDT with the device by which Linux knows that there is a VMBus, as in the DSDT of a real machine: hardware id
/// `VMBUS`, resource IRQ 5. QEMU sets the checksum.
///
/// Source: ACPI 6.5, section 20 (AML), section 6.4 (resources).
pub fn vmbus_ssdt() -> Vec<u8> {
    const RESOURCES: [u8; 14] = [0x08, b'_', b'C', b'R', b'S', 0x11, 0x08, 0x0a, 0x05, 0x22, 0x20, 0x00, 0x79, 0x00];
    let hardware_id = [&[0x08][..], b"_HID", &[0x0d], b"VMBUS\0"].concat();
    let content = [&b"VMB0"[..], &hardware_id, &RESOURCES].concat();
    let device = [&[0x5b, 0x82, content.len() as u8 + 1][..], &content].concat();
    let scoped = [&b"\\_SB_"[..], &device].concat();
    let body = [&[0x10, scoped.len() as u8 + 1][..], &scoped].concat();
    let len = 36 + body.len() as u32;
    // signature, length, revision and checksum, OEM id, OEM table id, revision, compiler and its revision
    let mut table = [&b"SSDT"[..], &len.to_le_bytes(), &[2, 0], b"HVPXE ", b"VMBUSDEV"].concat();
    table.extend_from_slice(&[&1u32.to_le_bytes()[..], b"HVPX", &1u32.to_le_bytes()].concat());
    [table, body].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_archive_is_aligned_and_ends() {
        let mut archive = Archive::default();
        archive.file("a", b"12345");
        let bytes = archive.end();
        assert_eq!(bytes.len() % 4, 0);
        assert_eq!(&bytes[..14], b"07070100000001");
        assert_eq!(&bytes[110..117], b"a\x0012345", "the name ends on a multiple of four");
        assert!(bytes.windows(10).any(|window| window == b"TRAILER!!!"));
    }

    #[test]
    fn the_table_says_its_length() {
        let table = vmbus_ssdt();
        assert_eq!(table.len(), 36 + 40);
        assert_eq!(table[4], 76);
        assert_eq!(table[36..38], [0x10, 0x27], "scope of 39 bytes");
    }
}
