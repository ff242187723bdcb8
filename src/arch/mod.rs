//! The CPU: single instructions behind safe functions. What a register means is known elsewhere.

pub mod debug_port;
