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
}

impl Ending {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Return, Self::Syslinux, Self::Ipxe, Self::Grub, Self::Specification];

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
        }
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
    /// Only what `fuzz_calls` and `ending` ask for.
    pub skip_checks: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self { fuzz_calls: 0, fuzz_seed: 1, ending: Ending::Return, exit_ax: 0, skip_checks: false }
    }
}

/// Bit of `flags`: [`Options::skip_checks`].
const SKIP_CHECKS: u32 = 1;

impl Options {
    /// As bytes of the file.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; LEN] {
        let mut bytes = [0; LEN];
        bytes[..4].copy_from_slice(&self.fuzz_calls.to_le_bytes());
        bytes[4..8].copy_from_slice(&self.fuzz_seed.to_le_bytes());
        bytes[8..10].copy_from_slice(&(self.ending as u16).to_le_bytes());
        bytes[10..12].copy_from_slice(&self.exit_ax.to_le_bytes());
        bytes[12..].copy_from_slice(&if self.skip_checks { SKIP_CHECKS } else { 0 }.to_le_bytes());
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
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_survive_the_file() {
        for ending in Ending::ALL {
            let options = Options { fuzz_calls: 10_000, fuzz_seed: 0x8765_4321, ending, exit_ax: 4, skip_checks: true };
            assert_eq!(Options::from_bytes(&options.to_bytes()), options);
        }
    }
}
