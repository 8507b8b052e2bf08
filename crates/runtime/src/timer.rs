//! Timers: messages that are sent later.
//!
//! As OTP's `erlang:send_after/3` and `start_timer/3`: a timer fires once or is cancelled, and whoever
//! cancels or reads it learns how much time was left, or that it is not there any more. A timer does
//! not keep its target alive, and what it sends to the dead is dropped.
//!
//! Time is tokio's, whose wheel counts in milliseconds: a timer never fires early, and up to a
//! millisecond late on an idle machine. A delay under a millisecond is one of a millisecond. What
//! [`Runtime::read_timer`] tells is exact, and timers that are due fire in the order of their times to the
//! nanosecond, within a shard.
//!
//! A pending timer is an entry of an ordered map: starting and cancelling cost the logarithm of their
//! number, and one that was cancelled is gone at once. One task waits for the earliest of each of
//! [`SHARDS`] maps, and is started with the first timer there. Where many are due at once, it lets
//! others have their turns ([`FIRES_MAX`]). `examples/timers.rs` counts what a million cost.
//!
//! Invariant `I1`: an entry is taken out of its map by exactly one of firing and cancelling.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use purlin_term::Reference;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use crate::executor::{Executor, TaskHandle};
use crate::limits::FIRES_MAX;
use crate::message::Message;
use crate::process::Entry;
use crate::runtime::Runtime;
use crate::send::{Connect, Recipient};

/// Maps among which timers are spread, so that processes on several threads rarely wait for each other.
/// A guess, unmeasured.
const SHARDS: usize = 4;

/// The longest delay: longer ones are shortened to it. OTP's bound is 2^32 - 1 ms for `receive`,
/// its timers go to the end of time; a century is beyond any node's life and within `Instant`.
const DELAY_MAX: Duration = Duration::from_secs(100 * 365 * 24 * 3600);

type Action = Box<dyn FnOnce() + Send>;

/// A timer that was started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimerRef {
    at: Instant,
    number: u64,
    reference: Reference,
}

impl TimerRef {
    /// The reference that a message of `start_timer` carries.
    pub fn reference(&self) -> Reference {
        self.reference
    }

    fn key(&self) -> (Instant, u64) {
        (self.at, self.number)
    }
}

impl Runtime {
    /// Sends `message` to `to` after `delay`, in nobody's name.
    ///
    /// It is never sent early. The resolution is a millisecond: on an idle machine it is sent up to a
    /// millisecond late, and a shorter delay takes one as well. On a busy one it waits for its turn.
    ///
    /// It enters a full mailbox, and waits for a connection as [`Process::try_send`](crate::Process::try_send)
    /// says. A pending timer does not keep its receiver alive.
    pub fn send_after<T: Message>(
        &self,
        delay: Duration,
        to: impl Recipient<T> + Send + 'static,
        message: T,
    ) -> TimerRef {
        self.start_timer(delay, to, |_| message)
    }

    /// As [`Runtime::send_after`], with a message that is made of the timer's reference: whoever
    /// cancels too late can tell the message by it.
    pub fn start_timer<T: Message>(
        &self,
        delay: Duration,
        to: impl Recipient<T> + Send + 'static,
        message: impl FnOnce(Reference) -> T,
    ) -> TimerRef {
        let reference = self.make_reference();
        let message = message(reference);
        let runtime = self.clone();
        let fire = move || {
            // Whom it does not reach is gone or full, and nobody is there to hear of it.
            let (from, connect) = (|| runtime.nobody(), Connect::IfNeeded);
            let _ = runtime.try_send_from(from, &to, message, Entry::Forced, connect);
        };
        let executor = self.executor();
        self.timers()
            .start(&**executor, delay, reference, Box::new(fire))
    }

    /// Takes a timer back; answers the time that was left, or `None` if it has fired or was cancelled.
    /// A message that it sent may be in the mailbox then.
    pub fn cancel_timer(&self, timer: &TimerRef) -> Option<Duration> {
        self.timers().cancel(timer)
    }

    /// The time left until a timer is due, to the clock's resolution; `None` if it has fired or was
    /// cancelled. Zero if it is due and has not had its turn.
    pub fn read_timer(&self, timer: &TimerRef) -> Option<Duration> {
        self.timers().read(timer)
    }

    /// Timers that wait.
    pub fn timer_count(&self) -> usize {
        self.timers().len()
    }
}

/// The timers of a runtime.
pub(crate) struct Timers {
    shards: [Arc<Shard>; SHARDS],
}

struct Shard {
    pending: Mutex<Pending>,
    /// The earliest timer has changed.
    earlier: Notify,
}

#[derive(Default)]
struct Pending {
    entries: BTreeMap<(Instant, u64), Action>,
    driver: Option<Box<dyn TaskHandle>>,
    is_stopped: bool,
}

impl Timers {
    pub(crate) fn new() -> Self {
        let shard = |_| {
            Arc::new(Shard {
                pending: Mutex::default(),
                earlier: Notify::new(),
            })
        };
        Self {
            shards: std::array::from_fn(shard),
        }
    }

    /// Starts a timer that carries out `action` after `delay`.
    fn start(
        &self,
        executor: &dyn Executor,
        delay: Duration,
        reference: Reference,
        action: Action,
    ) -> TimerRef {
        // References are numbered in turn, so timers are spread evenly.
        let number = u64::from(reference.words()[0]) | u64::from(reference.words()[1]) << 18;
        let timer = TimerRef {
            at: Instant::now() + delay.min(DELAY_MAX),
            number,
            reference,
        };
        let shard = self.shard_of(&timer);
        let mut pending = shard.lock();
        if pending.is_stopped {
            return timer;
        }
        let is_first = pending
            .entries
            .first_key_value()
            .is_none_or(|(first, _)| timer.key() < *first);
        pending.entries.insert(timer.key(), action);
        if pending.driver.is_none() {
            let task = Box::pin(drive(shard.clone()));
            pending.driver = Some(executor.spawn(task));
        }
        drop(pending);
        if is_first {
            shard.earlier.notify_one();
        }
        timer
    }

    /// Takes a timer back; answers the time that was left, or `None` if it has fired or was cancelled.
    fn cancel(&self, timer: &TimerRef) -> Option<Duration> {
        let mut pending = self.shard_of(timer).lock();
        let action = pending.entries.remove(&timer.key())?;
        drop(pending);
        // Outside the lock: dropping a message runs code of its type.
        drop(action);
        Some(timer.at.saturating_duration_since(Instant::now()))
    }

    /// The time left until a timer fires; `None` if it has fired or was cancelled.
    fn read(&self, timer: &TimerRef) -> Option<Duration> {
        let pending = self.shard_of(timer).lock();
        pending
            .entries
            .contains_key(&timer.key())
            .then(|| timer.at.saturating_duration_since(Instant::now()))
    }

    /// Timers that wait.
    fn len(&self) -> usize {
        self.shards
            .iter()
            .map(|shard| shard.lock().entries.len())
            .sum()
    }

    /// Drops all timers and starts none any more.
    pub(crate) fn stop(&self) {
        for shard in &self.shards {
            let mut pending = shard.lock();
            pending.is_stopped = true;
            let entries = std::mem::take(&mut pending.entries);
            if let Some(driver) = pending.driver.take() {
                driver.abort();
            }
            drop(pending);
            drop(entries);
        }
    }

    fn shard_of(&self, timer: &TimerRef) -> &Arc<Shard> {
        &self.shards[(timer.number % SHARDS as u64) as usize]
    }
}

impl Shard {
    fn lock(&self) -> MutexGuard<'_, Pending> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Fires what is due, but not too much of it in one turn.
    fn fire_due(&self) -> Fired {
        let now = Instant::now();
        for _ in 0..FIRES_MAX {
            match self.take_due(now) {
                Ok(action) => action(),
                Err(Some(next)) => return Fired::Until(next),
                Err(None) => return Fired::All,
            }
        }
        Fired::Some
    }

    /// Takes out a timer that is due; else answers when the next one is.
    fn take_due(&self, now: Instant) -> Result<Action, Option<Instant>> {
        let mut pending = self.lock();
        match pending.entries.first_entry() {
            Some(first) if first.key().0 <= now => Ok(first.remove()),
            Some(first) => Err(Some(first.key().0)),
            None => Err(None),
        }
    }
}

/// What a turn of firing has left.
enum Fired {
    /// More may be due.
    Some,
    /// The next timer is due then.
    Until(Instant),
    /// No timer waits.
    All,
}

/// Fires the timers of a shard for as long as its runtime lives.
async fn drive(shard: Arc<Shard>) {
    loop {
        match shard.fire_due() {
            Fired::Some => tokio::task::yield_now().await,
            Fired::Until(next) => {
                tokio::select! {
                    biased;
                    () = shard.earlier.notified() => {}
                    () = sleep_until(next) => {}
                }
            }
            Fired::All => shard.earlier.notified().await,
        }
    }
}
