//! The Hyper-V host model.
