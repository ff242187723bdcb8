//! What is measured, and under which circumstances.

use std::path::Path;

use super::contestant::{Contestant, Program, Protocol, Stack};

/// The circumstances of a run.
#[derive(Clone, Debug, PartialEq)]
pub struct Setting {
    /// Virtual time: an instruction takes 2^shift ns.
    pub shift: u8,
    /// Latency each way, in ms.
    pub latency_ms: u32,
    /// Frames that are lost each way, in units of 0.1 %.
    pub loss_permille: u32,
    /// Largest window that the TFTP server grants; `None`: the server's own limit.
    pub window: Option<u16>,
    /// Largest block that it grants, or that is asked for; `None`: what the contestant asks for by itself.
    pub block: Option<u16>,
    /// Synthetic NICs; the first one has the network.
    pub nics: u32,
    /// Devices offered on VMBus that nobody has a driver for.
    pub spare_offers: u32,
    /// Further switches of the network server.
    pub switches: Vec<(String, String)>,
}

impl Setting {
    /// No latency, no loss, one NIC.
    pub const fn plain(shift: u8) -> Self {
        Self {
            shift,
            latency_ms: 0,
            loss_permille: 0,
            window: None,
            block: None,
            nics: 1,
            spare_offers: 0,
            switches: Vec::new(),
        }
    }

    /// Switches of the network server.
    pub fn server_switches(&self) -> Vec<(String, String)> {
        let mut switches = Vec::new();
        let mut add = |key: &str, value: String| switches.push((key.to_owned(), value));
        if self.latency_ms > 0 {
            add("latency-ms", self.latency_ms.to_string());
        }
        if self.loss_permille > 0 {
            add("loss-percent", format!("{:.1}", f64::from(self.loss_permille) / 10.0));
        }
        if let Some(window) = self.window {
            add("tftp.max-window", window.to_string());
        }
        if let Some(block) = self.block {
            add("tftp.max-block", block.to_string());
        }
        switches.extend(self.switches.iter().cloned());
        switches
    }

    /// Switches of the Hyper-V host, and arguments of the plugin. `files` is a directory for sockets that nobody listens to.
    pub fn host_switches(&self, files: &Path) -> Vec<String> {
        let mut switches = Vec::new();
        for number in 1..self.nics {
            let socket = |end: &str| files.join(format!("nic{number}{end}"));
            switches.push(format!("net={}:{}", socket("").display(), socket("-far").display()));
        }
        if self.spare_offers > 0 {
            switches.push(format!("spare_offers={}", self.spare_offers));
        }
        switches
    }

    /// In words, for a table.
    pub fn words(&self) -> String {
        let mut words = Vec::new();
        if self.latency_ms > 0 || self.loss_permille > 0 {
            words.push(format!("{} ms", self.latency_ms));
        }
        if self.loss_permille > 0 {
            words.push(format!("{:.1} % lost", f64::from(self.loss_permille) / 10.0));
        }
        words.extend(self.window.map(|window| format!("window {window}")));
        words.extend(self.block.map(|block| format!("block {block}")));
        if self.nics > 1 {
            words.push(format!("{} NICs", self.nics));
        }
        if self.spare_offers > 0 {
            words.push(format!("{} more offers", self.spare_offers));
        }
        words.extend(self.switches.iter().map(|(key, value)| format!("{key}={value}")));
        words.join(", ")
    }
}

/// What is done in a run.
#[derive(Clone, Debug, PartialEq)]
pub enum Task {
    /// From the boot entry to the first instruction of the NBP.
    Boot,
    /// From power-on to there: with the BIOS, and with what a ROM does at POST.
    PowerOn,
    /// A file of so many bytes.
    Download(Protocol, u64),
    /// A call of the PXE API that does nothing.
    NullCall,
    /// The part of such a call that is spent between its entry and the core's first instruction, and between the core's last one
    /// and the return.
    ModeChange,
}

impl Task {
    /// In words, for a table.
    pub fn words(&self) -> String {
        match self {
            Self::Boot => "boot entry".to_owned(),
            Self::PowerOn => "power-on".to_owned(),
            Self::NullCall => "call".to_owned(),
            Self::ModeChange => "mode change".to_owned(),
            Self::Download(protocol, bytes) => format!("{} {} MB", protocol.name(), bytes / MB),
        }
    }
}

/// One run of a machine.
#[derive(Clone, Debug, PartialEq)]
pub struct Item {
    /// Who.
    pub contestant: Contestant,
    /// What.
    pub task: Task,
    /// How.
    pub setting: Setting,
}

/// A table of the report.
#[derive(Clone, Debug)]
pub struct Section {
    /// Its title.
    pub title: &'static str,
    /// Its rows.
    pub items: Vec<Item>,
}

/// Bytes of a MB.
pub const MB: u64 = 1_000_000;

/// Latencies that are tried, in ms one way, and losses in units of 0.1 %.
const LATENCIES: [u32; 4] = [0, 1, 10, 50];
const LOSSES: [u32; 2] = [1, 10];
/// Title of their section.
const WIRES: &str = "Downloads by latency (one way) and loss";
/// MB of a download that loses frames: with one of them, 0.1 % is not even one frame.
const LOSSY_MB: u64 = 10;

const OURS: Contestant = Contestant { stack: Stack::Hvpxe, program: Program::Itself };
const IPXE: Contestant = Contestant { stack: Stack::Ipxe, program: Program::Itself };
const UNDIONLY: Contestant = Contestant { stack: Stack::Hvpxe, program: Program::Undionly };
const IPXE_E1000: Contestant = Contestant { stack: Stack::IpxeE1000, program: Program::Itself };
const IPXE_VIRTIO: Contestant = Contestant { stack: Stack::IpxeVirtio, program: Program::Itself };

/// What is measured.
#[derive(Clone, Debug)]
pub struct Choice {
    /// Who.
    pub contestants: Vec<Contestant>,
    /// Files of so many MB.
    pub sizes: Vec<u64>,
    /// Only downloads at these latencies in ms and losses in units of 0.1 %.
    pub cells: Option<Vec<(u32, u32)>>,
    /// Further switches of the network server.
    pub switches: Vec<(String, String)>,
    /// Virtual time: an instruction takes 2^shift ns.
    pub shift: u8,
}

/// Who is measured on slow wires: those who wait for them themselves, and iPXE on our UNDI.
const WAITING: [Contestant; 3] = [OURS, IPXE, UNDIONLY];

/// The whole benchmark, or the wires that were chosen.
pub fn whole(choice: &Choice) -> Vec<Section> {
    let Choice { contestants, sizes, switches, shift, .. } = choice;
    let plain = || Setting { switches: switches.clone(), ..Setting::plain(*shift) };
    if let Some(cells) = &choice.cells {
        // Who was asked for by name, or those who wait for a wire themselves.
        let all = if contestants.len() < Contestant::ALL.len() { contestants.as_slice() } else { &WAITING };
        return Some(wires(all, cells, &plain())).into_iter().filter(|section| !section.items.is_empty()).collect();
    }
    let chosen = |list: &[Contestant]| -> Vec<Contestant> {
        list.iter().copied().filter(|contestant| contestants.contains(contestant)).collect()
    };
    let natives = chosen(&[OURS, IPXE]);
    let item = |contestant: Contestant, task: Task, setting: Setting| Item { contestant, task, setting };

    let roms = chosen(&[IPXE_E1000, IPXE_VIRTIO]);
    let booted = [natives.clone(), roms].concat();
    let boot = [Task::Boot, Task::PowerOn]
        .into_iter()
        .flat_map(|task| booted.iter().map(move |&who| item(who, task.clone(), plain())))
        .collect();
    let mut downloads = Vec::new();
    for &size in sizes {
        for &who in contestants {
            // The last bytes of a long file cost what the first ones cost: only those who are fast get one.
            if size > 20 && !natives.contains(&who) || size > 1 && who.may_die() {
                continue;
            }
            for &protocol in who.protocols() {
                downloads.push(item(who, Task::Download(protocol, size * MB), plain()));
            }
        }
    }
    let cells: Vec<_> =
        LATENCIES.map(|latency| (latency, 0)).into_iter().chain(LOSSES.map(|loss| (10, loss))).collect();
    let mut growth = Vec::new();
    if natives.contains(&OURS) {
        let tftp = || Task::Download(Protocol::Tftp, MB);
        for window in [1, 2, 4, 8, 16, 32] {
            let setting = Setting { window: Some(window), latency_ms: 10, ..plain() };
            growth.push(item(OURS, tftp(), setting));
        }
        for block in [128, 512, 1024, 1468] {
            growth.push(item(OURS, tftp(), Setting { block: Some(block), ..plain() }));
        }
    }
    for &who in &natives {
        for nics in [2, 4] {
            growth.push(item(who, Task::Boot, Setting { nics, ..plain() }));
        }
        for spare_offers in [20, 100, 200] {
            growth.push(item(who, Task::Boot, Setting { spare_offers, ..plain() }));
        }
    }
    let mut calls: Vec<_> = natives.iter().map(|&who| item(who, Task::NullCall, plain())).collect();
    if natives.contains(&OURS) {
        calls.push(item(OURS, Task::ModeChange, plain()));
    }
    let sections = [
        ("Boot: from the boot entry, and from power-on, to the first instruction of the boot program", boot),
        ("Downloads without latency", downloads),
        (WIRES, wires(&chosen(&WAITING), &cells, &plain()).items.into_iter().filter(is_short).collect()),
        ("One PXE call that does nothing (UNDI_GET_INFORMATION), mean of 1000", calls),
        ("Growth", growth),
    ];
    sections
        .map(|(title, items)| Section { title, items })
        .into_iter()
        .filter(|section| !section.items.is_empty())
        .collect()
}

/// Those rows that contain a text, as `contestant: task`.
pub fn rows(sections: Vec<Section>, text: &str) -> Vec<Section> {
    let has_text = |item: &Item| format!("{}: {}", item.contestant.name(), item.words()).contains(text);
    sections
        .into_iter()
        .map(|section| Section { items: section.items.into_iter().filter(has_text).collect(), ..section })
        .filter(|section| !section.items.is_empty())
        .collect()
}

/// Whether a run is short enough to be made unasked. What iPXE's TFTP does about loss, its own driver shows.
fn is_short(item: &Item) -> bool {
    let is_tftp = matches!(item.task, Task::Download(Protocol::Tftp, _));
    item.contestant != UNDIONLY || !is_tftp || item.setting.loss_permille == 0
}

/// Downloads on wires of these latencies and losses.
fn wires(contestants: &[Contestant], cells: &[(u32, u32)], plain: &Setting) -> Section {
    let mut items = Vec::new();
    for &(latency_ms, loss_permille) in cells {
        for &contestant in contestants {
            for &protocol in contestant.protocols() {
                let setting = Setting { latency_ms, loss_permille, ..plain.clone() };
                let size = if loss_permille > 0 { LOSSY_MB } else { 1 };
                items.push(Item { contestant, task: Task::Download(protocol, size * MB), setting });
            }
        }
    }
    Section { title: WIRES, items }
}

/// What the guard in the tests measures: the boot, downloads each way, a call.
pub fn short(shift: u8) -> Vec<Section> {
    let item = |contestant, task| Item { contestant, task, setting: Setting::plain(shift) };
    let on_ours = |program| Contestant { stack: Stack::Hvpxe, program };
    let tftp = || Task::Download(Protocol::Tftp, MB);
    let items = vec![
        item(OURS, Task::Boot),
        item(OURS, tftp()),
        item(on_ours(Program::Packets), tftp()),
        item(on_ours(Program::Pxelinux), tftp()),
        item(on_ours(Program::Undionly), tftp()),
        item(on_ours(Program::Undionly), Task::Download(Protocol::Http, MB)),
        item(OURS, Task::NullCall),
    ];
    vec![Section { title: "Short benchmark", items }]
}

/// A download on a slow wire that loses frames: where chance would show.
pub fn lossy_download(shift: u8) -> Item {
    let setting = Setting { latency_ms: 10, loss_permille: 10, ..Setting::plain(shift) };
    Item { contestant: OURS, task: Task::Download(Protocol::Tftp, MB), setting }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn switches_say_the_circumstances() {
        let setting = Setting { latency_ms: 10, loss_permille: 1, window: Some(4), nics: 2, ..Setting::plain(7) };
        let switches = setting.server_switches();
        let has = |key: &str, value: &str| switches.contains(&(key.to_owned(), value.to_owned()));
        assert!(has("latency-ms", "10") && has("loss-percent", "0.1") && has("tftp.max-window", "4"), "{switches:?}");
        assert_eq!(setting.host_switches(Path::new("/x")), ["net=/x/nic1:/x/nic1-far"]);
        assert_eq!(setting.words(), "10 ms, 0.1 % lost, window 4, 2 NICs");
        assert!(Setting::plain(7).server_switches().is_empty());
    }

    #[test]
    fn only_the_chosen_compete() {
        for section in whole(&choice(vec![OURS], None)) {
            assert!(section.items.iter().all(|item| item.contestant == OURS), "{}", section.title);
        }
    }

    #[test]
    fn a_contestant_without_downloads_has_no_wires() {
        assert!(whole(&choice(vec![IPXE_E1000], Some(vec![(10, 0)]))).is_empty());
        let pxelinux = Contestant { stack: Stack::Hvpxe, program: Program::Pxelinux };
        assert_eq!(whole(&choice(vec![pxelinux], Some(vec![(10, 0)])))[0].items.len(), 1);
    }

    #[test]
    fn chosen_wires_are_all_that_is_measured() {
        let sections = whole(&choice(Contestant::ALL.to_vec(), Some(vec![(50, 0), (50, 10)])));
        assert_eq!(sections.len(), 1);
        let words: Vec<_> = sections[0].items.iter().map(|item| (item.contestant.name(), item.words())).collect();
        let has = |name: &str, text: &str| words.contains(&(name.to_owned(), text.to_owned()));
        assert!(has("undionly@hvpxe", "HTTP 1 MB, 50 ms, http.port=80"), "{words:?}");
        assert!(has("hvpxe", "TFTP 10 MB, 50 ms, 1.0 % lost, http.port=80"), "{words:?}");
    }

    fn choice(contestants: Vec<Contestant>, cells: Option<Vec<(u32, u32)>>) -> Choice {
        Choice {
            contestants,
            sizes: vec![1],
            cells,
            switches: vec![("http.port".to_owned(), "80".to_owned())],
            shift: 7,
        }
    }
}
