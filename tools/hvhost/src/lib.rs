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
//! - `host`: the facade.

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
pub use synic::Interrupt;
pub use violations::{Breach, Violation};
