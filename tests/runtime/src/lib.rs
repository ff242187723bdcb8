//! What the test programs that run on a bare BIOS machine share: network boot programs and option ROMs, in Rust, in 64-bit
//! mode.
//!
//! With the feature `nbp` it is a whole runtime for a network boot program: `asm/start.s` enters [`nbp_main`] in the
//! program, `machine` calls real mode, `pxe` calls the PXE stack, `report` writes the lines that a harness reads.
//! `nbp.ld` links it.
#![no_std]

#[cfg(all(target_os = "none", feature = "nbp"))]
mod assembly;
#[cfg(target_os = "none")]
pub mod cpu;
pub mod files;
#[cfg(all(target_os = "none", feature = "nbp"))]
pub mod machine;
#[cfg(target_os = "none")]
pub mod memory;
pub mod options;
#[cfg(all(target_os = "none", feature = "nbp"))]
mod program;
#[cfg(all(target_os = "none", feature = "nbp"))]
pub mod pxe;
#[cfg(all(target_os = "none", feature = "nbp"))]
pub mod report;
