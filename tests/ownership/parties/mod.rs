//! Those who share VMBus with the core. They know its wire formats, and nothing of its ideas about ownership.

pub mod bios;
pub mod client;
pub mod drive;
pub mod record;
pub mod thief;
