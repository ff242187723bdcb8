//! Misbehaviour on demand: what real hosts do now and then, at a chosen moment.

/// A run of refused HvPostMessage calls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Burst {
    /// Hypercall status given instead of success.
    pub status: u16,
    /// Calls refused in a row.
    pub count: u64,
    /// Calls that come first, counted from the start of the machine.
    pub after: u64,
}

/// How a disk request ends instead of well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DiskFault {
    /// SRB status busy, SCSI status BUSY.
    Busy,
    /// SRB status aborted.
    Abort,
    /// Unit attention: power on or reset.
    Attention,
    /// Medium error.
    Medium,
    /// SRB status timeout.
    Timeout,
    /// SRB status bus reset; every disk has a unit attention then.
    Reset,
    /// Half of the data read; nothing written, and half the length said.
    Short,
    /// No answer, ever.
    Lost,
}

impl DiskFault {
    /// The fault of this name, as switches call it.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Some(match name {
            "busy" => Self::Busy,
            "abort" => Self::Abort,
            "attention" => Self::Attention,
            "medium" => Self::Medium,
            "timeout" => Self::Timeout,
            "reset" => Self::Reset,
            "short" => Self::Short,
            "lost" => Self::Lost,
            _ => return None,
        })
    }
}

/// A run of READs and WRITEs that fail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DiskFaults {
    /// How they end.
    pub fault: DiskFault,
    /// Requests in a row.
    pub count: u64,
    /// Requests that come first, counted from the start of the machine, all disks together.
    pub after: u64,
}

/// Which faults to inject. Times are partition reference time in 100 ns units.
#[derive(Clone, Debug, Default)]
pub struct Faults {
    /// VMBus takes messages and never answers.
    pub silent: bool,
    /// No NIC is offered.
    pub no_nic: bool,
    /// Once the offers are sent, a device is offered and rescinded before every reply.
    pub unsolicited: bool,
    /// At each of these times a device is offered and rescinded, whatever goes on.
    pub unsolicited_at: Vec<u64>,
    /// When a connection is taken over, what was said on the old one comes before the answer, and teardowns that were
    /// still to be answered are answered on the new one.
    pub stale_messages: bool,
    /// The NICs are rescinded at this time.
    pub rescind_at: Option<u64>,
    /// The NICs are rescinded when the guest has sent this many frames.
    pub rescind_after: Option<u64>,
    /// The SCSI controllers are rescinded when the guest has made this many READs and WRITEs.
    pub rescind_disks_after: Option<u64>,
    /// They come back, as new offers, this long after the guest has released them.
    pub reoffer_after: Option<u64>,
    /// Link changes: when, and whether it is up afterwards.
    pub link_changes: Vec<(u64, bool)>,
    /// VMBus messages of these types are never answered.
    pub ignore_message: Vec<u32>,
    /// NVSP messages of these types are never completed.
    pub ignore_nvsp: Vec<u32>,
    /// RNDIS messages of these types are never answered.
    pub ignore_rndis: Vec<u32>,
    /// Every GPADL is refused.
    pub fail_gpadl: bool,
    /// Every OPENCHANNEL is refused.
    pub fail_open: bool,
    /// SEND_RECV_BUF is completed with a failure.
    pub fail_receive_buffer: bool,
    /// The NIC completes sent frames only after this time.
    pub tx_completion_delay: u64,
    /// An RNDIS reply comes before the NVSP completion of its request.
    pub reply_first: bool,
    /// After RNDIS INITIALIZE comes an indication whose length fields are wrong.
    pub wrong_indication: bool,
    /// After the NVSP handshake come a VF association and an indirection table, where the version has them.
    pub unsolicited_nvsp: bool,
    /// No SCSI controller is offered.
    pub no_disk: bool,
    /// Time that each READ and WRITE takes.
    pub disk_delay: u64,
    /// READs and WRITEs that fail.
    pub disk_faults: Vec<DiskFaults>,
    /// VSTOR packets of these operations are never completed.
    pub ignore_vstor: Vec<u32>,
    /// After the first SCSI request comes an ENUMERATE_BUS.
    pub unsolicited_vstor: bool,
    /// Refused posts.
    pub post_bursts: Vec<Burst>,
    /// The machine is saved and restored when so many frames, both ways, and READs and WRITEs have passed.
    pub save_restore_after: Vec<u64>,
}

impl Faults {
    /// The status that post number `index` (from 0) is refused with.
    pub(crate) fn refuse_post(&self, index: u64) -> Option<u16> {
        self.post_bursts
            .iter()
            .find(|burst| (burst.after..burst.after + burst.count).contains(&index))
            .map(|b| b.status)
    }

    /// How often the machine is to be saved and restored in its first so many frames, READs and WRITEs.
    pub(crate) fn saves_due(&self, passed: u64) -> usize {
        self.save_restore_after.iter().filter(|after| passed >= **after).count()
    }

    /// How READ or WRITE number `index` (from 0) ends, if not well.
    pub(crate) fn disk_fault(&self, index: u64) -> Option<DiskFault> {
        self.disk_faults
            .iter()
            .find(|faults| (faults.after..faults.after + faults.count).contains(&index))
            .map(|faults| faults.fault)
    }

    /// The link state forced by the changes up to `now`, if any.
    pub(crate) fn link_at(&self, now: u64) -> Option<bool> {
        self.link_changes.iter().filter(|change| change.0 <= now).max_by_key(|change| change.0).map(|change| change.1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_covers_its_posts_only() {
        let faults = Faults { post_bursts: vec![Burst { status: 0x13, count: 2, after: 1 }], ..Faults::default() };
        let refused: Vec<_> = (0..4).map(|n| faults.refuse_post(n)).collect();
        assert_eq!(refused, [None, Some(0x13), Some(0x13), None]);
    }

    #[test]
    fn the_latest_link_change_counts() {
        let faults = Faults { link_changes: vec![(10, false), (20, true)], ..Faults::default() };
        assert_eq!([5, 10, 25].map(|now| faults.link_at(now)), [None, Some(false), Some(true)]);
    }
}
