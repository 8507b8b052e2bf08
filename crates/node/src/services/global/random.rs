//! The generator behind tags and waiting times: SplitMix64 (Steele, Lea, Flood 2014), stirred with
//! the random numbers that the owner passes in, so the same inputs give the same outputs.

use std::time::Duration;

#[derive(Debug)]
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(super) fn stir(&mut self, entropy: u64) {
        self.0 = self.next() ^ entropy;
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `bound`, which is not zero.
    pub(super) fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    /// A time of at most `bound`, in whole milliseconds and at least one.
    pub(super) fn wait(&mut self, bound: Duration) -> Duration {
        let millis = (bound.as_millis() as u64).max(1);
        Duration::from_millis(1 + self.next() % millis)
    }
}
