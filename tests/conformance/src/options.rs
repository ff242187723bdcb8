//! What the harness can ask for, and how that lies in the finished file ([`runtime::options`]).

use runtime::options::LEN;

/// How the program ends: in which order it calls the functions that let the stack go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Nothing is unloaded; return with AX.
    Return = 0,
    /// SYSLINUX's order, then all of the stack's memory is overwritten, and INT 18h.
    Syslinux = 1,
    /// iPXE's order, likewise.
    Ipxe = 2,
    /// GRUB's order: no STOP_UNDI, the hooks stay and must go on working; then INT 18h.
    Grub = 3,
    /// The order of the PXE specification, likewise as SYSLINUX.
    Specification = 4,
    /// Nothing is unloaded; `RESTART_TFTP` starts [`crate::files::RESTARTED`].
    Restart = 5,
}

impl Ending {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Return, Self::Syslinux, Self::Ipxe, Self::Grub, Self::Specification, Self::Restart];

    /// As in the options; anything unknown returns.
    #[must_use]
    pub fn from_word(word: u16) -> Self {
        Self::ALL.into_iter().find(|ending| *ending as u16 == word).unwrap_or(Self::Return)
    }

    /// Its name, for a command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Return => "return",
            Self::Syslinux => "syslinux",
            Self::Ipxe => "ipxe",
            Self::Grub => "grub",
            Self::Specification => "specification",
            Self::Restart => "restart",
        }
    }
}

/// What is wrong with the TFTP server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServerFault {
    /// Nothing.
    None = 0,
    /// It knows no options.
    NoOptions = 1,
    /// It answers no request.
    Silent = 2,
    /// It sends [`Self::BLOCKS`] blocks, and then nothing more.
    Stops = 3,
}

impl ServerFault {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::None, Self::NoOptions, Self::Silent, Self::Stops];

    /// Blocks that a server sends before it [`Stops`](Self::Stops).
    pub const BLOCKS: u32 = 3;

    /// As in the options; anything unknown is none.
    fn from_bits(bits: u32) -> Self {
        Self::ALL.into_iter().find(|fault| *fault as u32 == bits).unwrap_or(Self::None)
    }
}

/// The number of a check: `03.2`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Number {
    /// What it is about.
    pub group: u8,
    /// Which one of those, from 1.
    pub number: u8,
}

impl Number {
    /// From its text.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (group, number) = text.split_once('.')?;
        Some(Self { group: group.parse().ok()?, number: number.parse().ok()? })
    }
}

/// The options.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// How many calls the fuzz section makes; 0 skips it.
    pub fuzz_calls: u32,
    /// What its random numbers start from.
    pub fuzz_seed: u32,
    /// How the program ends.
    pub ending: Ending,
    /// AX of the return to the stack.
    pub exit_ax: u16,
    /// Only what `fuzz_calls`, `server` and `ending` ask for.
    pub skip_checks: bool,
    /// What to expect of the TFTP server.
    pub server: ServerFault,
    /// Of the checks only group 03, which needs no network.
    pub entry_only: bool,
    /// Begin behind this check: it was the last on a machine whose stack did not live through it.
    pub after: Option<Number>,
    /// Try the program's own watchdog.
    pub watchdog: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            fuzz_calls: 0,
            fuzz_seed: 1,
            ending: Ending::Return,
            exit_ax: 0,
            skip_checks: false,
            server: ServerFault::None,
            entry_only: false,
            after: None,
            watchdog: false,
        }
    }
}

/// Bit of `flags`: [`Options::skip_checks`].
const SKIP_CHECKS: u32 = 1;
/// Another: [`Options::entry_only`].
const ENTRY_ONLY: u32 = 2;
/// Another: [`Options::watchdog`].
const WATCHDOG: u32 = 4;
/// Where in `flags` [`Options::server`] is.
const SERVER: u32 = 8;
/// Where in `flags` group and number of [`Options::after`] are; 0: none.
const AFTER: u32 = 16;

impl Options {
    /// Whether all checks are made, up to the last.
    #[must_use]
    pub const fn has_all_checks(&self) -> bool {
        !self.skip_checks && !self.entry_only && !self.watchdog
    }

    /// As bytes of the file.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; LEN] {
        let mut bytes = [0; LEN];
        bytes[..4].copy_from_slice(&self.fuzz_calls.to_le_bytes());
        bytes[4..8].copy_from_slice(&self.fuzz_seed.to_le_bytes());
        bytes[8..10].copy_from_slice(&(self.ending as u16).to_le_bytes());
        bytes[10..12].copy_from_slice(&self.exit_ax.to_le_bytes());
        let flags = if self.skip_checks { SKIP_CHECKS } else { 0 }
            | if self.entry_only { ENTRY_ONLY } else { 0 }
            | if self.watchdog { WATCHDOG } else { 0 }
            | (self.server as u32) << SERVER
            | self.after.map_or(0, |Number { group, number }| u32::from(group) << 8 | u32::from(number)) << AFTER;
        bytes[12..].copy_from_slice(&flags.to_le_bytes());
        bytes
    }

    /// From bytes of the file.
    #[must_use]
    pub fn from_bytes(bytes: &[u8; LEN]) -> Self {
        let word = |at: usize| u16::from_le_bytes([bytes[at], bytes[at + 1]]);
        let dword = |at: usize| u32::from(word(at)) | u32::from(word(at + 2)) << 16;
        Self {
            fuzz_calls: dword(0),
            fuzz_seed: dword(4),
            ending: Ending::from_word(word(8)),
            exit_ax: word(10),
            skip_checks: dword(12) & SKIP_CHECKS != 0,
            server: ServerFault::from_bits(dword(12) >> SERVER & 0xff),
            entry_only: dword(12) & ENTRY_ONLY != 0,
            after: (word(14) != 0).then(|| Number { group: bytes[15], number: bytes[14] }),
            watchdog: dword(12) & WATCHDOG != 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_survive_the_file() {
        for (ending, server) in Ending::ALL.into_iter().zip(ServerFault::ALL.into_iter().cycle()) {
            let (fuzz_calls, fuzz_seed) = (10_000, 0x8765_4321);
            for (skip_checks, entry_only, watchdog) in
                [(true, false, false), (false, true, false), (false, false, true), (true, true, true)]
            {
                let plain = Options { fuzz_calls, fuzz_seed, ending, exit_ax: 4, server, ..Options::default() };
                let options = Options { skip_checks, entry_only, watchdog, after: Number::parse("19.5"), ..plain };
                assert_eq!(Options::from_bytes(&options.to_bytes()), options);
            }
        }
    }
}
