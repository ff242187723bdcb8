//! The core's VMBus and NetVSC against the host model, in one process and in virtual time.

mod faults;
mod handshake;
mod lab;
mod owner;
mod saves;
mod traffic;
mod wire;
