//! Lines on port 0xE9: `naive: drive 80h is there`.

use core::fmt::{Arguments, Write};

/// Writes to the port piece by piece.
struct Port;

impl Write for Port {
    fn write_str(&mut self, text: &str) -> core::fmt::Result {
        runtime::cpu::debug(text);
        Ok(())
    }
}

/// Writes a line, with who says it before it.
pub fn say(who: &str, what: Arguments<'_>) {
    // The port takes everything.
    let _ = writeln!(Port, "{who}: {what}");
}
