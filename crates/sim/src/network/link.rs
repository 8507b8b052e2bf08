//! The paths between machines: how long they take, how much they carry, and whether they are cut.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::MachineId;
use crate::random::Random;

/// How long bytes are under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Latency {
    /// Always the same.
    Fixed(Duration),
    /// Any time from the first to the second.
    Uniform(Duration, Duration),
    /// Mostly the first; each doubling of it has a chance of one in four, up to the second.
    LongTail(Duration, Duration),
}

impl Latency {
    fn draw(self, random: &mut Random) -> Duration {
        match self {
            Self::Fixed(time) => time,
            Self::Uniform(low, high) => random.within(low, high),
            Self::LongTail(usual, most) => {
                let mut time = random.within(usual / 2, usual);
                while time < most && random.one_in(4) {
                    time *= 2;
                }
                time.min(most)
            }
        }
    }
}

/// A path from one machine to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Link {
    /// How long bytes are under way.
    pub latency: Latency,
    /// Bytes a second; `None` carries any number at once.
    pub bandwidth: Option<u64>,
}

impl Default for Link {
    /// A local network.
    fn default() -> Self {
        let latency = Latency::Uniform(Duration::from_micros(100), Duration::from_millis(1));
        Self {
            latency,
            bandwidth: None,
        }
    }
}

/// Within one machine.
const LOOPBACK: Link = Link {
    latency: Latency::Uniform(Duration::from_micros(5), Duration::from_micros(30)),
    bandwidth: None,
};

/// All paths, which are different ones there and back.
#[derive(Default)]
pub(crate) struct Links {
    every: Link,
    particular: BTreeMap<(MachineId, MachineId), Link>,
    busy_until: BTreeMap<(MachineId, MachineId), Duration>,
    cut: BTreeSet<(MachineId, MachineId)>,
}

impl Links {
    /// Replaces every path that has none of its own.
    pub(crate) fn set_every(&mut self, link: Link) {
        self.every = link;
    }

    pub(crate) fn set(&mut self, path: (MachineId, MachineId), link: Link) {
        self.particular.insert(path, link);
    }

    pub(crate) fn cut(&mut self, path: (MachineId, MachineId)) {
        self.cut.insert(path);
    }

    pub(crate) fn mend(&mut self, path: (MachineId, MachineId)) {
        self.cut.remove(&path);
    }

    pub(crate) fn heal(&mut self) {
        self.cut.clear();
    }

    pub(crate) fn is_cut(&self, path: (MachineId, MachineId)) -> bool {
        self.cut.contains(&path)
    }

    /// When so many bytes arrive that leave now.
    pub(crate) fn arrival(
        &mut self,
        path: (MachineId, MachineId),
        bytes: usize,
        now: Duration,
        random: &mut Random,
    ) -> Duration {
        let link = match path.0 == path.1 {
            true => LOOPBACK,
            false => *self.particular.get(&path).unwrap_or(&self.every),
        };
        let sent = match link.bandwidth {
            None => now,
            Some(bandwidth) => {
                let free = self.busy_until.get(&path).copied().unwrap_or_default();
                let takes = bytes as u64 * 1_000_000_000 / bandwidth.max(1);
                let sent = free.max(now) + Duration::from_nanos(takes);
                self.busy_until.insert(path, sent);
                sent
            }
        };
        sent + link.latency.draw(random)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATH: (MachineId, MachineId) = (MachineId(0), MachineId(1));

    #[test]
    fn a_narrow_link_carries_one_message_after_the_other() {
        let mut links = Links::default();
        let latency = Latency::Fixed(Duration::from_millis(10));
        let bandwidth = Some(1000);
        links.set(PATH, Link { latency, bandwidth });
        let mut random = Random::new(1);
        let mut send = || links.arrival(PATH, 500, Duration::ZERO, &mut random);
        let millis = Duration::from_millis;
        assert_eq!([send(), send()], [millis(510), millis(1010)]);
    }

    #[test]
    fn a_long_tail_is_mostly_short_and_never_past_its_end() {
        let (usual, most) = (Duration::from_millis(1), Duration::from_secs(1));
        let mut random = Random::new(1);
        let tail = Latency::LongTail(usual, most);
        let drawn: Vec<Duration> = (0..2000).map(|_| tail.draw(&mut random)).collect();
        assert!(drawn.iter().filter(|time| **time <= usual).count() > 1000);
        assert!(drawn.iter().any(|time| *time > 20 * usual));
        assert!(drawn.iter().all(|time| *time <= most));
    }
}
