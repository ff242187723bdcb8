//! The PXE API as boot programs see it, against a simulated card, memory and machine.
//!
//! Blocks are written here as bytes at the offsets of the specification, not with the core's own declarations.

mod hostile;
mod preboot;
mod sim;
mod undi;
mod undi_data;
mod unload;
