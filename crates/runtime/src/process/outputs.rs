//! What follows from a signal: a short list, needed for a moment, for each signal anew. So each thread
//! keeps one, and its memory is used again.

use std::cell::Cell;
use std::ops::{Deref, DerefMut};

use purlin_otp::relations::Output;

/// What is kept for the next signal. A guess: nearly always there is one output, or two.
const KEPT_MAX: usize = 64;

thread_local! {
    static SPARE: Cell<Vec<Output>> = const { Cell::new(Vec::new()) };
}

/// An empty list, in the thread's spare memory if nobody is using it.
pub(super) struct Outputs(Vec<Output>);

impl Outputs {
    pub(super) fn new() -> Self {
        Self(SPARE.try_with(Cell::take).unwrap_or_default())
    }
}

impl Deref for Outputs {
    type Target = Vec<Output>;

    fn deref(&self) -> &Vec<Output> {
        &self.0
    }
}

impl DerefMut for Outputs {
    fn deref_mut(&mut self) -> &mut Vec<Output> {
        &mut self.0
    }
}

impl Drop for Outputs {
    fn drop(&mut self) {
        let mut spare = std::mem::take(&mut self.0);
        spare.clear();
        if spare.capacity() <= KEPT_MAX {
            let _ = SPARE.try_with(|place| place.set(spare));
        }
    }
}
