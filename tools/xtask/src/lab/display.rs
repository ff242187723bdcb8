//! Where a machine's screen is shown.

use std::fmt;

use anyhow::{Result, ensure};

use super::http::free_port;
use crate::process::capture;
use crate::setup::qemu::Qemu;

/// VNC's display 0 (RFC 6143, and the custom to count displays from there).
const VNC_BASE: u16 = 5900;

/// A screen for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Display {
    /// A window of QEMU's own, of this kind.
    Window(&'static str),
    /// A VNC server on this port of loopback.
    Vnc(u16),
}

impl fmt::Display for Display {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Window(_) => f.write_str("a window"),
            Self::Vnc(port) => write!(f, "this QEMU has no windows; point a VNC viewer at 127.0.0.1::{port}"),
        }
    }
}

impl Display {
    /// The best that a QEMU has. The private one comes without a window toolkit.
    ///
    /// # Errors
    /// When QEMU doesn't run, or loopback has no free port.
    pub fn choose(qemu: &Qemu) -> Result<Self> {
        let output = capture(qemu.command().args(["-display", "help"]))?;
        match window_kind(&String::from_utf8_lossy(&output.stdout)) {
            Some(kind) => Ok(Self::Window(kind)),
            None => {
                // The system gives out ports far above VNC's first.
                let port = free_port()?;
                ensure!(port >= VNC_BASE, "loopback port {port} is below VNC's");
                Ok(Self::Vnc(port))
            }
        }
    }

    /// For `-display`.
    pub fn argument(&self) -> String {
        match self {
            Self::Window(kind) => (*kind).to_owned(),
            Self::Vnc(port) => format!("vnc=127.0.0.1:{}", port - VNC_BASE),
        }
    }
}

/// The first kind of window in QEMU's list of displays, one a line.
fn window_kind(list: &str) -> Option<&'static str> {
    ["gtk", "sdl"].into_iter().find(|kind| list.lines().any(|line| line.trim() == *kind))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_where_there_is_one_else_vnc() {
        assert_eq!(window_kind("Available display backend types:\nnone\ngtk\nsdl\n"), Some("gtk"));
        assert_eq!(window_kind("Available display backend types:\nnone\ncurses\n"), None);
        assert_eq!(Display::Vnc(40_000).argument(), "vnc=127.0.0.1:34100");
    }
}
