//! The log: bounded lines for a developer or an administrator, on port 0xE9, and on a serial
//! port where the settings say so.
//!
//! Nothing depends on it: without a listener the lines are lost.

use core::fmt::{self, Write};

use heapless::String;

use crate::arch::{debug_port, serial};

/// Longest line in bytes, without its end (policy); the rest of a longer line is cut.
pub const MAX_LINE: usize = 160;

/// A buffer that keeps what fits and forgets the rest.
struct Line(String<MAX_LINE>);

impl Write for Line {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for character in text.chars() {
            if self.0.push(character).is_err() {
                break;
            }
        }
        Ok(())
    }
}

/// Writes one line, `hvpxe: ` before it: `log::line(format_args!("vmbus: version {version}"))`.
pub fn line(arguments: fmt::Arguments<'_>) {
    let mut line = Line(String::new());
    // A cut line is still worth having.
    let _ = line.write_fmt(arguments);
    text("hvpxe: ");
    text(&line.0);
    text("\n");
}

/// Writes text as it is: what is on the screen is in the log, too.
pub fn text(text: &str) {
    debug_port::write(text.as_bytes());
    serial::write(text.as_bytes());
}
