//! The Hyper-V host model: what a guest sees of the hypervisor (CPUID, MSRs, hypercalls, SynIC), of VMBus, and of the
//! synthetic network cards and disks behind it.
//!
//! It is plain Rust and knows neither QEMU nor the project's driver: an engine (the QEMU plugin, or a test in one
//! process) reports what the guest executes to [`Host`] and lends it the guest's memory. It shares no declaration with
//! the driver that it judges.
//!
//! Modules, bottom up:
//! - `memory`, `backend`, `disk`: what the engine lends: guest RAM, the network and disks.
//! - `config`, `faults`: every switch; `violations`, `counters`, `report`: what the host has to say afterwards.
//! - `cpuid`, `msr`, `overlay`, `synic`, `hypercall`: the hypervisor (source: TLFS).
//! - `vmbus`: `server` holds the connection, `requests` serves a connected guest, `channel` one device; below them
//!   `messages`, `offers`, `gpadl`, `ring`; `device` is the seam to what lies behind a channel (model: OpenVMM's
//!   `vmbus_server`; Linux, iPXE).
//! - `netvsp`: `handshake` up to the first RNDIS message, then `transmit` and `receive`; below them `nvsp`, `rndis`,
//!   `oid`, `rxbuf`, `tx` (model: OpenVMM's `netvsp`; Linux).
//! - `storvsp`: `handshake`, then `request` from packet to completion; below it `srb` and `vstor`; `lun` is one disk, with
//!   `inquiry`, `mode` and `sense` (model: OpenVMM's `storvsp` and `scsidisk`; SPC-4, SBC-3).
//! - `saved`: the whole as bytes, for saving and restoring the machine.
//! - `host`: the facade.
//!
//! What guests have met on real hosts, and the switch ([`Config::set`]) that brings it about here:
//!
//! | Behaviour | Switch |
//! |---|---|
//! | a second REQUESTOFFERS, or an OPEN of an unknown channel, is dropped without a word | always |
//! | INITIATE_CONTACT on a live connection waits until the devices have closed | `close_delay` (0, `1s`, `50s`) |
//! | UNLOAD takes its time | `unload_delay` |
//! | a message for a masked SINT waits, is lost, or is written all the same | `masked_sint` |
//! | the SynIC pages keep their content, are zeroed, or are RAM | `overlay` |
//! | an OFFER and its RESCIND come before any reply, or at any moment | `unsolicited`, `unsolicited_at` |
//! | a device is taken away, and comes back | `rescind_at`, `rescind_after`, `rescind_disks_after`, `reoffer_after` |
//! | channel ids differ after a reconnect | `relid_step` |
//! | the teardown of a GPADL in use is answered when its channel has closed | always |
//! | a teardown is answered late, and the host writes the memory until then | `teardown_delay` |
//! | a late TORNDOWN and other old messages come on a new connection | `stale_messages` |
//! | HvPostMessage fails for a while with 0x12, 0x13 or 0x78 | `post_burst` |
//! | SCONTROL is 0 or 1 at reset | `scontrol_reset` |
//! | SINTs can't poll | `polling` |
//! | CPUID allows or recommends something else | `privileges_low`, `post_privilege`, `deprecate_auto_eoi`, ... |
//! | the machine is saved, and restored on another host | `save_restore_after`; [`Host::save`] |
//! | memory is used by the guest that the host may still write | always seen, as a [`Violation`] |
//!
//! A loader that takes VMBus away in the middle is a guest, not the host: tests/parties.

mod backend;
mod config;
mod counters;
mod cpuid;
mod disk;
mod faults;
mod host;
mod hypercall;
mod memory;
mod msr;
mod netvsp;
mod overlay;
mod report;
mod saved;
mod storvsp;
mod synic;
mod violations;
mod vmbus;

pub use backend::NetBackend;
pub use config::{Config, MS, MaskedSint, MissingLun, OverlayMode, ReferenceTsc, RxLayout, SECOND};
pub use counters::Counters;
pub use cpuid::CpuidRegs;
pub use disk::{DiskBackend, FileDisk, MemoryDisk};
pub use faults::{Burst, DiskFault, DiskFaults, Faults};
pub use host::Host;
pub use hypercall::Hypercall;
pub use memory::{BadGpa, FlatMemory, GuestMemory};
pub use msr::{MsrRead, MsrWrite};
pub use saved::{BadState, Parts};
pub use synic::Interrupt;
pub use violations::{Breach, Violation};
