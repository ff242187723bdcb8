//! The PXE services: the API that boot programs call, and the boot that starts the first of them.
//!
//! [`Api`] is entered in three ways: [`Api::boot`] from the ROM's boot entry vector, [`Api::call`] for every API call
//! of a boot program, and [`Api::nbp_returned`] when the program gives up. The functions are in `undi` (the card),
//! `preboot` (life cycle and cached packets), `tftp` and `udp` (base code), `file` (iPXE's extension); `block` copies
//! parameter blocks, `answers` is for callers who can't get in here, `status` turns errors into codes, `structures` builds
//! what programs look for, `boot`, `screen` and `messages` are what the user sees.

mod answers;
mod api;
mod block;
mod boot;
mod file;
mod messages;
mod preboot;
mod screen;
mod status;
mod structures;
mod tftp;
mod udp;
mod undi;

pub use answers::ANSWERS_SIZE;
pub use api::{Api, BootOutcome, CallResult, Residency, State, Then};
