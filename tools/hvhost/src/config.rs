//! Every switch of the host model.
//!
//! The default is a recent host. Where Microsoft's own host and OpenVMM differ, and Microsoft's behaviour is known, the
//! default is the one that guests in the field rely on.

use serde::{Deserialize, Serialize};

use crate::faults::{Burst, DiskFault, DiskFaults, Faults};

/// 100 ns units in a millisecond.
pub const MS: u64 = 10_000;
/// 100 ns units in a second.
pub const SECOND: u64 = 1000 * MS;

/// What becomes of the content of a SynIC page when it is enabled, moved and disabled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OverlayMode {
    /// A page of the hypervisor's own that hides RAM; its content is kept while it is disabled (TLFS, QEMU).
    Kept,
    /// As `Kept`, but zeroed whenever it is enabled.
    Zeroed,
    /// No overlay: the guest's RAM as it is (OpenVMM on KVM).
    Ram,
}

/// What becomes of a message for a masked SINT.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MaskedSint {
    /// Kept back until the SINT is unmasked (Microsoft's host).
    Hold,
    /// Lost (OpenHCL).
    Drop,
    /// Written to the slot all the same, without an interrupt (QEMU, OpenVMM on KVM, TLFS's text).
    Write,
}

/// How the NetVSP lays out received frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub enum RxLayout {
    /// Sub-allocations of MTU + 292 (1806), frame at 256, a checksum PPI; range length = the sub-allocation.
    OpenVmm,
    /// Sub-allocations of 1728, frame right behind the header and its PPI; range length = the message.
    Compact,
}

/// How a request for a LUN that does not exist ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MissingLun {
    /// INQUIRY succeeds with peripheral qualifier and type 7Fh; everything else as `InvalidLun` (OpenVMM).
    Qualifier,
    /// SRB status "invalid LUN", also for INQUIRY. Linux takes that for a disk without blocks.
    InvalidLun,
    /// SRB status "no device", likewise.
    NoDevice,
}

/// Constant relation of the guest's TSC to reference time: `time = (tsc * scale >> 64) + offset`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReferenceTsc {
    /// 64.64 fixed-point factor.
    pub scale: u64,
    /// 100 ns units.
    pub offset: i64,
}

/// All switches. Times are in 100 ns units.
#[derive(Clone, Debug)]
pub struct Config {
    /// Number of virtual processors.
    pub vps: u32,
    /// Bytes at the start of the enabled hypercall page; the engine must recognise them.
    pub hypercall_code: Vec<u8>,
    /// CPUID 0x40000003 EAX: privileges, low half. Also gates the MSRs.
    pub privileges_low: u32,
    /// CPUID 0x40000003 EBX: privileges, high half. Bits 4 and 5 only inform, as on OpenVMM.
    pub privileges_high: u32,
    /// CPUID 0x40000003 EDX: features. Bit 17 is the SINT polling bit; without it a SINT can't poll.
    pub features: u32,
    /// CPUID 0x40000004 EAX: recommendations.
    pub recommendations: u32,
    /// SIMP and SIEFP content.
    pub overlay: OverlayMode,
    /// Messages for a masked SINT.
    pub masked_sint: MaskedSint,
    /// Reset value of SCONTROL.
    pub scontrol_reset: u64,
    /// Content of the reference TSC page; without it the page says "invalid" (sequence 0).
    pub reference_tsc: Option<ReferenceTsc>,
    /// TSC and APIC timer frequency in Hz, for the frequency MSRs; the privilege bit 11 must be set too.
    pub frequencies: Option<(u64, u64)>,

    /// Newest VMBus version offered, major << 16 | minor; 0 refuses all.
    pub max_vmbus_version: u32,
    /// Whether the other devices of a real machine are offered (heartbeat, shutdown, ...).
    pub other_offers: bool,
    /// How many devices are offered besides, which nobody has a driver for.
    pub spare_offers: u32,
    /// Time that a device needs to close a channel.
    pub close_delay: u64,
    /// Time before UNLOAD is answered, after all channels have closed.
    pub unload_delay: u64,
    /// Time before a GPADL_TEARDOWN is answered; until then the memory is still the host's.
    pub teardown_delay: u64,
    /// Number by which the channel ids of a connection are higher than those of the one before.
    pub relid_step: u32,

    /// MAC address of the first NIC; the next ones count up.
    pub mac: [u8; 6],
    /// Newest NVSP version taken.
    pub max_nvsp_version: u32,
    /// Layout of received frames.
    pub rx_layout: RxLayout,
    /// Frames in one packet to the guest at most, 1 to 375.
    pub max_rx_ranges: usize,
    /// Whether a completion of a received packet may be without payload, as Microsoft's host allows and iPXE sends.
    /// If not, it stops the channel, as on OpenVMM.
    pub lenient_rx_completion: bool,
    /// Whether REVOKE_RECV_BUF and REVOKE_SEND_BUF are completed (Microsoft's host) or stop the channel (OpenVMM).
    pub revoke_completes: bool,
    /// The NIC's link state to begin with; up only if the backend's is up too.
    pub link_up: bool,

    /// Newest VSTOR version taken, major << 8 | minor.
    pub max_vstor_version: u16,
    /// Bytes in one disk request at most, as told in QUERY_PROPERTIES.
    pub max_transfer: u32,
    /// What a request for a missing LUN gets.
    pub missing_lun: MissingLun,
    /// Whether a transfer that moves less than it could has SRB status "data overrun", not only the smaller length.
    pub underrun_status: bool,
    /// Whether each disk reports a unit attention after the channel was opened, as after every reset.
    pub unit_attention: bool,

    /// Misbehaviour on demand.
    pub faults: Faults,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            vps: 1,
            hypercall_code: vec![0x0f, 0x01, 0xc1, 0xc3],
            // VP_RUNTIME, TIME_REF_COUNT, SynIC, VP_ASSIST, HYPERCALL, VP_INDEX, REFERENCE_TSC
            privileges_low: 1 << 0 | 1 << 1 | 1 << 2 | 1 << 4 | 1 << 5 | 1 << 6 | 1 << 9,
            // HvPostMessage, HvSignalEvent
            privileges_high: 1 << 4 | 1 << 5,
            // SINT polling
            features: 1 << 17,
            // relaxed timing
            recommendations: 1 << 5,
            overlay: OverlayMode::Kept,
            masked_sint: MaskedSint::Hold,
            scontrol_reset: 1,
            reference_tsc: None,
            frequencies: None,
            max_vmbus_version: 0x0006_0000,
            other_offers: true,
            spare_offers: 0,
            close_delay: 0,
            unload_delay: 0,
            teardown_delay: 0,
            relid_step: 0,
            mac: [0x00, 0x15, 0x5d, 0x0a, 0x0b, 0x0c],
            max_nvsp_version: 0x0006_0001,
            rx_layout: RxLayout::OpenVmm,
            max_rx_ranges: 375,
            lenient_rx_completion: true,
            revoke_completes: true,
            link_up: true,
            max_vstor_version: 0x0602,
            max_transfer: 256 * 1024,
            missing_lun: MissingLun::Qualifier,
            underrun_status: false,
            unit_attention: false,
            faults: Faults::default(),
        }
    }
}

impl Config {
    /// Sets one switch from text.
    ///
    /// Numbers may be decimal or 0x hexadecimal, times have a unit (`us`, `ms` or `s`), switches are `on` and `off`.
    ///
    /// | Key | Value |
    /// |---|---|
    /// | `vps` | number |
    /// | `privileges_low`, `privileges_high`, `features`, `recommendations` | CPUID register |
    /// | `polling` | on/off: the SINT polling bit among the features |
    /// | `post_privilege` | on/off: bits 4 and 5 of `privileges_high` |
    /// | `deprecate_auto_eoi` | on/off: bit 9 of the recommendations |
    /// | `overlay` | kept, zeroed, ram |
    /// | `masked_sint` | hold, drop, write |
    /// | `scontrol_reset` | 0, 1 |
    /// | `max_vmbus_version` | for instance 5.3; 0.0 refuses all |
    /// | `other_offers` | on/off |
    /// | `spare_offers` | 0-1000 more devices that nobody has a driver for |
    /// | `close_delay`, `unload_delay`, `teardown_delay` | time |
    /// | `relid_step` | number |
    /// | `mac` | xx:xx:xx:xx:xx:xx |
    /// | `max_nvsp_version` | number, for instance 0x50000 |
    /// | `rx_layout` | openvmm, compact |
    /// | `max_rx_ranges` | 1 to 375 |
    /// | `lenient_rx_completion`, `revoke_completes`, `link` | on/off |
    /// | `max_vstor_version` | for instance 5.1 |
    /// | `max_transfer` | bytes |
    /// | `missing_lun` | qualifier, invalid_lun, no_device |
    /// | `underrun_status`, `unit_attention` | on/off |
    /// | `silent` | on/off: VMBus never answers |
    /// | `no_nic` | on/off: no NIC is offered |
    /// | `stale_messages` | on/off: messages of the connection before come first after a take-over |
    /// | `unsolicited` | on/off: an OFFER and its RESCIND come before each reply |
    /// | `unsolicited_at` | time, may be repeated: an OFFER and its RESCIND come then, if the guest has had the offers |
    /// | `tx_completion_delay` | time |
    /// | `reply_first` | on/off: RNDIS replies come before the completions of their requests |
    /// | `wrong_indication` | on/off: an indication with wrong lengths at the start |
    /// | `unsolicited_nvsp` | on/off: VF association and indirection table after the handshake |
    /// | `rescind_at` | time |
    /// | `rescind_after` | number of frames sent by the guest |
    /// | `rescind_disks_after` | number of READs and WRITEs, all disks together |
    /// | `reoffer_after` | time after their release at which rescinded devices are offered again |
    /// | `ignore_message`, `ignore_nvsp`, `ignore_rndis` | type of a message that is never answered; may be repeated |
    /// | `fail_gpadl`, `fail_open`, `fail_receive_buffer` | on/off: that step is refused |
    /// | `no_disk` | on/off: no SCSI controller is offered |
    /// | `disk_delay` | time that each READ and WRITE takes |
    /// | `disk_fault` | KIND*COUNT@AFTER, may be repeated: `busy*2@5` fails READs and WRITEs 6 and 7; kinds are busy, abort, attention, medium, timeout, reset, short, lost |
    /// | `ignore_vstor` | VSTOR operation that is never completed; may be repeated |
    /// | `unsolicited_vstor` | on/off: ENUMERATE_BUS after the first request |
    /// | `link_change` | STATE@TIME, may be repeated: `down@5s` |
    /// | `save_restore_after` | number of frames, both ways, and READs and WRITEs; may be repeated: the machine is saved and restored |
    /// | `post_burst` | STATUS*COUNT@AFTER, may be repeated: `0x13*5@2` answers posts 3 to 7 with 0x13 |
    ///
    /// # Errors
    /// Says which key or value was not understood.
    pub fn set(&mut self, key: &str, value: &str) -> Result<(), String> {
        self.apply(key, value).map_err(|why| format!("{key}={value}: {why}"))
    }

    fn apply(&mut self, key: &str, value: &str) -> Result<(), &'static str> {
        let faults = &mut self.faults;
        match key {
            "vps" => self.vps = within(value, 1..=64)?,
            "privileges_low" => self.privileges_low = number(value)?,
            "privileges_high" => self.privileges_high = number(value)?,
            "features" => self.features = number(value)?,
            "recommendations" => self.recommendations = number(value)?,
            "polling" => set_bits(&mut self.features, 1 << 17, switch(value)?),
            "post_privilege" => set_bits(&mut self.privileges_high, 0x30, switch(value)?),
            "deprecate_auto_eoi" => set_bits(&mut self.recommendations, 1 << 9, switch(value)?),
            "overlay" => {
                self.overlay = match value {
                    "kept" => OverlayMode::Kept,
                    "zeroed" => OverlayMode::Zeroed,
                    "ram" => OverlayMode::Ram,
                    _ => return Err("not kept, zeroed or ram"),
                }
            }
            "masked_sint" => {
                self.masked_sint = match value {
                    "hold" => MaskedSint::Hold,
                    "drop" => MaskedSint::Drop,
                    "write" => MaskedSint::Write,
                    _ => return Err("not hold, drop or write"),
                }
            }
            "scontrol_reset" => self.scontrol_reset = within(value, 0..=1)?.into(),
            "max_vmbus_version" => self.max_vmbus_version = version(value).ok_or("not MAJOR.MINOR")?,
            "spare_offers" => self.spare_offers = within(value, 0..=1000)?,
            "other_offers" => self.other_offers = switch(value)?,
            "close_delay" => self.close_delay = time(value)?,
            "unload_delay" => self.unload_delay = time(value)?,
            "teardown_delay" => self.teardown_delay = time(value)?,
            "relid_step" => self.relid_step = number(value)?,
            "mac" => self.mac = mac(value).ok_or("not a MAC address")?,
            "max_nvsp_version" => self.max_nvsp_version = number(value)?,
            "rx_layout" => {
                self.rx_layout = match value {
                    "openvmm" => RxLayout::OpenVmm,
                    "compact" => RxLayout::Compact,
                    _ => return Err("not openvmm or compact"),
                }
            }
            "max_rx_ranges" => self.max_rx_ranges = within(value, 1..=375)? as usize,
            "lenient_rx_completion" => self.lenient_rx_completion = switch(value)?,
            "revoke_completes" => self.revoke_completes = switch(value)?,
            "link" => self.link_up = switch(value)?,
            "max_vstor_version" => self.max_vstor_version = vstor_version(value).ok_or("not MAJOR.MINOR")?,
            "max_transfer" => self.max_transfer = within(value, 4096..=8 << 20)?,
            "missing_lun" => {
                self.missing_lun = match value {
                    "qualifier" => MissingLun::Qualifier,
                    "invalid_lun" => MissingLun::InvalidLun,
                    "no_device" => MissingLun::NoDevice,
                    _ => return Err("not qualifier, invalid_lun or no_device"),
                }
            }
            "underrun_status" => self.underrun_status = switch(value)?,
            "unit_attention" => self.unit_attention = switch(value)?,
            "silent" => faults.silent = switch(value)?,
            "no_nic" => faults.no_nic = switch(value)?,
            "stale_messages" => faults.stale_messages = switch(value)?,
            "unsolicited" => faults.unsolicited = switch(value)?,
            "unsolicited_at" => faults.unsolicited_at.push(time(value)?),
            "tx_completion_delay" => faults.tx_completion_delay = time(value)?,
            "reply_first" => faults.reply_first = switch(value)?,
            "wrong_indication" => faults.wrong_indication = switch(value)?,
            "unsolicited_nvsp" => faults.unsolicited_nvsp = switch(value)?,
            "rescind_at" => faults.rescind_at = Some(time(value)?),
            "rescind_after" => faults.rescind_after = Some(number(value)?.into()),
            "rescind_disks_after" => faults.rescind_disks_after = Some(number(value)?.into()),
            "reoffer_after" => faults.reoffer_after = Some(time(value)?),
            "ignore_message" => faults.ignore_message.push(number(value)?),
            "ignore_nvsp" => faults.ignore_nvsp.push(number(value)?),
            "ignore_rndis" => faults.ignore_rndis.push(number(value)?),
            "fail_gpadl" => faults.fail_gpadl = switch(value)?,
            "fail_open" => faults.fail_open = switch(value)?,
            "fail_receive_buffer" => faults.fail_receive_buffer = switch(value)?,
            "no_disk" => faults.no_disk = switch(value)?,
            "disk_delay" => faults.disk_delay = time(value)?,
            "disk_fault" => faults.disk_faults.push(disk_faults(value)?),
            "ignore_vstor" => faults.ignore_vstor.push(number(value)?),
            "unsolicited_vstor" => faults.unsolicited_vstor = switch(value)?,
            "link_change" => faults.link_changes.push(link_change(value)?),
            "save_restore_after" => faults.save_restore_after.push(number(value)?.into()),
            "post_burst" => faults.post_bursts.push(burst(value)?),
            _ => return Err("no such switch"),
        }
        Ok(())
    }
}

fn set_bits(register: &mut u32, bits: u32, on: bool) {
    *register = if on { *register | bits } else { *register & !bits };
}

fn number(text: &str) -> Result<u32, &'static str> {
    let parsed = match text.strip_prefix("0x") {
        Some(hex) => u32::from_str_radix(hex, 16),
        None => text.parse(),
    };
    parsed.map_err(|_| "not a number of 32 bits")
}

fn within(text: &str, range: std::ops::RangeInclusive<u32>) -> Result<u32, &'static str> {
    number(text).and_then(|number| if range.contains(&number) { Ok(number) } else { Err("out of range") })
}

fn switch(text: &str) -> Result<bool, &'static str> {
    match text {
        "on" => Ok(true),
        "off" => Ok(false),
        _ => Err("not on or off"),
    }
}

fn version(text: &str) -> Option<u32> {
    let (major, minor) = text.split_once('.')?;
    Some(u32::from(major.parse::<u16>().ok()?) << 16 | u32::from(minor.parse::<u16>().ok()?))
}

fn vstor_version(text: &str) -> Option<u16> {
    let version = version(text)?;
    Some(u16::from(u8::try_from(version >> 16).ok()?) << 8 | u16::from(u8::try_from(version & 0xffff).ok()?))
}

fn time(text: &str) -> Result<u64, &'static str> {
    const WRONG: &str = "not a time in us, ms or s";
    let (digits, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit()).ok_or(WRONG)?);
    let factor = match unit {
        "us" => 10,
        "ms" => MS,
        "s" => SECOND,
        _ => return Err(WRONG),
    };
    digits.parse().ok().and_then(|number: u64| number.checked_mul(factor)).ok_or(WRONG)
}

fn mac(text: &str) -> Option<[u8; 6]> {
    let mut mac = [0; 6];
    let mut parts = text.split(':');
    for byte in &mut mac {
        *byte = u8::from_str_radix(parts.next()?, 16).ok()?;
    }
    parts.next().is_none().then_some(mac)
}

fn link_change(text: &str) -> Result<(u64, bool), &'static str> {
    match text.split_once('@').ok_or("not STATE@TIME")? {
        ("up", at) => Ok((time(at)?, true)),
        ("down", at) => Ok((time(at)?, false)),
        _ => Err("not up or down"),
    }
}

fn burst(text: &str) -> Result<Burst, &'static str> {
    let (status, count, after) = series(text).ok_or("not STATUS*COUNT@AFTER")?;
    let status = u16::try_from(number(status)?).map_err(|_| "a status has 16 bits")?;
    Ok(Burst { status, count: number(count)?.into(), after: number(after)?.into() })
}

fn disk_faults(text: &str) -> Result<DiskFaults, &'static str> {
    let (kind, count, after) = series(text).ok_or("not KIND*COUNT@AFTER")?;
    let fault = DiskFault::from_name(kind).ok_or("no such kind of disk fault")?;
    Ok(DiskFaults { fault, count: number(count)?.into(), after: number(after)?.into() })
}

/// The parts of WHAT*COUNT@AFTER.
fn series(text: &str) -> Option<(&str, &str, &str)> {
    let (what, rest) = text.split_once('*')?;
    let (count, after) = rest.split_once('@')?;
    Some((what, count, after))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_value_is_understood() {
        let mut config = Config::default();
        for (key, value) in [
            ("max_vmbus_version", "5.3"),
            ("polling", "off"),
            ("unload_delay", "50s"),
            ("mac", "00:15:5d:00:00:01"),
            ("link_change", "down@20ms"),
            ("post_burst", "0x78*3@1"),
            ("masked_sint", "drop"),
            ("max_vstor_version", "5.1"),
            ("disk_fault", "medium*1@4"),
        ] {
            config.set(key, value).unwrap();
        }
        assert_eq!(config.max_vmbus_version, 0x5_0003);
        assert_eq!(config.features & 1 << 17, 0);
        assert_eq!(config.unload_delay, 50 * SECOND);
        assert_eq!(config.mac, [0, 0x15, 0x5d, 0, 0, 1]);
        assert_eq!(config.faults.link_changes, [(20 * MS, false)]);
        assert_eq!(config.faults.post_bursts, [Burst { status: 0x78, count: 3, after: 1 }]);
        assert_eq!(config.masked_sint, MaskedSint::Drop);
        assert_eq!(config.max_vstor_version, 0x501);
        assert_eq!(config.faults.disk_faults, [DiskFaults { fault: DiskFault::Medium, count: 1, after: 4 }]);
    }

    #[test]
    fn nonsense_is_named_in_the_error() {
        let mut config = Config::default();
        assert_eq!(config.set("colour", "red").unwrap_err(), "colour=red: no such switch");
        assert!(config.set("unload_delay", "5").unwrap_err().contains("not a time in"));
        assert!(config.set("vps", "0").is_err());
    }
}
