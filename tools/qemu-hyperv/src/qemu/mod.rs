//! QEMU seen through safe types: everything `unsafe` in the lab is below this module.
//!
//! QEMU allows most of its functions only in certain callbacks. The types here can be had only where their functions
//! may be called: [`Block`] inside a translation callback, [`Vcpu`] inside a vCPU's own callback.
#![allow(unsafe_code)]

mod block;
mod bytes;
mod callbacks;
mod ffi;
mod pace;
mod tally;
mod vcpu;

pub use block::{Block, Hook};
pub use pace::Pace;
pub use tally::Tally;
pub use vcpu::{Physical, RegisterFile, Vcpu};
