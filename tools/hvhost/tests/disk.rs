//! The synthetic SCSI controller: handshake, requests, faults, and what it takes as a breach.

mod guest;

use guest::{Guest, RINGS, SEND, u32s, vector, word};
use hvhost::{DiskBackend, MS, MemoryDisk, SECOND};

/// The channel id of the first controller: behind the five integration services, before the NIC.
const SCSI: u32 = 6;

struct Disked {
    guest: Guest,
    disk: MemoryDisk,
    transaction: u64,
}

/// What came back for a request.
#[derive(Debug, PartialEq, Eq)]
struct Done {
    srb: u8,
    scsi: u8,
    moved: u32,
    /// Key, code and qualifier.
    sense: (u8, u8, u8),
}

const GOOD: u8 = 1;

fn good(moved: u32) -> Done {
    Done { srb: GOOD, scsi: 0, moved, sense: (0, 0, 0) }
}

fn pattern(blocks: usize) -> Vec<u8> {
    (0..blocks * 512).map(|at| (at / 512 * 7 + at % 251) as u8).collect()
}

impl Disked {
    /// A connected guest with two disks on one controller and one on another, whose channel is open.
    fn connected(switches: &[(&str, &str)]) -> Self {
        let mut guest = Guest::started(switches);
        let disk = MemoryDisk::new(pattern(64));
        guest.host.add_scsi_controller(vec![Box::new(disk.clone()), Box::new(MemoryDisk::new(vec![0; 4096]))]);
        guest.host.add_scsi_controller(vec![Box::new(MemoryDisk::new(vec![0; 512]))]);
        guest.post(1, &vector("initiate_contact_4_0"));
        guest.message().unwrap();
        let offers = guest.request_offers();
        let class = [0xd9, 0x63, 0x61, 0xba, 0xa1, 0x04, 0x29, 0x4d, 0xb6, 0x05, 0x72, 0xe2, 0xff, 0xb1, 0xdc, 0x7f];
        let relids: Vec<u32> =
            offers.iter().filter(|offer| offer[8..24] == class).map(|offer| word(offer, 184)).collect();
        assert_eq!(relids, [SCSI, SCSI + 1]);
        assert_eq!(guest.gpadl(SCSI, 1, RINGS, 4), 0);
        assert_eq!(guest.open(SCSI, 1), 0);
        Self { guest, disk, transaction: 0x100 }
    }

    /// The same, with the handshake done in version 6.2.
    fn ready(switches: &[(&str, &str)]) -> Self {
        let mut this = Self::connected(switches);
        assert_eq!(word(&this.exchange(7, &[], 64), 8), 0);
        assert_eq!(word(&this.exchange(9, &[2, 6], 64), 8), 0);
        let properties = this.exchange(10, &[], 64);
        assert_eq!((word(&properties, 8), word(&properties, 24)), (0, 0x4_0000));
        assert_eq!(word(&this.exchange(8, &[], 64), 8), 0);
        this
    }

    /// One packet without data and its completion.
    fn exchange(&mut self, operation: u32, payload: &[u8], len: usize) -> Vec<u8> {
        let mut packet = u32s(&[operation, 1, 0]);
        packet.extend_from_slice(payload);
        packet.resize(len, 0);
        self.transaction += 1;
        self.guest.send(6, 1, self.transaction, &[], &packet);
        let (kind, transaction, _, reply) = self.guest.packet().expect("completion");
        assert_eq!((kind, transaction, word(&reply, 0)), (11, self.transaction, 1));
        assert_eq!(reply.len(), len);
        reply
    }

    /// Sends a request for `len` bytes from or to [`SEND`]; direction 0 to the disk, 1 from it, 2 nowhere.
    fn submit(&mut self, lun: u8, direction: u8, cdb: &[u8], len: u32) -> u64 {
        let mut packet = u32s(&[3, 1, 0]);
        packet.extend_from_slice(&[0x34, 0, 0, 0, 0, 0, 0, lun, cdb.len() as u8, 0x14, direction, 0]);
        packet.extend_from_slice(&len.to_le_bytes());
        packet.extend_from_slice(cdb);
        packet.resize(48, 0);
        packet.extend_from_slice(&[0, 0, 0, 0x20]);
        packet.extend_from_slice(&u32s(&[[0x8a, 0x4a, 0x0a][usize::from(direction)], 60, 0]));
        self.transaction += 1;
        if len == 0 {
            self.guest.send(6, 1, self.transaction, &[], &packet);
        } else {
            let mut extra = u32s(&[0, 1, len, 0]);
            for page in 0..u64::from(len.div_ceil(4096)) {
                extra.extend_from_slice(&(SEND / 4096 + page).to_le_bytes());
            }
            self.guest.send(9, 1, self.transaction, &extra, &packet);
        }
        self.transaction
    }

    fn done(&mut self, transaction: u64) -> Option<Done> {
        let (kind, id, _, reply) = self.guest.packet()?;
        assert_eq!((kind, id, word(&reply, 0), reply.len()), (11, transaction, 1, 64));
        let sense = if reply[14] & 0x80 != 0 { (reply[30], reply[40], reply[41]) } else { (0, 0, 0) };
        assert_eq!(word(&reply, 8) == 0, reply[14] & 0x3f == GOOD, "status and SRB status agree");
        Some(Done { srb: reply[14], scsi: reply[15], moved: word(&reply, 24), sense })
    }

    fn run(&mut self, lun: u8, direction: u8, cdb: &[u8], len: u32) -> Done {
        let transaction = self.submit(lun, direction, cdb, len);
        self.done(transaction).expect("completion")
    }

    fn read(&mut self, lba: u8, blocks: u8) -> Done {
        self.run(0, 1, &[0x28, 0, 0, 0, 0, lba, 0, 0, blocks, 0], u32::from(blocks) * 512)
    }

    fn data(&self, len: usize) -> Vec<u8> {
        self.guest.bytes(SEND, len)
    }
}

#[test]
fn the_handshake_of_each_version() {
    for (newest, version, len) in [("6.2", [2, 6], 64), ("5.1", [1, 5], 64), ("4.2", [2, 4], 48), ("2.0", [0, 2], 48)] {
        let mut this = Disked::connected(&[("max_vstor_version", newest)]);
        assert_eq!(word(&this.exchange(7, &[], 64), 8), 0, "a packet may be longer than need be");
        assert_eq!(word(&this.exchange(9, &[3, 6], 64), 8), 0xc000_0059);
        assert_eq!(word(&this.exchange(9, &version, len), 8), 0);
        assert_eq!(word(&this.exchange(10, &[], len), 24), 0x4_0000);
        assert_eq!(word(&this.exchange(8, &[], len), 8), 0);
        this.guest.assert_clean();
    }
}

#[test]
fn steps_out_of_order_fail() {
    let mut this = Disked::connected(&[]);
    assert_eq!(word(&this.exchange(8, &[], 64), 8), 0xc000_0184);
    assert_eq!(word(&this.exchange(3, &[0; 52], 64), 8), 0xc000_0184);
    assert_eq!(this.guest.violations().len(), 2);
    assert!(this.guest.violations()[1].contains("out of order"), "{:?}", this.guest.violations());
}

#[test]
fn blocks_are_read_and_written_in_both_forms() {
    let mut this = Disked::ready(&[]);
    assert_eq!(this.read(3, 4), good(2048));
    assert_eq!(this.data(2048), pattern(64)[3 * 512..7 * 512]);
    let read_16 = [0x88, 0, 0, 0, 0, 0, 0, 0, 0, 60, 0, 0, 0, 4, 0, 0];
    assert_eq!(this.run(0, 1, &read_16, 2048), good(2048));
    assert_eq!(this.data(2048), pattern(64)[60 * 512..]);

    this.guest.put(SEND, &[0xc3; 1024]);
    assert_eq!(this.run(0, 0, &[0x2a, 0, 0, 0, 0, 9, 0, 0, 1, 0], 512), good(512));
    assert_eq!(this.run(0, 0, &[0x8a, 0, 0, 0, 0, 0, 0, 0, 0, 11, 0, 0, 0, 1, 0, 0], 512), good(512));
    assert_eq!(this.run(0, 2, &[0x35, 0, 0, 0, 0, 0, 0, 0, 0, 0], 0), good(0));
    let mut expected = pattern(64);
    expected[9 * 512..10 * 512].fill(0xc3);
    expected[11 * 512..12 * 512].fill(0xc3);
    assert_eq!(this.disk.content(), expected);
    let counters = this.guest.host.counters();
    assert_eq!((counters.disk_reads, counters.disk_read_bytes), (2, 4096));
    assert_eq!((counters.disk_requests, counters.disk_writes, counters.disk_written_bytes), (4, 2, 1024));
    this.guest.assert_clean();
}

#[test]
fn the_published_read_vector_is_understood() {
    let mut this = Disked::ready(&[]);
    let extra = [u32s(&[0, 1, 4096, 0]), (SEND / 4096).to_le_bytes().to_vec()].concat();
    this.guest.send(9, 1, 7, &extra, &vector("vstor_read_10"));
    let past_the_end = Done { srb: 0x84, scsi: 2, moved: 0, sense: (5, 0x21, 0) };
    assert_eq!(this.done(7).unwrap(), past_the_end);
    this.guest.assert_clean();
}

#[test]
fn what_a_disk_says_about_itself() {
    let mut this = Disked::ready(&[]);
    assert_eq!(this.run(0, 1, &[0x12, 0, 0, 0, 36, 0], 36), good(36));
    assert_eq!(this.data(36)[..5], [0, 0, 5, 2, 91]);
    assert_eq!(this.data(36)[8..16], *b"Msft    ");
    assert_eq!(this.run(1, 1, &[0x12, 1, 0x80, 0, 255, 0], 255), good(14));
    assert_eq!(this.data(14)[4..], *b"hvhost-0-1");
    assert_eq!(this.run(1, 1, &[0x25, 0, 0, 0, 0, 0, 0, 0, 0, 0], 8), good(8));
    assert_eq!(this.data(8), [0, 0, 0, 7, 0, 0, 2, 0]);
    assert_eq!(this.run(0, 1, &[0x9e, 0x10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 32, 0, 0], 32), good(32));
    assert_eq!(this.data(12), [0, 0, 0, 0, 0, 0, 0, 63, 0, 0, 2, 0]);
    assert_eq!(this.run(0, 1, &[0xa0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0], 256), good(24));
    assert_eq!(this.data(24)[..18], [0, 0, 0, 16, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
    assert_eq!(this.run(0, 1, &[0x1a, 8, 8, 0, 64, 0], 64).moved, 24);
    assert_eq!(this.run(0, 1, &[0x1a, 8, 0x1c, 0, 64, 0], 64).sense, (5, 0x24, 0));
    assert_eq!(this.run(0, 2, &[0xc1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], 0).sense, (5, 0x20, 0));
    this.guest.assert_clean();
}

#[test]
fn missing_luns_answer_as_configured() {
    let mut this = Disked::ready(&[]);
    assert_eq!(this.run(5, 1, &[0x12, 0, 0, 0, 36, 0], 36), good(36));
    assert_eq!(this.data(1), [0x7f]);
    assert_eq!(this.run(5, 2, &[0, 0, 0, 0, 0, 0], 0).srb, 0x20);
    for (value, srb) in [("invalid_lun", 0x20), ("no_device", 0x08)] {
        let mut this = Disked::ready(&[("missing_lun", value)]);
        assert_eq!(this.run(2, 1, &[0x12, 0, 0, 0, 36, 0], 36).srb, srb);
        this.guest.assert_clean();
    }
}

#[test]
fn a_reset_leaves_a_unit_attention_on_every_disk() {
    let mut this = Disked::ready(&[("unit_attention", "on")]);
    assert_eq!(this.read(0, 1), Done { srb: 0x84, scsi: 2, moved: 0, sense: (6, 0x29, 0) });
    assert_eq!(this.read(0, 1), good(512));
    assert_eq!(word(&this.exchange(6, &[], 64), 8), 0);
    assert_eq!(this.run(1, 2, &[0, 0, 0, 0, 0, 0], 0).sense, (6, 0x29, 0), "the other disk's is from the opening");
    assert_eq!(this.run(1, 2, &[0, 0, 0, 0, 0, 0], 0), good(0), "told once");
    assert_eq!(this.read(0, 1).sense, (6, 0x29, 0));
    this.guest.assert_clean();
}

#[test]
fn faults_strike_the_requests_they_are_meant_for() {
    let mut this = Disked::ready(&[
        ("disk_fault", "busy*1@1"),
        ("disk_fault", "medium*1@2"),
        ("disk_fault", "abort*1@3"),
        ("disk_fault", "timeout*1@4"),
        ("disk_fault", "short*1@5"),
        ("disk_fault", "reset*1@6"),
        ("disk_fault", "lost*1@8"),
    ]);
    let failed = |srb, scsi, sense| Done { srb, scsi, moved: 0, sense };
    assert_eq!(this.read(0, 1), good(512));
    assert_eq!(this.read(0, 1), failed(5, 8, (0, 0, 0)));
    assert_eq!(this.read(0, 1), failed(0x84, 2, (3, 0x11, 0)));
    assert_eq!(this.read(0, 1), failed(2, 0, (0, 0, 0)));
    assert_eq!(this.read(0, 1), failed(9, 0, (0, 0, 0)));
    assert_eq!(this.read(0, 2), good(512));
    assert_eq!(this.read(0, 1), failed(0x0e, 0, (0, 0, 0)));
    assert_eq!(this.read(0, 1).sense, (6, 0x29, 0));
    let lost = this.submit(0, 1, &[0x28, 0, 0, 0, 0, 0, 0, 0, 1, 0], 512);
    this.guest.run(SECOND);
    assert_eq!(this.done(lost), None);
    assert_eq!(this.read(0, 1), good(512));
    this.guest.assert_clean();
}

#[test]
fn a_shorter_answer_may_be_an_underrun() {
    let mut this = Disked::ready(&[("underrun_status", "on")]);
    assert_eq!(this.run(0, 1, &[0x12, 0, 0, 0, 255, 0], 255), Done { srb: 0x12, scsi: 0, moved: 96, sense: (0, 0, 0) });
    assert_eq!(this.read(0, 1), good(512));
    this.guest.assert_clean();
}

#[test]
fn a_slow_disk_fills_memory_late_and_sees_who_uses_it_meanwhile() {
    let mut this = Disked::ready(&[("disk_delay", "20ms")]);
    let first = this.submit(0, 1, &[0x28, 0, 0, 0, 0, 5, 0, 0, 1, 0], 512);
    this.guest.run(10 * MS);
    assert_eq!(this.done(first), None);
    assert_eq!(this.data(512), [0; 512]);
    this.guest.run(15 * MS);
    assert_eq!(this.done(first), Some(good(512)));
    assert_eq!(this.data(512), pattern(64)[5 * 512..6 * 512]);
    this.guest.assert_clean();

    let second = this.submit(0, 1, &[0x28, 0, 0, 0, 0, 6, 0, 0, 1, 0], 512);
    this.guest.put(SEND + 100, b"mine again");
    this.guest.run(30 * MS);
    assert_eq!(this.done(second), Some(good(512)));
    assert_eq!(this.guest.violations(), ["channel 6: memory at 0x40000 was used while the host could still write it"]);

    this.submit(0, 1, &[0x28, 0, 0, 0, 0, 7, 0, 0, 1, 0], 512);
    this.guest.post(1, &u32s(&[7, 0, SCSI]));
    this.guest.run(MS);
    assert!(this.guest.violations()[1].contains("closed with requests under way"));
}

#[test]
fn breaches_are_named() {
    for (direction, cdb, len, why) in [
        (0, &[0x28u8, 0, 0, 0, 0, 0, 0, 0, 1, 0][..], 512, "data direction is not that of the command"),
        (1, &[0x28, 0, 0, 0, 0, 0, 0, 0, 2, 0], 512, "not that of the command's blocks"),
        (1, &[0x28, 0, 0, 0, 0, 0, 0, 0, 1], 512, "the CDB length"),
        (1, &[0x28, 0, 0, 0, 0, 0, 0, 2, 1, 0], 0x4_0200, "a longer transfer than"),
    ] {
        let mut this = Disked::ready(&[]);
        this.run(0, direction, cdb, len);
        assert!(this.guest.violations()[0].contains(why), "{:?}", this.guest.violations());
    }
    let mut this = Disked::ready(&[]);
    this.guest.send(6, 0, 1, &[], &u32s(&[7, 1, 0, 0]));
    assert!(this.guest.packet().is_none());
    assert!(this.guest.violations()[0].contains("without asking"), "{:?}", this.guest.violations());
}

#[test]
fn a_write_protected_disk_refuses_writes() {
    struct Protected;
    impl DiskBackend for Protected {
        fn blocks(&self) -> u64 {
            8
        }
        fn read_only(&self) -> bool {
            true
        }
        fn read(&mut self, _offset: u64, into: &mut [u8]) -> std::io::Result<()> {
            into.fill(1);
            Err(std::io::ErrorKind::Other.into())
        }
        fn write(&mut self, _offset: u64, _from: &[u8]) -> std::io::Result<()> {
            unreachable!("writes are refused before")
        }
    }
    let mut guest = Guest::started(&[("other_offers", "off")]);
    guest.host.add_scsi_controller(vec![Box::new(Protected)]);
    guest.post(1, &vector("initiate_contact_4_0"));
    guest.message().unwrap();
    guest.request_offers();
    assert_eq!(guest.gpadl(1, 1, RINGS, 4), 0);
    assert_eq!(guest.open(1, 1), 0);
    let mut this = Disked { guest, disk: MemoryDisk::new(Vec::new()), transaction: 1 };
    for (operation, payload) in [(7, &[][..]), (9, &[0, 6]), (10, &[]), (8, &[])] {
        assert_eq!(word(&this.exchange(operation, payload, 64), 8), 0);
    }
    assert_eq!(this.run(0, 0, &[0x2a, 0, 0, 0, 0, 0, 0, 0, 1, 0], 512).sense, (7, 0x27, 0));
    assert_eq!(this.run(0, 1, &[0x1a, 0, 0x3f, 0, 64, 0], 64), good(24));
    assert_eq!(this.data(3)[2], 0x80);
    assert_eq!(this.read(0, 1).sense, (3, 0x11, 0), "the medium's own errors");
    this.guest.assert_clean();
}

#[test]
fn unsolicited_and_ignored_packets() {
    let mut this = Disked::ready(&[("unsolicited_vstor", "on"), ("ignore_vstor", "4")]);
    assert_eq!(this.read(0, 1), good(512));
    let (kind, _, _, packet) = this.guest.packet().expect("ENUMERATE_BUS");
    assert_eq!((kind, word(&packet, 0), packet.len()), (6, 11, 64));
    this.guest.send(6, 1, 9, &[], &[u32s(&[4, 1, 0]), vec![0; 52]].concat());
    assert!(this.guest.packet().is_none());
    let mut none = Guest::started(&[("no_disk", "on")]);
    none.host.add_scsi_controller(Vec::new());
    none.post(1, &vector("initiate_contact_4_0"));
    none.message().unwrap();
    assert_eq!(none.request_offers().len(), 6);
}
