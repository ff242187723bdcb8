//! The INT 13h service over the host model's disks, in one process.

#[path = "../vmbus/lab.rs"]
mod lab;
#[path = "../vmbus/wire.rs"]
mod wire;

mod extended;
mod legacy;
mod machine;
mod stand_in;
mod survey;
