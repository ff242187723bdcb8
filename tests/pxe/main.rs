//! The PXE API as boot programs see it, against a simulated card, memory and machine.
//!
//! Blocks are written here as bytes at the offsets of the specification, not with the core's own declarations.

mod answers;
mod boot;
mod clients;
mod file;
mod hostile;
mod network;
mod preboot;
mod sim;
mod tftp;
mod udp;
mod undi;
mod undi_data;
mod unload;
