//! QEMU plugin that turns stock QEMU into a Hyper-V host: it runs the host model of the `hvhost` crate under
//! QEMU's TCG.
//!
//! ```text
//! qemu-system-x86_64 -plugin libqemu_hyperv.so,net=LOCAL:REMOTE,... \
//!     -netdev user,id=u0 -netdev hubport,id=h0,hubid=0,netdev=u0 \
//!     -netdev dgram,id=d0,local.type=unix,local.path=REMOTE,remote.type=unix,remote.path=LOCAL \
//!     -netdev hubport,id=h1,hubid=0,netdev=d0
//! ```
//!
//! QEMU 11.1 or newer (plugin API 7), `qemu-system-x86_64` with TCG.
//!
//! # Arguments
//! | Argument | Meaning |
//! |---|---|
//! | `net=LOCAL:REMOTE` | a synthetic NIC; its frames come in on the Unix datagram socket `LOCAL` and go out to `REMOTE`. Repeat for more NICs |
//! | `server=DIR` | one more NIC, the first, on a network of its own inside the plugin that serves `DIR` by TFTP and HTTP: with `icount` runs repeat |
//! | `server.KEY=VALUE` | a switch of that network, see the `netserver` crate |
//! | `disk=FILE`, `disk=FILE:ro` | a raw image as the next LUN of the first synthetic SCSI controller; repeat for more. Written to unless `ro` |
//! | `disk2=FILE` | likewise on a second controller |
//! | `pcap=FILE` | capture of all NICs' frames, complete at any time |
//! | `log=LEVEL` | `off`, `error` (violations), `info` (default), `debug` (hypercalls, MSR writes, interrupts), `trace` |
//! | `log=FILE` | the log goes there instead of standard error |
//! | `violations=FILE` | each rule that the guest breaks is appended, one line each |
//! | `counters=FILE` | JSON written at exit: instructions per vCPU, intercepts, messages, frames |
//! | `marks=FILE` | one line of JSON each time that something worth measuring happens: all counters at that moment, see below |
//! | `mark=NAME:ADDRESS` | a mark when the instruction at that linear address is about to be executed for the first time; repeat for more |
//! | `profile=FILE` | instructions executed between two marks, by block: lines of a hexadecimal address and a count |
//! | `profile_marks=START..END` | these marks |
//! | `icount=SHIFT` | for `-icount shift=SHIFT`: reference time follows QEMU's virtual clock, so that runs repeat |
//! | `poll=COUNT` | instructions between polls of a guest that executes nothing trapped (default 20000) |
//! | `set=KEY=VALUE`, `KEY=VALUE` | a switch of the host model, see [`hvhost::Config::set`] |
//!
//! QEMU wants a comma inside a value written twice.
//!
//! # Runs that repeat
//! `icount=7,server=DIR` for the plugin with `-icount shift=7,sleep=off -rtc base=2026-01-01,clock=vm -seed 1` for QEMU: the
//! capture, the log and the counters are then the same each time. The fixed date matters: without it the clock of the
//! machine starts at the date of the day, from which boot programs make their random numbers.
//!
//! # Marks
//! Each line has the counters and the name of the mark: `NAME` of a `mark=` argument, or what the server of `server=DIR` saw:
//! `dhcp N` (a message of that type), `tftp-request FILE`, `tftp-done FILE`, `http-request PATH`, `http-done PATH`. Done is when
//! the last acknowledgement has reached the server. A line is written whole and at once, so a reader may wait for it.
//!
//! # How it works
//! - `qemu`: the plugin API behind safe types; the only unsafe code of the lab.
//! - `insn`: recognises CPUID, RDMSR, WRMSR and the no-op in the hypercall page when QEMU translates a block.
//! - `traps`, `cpu`: what these mean; `interrupts`, `device`: SINTs as MSIs, and AutoEOI.
//! - `engine`: owns the host model, is called back by QEMU, polls.
//! - `nic`, `local_network`, `capture`: the cable; `disks`; `clock`; `report`: log, violations, counters; `marks`; `profile`; `args`.
//!
//! # Limits of the plugin API
//! - An exception can't be raised: where a real host answers with #GP or #UD, a violation is reported, reads give 0 and the guest
//!   goes on.
//! - A halted vCPU can't be woken: interrupts reach it at its next timer tick.
//! - Under `-icount` an interrupt waits until the vCPU takes another one, or wakes: QEMU allows device accesses only between
//!   blocks.

mod args;
mod capture;
mod clock;
mod cpu;
mod device;
mod disks;
mod engine;
mod insn;
mod interrupts;
mod local_network;
mod marks;
mod nic;
mod profile;
mod qemu;
mod report;
mod traps;
