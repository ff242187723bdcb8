//! The core's VMBus and NetVSC against the host model, in one process and in virtual time.

mod download;
mod faults;
mod guest;
mod handshake;
mod host;
mod lab;
mod owner;
mod rules;
mod saves;
mod traffic;
mod wire;
