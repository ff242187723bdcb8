//! The `$VMBS` record (docs/vmbs.md): found, checked and used when it is another owner's; published for our own connection.
//!
//! What is read here was written by somebody else: every part is copied once, checked, and only then believed.

mod access;
mod find;
#[cfg(feature = "disk")]
mod publish;
mod shape;
#[cfg(test)]
mod tests;

pub use access::Record;
#[cfg(feature = "disk")]
pub use publish::{PUBLISHED_LEN, Publisher};

/// Our short name as owner.
#[cfg(feature = "disk")]
const OWNER_NAME: [u8; 4] = *b"hvpx";
/// Our short name on the connection of another: not that of the owner, who may be an hvpxe too.
const USER_NAME: [u8; 4] = *b"hvpa";
