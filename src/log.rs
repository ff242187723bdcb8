//! The log: bounded lines for a developer or an administrator, on port 0xE9, and on a serial
//! port where the settings say so.
//!
//! Nothing depends on it: without a listener the lines are lost.

use core::fmt::{self, Write};

use crate::arch::{debug_port, serial};

/// Longest line in bytes, without its end (policy).
pub const MAX_LINE: usize = 160;

/// What is left of a line, in bytes; the rest of a longer one is cut.
struct Line {
    room: usize,
}

impl Write for Line {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let bytes = &text.as_bytes()[..text.len().min(self.room)];
        self.room -= bytes.len();
        write(bytes);
        Ok(())
    }
}

/// Writes one line, `hvpxe: ` before it: `log::line(format_args!("vmbus: version {version}"))`.
pub fn line(arguments: fmt::Arguments<'_>) {
    text("hvpxe: ");
    // A cut line is still worth having.
    let _ = Line { room: MAX_LINE }.write_fmt(arguments);
    text("\n");
}

/// Writes text as it is: what is on the screen is in the log, too.
pub fn text(text: &str) {
    write(text.as_bytes());
}

fn write(bytes: &[u8]) {
    debug_port::write(bytes);
    serial::write(bytes);
}
