//! The wire: delay, loss, duplicates and overtaking, the same for the same seed.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::Config;

/// Frames on their way in one direction, by the time of their arrival and then by the order of sending.
type Flight = BTreeMap<(Duration, u64), Vec<u8>>;

/// Both directions.
pub struct Link {
    inbound: Flight,
    outbound: Flight,
    sent: u64,
    random: u64,
    seed: u64,
    latency: Duration,
    loss: f64,
    duplicate: f64,
    reorder: f64,
}

impl Link {
    /// A perfect wire.
    pub fn new() -> Self {
        Self {
            inbound: Flight::new(),
            outbound: Flight::new(),
            sent: 0,
            random: 1,
            seed: 1,
            latency: Duration::ZERO,
            loss: 0.0,
            duplicate: 0.0,
            reorder: 0.0,
        }
    }

    /// Takes the switches over. A new seed starts the random numbers anew.
    pub fn configure(&mut self, config: &Config) {
        if self.seed != config.seed {
            (self.seed, self.random) = (config.seed, config.seed);
        }
        self.latency = config.latency;
        self.loss = config.loss_percent;
        self.duplicate = config.duplicate_percent;
        self.reorder = config.reorder_percent;
    }

    /// A frame leaves the client.
    pub fn send_to_server(&mut self, frame: &[u8], now: Duration) {
        for key in self.arrivals(now) {
            self.inbound.insert(key, frame.to_vec());
        }
    }

    /// Frames leave the server.
    pub fn send_to_client(&mut self, frames: Vec<Vec<u8>>, now: Duration) {
        for frame in frames {
            for key in self.arrivals(now) {
                self.outbound.insert(key, frame.clone());
            }
        }
    }

    /// The next frame that has reached the server, and when it did.
    pub fn next_arrival(&mut self, now: Duration) -> Option<(Vec<u8>, Duration)> {
        take(&mut self.inbound, now)
    }

    /// The next frame that has reached the client.
    pub fn next_delivery(&mut self, now: Duration) -> Option<Vec<u8>> {
        take(&mut self.outbound, now).map(|(frame, _)| frame)
    }

    /// When the next frame arrives anywhere.
    pub fn next_due(&self) -> Option<Duration> {
        [&self.inbound, &self.outbound].into_iter().filter_map(|flight| flight.keys().next()).map(|key| key.0).min()
    }

    /// When copies of a frame arrive: never, once or twice.
    fn arrivals(&mut self, now: Duration) -> Vec<(Duration, u64)> {
        let copies = if self.chance(self.loss) {
            0
        } else if self.chance(self.duplicate) {
            2
        } else {
            1
        };
        (0..copies)
            .map(|_| {
                self.sent += 1;
                // An overtaken frame takes a millisecond longer than those behind it.
                let detour = Duration::from_millis(u64::from(self.chance(self.reorder)));
                (now + self.latency + detour, self.sent)
            })
            .collect()
    }

    fn chance(&mut self, percent: f64) -> bool {
        // SplitMix64 (Steele, Lea, Flood 2014): any seed gives a full period.
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.random;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^= mixed >> 31;
        ((mixed >> 11) as f64) < percent / 100.0 * (1_u64 << 53) as f64
    }
}

fn take(flight: &mut Flight, now: Duration) -> Option<(Vec<u8>, Duration)> {
    let entry = flight.first_entry()?;
    let due = entry.key().0;
    (due <= now).then(|| (entry.remove(), due))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn delivered(seed: u64) -> Vec<u8> {
        let mut config = Config { seed, loss_percent: 10.0, latency: Duration::from_millis(3), ..Config::default() };
        config.reorder_percent = 10.0;
        let mut link = Link::new();
        link.configure(&config);
        link.send_to_client((0..200_u8).map(|number| vec![number]).collect(), Duration::ZERO);
        assert_eq!(link.next_delivery(Duration::from_millis(2)), None);
        std::iter::from_fn(|| link.next_delivery(Duration::from_millis(4))).flatten().collect()
    }

    #[test]
    fn the_same_seed_loses_the_same_frames() {
        let first = delivered(7);
        assert_eq!(first, delivered(7));
        assert_ne!(first, delivered(8));
        assert!((160..200).contains(&first.len()), "about a tenth is lost, not {}", 200 - first.len());
        assert!(!first.is_sorted(), "some frames are overtaken");
    }
}
