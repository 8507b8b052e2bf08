//! What happened in a world: a hash over all of it, and on request a line for each event.
//!
//! The hash is FNV-1a over the time of each event and what it was: deliveries with their ends and
//! bytes, faults, polls of tasks, notes. Two runs with one hash took the same course. The lines
//! are for people, who replay a seed.

use std::fmt;
use std::time::Duration;

/// Where readable lines go.
pub type Sink = Box<dyn FnMut(&str) + Send>;

/// The record of a world.
pub(crate) struct Trace {
    hash: u64,
    events: u64,
    sink: Option<Sink>,
}

/// The parameters of FNV-1a, 64 bits (draft-eastlake-fnv).
const FNV_OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
const FNV_PRIME: u64 = 0x0000_0100_0000_01b3;

impl Trace {
    pub(crate) fn new(sink: Option<Sink>) -> Self {
        Self {
            hash: FNV_OFFSET,
            events: 0,
            sink,
        }
    }

    /// Takes up an event of a kind, with two numbers and bytes that say what it was.
    pub(crate) fn event(&mut self, at: Duration, kind: u8, numbers: [u64; 2], bytes: &[u8]) {
        self.events += 1;
        self.take(&(at.as_nanos() as u64).to_le_bytes());
        self.take(&[kind]);
        numbers
            .iter()
            .for_each(|number| self.take(&number.to_le_bytes()));
        self.take(bytes);
    }

    fn take(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.hash = (self.hash ^ u64::from(*byte)).wrapping_mul(FNV_PRIME);
        }
    }

    /// Writes a line, where somebody reads.
    pub(crate) fn line(&mut self, at: Duration, text: fmt::Arguments<'_>) {
        if let Some(sink) = &mut self.sink {
            sink(&format!("{:>14.9}  {text}", at.as_secs_f64()));
        }
    }

    pub(crate) fn hash(&self) -> u64 {
        self.hash
    }

    pub(crate) fn events(&self) -> u64 {
        self.events
    }
}
