//! Other parties on a Hyper-V machine: everybody who owns VMBus, or takes it, and has never heard of hvpxe.
//!
//! - `party-rom`, an option ROM that a BIOS loads before hvpxe's: a BIOS that reaches its disk through VMBus, of several
//!   kinds; or a thief that strikes from an interrupt. What it is says [`options::Rom`].
//! - `thief-nbp`, a network boot program: re-initiates VMBus while it goes on with PXE and INT 13h. [`options::Thief`].
//! - `disk-sector`, the boot sector of the disk that they share: proves that reads and writes get to it. [`disk`].
//!
//! They use hvpxe's protocol layers (`wire`, `hv`, `vmbus`, `storvsc`, `int13`), but nothing of `owner`, which they judge.
//! Each writes a line per step to port 0xE9, with its name before it.
#![no_std]

#[cfg(target_os = "none")]
pub mod bare;
pub mod disk;
pub mod file;
pub mod options;
#[cfg(target_os = "none")]
pub mod say;
#[cfg(target_os = "none")]
pub mod theft;
