//! hvpxe: a PXE boot ROM for Hyper-V's synthetic network card. This library is its core.
#![cfg_attr(not(test), no_std)]

pub mod arch;
pub mod disk;
#[cfg(feature = "rom")]
pub mod entry;
pub mod error;
pub mod hv;
pub mod int13;
pub mod log;
pub mod machine;
pub mod mem;
pub mod net;
pub mod netvsc;
pub mod nic;
pub mod owner;
pub mod pxe;
pub mod settings;
pub mod storvsc;
pub mod text;
pub mod time;
pub mod vmbus;
pub mod wire;
