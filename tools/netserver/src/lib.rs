//! Network servers over bare Ethernet frames.
