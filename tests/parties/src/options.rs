//! What the harness tells the programs ([`runtime::options`]): a byte for each answer.

use runtime::options::LEN;

/// The software interrupt that asks a ROM how it is; 60h to 66h are for users (IBM PC/AT Technical Reference).
///
/// AX is 1 when SIMP, SIEFP and SINT2 are as the BIOS left them. BX and CX count the interrupts that its handler took
/// and the messages that it found, DX how often it has connected. A question to a BIOS with a handler sends an
/// interrupt.
pub const QUESTION_VECTOR: u8 = 0x66;

/// The software interrupt that tells the ROM's thief when to strike, where its [`Trigger`] asks for that; also for users.
///
/// AX is the number of thefts that are left.
pub const STRIKE_VECTOR: u8 = 0x65;

/// What a ROM does with VMBus.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// Takes it at POST, serves drive 80h, and never looks whether it still owns anything.
    Naive = 0,
    /// The same, but looks at SIMP on each call, and connects again when that isn't its own.
    Careful = 1,
    /// A naive BIOS with an interrupt: SINT2 has a vector, and a handler takes the messages.
    Interrupts = 2,
    /// The same as careful, and it publishes a `$VMBS` record (docs/vmbs.md).
    Publishing = 3,
    /// No BIOS: takes VMBus at its [`Trigger`], again and again.
    Thief = 4,
}

/// How VMBus is stolen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Theft {
    /// INITIATE_CONTACT and offers; SIMP is off afterwards, as Windows' loader leaves it.
    Contact = 0,
    /// The same, and SIMP stays on.
    ContactKeepsSimp = 1,
    /// The MSRs change, and no message is sent.
    MsrsOnly = 2,
}

/// When the ROM's thief strikes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Trigger {
    /// From the timer interrupt.
    Timer = 0,
    /// In calls of [`STRIKE_VECTOR`]; they are counted instead of ticks.
    Calls = 1,
    /// From the timer interrupt, from the first call of [`STRIKE_VECTOR`] on.
    TimerOnceCalled = 2,
}

/// Options of the option ROM.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rom {
    /// What it does.
    pub kind: Kind,
    /// How the thief steals.
    pub theft: Theft,
    /// Timer ticks of 55 ms, or calls, from the start to the first theft and between two.
    pub ticks: u8,
    /// How often it steals.
    pub thefts: u8,
    /// When it does.
    pub trigger: Trigger,
}

impl Default for Rom {
    fn default() -> Self {
        Self { kind: Kind::Naive, theft: Theft::Contact, ticks: 0, thefts: 0, trigger: Trigger::Timer }
    }
}

impl Rom {
    /// As in the finished file.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; LEN] {
        let mut bytes = [0; LEN];
        let Self { kind, theft, ticks, thefts, trigger } = *self;
        bytes[..5].copy_from_slice(&[kind as u8, theft as u8, ticks, thefts, trigger as u8]);
        bytes
    }

    /// From the finished file; what is unknown is as zero.
    #[must_use]
    pub fn from_bytes(bytes: &[u8; LEN]) -> Self {
        let kinds = [Kind::Naive, Kind::Careful, Kind::Interrupts, Kind::Publishing, Kind::Thief];
        let kind = kinds.into_iter().find(|kind| *kind as u8 == bytes[0]).unwrap_or(Kind::Naive);
        let triggers = [Trigger::Timer, Trigger::Calls, Trigger::TimerOnceCalled];
        let trigger = triggers.into_iter().find(|trigger| *trigger as u8 == bytes[4]).unwrap_or(Trigger::Timer);
        Self { kind, theft: Theft::from_byte(bytes[1]), ticks: bytes[2], thefts: bytes[3], trigger }
    }
}

impl Theft {
    fn from_byte(byte: u8) -> Self {
        let all = [Self::Contact, Self::ContactKeepsSimp, Self::MsrsOnly];
        all.into_iter().find(|theft| *theft as u8 == byte).unwrap_or(Self::Contact)
    }
}

/// Options of the boot program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Thief {
    /// How it steals.
    pub theft: Theft,
    /// Thefts while a file comes over TFTP.
    pub during_file: u8,
    /// Thefts between two calls of other kinds: cached packets, UNDI, and INT 13h where there is a disk.
    pub between: u8,
    /// Whether drive 80h is there, and is [`crate::disk`].
    pub disk: bool,
    /// Read no file: on a slow network.
    pub no_file: bool,
    /// Nobody steals anything: the BIOS must find its SynIC as it left it.
    pub untouched: bool,
}

impl Default for Thief {
    fn default() -> Self {
        Self { theft: Theft::Contact, during_file: 0, between: 0, disk: false, no_file: false, untouched: false }
    }
}

impl Thief {
    /// As in the finished file.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; LEN] {
        let mut bytes = [0; LEN];
        let Self { theft, during_file, between, disk, no_file, untouched } = *self;
        bytes[..6].copy_from_slice(&[theft as u8, during_file, between, disk.into(), no_file.into(), untouched.into()]);
        bytes
    }

    /// From the finished file.
    #[must_use]
    pub fn from_bytes(bytes: &[u8; LEN]) -> Self {
        let theft = Theft::from_byte(bytes[0]);
        Self {
            theft,
            during_file: bytes[1],
            between: bytes[2],
            disk: bytes[3] != 0,
            no_file: bytes[4] != 0,
            untouched: bytes[5] != 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_survive_the_file() {
        let rom = Rom { kind: Kind::Thief, theft: Theft::MsrsOnly, ticks: 9, thefts: 3, trigger: Trigger::Calls };
        assert_eq!(Rom::from_bytes(&rom.to_bytes()), rom);
        assert_eq!(Rom::from_bytes(&[0; LEN]), Rom::default());
        let thief = Thief {
            theft: Theft::ContactKeepsSimp,
            during_file: 10,
            between: 5,
            disk: true,
            no_file: true,
            untouched: true,
        };
        assert_eq!(Thief::from_bytes(&thief.to_bytes()), thief);
        assert_eq!(Thief::from_bytes(&[0; LEN]), Thief::default());
    }
}
