//! The tests' own boot program, and what it found.
//!
//! The probe (asm/probe.s) is 512 bytes that run as a boot sector and as a network boot program. Through the very interrupts
//! that operating systems use, it asks how much memory there is and whether PXE is there.
#![cfg_attr(target_os = "none", no_std)]

#[cfg(not(target_os = "none"))]
pub mod findings;
pub mod layout;
