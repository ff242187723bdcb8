//! Ctrl-C and SIGTERM: remembered, so that every wait can end in order and no child is left behind.

use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, Result};

static REQUESTED: AtomicBool = AtomicBool::new(false);

/// Installs the handler, once per process.
///
/// # Errors
/// When a handler is there already.
pub fn install() -> Result<()> {
    ctrlc::set_handler(|| REQUESTED.store(true, Ordering::SeqCst)).context("can't handle Ctrl-C")
}

/// Whether the user wants us to stop.
pub fn requested() -> bool {
    REQUESTED.load(Ordering::SeqCst)
}
