//! Guests that send nonsense: the host answers, drops or closes, never panics, and writes only where it was told to.

mod guest;

use guest::{Guest, NIC, RINGS, SEND, u32s, vector, word};
use hvhost::{GuestMemory, Hypercall, MS};

/// Memory that no guest here names to the host.
const UNTOUCHED: u64 = 0x30_0000;

/// xorshift64*: the same nonsense in every run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len() as u64) as usize]
    }

    /// A dword that means something now and then.
    fn dword(&mut self) -> u32 {
        match self.below(4) {
            0 => self.below(8) as u32,
            1 => self.pick(&[NIC, 1, 2, 0x5_0000, 0x6_0000, 0x3_0000, 13, 0x5_0003, 0xffff_ffff, 0x8000_0000, 4096]),
            2 => self.below(0x1_0000) as u32,
            _ => self.next() as u32,
        }
    }

    /// A page below the untouched memory, or beyond all RAM.
    fn page(&mut self) -> u64 {
        if self.below(8) == 0 { 0x1_0000 + self.below(1 << 40) } else { self.below(UNTOUCHED / 4096) }
    }
}

fn watched(seed: u64, switches: &[(&str, &str)]) -> (Guest, Random) {
    let mut guest = Guest::connected(switches);
    guest.put(UNTOUCHED, &[0x5a; 0x10_0000]);
    (guest, Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1))
}

fn assert_untouched(guest: &Guest, seed: u64) {
    assert!(guest.bytes(UNTOUCHED, 0x10_0000).iter().all(|byte| *byte == 0x5a), "seed {seed}");
}

#[test]
fn nonsense_in_msrs_hypercalls_and_messages() {
    for seed in 0..60 {
        let (mut guest, mut random) = watched(seed, &[("unsolicited", "on")]);
        for _ in 0..300 {
            match random.below(10) {
                0 => {
                    let msr = 0x4000_0000 + random.below(0x110) as u32;
                    let value = random.pick(&[0, 1, random.0, random.0 & 0xff]) | random.page() << 12;
                    guest.host.wrmsr(0, msr, value, &mut guest.mem);
                    guest.host.rdmsr(0, msr);
                }
                1 => {
                    let control = random.pick(&[0x5c, 0x5d, 0x1_005d, random.0]);
                    let call = Hypercall { control, input: u64::from(random.dword()), output: 0 };
                    guest.host.hypercall(0, call, &mut guest.mem);
                }
                2 => guest.run(random.below(300) * MS / 10),
                _ => {
                    let kind = random.pick(&[1, 3, 5, 7, 8, 8, 9, 11, 13, 14, 16, 22, 25, 27, 29, random.0 as u32]);
                    let mut message = u32s(&[kind, 0]);
                    for _ in 0..random.below(8) {
                        message.extend_from_slice(&random.dword().to_le_bytes());
                    }
                    for _ in 0..random.below(15) {
                        message.extend_from_slice(&random.page().to_le_bytes());
                    }
                    let connection = random.pick(&[1, 1, 1, 4, random.0 as u32]);
                    guest.try_post(connection, &message[..message.len().min(240)]);
                }
            }
            guest.host.poll(&mut guest.mem);
            guest.host.take_interrupts();
            guest.put(guest::SLOT, &[0; 4]);
            guest.host.wrmsr(0, 0x4000_0084, 0, &mut guest.mem);
        }
        guest.host.reset(&mut guest.mem);
        assert_untouched(&guest, seed);
    }
}

#[test]
fn nonsense_in_the_rings() {
    for seed in 0..300 {
        let (mut guest, mut random) = watched(seed, &[]);
        guest.nic_up();
        guest.net.0.lock().unwrap().waiting.extend((0..30).map(|n| vec![n; 60]));
        for _ in 0..random.below(40) {
            let at = RINGS + random.below(4) * 4096 + random.below(80) * 4;
            let value = random.dword().to_le_bytes();
            guest.put(at, &value);
            guest.put(RINGS, &(random.below(512) as u32 * 8).to_le_bytes());
            guest.signal(0x2000 + NIC);
            guest.run(MS);
        }
        assert_untouched(&guest, seed);
    }
}

#[test]
fn nonsense_in_well_formed_packets() {
    let mut dead = 0;
    for seed in 0..400 {
        let (mut guest, mut random) = watched(seed, &[]);
        guest.nic_up();
        for _ in 0..30 {
            let mut data = vector(random.pick(&["rndis_packet_60", "rndis_set_filter_2", "rndis_query_mac_3"]));
            data.resize(data.len() + random.below(80) as usize, 0);
            for _ in 0..random.below(3) {
                let at = random.below(data.len() as u64 / 4) as usize * 4;
                data[at..at + 4].copy_from_slice(&random.dword().to_le_bytes());
            }
            guest.put(SEND, &data);
            let mut extra = u32s(&[0, 1, data.len() as u32, random.pick(&[0, 0, 0, 0x800])]);
            let (page, kind) = (random.page(), random.dword());
            extra.extend_from_slice(&random.pick(&[SEND / 4096, SEND / 4096, page]).to_le_bytes());
            let mut message = u32s(&[random.pick(&[107, 107, 107, kind]), random.dword(), u32::MAX, 0]);
            message.resize(32, 0);
            guest.send(random.pick(&[9, 9, 9, 6, 11]), 1, random.below(20), &extra, &message);
            while let Some((kind, transaction, ..)) = guest.packet() {
                if kind == 7 {
                    guest.complete(transaction);
                }
            }
        }
        dead += u32::from(guest.host.violations().iter().any(|v| matches!(v.breach, hvhost::Breach::Nvsp { .. })));
        assert_untouched(&guest, seed);
    }
    assert!((1..400).contains(&dead), "some channels die, some live: {dead}");
}

#[test]
fn memory_that_vanishes_is_survived() {
    // A machine whose RAM ends below what was shared: the engine may take RAM away.
    let mut guest = Guest::connected(&[]);
    guest.nic_up();
    let mut small = hvhost::FlatMemory::new(0x8000);
    let mut page = vec![0; 0x8000];
    guest.mem.read(0, &mut page).unwrap();
    small.write(0, &page).unwrap();
    guest.mem = small;
    guest.net.0.lock().unwrap().waiting.push_back(vec![1; 60]);
    guest.run(200 * MS);
    assert!(guest.violations().iter().any(|violation| violation.contains("not RAM any more")));
    guest.post(1, &u32s(&[7, 0, NIC]));
    guest.post(1, &u32s(&[11, 0, NIC, 0x5200_0001]));
    assert_eq!(word(&guest.message().unwrap(), 0), 12);
}
