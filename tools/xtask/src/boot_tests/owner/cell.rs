//! A cell of the matrix: a party, a way to boot, and a host.

use std::fmt;

use parties::options::Kind;

/// Who else has a claim on VMBus.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub enum Party {
    /// Nobody: the BIOS's disk is an IDE one.
    Nobody,
    /// A BIOS that takes VMBus at POST and never looks again.
    Naive,
    /// A BIOS that connects again when its SIMP is not there.
    Careful,
    /// A BIOS with an interrupt handler for SINT2.
    Interrupts,
    /// A careful BIOS that publishes a `$VMBS` record.
    Publishing,
}

impl Party {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Nobody, Self::Naive, Self::Careful, Self::Interrupts, Self::Publishing];

    /// Its option ROM's kind; `None` without one.
    pub const fn kind(self) -> Option<Kind> {
        match self {
            Self::Nobody => None,
            Self::Naive => Some(Kind::Naive),
            Self::Careful => Some(Kind::Careful),
            Self::Interrupts => Some(Kind::Interrupts),
            Self::Publishing => Some(Kind::Publishing),
        }
    }
}

/// How the machine is booted, and what happens meanwhile. All of them end on the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub enum Way {
    /// The network works: a boot program reads files and the disk, and returns.
    Network,
    /// The network fails: its boot file is missing.
    Fails,
    /// The same with the setting that leaves VMBus to whoever has it.
    Declines,
    /// PXELINUX, then LOCALBOOT 0, with the setting that shares VMBus with an owner who publishes it, and else leaves
    /// it to him.
    Attaches,
    /// PXELINUX, then LOCALBOOT 0.
    Localboot,
    /// PXELINUX, which reads the disk's boot sector itself (chain.c32 hd0).
    Chain,
    /// VMBus is stolen from the timer interrupt during DHCP.
    TheftDhcp,
    /// A boot program steals it ten times while it reads 20 MB.
    TheftFile,
    /// The same, and SIMP stays on after each theft.
    TheftFileSimp,
    /// The same, by MSRs only.
    TheftFileMsrs,
    /// A boot program steals it between its calls and INT 13h.
    TheftBetween,
    /// VMBus is stolen from the timer interrupt while the disk is slow.
    TheftDisk,
}

impl Way {
    /// All of them.
    pub const ALL: [Self; 12] = [
        Self::Network,
        Self::Fails,
        Self::Declines,
        Self::Attaches,
        Self::Localboot,
        Self::Chain,
        Self::TheftDhcp,
        Self::TheftFile,
        Self::TheftFileSimp,
        Self::TheftFileMsrs,
        Self::TheftBetween,
        Self::TheftDisk,
    ];
}

/// A variant of the Hyper-V host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub enum HostKind {
    /// As recent ones are.
    Recent,
    /// The message page is zeroed when it is enabled.
    SimpZeroed,
    /// The message page is plain RAM.
    SimpRam,
    /// Messages for a masked SINT are lost.
    SintDrops,
    /// Messages for a masked SINT are written.
    SintWrites,
    /// SCONTROL is 0 at reset.
    ScontrolOff,
    /// No polling bit.
    NoPolling,
    /// Channels take a second to close, UNLOAD another.
    Slow,
    /// A channel takes 50 s to close, as on Azure.
    VerySlow,
    /// Channel ids are others after each connection.
    Renumbers,
    /// Messages of the connection before come first after a take-over.
    Stale,
    /// An OFFER and its RESCIND come before each reply.
    Unsolicited,
    /// VMBus 4.0, NVSP 5, VSTOR 6.0: as of 2016.
    Of2016,
}

impl HostKind {
    /// All of them.
    pub const ALL: [Self; 13] = [
        Self::Recent,
        Self::SimpZeroed,
        Self::SimpRam,
        Self::SintDrops,
        Self::SintWrites,
        Self::ScontrolOff,
        Self::NoPolling,
        Self::Slow,
        Self::VerySlow,
        Self::Renumbers,
        Self::Stale,
        Self::Unsolicited,
        Self::Of2016,
    ];

    /// Switches of the host model.
    pub const fn switches(self) -> &'static [&'static str] {
        match self {
            Self::Recent => &[],
            Self::SimpZeroed => &["overlay=zeroed"],
            Self::SimpRam => &["overlay=ram"],
            Self::SintDrops => &["masked_sint=drop"],
            Self::SintWrites => &["masked_sint=write"],
            Self::ScontrolOff => &["scontrol_reset=0"],
            Self::NoPolling => &["polling=off"],
            Self::Slow => &["close_delay=1s", "unload_delay=1s"],
            Self::VerySlow => &["close_delay=50s"],
            Self::Renumbers => &["relid_step=7"],
            Self::Stale => &["stale_messages=on"],
            Self::Unsolicited => &["unsolicited=on"],
            Self::Of2016 => &["max_vmbus_version=4.0", "max_nvsp_version=0x50000", "max_vstor_version=6.0"],
        }
    }
}

/// One boot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cell {
    /// Who else is there.
    pub party: Party,
    /// How it boots.
    pub way: Way,
    /// On which host.
    pub host: HostKind,
}

impl Cell {
    /// A cell on the recent host.
    pub const fn new(party: Party, way: Way) -> Self {
        Self { party, way, host: HostKind::Recent }
    }
}

/// The name on the command line.
pub fn name(value: &impl clap::ValueEnum) -> String {
    value.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", name(&self.party), name(&self.way), name(&self.host))
    }
}
