//! The stack under test: where its entries are, and calls to it.

pub mod block;
pub mod call;
pub mod frames;
pub mod network;
pub mod op;

pub use self::block::Block;
pub use self::call::{CallOptions, Entry, Reply, Stack};
