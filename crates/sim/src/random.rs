//! The generator of a world: SplitMix64 (Steele, Lea, Flood 2014).
//!
//! Small, the same on every platform, and easy to split: each part of the world draws from a
//! generator of its own, so that one more draw in the network does not change which task runs
//! next. Nothing here uses floating point.

use std::time::Duration;

/// A seeded generator. Two with the same seed draw the same numbers.
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    /// A generator that `seed` determines.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A generator of its own for another part of the world.
    #[must_use]
    pub fn split(&mut self) -> Self {
        Self(self.next_u64())
    }

    /// Any number.
    pub fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `bound`; zero when the bound is.
    pub fn below(&mut self, bound: u64) -> u64 {
        // Lemire's multiplication; its bias is below one in 2^32 for the bounds in use.
        ((u128::from(self.next_u64()) * u128::from(bound)) >> 64) as u64
    }

    /// An index into `len` things; zero when there are none.
    pub fn index(&mut self, len: usize) -> usize {
        self.below(len as u64) as usize
    }

    /// One of `items`; none when there are none.
    pub fn pick<'a, T>(&mut self, items: &'a [T]) -> Option<&'a T> {
        items.get(self.index(items.len()))
    }

    /// A time from `low` to `high`, both included.
    pub fn within(&mut self, low: Duration, high: Duration) -> Duration {
        let span = high.saturating_sub(low).as_nanos() as u64;
        low + Duration::from_nanos(self.below(span.saturating_add(1)))
    }

    /// True once in `times`, about.
    pub fn one_in(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }

    /// Fills `bytes`.
    pub fn fill(&mut self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(8) {
            chunk.copy_from_slice(&self.next_u64().to_le_bytes()[..chunk.len()]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_stay_within_their_bounds() {
        let mut random = Random::new(7);
        let (low, high) = (Duration::from_nanos(3), Duration::from_nanos(5));
        let drawn: Vec<Duration> = (0..200).map(|_| random.within(low, high)).collect();
        assert!(drawn.iter().all(|time| (low..=high).contains(time)));
        assert!([low, high].iter().all(|end| drawn.contains(end)));
        assert_eq!(
            (random.below(0), random.below(1), random.index(0)),
            (0, 0, 0)
        );
        assert_eq!(random.pick::<u8>(&[]), None);
    }

    #[test]
    fn the_numbers_are_those_of_the_paper() {
        // The reference implementation's first outputs for the seed 1234567.
        let mut random = Random::new(1_234_567);
        let drawn = [random.next_u64(), random.next_u64()];
        assert_eq!(
            drawn,
            [6_457_827_717_110_365_317, 3_203_168_211_198_807_973]
        );
    }
}
