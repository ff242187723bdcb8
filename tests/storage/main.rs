//! The disks: core and host model in one process.

#[path = "../vmbus/lab.rs"]
mod lab;
#[path = "../vmbus/wire.rs"]
mod wire;

mod access;
mod bench;
mod faults;
mod owner;
mod saves;
