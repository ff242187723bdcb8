//! What the guest asked of the host, counted: the unit of performance in the lab.

use std::collections::BTreeMap;

/// Counts since the host was made; a machine reset does not clear them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// CPUID instructions that reached a hypervisor leaf.
    pub cpuid: u64,
    /// Reads per MSR.
    pub msr_reads: BTreeMap<u32, u64>,
    /// Writes per MSR.
    pub msr_writes: BTreeMap<u32, u64>,
    /// Hypercalls per call code.
    pub hypercalls: BTreeMap<u16, u64>,
    /// HvPostMessage calls that were answered with success.
    pub posts: u64,
    /// HvSignalEvent calls that were answered with success.
    pub signals: u64,
    /// Interrupts raised.
    pub interrupts: u64,
    /// VMBus messages from the guest, per type.
    pub vmbus_from_guest: BTreeMap<u32, u64>,
    /// VMBus messages delivered to the guest, per type.
    pub vmbus_to_guest: BTreeMap<u32, u64>,
    /// Frames that guests sent, all NICs.
    pub tx_frames: u64,
    /// Their bytes.
    pub tx_bytes: u64,
    /// Frames put into receive buffers, all NICs.
    pub rx_frames: u64,
    /// Their bytes.
    pub rx_bytes: u64,
    /// Transfer-page packets that carried them.
    pub rx_packets: u64,
    /// READ and WRITE requests for disks, all controllers; also those that failed.
    pub disk_requests: u64,
    /// Reads that succeeded.
    pub disk_reads: u64,
    /// Their bytes.
    pub disk_read_bytes: u64,
    /// Writes that succeeded.
    pub disk_writes: u64,
    /// Their bytes.
    pub disk_written_bytes: u64,
    /// How often the machine was saved and restored.
    pub restores: u64,
    /// Frames dropped because the packet filter was zero.
    pub rx_filtered: u64,
}

impl Counters {
    /// All intercepted instructions: CPUID, MSR accesses and hypercalls.
    #[must_use]
    pub fn exits(&self) -> u64 {
        self.cpuid
            + self.msr_reads.values().sum::<u64>()
            + self.msr_writes.values().sum::<u64>()
            + self.hypercalls.values().sum::<u64>()
    }

    pub(crate) fn bump<K: Ord>(map: &mut BTreeMap<K, u64>, key: K) {
        *map.entry(key).or_insert(0) += 1;
    }
}
