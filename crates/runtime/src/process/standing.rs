//! How a process stands in the table: whether it has a name, whether stopping waits for it, and whether
//! it has begun to end. Threads meet here, so it is one word.

use super::table::RegisterError;
use crate::sync::{AtomicU8, Ordering};

const NAMED: u8 = 1;
/// It is not for the runtime to end it: code outside of processes has it, or it is kept.
const APART: u8 = 2;
/// It has begun to end: it gets no name any more, and stays as it is.
const CLOSED: u8 = 4;

/// What the table knows of a process.
pub(crate) trait Listed {
    /// The process number.
    fn number(&self) -> u64;

    fn standing(&self) -> &Standing;
}

pub(crate) struct Standing(AtomicU8);

/// How a process stood when it began to end.
pub(super) struct Before(u8);

impl Standing {
    pub(crate) fn new() -> Self {
        Self(AtomicU8::new(0))
    }

    pub(super) fn take_name(&self) -> Result<(), RegisterError> {
        match self.set(NAMED, NAMED | CLOSED) {
            Ok(_) => Ok(()),
            Err(before) if before & CLOSED != 0 => Err(RegisterError::NoProcess),
            Err(_) => Err(RegisterError::HasName),
        }
    }

    pub(super) fn free_name(&self) {
        self.0.fetch_and(!NAMED, Ordering::AcqRel);
    }

    /// Answers whether that is new; what has begun to end stays as it is.
    pub(super) fn set_apart(&self) -> bool {
        self.set(APART, APART | CLOSED).is_ok()
    }

    pub(crate) fn is_apart(&self) -> bool {
        self.0.load(Ordering::Acquire) & APART != 0
    }

    /// The process begins to end.
    pub(super) fn close(&self) -> Before {
        Before(self.0.fetch_or(CLOSED, Ordering::AcqRel))
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.0.load(Ordering::Acquire) & CLOSED != 0
    }

    /// Sets a bit where none of those are set.
    fn set(&self, bit: u8, unless: u8) -> Result<u8, u8> {
        let set = |before: u8| (before & unless == 0).then_some(before | bit);
        self.0
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, set)
    }
}

impl Before {
    pub(super) fn is_named(&self) -> bool {
        self.0 & NAMED != 0
    }

    pub(super) fn is_apart(&self) -> bool {
        self.0 & APART != 0
    }
}
