//! The CPU: single instructions behind safe functions. What a register means is known elsewhere.
#![allow(unsafe_code, reason = "every function here is one privileged instruction; see each SAFETY note")]

pub mod cpu;
pub mod debug_port;
pub mod serial;
