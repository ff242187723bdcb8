//! Layouts of what goes over a wire or through memory to somebody else. No I/O, no state.

pub mod pxe;
